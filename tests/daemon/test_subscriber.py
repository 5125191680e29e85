"""`wsloop sub` with a server that answers by hand; with a real one: tests/system/test_ctl.py."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from tests.daemon.talk_kit import NOBODY, URL, scripted
from wsloop.client.messages import CallError, HistoryResult, Info, Position, Publication
from wsloop.client.messages import SubscribeResult as Subscribed
from wsloop.daemon.subscriber import Subscriber

POSITIONED = Subscribed(epoch="e", offset=5)


def subscriber(*channels: str, history: int = 0, as_json: bool = False) -> Subscriber:
    return Subscriber(URL, channels, recovers=True, history=history, as_json=as_json, **NOBODY)


def publication(data: bytes, offset: int = 1, **more: Any) -> Publication:
    return Publication(msgspec.Raw(data), offset, **more)


def test_history_comes_first_and_what_is_published_meanwhile_behind_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with scripted(subscriber("a", history=2)) as (talk, client, given):
        talk.on_subscribed(given, "a", POSITIONED)
        talk.on_publication(given, "a", publication(b"6", 6))
        assert capsys.readouterr().out == ""
        old = [publication(b"5", 5), publication(b"4", 4)]
        wanted = client.answer(HistoryResult(old, "e", 5))
        talk.on_publication(given, "a", publication(b"7", 7))
        assert wanted == {"limit": 2, "since": Position(6, "e"), "reverse": True}
    assert capsys.readouterr().out == "4\n5\n6\n7\n"


def test_without_history_nothing_is_lost_but_that(capsys: pytest.CaptureFixture[str]) -> None:
    with scripted(subscriber("a", history=2)) as (talk, client, given):
        talk.on_subscribed(given, "a", Subscribed())
        talk.on_publication(given, "a", publication(b"1"))
        assert client.answer(CallError(108, "not available"))["since"] is None
    assert capsys.readouterr() == ("1\n", "a: no history: not available (108)\n")


def test_history_is_asked_for_once_and_only_for_what_was_asked_for() -> None:
    with scripted(subscriber("a", "a", history=2)) as (talk, client, given):
        for channel in ("a", "a", "server-side"):
            talk.on_subscribed(given, channel, POSITIONED)
        assert len(client.asked) == 1
    with scripted(subscriber("a")) as (talk, client, given):
        talk.on_subscribed(given, "a", POSITIONED)
        assert client.asked == []


def test_a_loss_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with scripted(subscriber("a")) as (talk, _, given):
        talk.on_subscribed(given, "a", Subscribed(was_recovering=True, recovered=True))
        talk.on_subscribed(given, "a", Subscribed(was_recovering=True))
    assert capsys.readouterr().err == "a: what was published meanwhile is lost\n"


def test_of_several_channels_each_line_names_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    with scripted(subscriber("a", "b.*")) as (talk, _, given):
        talk.on_publication(given, "a", publication(b"1"))
        talk.on_publication(given, "b.*", publication(b"2", channel="b.x"))
    assert capsys.readouterr().out == "a\t1\nb.x\t2\n"


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, {}),
        ({"info": Info("ann", "id")}, {"user": "ann", "client": "id"}),
        ({"tags": {"k": "v"}}, {"tags": {"k": "v"}}),
        ({"channel": "a.x"}, {"channel": "a.x"}),
    ],
)
def test_as_json_a_line_has_all_there_is(
    more: dict[str, Any], expected: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    with scripted(subscriber("a", as_json=True)) as (talk, _, given):
        talk.on_publication(given, "a", publication(b'{"n":1}', 7, **more))
    told = json.loads(capsys.readouterr().out)
    assert told == {"channel": "a", "data": {"n": 1}, "offset": 7, **expected}


def test_a_subscription_that_ends_is_the_end() -> None:
    with scripted(subscriber("a")) as (talk, client, given):
        talk.on_unsubscribed(given, "a", 2502, "state invalidated")
        assert client.is_closed
        assert str(talk._error) == "a: state invalidated (2502)"
