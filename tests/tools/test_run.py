"""The runner: its order, its options, and small runs of it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import msgspec
import pytest

from tests.tools.test_summary import CELL, Run, measurement
from tools.bench import bench, options, protocol, run
from tools.bench.cells import CELLS
from tools.bench.needs import PythonPackage
from tools.bench.options import parse
from tools.bench.peers import PEERS, Peer
from tools.bench.report import BEGIN, END

if TYPE_CHECKING:
    from pathlib import Path

    from tools.bench.model import Cell, Measurement

ONE = ("--only", "bare-selectors,echo-100", "--rounds", "1")
SMALL = ("--connections", "5", "--operations", "5000", "--warmup", "0.05", "--seconds", "30")


def test_rounds_are_interleaved() -> None:
    order = [(number, peer.name) for number, peer in run.schedule(PEERS[:3], 2)]
    names = [peer.name for peer in PEERS[:3]]
    assert order == [(1, name) for name in names] + [(2, name) for name in names]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--rounds", "0"],
        ["--seconds", "0"],
        ["--seconds", "1e9"],
        ["--only", "nobody"],
        ["--only", "wsloop,nobody"],
        ["--size", "-1"],
        ["x"],
    ],
)
def test_bad_options_are_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(arguments)
    assert caught.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_without_options_everything_is_measured() -> None:
    wanted = parse([])
    assert wanted.cells == list(CELLS)
    assert wanted.peers == list(PEERS)
    assert wanted.rounds == 3
    assert wanted.document is wanted.plot is None


def test_only_takes_cells_and_servers_together_or_apart() -> None:
    both = parse(["--only", "idle,ws", "--only", "flood"])
    assert [cell.name for cell in both.cells] == ["idle", "flood"]
    assert [peer.name for peer in both.peers] == ["ws"]
    assert parse(["--only", "ws"]).cells == list(CELLS)
    assert parse(["--only", "idle"]).peers == list(PEERS)
    assert {cell.kind.name for cell in parse(["--only", "fanout"]).cells} == {"fanout"}


def test_a_cell_is_changed_by_what_is_given_and_by_nothing_else() -> None:
    (crowd,) = parse(
        ["--only", "fanout-crowd", "--connections", "4", "--size", "20", "--inflight", "3"]
    ).cells
    assert (crowd.connections, crowd.publishers, crowd.size_bytes, crowd.inflight) == (4, 4, 20, 3)
    (echo,) = parse(["--only", "echo-100", "--binary"]).cells
    assert echo.binary
    assert (echo.connections, echo.size_bytes) == (100, 128)


def test_quick_is_one_short_round_of_everything() -> None:
    wanted = parse(["--quick"])
    assert wanted.rounds == 1
    assert wanted.timing.warmup_s + wanted.timing.seconds < 1
    assert max(cell.connections for cell in wanted.cells) == options.QUICK_CONNECTIONS
    assert {cell.seconds for cell in wanted.cells} == {None}
    assert [cell.name for cell in wanted.cells] == [cell.name for cell in CELLS]


def test_rounds_that_are_asked_for_hold_for_every_cell() -> None:
    assert {cell.rounds for cell in parse(["--rounds", "5"]).cells} == {5}
    assert {cell.name for cell in CELLS if cell.rounds == 1} == {"idle"}


def test_the_full_run_is_bounded_in_time() -> None:
    wanted = parse([])
    loads_s = sum(
        min(wanted.rounds, cell.rounds or wanted.rounds)
        * (wanted.timing.warmup_s + (cell.seconds or wanted.timing.seconds))
        for cell in wanted.cells
        for peer in wanted.peers
        if peer.serves(cell)
    )
    assert loads_s < 20 * 60


def test_a_picture_stands_beside_the_page(tmp_path: Path) -> None:
    assert parse(["--document"]).plot == options.PLOT
    assert parse(["--document", str(tmp_path / "x.md")]).plot == tmp_path / "x.svg"


def test_a_peer_that_is_not_installed_is_left_out_with_a_note() -> None:
    absent = Peer("absent", ("x",), (PythonPackage("no-such-distribution"),), "never there")
    here = Peer("here", ("x",), (), "")
    peers, notes = run.present([absent, here])
    assert peers == [here]
    assert notes == ["absent left out: not installed: no-such-distribution (make bench-peers)"]


def test_names_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [*(one.name for one in CELLS), *(one.name for one in PEERS)]


def test_a_small_run_prints_json_and_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "out.json"
    assert run.main([*ONE, *SMALL, "--json", str(path)]) == 0
    printed = capsys.readouterr()
    document = msgspec.json.decode(printed.out)
    assert document == msgspec.json.decode(path.read_text())
    assert document["failures"] == []
    assert document["environment"]["python"].endswith(sys.version.split()[0])
    assert document["command"].startswith("python -m tools.bench.run --only bare-selectors,echo-100")
    (summary,) = document["summaries"]
    assert summary["errors"] == 0
    assert summary["cost"] > 0
    assert "bare-selectors" in printed.err


@pytest.mark.usefixtures("matplotlib")
def test_a_run_writes_tables_goals_and_a_picture(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\n{END}\nafter\n")
    assert run.main([*ONE, *SMALL, "--document", str(page)]) == 0
    text = page.read_text()
    assert text.startswith("before\n")
    assert "### echo-100" in text
    assert "| bare-selectors |" in text
    assert "| echo-100 | at least 0.70x bare-selectors | - | not measured |" in text
    assert "](page.svg)" in text
    assert (tmp_path / "page.svg").exists()


class WrongBench:
    """Measures without a process: one server echoes wrongly, one does not start."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def measure(self, peer: Peer, cell: Cell, number: int) -> Measurement:
        self.calls.append(peer.name)
        if peer.name == "websockets":
            raise bench.MeasureError("no result")
        return measurement(peer.name, number, Run(lost=int(peer.name == "wsloop")), cell)


def test_a_wrong_echo_or_a_failed_server_is_a_failure_and_no_figure(
    capsys: pytest.CaptureFixture[str],
) -> None:
    wrong = WrongBench()
    peers = [peer for peer in PEERS if peer.name in {"bare-selectors", "wsloop", "websockets"}]
    measurements, failures = run.measure_cell(wrong, CELL, peers, 2)  # type: ignore[arg-type]
    assert failures == [f"{CELL.name}: wsloop: gone", f"{CELL.name}: websockets: no result"]
    assert sorted(wrong.calls) == ["bare-selectors", "bare-selectors", "websockets", "wsloop"]
    assert {one.peer for one in measurements} == {"bare-selectors"}
    assert "ERRORS 1: gone" in capsys.readouterr().err


def test_exit_code_1_and_no_document_if_nothing_was_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "measure_all", lambda *_: ([], ["echo-100: bare-selectors: gone"]))
    page = tmp_path / "page.md"
    assert run.main([*ONE, "--document", str(page)]) == 1
    assert not page.exists()
    assert msgspec.json.decode(capsys.readouterr().out)["failures"] == ["echo-100: bare-selectors: gone"]


MORTAL = """
import socket, sys
with socket.create_server(("127.0.0.1", int(sys.argv[4]))) as listener:
    sock, _ = listener.accept()
print("out of luck", flush=True)
"""
MORTAL_CHILD = f"""
import signal, subprocess
child = subprocess.Popen(["sleep", "60"])
{MORTAL}
child.kill()
child.wait()
sock.close()
signal.pause()
"""


def mortal(code: str) -> Measurement:
    peer = Peer("mortal", ("{python}", "-c", code), (), "", raw=True)
    small = msgspec.structs.replace(CELLS[0], connections=1)
    return bench.Bench(options.QUICK_TIMING, None).measure(peer, small, 1)


def test_a_server_that_dies_while_it_is_measured_is_told_with_its_words() -> None:
    result = mortal(MORTAL).result
    assert result.errors.lost == 1
    assert result.first_error.endswith("it printed:\nout of luck")


def test_a_child_process_that_dies_meanwhile_voids_the_measurement() -> None:
    with pytest.raises(bench.MeasureError, match=r"(?s)a process of it ended meanwhile.*out of luck"):
        mortal(MORTAL_CHILD)


def test_one_core_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    one = bench.Bench(options.QUICK_TIMING, None)
    monkeypatch.setattr(one, "generator_core", one.server_core)
    assert "one core only" in one.notes()[0]


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
