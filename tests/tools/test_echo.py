"""The runner: its order, its options, and small runs of it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import msgspec
import pytest

from tests.tools.test_summary import Run, measurement
from tools.bench import echo, generator, protocol
from tools.bench.options import parse
from tools.bench.peers import PEERS, REFERENCE, Peer

if TYPE_CHECKING:
    from pathlib import Path

BARE = ("--only", "bare-selectors", "--rounds", "1", "--seconds", "0.2", "--warmup", "0.05")
SMALL = ("--connections", "5", "--messages", "200")


def test_rounds_are_interleaved() -> None:
    order = [(number, peer.name) for number, peer in echo.schedule(PEERS[:3], 2)]
    names = [peer.name for peer in PEERS[:3]]
    assert order == [(1, name) for name in names] + [(2, name) for name in names]


def test_every_peer_is_told_its_port() -> None:
    for peer in PEERS:
        command = peer.command_line(12345)
        assert command[0] == sys.executable
        assert command[-2:] == ["--port", "12345"]
    assert REFERENCE in {peer.name for peer in PEERS}


@pytest.mark.parametrize(
    "arguments",
    [
        ["--rounds", "0"],
        ["--seconds", "0"],
        ["--seconds", "1e9"],
        ["--only", "nobody"],
        ["--size", "-1"],
        ["x"],
    ],
)
def test_bad_options_are_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(arguments)
    assert caught.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_quick_is_one_short_round() -> None:
    options = parse(["--quick"])
    assert options.rounds == 1
    assert options.timing.warmup_s + options.timing.seconds < 2


def test_a_peer_that_is_not_installed_is_left_out_with_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = Peer("absent", ("x",), ("no-such-distribution",), "never there")
    monkeypatch.setattr(echo, "PEERS", (PEERS[0], absent))
    peers, notes = echo.select_peers(None)
    assert peers == [PEERS[0]]
    assert notes == ["absent left out: not installed: no-such-distribution"]


def test_a_small_run_prints_json_and_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "out.json"
    assert echo.main([*BARE, *SMALL, "--json", str(path)]) == 0
    printed = capsys.readouterr()
    document = msgspec.json.decode(printed.out)
    assert document == msgspec.json.decode(path.read_text())
    assert document["failures"] == []
    assert document["environment"]["python"].endswith(sys.version.split()[0])
    assert document["command"].startswith("python -m tools.bench.echo --only bare-selectors")
    (summary,) = document["summaries"]
    assert summary["errors"] == 0
    assert summary["server_cpu_us"] > 0
    assert "bare-selectors" in printed.err


class WrongBench:
    """Measures without a process: one server echoes wrongly, one does not start."""

    def __init__(self, *_: object) -> None:
        self.calls: list[str] = []

    def measure(self, peer: Peer, number: int) -> object:
        self.calls.append(peer.name)
        if peer.name == "websockets":
            raise generator.GeneratorError("no result")
        return measurement(peer.name, number, Run(lost=int(peer.name == "wsloop")))


def test_a_wrong_echo_or_a_failed_server_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    bench = WrongBench()
    measurements, failures = echo.measure_all(bench, PEERS, 2)  # type: ignore[arg-type]
    assert failures == ["websockets: no result", "wsloop: gone", "wsloop: gone"]
    assert bench.calls.count("websockets") == 1
    assert len(measurements) == 6
    assert "ERRORS 1: gone" in capsys.readouterr().err


def test_exit_code_1_and_no_document_if_an_echo_was_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = measurement("bare-selectors", 1, Run(lost=1))
    monkeypatch.setattr(echo, "measure_all", lambda *_: ([bad], ["bare-selectors: gone"]))
    page = tmp_path / "page.md"
    assert echo.main([*BARE, "--markdown", str(page)]) == 1
    assert not page.exists()
    assert msgspec.json.decode(capsys.readouterr().out)["failures"] == ["bare-selectors: gone"]


def test_session_and_wsproto_answer_the_same_bytes() -> None:
    data = protocol.frames(128, 5)
    echoed = protocol.session_echo()(data)
    assert echoed == protocol.wsproto_echo()(data)
    assert len(echoed) == 5 * (4 + 128)


def test_the_protocol_benchmark_prints_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert protocol.main(["--calls", "1", "--rounds", "1"]) == 0
    costs = msgspec.json.decode(capsys.readouterr().out)["costs"]
    assert {cost["size_bytes"] for cost in costs} >= {128, 16384}
    assert all(cost["session_ns"] > 0 and cost["wsproto_ns"] > 0 for cost in costs)
