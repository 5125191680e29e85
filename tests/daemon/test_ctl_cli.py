"""`wsloop ctl` with a daemon that answers by hand; with real ones: tests/system/test_ctl.py."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from wsloop.daemon import ctl_cli
from wsloop.daemon.ctl_client import GoneError


class ScriptedDaemon:
    """Answers each question with the next of its answers; it is there until these are used up."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def ask(self, method: str, **fields: Any) -> Any:
        self.asked.append((method, fields))
        answer = self.answers.pop(0) if self.answers else GoneError("it has gone")
        if isinstance(answer, Exception):
            raise answer
        return answer

    def is_there(self) -> bool:
        return bool(self.answers)


def ctl(monkeypatch: pytest.MonkeyPatch, daemon: ScriptedDaemon, *arguments: str, said: str = "") -> Result:
    monkeypatch.setattr(ctl_cli, "find", lambda _path: daemon)
    monkeypatch.setattr(ctl_cli, "PROGRESS_EVERY_S", 0.0)
    return CliRunner().invoke(ctl_cli.ctl, arguments, input=said)


def progress(left: int, pid: int = 7) -> dict[str, int]:
    return {"left": left, "of": 3000, "pid": pid}


def test_a_drain_that_is_not_waited_for_is_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ctl(monkeypatch, ScriptedDaemon({"lines": []}), "drain").output == "draining\n"
    told = ctl(monkeypatch, ScriptedDaemon({"lines": []}), "drain", "--json").output
    assert json.loads(told) == {"lines": []}


def test_a_drain_that_is_waited_for_is_told_whenever_it_gets_on(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = GoneError("too busy to answer")
    answers = [{}, gone, progress(3000), progress(3000), gone, progress(12)]
    told = ctl(monkeypatch, ScriptedDaemon(*answers), "drain", "--wait").output.splitlines()
    assert told == ["draining 3,000 of 3,000", "draining 12 of 3,000", "drained"]
    told = ctl(monkeypatch, ScriptedDaemon(*answers), "drain", "--wait", "--json").output.splitlines()
    assert len([line for line in told if "left" in line]) == 2


def test_a_daemon_that_takes_the_place_of_the_drained_one_is_no_end_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = ctl(monkeypatch, ScriptedDaemon({}, progress(5), progress(5, pid=8)), "drain", "--wait")
    assert found.exit_code == 1
    assert "another process answers by now" in str(found.exception)


@pytest.mark.parametrize("command", ["reload", "restart"])
def test_lines_are_printed_and_what_there_is_to_say_if_there_is_none(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = ctl(monkeypatch, ScriptedDaemon({"lines": ["a\x1b", "b"]}), command)
    assert found.output == "a\\x1b\nb\n"
    otherwise = {"reload": "nothing has changed", "restart": "restarted"}[command]
    assert ctl(monkeypatch, ScriptedDaemon({"lines": []}), command).output == f"{otherwise}\n"
    assert json.loads(ctl(monkeypatch, ScriptedDaemon({"lines": []}), command, "--json").output) == {
        "lines": []
    }


@pytest.mark.parametrize(
    ("arguments", "said", "payload"),
    [(("1",), "", "1"), (("-",), '{"a":1}', '{"a":1}'), (("-", "--text"), "hi", '"hi"')],
)
def test_what_is_published_is_given_or_read(
    arguments: tuple[str, ...], said: str, payload: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon = ScriptedDaemon({"offset": 3, "epoch": "e"})
    found = ctl(monkeypatch, daemon, "publish", "c", *arguments, said=said)
    assert found.output == "published, offset 3\n"
    ((method, fields),) = daemon.asked
    assert (method, fields["channel"]) == ("publish", "c")
    assert json.loads(bytes(fields["data"])) == json.loads(payload)


def test_without_history_there_is_no_offset_to_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    daemon = ScriptedDaemon({"offset": 0, "epoch": ""})
    assert ctl(monkeypatch, daemon, "publish", "c", "1").output == "published\n"


def test_warnings_and_a_drain_are_told_above_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    stats = {
        "version": "1", "pid": 7, "uptime": 60.0, "reasons": ["draining"], "warnings": ["the disk is full"],
        "draining": {"left": 1, "of": 2}, "nodes": [],
    }  # fmt: skip
    told = ctl(monkeypatch, ScriptedDaemon(stats), "stats").output.splitlines()
    assert told[0].endswith(": draining")
    assert told[1:3] == ["warning: the disk is full", "draining 1 of 2"]
