"""What all commands of a messaging client have in common: their end, their token, their output."""

from __future__ import annotations

import os
import socket
import sys
from typing import TYPE_CHECKING, cast

import pytest

from tests.daemon.talk_kit import NOBODY, URL, scripted
from wsloop.daemon import talking
from wsloop.daemon.talking import Talk
from wsloop.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from wsloop.client.websocket import Ending


def test_the_first_failure_is_the_one_that_is_told() -> None:
    with scripted(Talk(URL, **NOBODY)) as (talk, client, _):
        talk.fail("the first\x1b", "a hint")
        talk.fail("the second")
        talk.end(0)
        assert client.is_closed
        assert talk._error is not None
        assert (talk._error.message, talk._error.hint) == ("the first\\x1b", "a hint")
        assert talk._exit_code == 1


def test_it_waits_for_the_close_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(talking, "CLOSE_WITHIN_S", 0.0)
    with scripted(Talk(URL, **NOBODY)) as (talk, client, _):
        monkeypatch.setattr(client, "disconnect", lambda: None)
        talk.end(7)
        talk.reactor.run()  # until nobody has answered in time
        assert not client.is_closed


def test_lost_and_found_connections_are_told_but_the_first_must_not_fail(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Refused:
        reason = "ECONNREFUSED"

    ending = cast("Ending", Refused())
    with scripted(Talk(URL, **NOBODY)) as (talk, client, given):
        talk.on_connecting(given, 0, "connect called")
        talk.on_connected(given, None)
        talk.on_connecting(given, 1, "transport closed")
        talk.on_failed(given, ending, 1.0)
        talk.on_connected(given, None)
        assert not client.is_closed
    told = ["connection lost (transport closed), reconnecting", "connected again"]
    assert capsys.readouterr().err.splitlines() == told
    with scripted(Talk(URL, **NOBODY)) as (talk, client, given):
        talk.on_failed(given, ending, 1.0)
        assert client.is_closed
        assert str(talk._error) == f"cannot connect to {URL}: ECONNREFUSED"


@pytest.mark.parametrize(
    ("code", "reason", "has_hint"),
    [(3500, "invalid token", True), (3501, "bad request: token", True), (3503, "force disconnect", False)],
)
def test_a_refusal_is_told_with_a_hint_if_a_token_would_help(code: int, reason: str, has_hint: bool) -> None:
    with scripted(Talk(URL, **NOBODY)) as (talk, _, given):
        talk.on_disconnected(given, code, reason)
        talk.on_disconnected(given, 1, "once more")
        assert talk._error is not None
        assert talk._error.message == f"the server refuses: {reason} ({code})"
        assert ("--token-file" in talk._error.hint) is has_hint


def test_a_reader_that_is_gone_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = socket.socketpair()
    reader.close()
    with (
        scripted(Talk(URL, **NOBODY)) as (talk, client, _),
        os.fdopen(writer.detach(), "w", encoding="utf-8") as stream,
    ):
        monkeypatch.setattr(sys, "stdout", stream)
        talk.say("for nobody")
        assert client.is_closed
        talk.say("into the void")
        assert talk._exit_code == 0


@pytest.mark.parametrize(
    ("content", "fault"), [(None, "No such file"), (b"\xff", "not UTF-8"), (b" \n", "there is no token")]
)
def test_a_token_that_cannot_be_read_is_told_before_anybody_is_asked(
    content: bytes | None, fault: str, tmp_path: Path
) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=fault):
        Talk(URL, **NOBODY | {"token_file": path})


def test_a_token_is_read_whenever_it_is_needed_and_a_fault_of_later_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "token"
    for content, token in ((b" abc\n", "abc"), (b"\xff", ""), (None, "")):
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content)
        assert talking._read_token(path) == token
    told = [f"cannot read {path}: not UTF-8", f"cannot read {path}: No such file or directory"]
    assert capsys.readouterr().err.splitlines() == told
