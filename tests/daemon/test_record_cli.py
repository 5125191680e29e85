"""`wsloop ctl record` against a daemon that is made up, and `wsloop replay` of what it wrote."""

from __future__ import annotations

import base64
import json
import signal
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from wsloop.daemon import ctl_client, record_cli
from wsloop.daemon.cli import cli
from wsloop.errors import StartupError
from wsloop.testing.client import masked_frame

if TYPE_CHECKING:
    from pathlib import Path


INTERRUPTED = object()


class MadeUpDaemon:
    """Answers `recorded` with these, in turn; INTERRUPTED is a Ctrl+C just before a line comes."""

    def __init__(self, *answers: Any, processes: int = 1) -> None:
        self.answers = list(answers)
        self.processes = processes
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def ask(self, method: str, **params: Any) -> Any:
        self.asked.append((method, params))
        if method == "record":
            return {"processes": self.processes}
        answer = self.answers.pop(0)
        if answer is INTERRUPTED:
            signal.raise_signal(signal.SIGINT)
            return {"lines": [HELLO]}
        return answer


def line(number: int, kind: str, data: bytes = b"", connection: str = "n/1") -> dict[str, Any]:
    told = {"n": number, "t": 5.0, "c": connection, "kind": kind}
    return told | ({"data": base64.b64encode(data).decode()} if data else {})


HELLO = line(1, "in", masked_frame(1, b'{"x":"\x1b[31m"}', b"abcd"))


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_cli, "FETCH_EVERY_S", 0.0)


def run(*arguments: str, daemon: MadeUpDaemon | None = None) -> Result:
    with pytest.MonkeyPatch.context() as patch:
        if daemon is not None:
            patch.setattr(ctl_client, "find", lambda _path: daemon)
        return CliRunner().invoke(cli, arguments)


def record(daemon: MadeUpDaemon, out: Path, *arguments: str) -> Result:
    done = run("ctl", "record", "--out", str(out), *(arguments or ("--user", "ann")), daemon=daemon)
    if daemon.asked and daemon.processes:
        assert done.stderr == "recording; Ctrl+C ends it\n"
    return done


def test_what_the_daemon_gives_is_written_and_can_be_shown(tmp_path: Path) -> None:
    out = tmp_path / "tape"
    daemon = MadeUpDaemon({"lines": [HELLO]}, {"lines": [line(2, "end", connection="n/2")], "over": "enough"})
    done = record(daemon, out, "--user", "ann", "--seconds", "2m", "--max-bytes", "64KiB")
    assert done.exit_code == 0
    assert done.stdout.startswith("2 connections, ")
    order = daemon.asked[0][1]
    assert (order["seconds"], order["max_bytes"], order["redact"]) == (120.0, 65536, True)
    assert out.stat().st_mode & 0o777 == 0o600
    assert json.loads(out.read_bytes().splitlines()[0])["rule"] == {"user": "ann"}
    shown = run("replay", str(out))
    assert shown.exit_code == 0
    assert '> text (13 B): {"x":"\\x1b[31m"}' in shown.output
    assert shown.output.count("connection n/") == 2
    assert run("replay", str(out), "--connection", "n/2", "--full").output.count("connection n/") == 1


def test_an_interrupt_ends_it_with_what_there_is(tmp_path: Path) -> None:
    daemon = MadeUpDaemon(INTERRUPTED, {"lines": [], "over": "stopped"})
    handler = signal.getsignal(signal.SIGINT)
    done = record(daemon, tmp_path / "tape", "n/7", "--keep-tokens", "--json")
    assert signal.getsignal(signal.SIGINT) == handler
    assert json.loads(done.stdout) | {"connections": 1, "over": "stopped"} == json.loads(done.stdout)
    assert daemon.asked[0][1] | {"node": "n", "connection": 7, "redact": False} == daemon.asked[0][1]
    assert daemon.asked[-1][1]["stop"]


def test_several_processes_together_have_the_room_of_one(tmp_path: Path) -> None:
    daemon = MadeUpDaemon({"lines": [HELLO] * 9}, {"lines": [], "over": "stopped"})
    record(daemon, tmp_path / "tape", "--ip", "::1", "--max-bytes", "100")
    assert daemon.asked[-1][1]["stop"]


def test_when_nothing_was_recorded_there_is_no_file(tmp_path: Path) -> None:
    out = tmp_path / "tape"
    done = record(MadeUpDaemon({"lines": [], "over": "its time is over"}), out)
    assert (done.exit_code, done.stdout) == (1, "nothing was recorded: its time is over\n")
    assert not out.exists()
    with pytest.raises(StartupError, match="no process n"):
        raise record(MadeUpDaemon(processes=0), out, "n/1").exception or AssertionError
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "say whom to record"),
        (("n/1", "--user", "ann"), "say whom to record"),
        (("n/x",), "no connection"),
        (("--user", "ann", "--out", "/nowhere/at/all"), "cannot write"),
        (("--user", "ann", "--out", "."), "exists"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_recorded(
    tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    daemon = MadeUpDaemon()
    done = run("ctl", "record", "--out", str(tmp_path / "tape"), *arguments, daemon=daemon)
    assert isinstance(done.exception, StartupError)
    assert done.exception.exit_code == 2
    assert said in str(done.exception)
    assert daemon.asked == []


def test_a_time_that_is_none_is_wrong_usage(tmp_path: Path) -> None:
    done = record(MadeUpDaemon(), tmp_path / "tape", "--user", "ann", "--seconds", "soon")
    assert done.exit_code == 2


@pytest.mark.parametrize(
    ("text", "said"), [(None, "cannot read"), (b"GIF89a", "line 1"), (b"", "not a recording")]
)
def test_what_is_no_recording_is_one_clear_error(tmp_path: Path, text: bytes | None, said: str) -> None:
    path = tmp_path / "tape"
    if text is not None:
        path.write_bytes(text)
    done = run("replay", str(path))
    assert isinstance(done.exception, StartupError)
    assert said in str(done.exception)


def test_a_connection_that_is_not_in_it_is_told(tmp_path: Path) -> None:
    out = tmp_path / "tape"
    record(MadeUpDaemon({"lines": [HELLO], "over": "stopped"}), out)
    done = run("replay", str(out), "--connection", "n/9")
    assert isinstance(done.exception, StartupError)
    assert done.exception.hint == "those in it: n/1"
