"""`wsloop chat` with a server that answers by hand; with a real one: tests/system/test_ctl.py."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tests.daemon.talk_kit import NOBODY, URL, ScriptedClient, scripted
from wsloop.client.messages import LOST, CallError, Info, PresenceResult, Publication, PublishResult
from wsloop.client.messages import SubscribeResult as Subscribed
from wsloop.daemon import talking
from wsloop.daemon.chatting import Chat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Scene = tuple[Chat, ScriptedClient, Any]


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.setattr(Chat, "read_lines", lambda *_: None)
    monkeypatch.setattr(talking, "AGAIN_S", 0.0)
    with scripted(Chat(URL, "c", "", **NOBODY)) as made:
        yield made


def info(conn_info: bytes = b"", user: str = "") -> Info:
    return Info(user, "0123456789", msgspec.Raw(conn_info))


@pytest.mark.parametrize(
    ("data", "who", "line"),
    [
        (b'{"text":"hi","name":"Ann"}', None, "Ann: hi"),
        (b'{"text":"hi"}', None, "server: hi"),
        (b'{"text":"hi","name":7}', info(b'{"name":"Ben"}'), "Ben: hi"),
        (b'{"text":"hi"}', info(b'{"name":7}', "u1"), "u1: hi"),
        (b'{"text":"hi"}', info(b"not JSON", "u1"), "u1: hi"),
        (b'{"text":"hi"}', info(b"[]"), "012345: hi"),
        (b'{"text":7}', info(), '012345: {"text":7}'),
        (b"not JSON", None, "server: not JSON"),
        (b'{"text":"\\u001b[31m"}', None, "server: \\x1b[31m"),
    ],
)
def test_whatever_is_said_is_one_line(
    scene: Scene, data: bytes, who: Info | None, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    chat, _, client = scene
    chat.on_publication(client, "c", Publication(msgspec.Raw(data), 1, who))
    assert capsys.readouterr().out == f"{line}\n"


def test_who_is_here_is_told_once_and_a_loss_whenever_there_is_one(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    chat, scripted_client, client = scene
    chat.on_subscribed(client, "c", Subscribed())
    scripted_client.answer(PresenceResult({"a": info(user="zoe"), "b": info(user="ann")}))
    chat.on_subscribed(client, "c", Subscribed(was_recovering=True, recovered=True))
    chat.on_subscribed(client, "c", Subscribed(was_recovering=True))
    assert scripted_client.asked == []
    told = ["* 2 here: ann, zoe", "what was said meanwhile is lost"]
    assert capsys.readouterr().err.splitlines() == told


def test_who_cannot_be_asked_for_is_not_told(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    chat, scripted_client, _ = scene
    chat._on_line("/who", lambda: None)
    scripted_client.answer(LOST)
    assert capsys.readouterr() == ("", "")


def test_comings_and_goings_are_those_of_others(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    chat, _, client = scene
    chat.on_join(client, "c", Info("me", "my-id"))
    chat.on_join(client, "c", info(user="ann"))
    chat.on_leave(client, "c", info(user="ann"))
    assert capsys.readouterr().err.splitlines() == ["* ann came", "* ann went"]


def said(chat: Chat, line: str) -> Callable[[], int]:
    """Say a line; the result counts how often it was dealt with."""
    times: list[None] = []
    chat._on_line(line, lambda: times.append(None))
    return lambda: len(times)


def test_what_cannot_be_said_now_is_said_again_under_the_same_key(scene: Scene) -> None:
    chat, scripted_client, _ = scene
    dealt_with = said(chat, "hello")
    data, key = scripted_client.answer(CallError(100, "internal server error", temporary=True))
    assert json.loads(data) == {"text": "hello"}
    assert dealt_with() == 0
    chat.reactor.run_once()
    assert scripted_client.answer(PublishResult(1, "e")) == (data, key)
    assert dealt_with() == 1


def test_what_must_not_be_said_is_told_and_the_end_waits_for_every_answer(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    chat, scripted_client, client = scene
    dealt_with = [said(chat, line) for line in ("one", "two", "", "  ")]
    chat._on_end()
    scripted_client.answer(CallError(103, "permission denied"))
    assert not client.is_closed
    scripted_client.answer(PublishResult(1, "e"))
    assert client.is_closed
    assert [count() for count in dealt_with] == [1, 1, 1, 1]
    assert capsys.readouterr().err == "not said: permission denied (103)\n"


def test_without_a_channel_there_is_nobody_to_talk_to(scene: Scene) -> None:
    chat, _, client = scene
    chat.on_unsubscribed(client, "c", 2502, "state invalidated")
    assert client.is_closed
    assert str(chat._error) == "c: state invalidated (2502)"
