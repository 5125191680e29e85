"""A subscription, a renewal and the server's own ones, beside a client that the test plays."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.client.messaging_kit import Told
from wsloop.client.messages import (
    LOST,
    TIMEOUT,
    TOKEN_EXPIRED,
    CallError,
    ClientCode,
    ConnectResult,
    Ended,
    Position,
    Publication,
    RefreshResult,
    SubscribeResult,
)
from wsloop.client.renewal import Renewal
from wsloop.client.server_subs import ServerSubs
from wsloop.client.subscription import STATE_INVALIDATED, SubscribeOptions, Subscription, SubState
from wsloop.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Callable

BUSY = CallError(100, "internal server error", temporary=True)
EXPIRED = CallError(TOKEN_EXPIRED, "token expired")
REFUSED = CallError(103, "permission denied")
THERE = SubscribeResult(positioned=True, recoverable=True, epoch="e", offset=5)


class Client:
    """What a subscription needs of a client; timers and answers come when the test says so."""

    def __init__(self) -> None:
        self.events = Told()
        self.is_connected = True
        self.dialer = SimpleNamespace(reactor=self)
        self.asked: list[tuple[str, dict[str, Any], Callable[[Any], object]]] = []
        self.timers: list[Callable[[], object]] = []
        self.reconnects: list[tuple[int, str]] = []
        self.left: list[tuple[str, int, str]] = []

    def call(self, method: str, fields: dict[str, Any], done: Callable[[Any], object]) -> None:
        self.asked.append((method, fields, done))

    def call_later(self, _delay_s: float, callback: Callable[[], object]) -> Callable[[], object]:
        self.timers.append(callback)
        return callback

    later = call_later

    def cancel(self, timer: Callable[[], object]) -> None:
        self.timers.remove(timer)

    def reconnect(self, code: int, reason: str) -> None:
        self.reconnects.append((code, reason))

    def unsubscribe(self, channel: str, code: int, reason: str) -> None:
        self.left.append((channel, code, reason))

    def answer(self, outcome: object) -> dict[str, Any]:
        _, fields, done = self.asked.pop(0)
        done(outcome)
        return fields

    def ring(self) -> None:
        self.timers.pop(0)()


def begun(**options: Any) -> tuple[Subscription, Client]:
    client = Client()
    subscription = Subscription(cast("Any", client), "c", SubscribeOptions(**options))
    subscription.subscribe()
    return subscription, client


def publication(offset: int) -> Publication:
    return Publication(msgspec.Raw(b"%d" % offset), offset)


@given(st.booleans(), st.lists(st.integers(0, 9), max_size=8))
@example(True, [6, 6, 0, 7])
@example(False, [6, 6])
def test_what_is_positioned_is_handed_on_once(is_positioned: bool, offsets: list[int]) -> None:
    subscription, client = begun()
    client.answer(THERE if is_positioned else SubscribeResult())
    expected, top = [], 5
    for offset in offsets:
        subscription.on_publication(publication(offset))
        if not is_positioned or not offset or offset > top:
            expected.append(offset)
            top = offset or top
    assert client.events.data.get("c", []) == expected


def test_what_it_is_subscribed_with_is_said_and_missed_publications_follow() -> None:
    subscription, client = begun(data=b'{"a":1}', since=Position(3, "e"), token="t", positioned=True)
    missed = SubscribeResult(
        positioned=True, recoverable=True, recovered=True, epoch="e", offset=3,
        publications=[publication(4), publication(5)],
    )  # fmt: skip
    fields = client.answer(missed)
    assert bytes(fields.pop("data")) == b'{"a":1}'
    assert fields == {
        "channel": "c",
        "token": "t",
        "positioned": True,
        "recover": True,
        "offset": 3,
        "epoch": "e",
    }
    assert client.events.data == {"c": [4, 5]}
    assert subscription.position == Position(5, "e")


def test_who_leaves_while_it_is_told_what_it_missed_hears_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    subscription, client = begun()
    heard: list[int] = []

    def leave(_client: object, _channel: str, found: Publication) -> None:
        heard.append(found.offset)
        subscription.end(0, "enough")

    monkeypatch.setattr(client.events, "on_publication", leave)
    client.answer(SubscribeResult(publications=[publication(1), publication(2)]))
    assert heard == [1]
    assert subscription.state is SubState.UNSUBSCRIBED


@pytest.mark.parametrize(
    ("code", "again", "position"),
    [(2000, False, None), (2500, True, Position(5, "e")), (STATE_INVALIDATED, True, None)],
)
def test_the_servers_end_is_the_end_or_a_new_beginning(
    code: int, again: bool, position: Position | None
) -> None:
    subscription, client = begun()
    client.answer(THERE)
    subscription.on_unsubscribe(Ended(code, "told"))
    assert len(client.asked) == int(again)
    if again:
        assert subscription.position == position
        assert subscription.state is SubState.SUBSCRIBING
        subscription.on_unsubscribe(Ended(code, "once more"))  # while it is asked for anyway
        assert len(client.asked) == 1
    else:
        assert client.events.events[-1] == ("unsubscribed", "c", code, "told")


def test_what_cannot_be_now_is_asked_again() -> None:
    subscription, client = begun()
    client.answer(BUSY)
    client.ring()
    client.answer(LOST)
    assert (client.asked, client.timers, subscription.state) == ([], [], SubState.SUBSCRIBING)
    subscription.request()
    client.answer(TIMEOUT)
    assert client.reconnects == [(ClientCode.SUBSCRIBE_TIMEOUT, "subscribe timeout")]
    subscription.request()
    client.answer(REFUSED)
    assert client.events.events[-1] == ("unsubscribed", "c", 103, "permission denied")
    subscription.end(0, "it is over")
    assert client.events.names().count("unsubscribed") == 1


def test_it_is_not_asked_again_where_nobody_is_or_when_it_has_ended() -> None:
    subscription, client = begun()
    client.answer(BUSY)
    client.is_connected = False
    client.ring()
    assert client.asked == []
    client.is_connected = True
    subscription.request()
    client.answer(BUSY)
    subscription.end(0, "")
    assert client.timers == []


def test_an_answer_that_comes_too_late_is_nothing() -> None:
    subscription, client = begun()
    subscription.request()
    states = []
    for _ in range(2):
        client.answer(THERE)
        states.append(subscription.state)
    assert states == [SubState.SUBSCRIBING, SubState.SUBSCRIBED]


def test_steps_that_the_table_does_not_have_are_mistakes() -> None:
    subscription, _ = begun()
    with pytest.raises(StateError):
        subscription.subscribe()


class Source:
    """Gives tokens when it is told to."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[str], object]] = []

    def __call__(self, _channel: str, done: Callable[[str], object]) -> None:
        self.waiting.append(done)


def test_an_expired_token_is_got_anew_and_one_of_before_is_not_used() -> None:
    source = Source()
    subscription, client = begun(get_token=source)
    source.waiting.pop()("old")
    assert client.answer(EXPIRED)["token"] == "old"
    client.ring()
    first = source.waiting.pop()
    subscription.request()
    first("too late")
    assert client.asked == []
    source.waiting.pop()("new")
    assert client.answer(THERE)["token"] == "new"


@pytest.mark.parametrize(
    ("token", "outcome", "left"),
    [
        ("", None, ("c", ClientCode.UNAUTHORIZED, "unauthorized")),
        ("new", REFUSED, ("c", 103, "permission denied")),
        ("new", RefreshResult(), None),
    ],
)
def test_a_right_that_is_not_renewed_is_left(
    token: str, outcome: object, left: tuple[str, int, str] | None
) -> None:
    source = Source()
    subscription, client = begun(get_token=source)
    source.waiting.pop()("old")
    client.answer(SubscribeResult(expires=True, ttl=60))
    client.ring()
    source.waiting.pop()(token)
    if outcome is not None:
        assert client.answer(outcome) == {"channel": "c", "token": "new"}
    assert client.left == ([left] if left else [])
    assert subscription.state is SubState.SUBSCRIBED


def test_a_token_that_cannot_be_judged_now_is_got_again_and_none_after_the_end() -> None:
    client = Client()
    waiting: list[Any] = []
    got: list[str] = []
    renewal = Renewal(cast("Any", client), waiting.append, got.append)
    renewal.arm(False, 60)
    assert client.timers == []
    renewal.arm(True, 60)
    client.ring()
    waiting.pop()("one")
    for outcome in (BUSY, EXPIRED):
        assert renewal.settle(outcome)
        client.ring()
        waiting.pop()("more")
    assert not renewal.settle(REFUSED)
    renewal.arm(True, 60)
    client.ring()
    renewal.stop()
    waiting.pop()("too late")
    assert got == ["one", "more", "more"]
    renewal.arm(True, 60)
    renewal.stop()
    assert client.timers == []


def test_the_servers_subscriptions_are_those_of_its_last_word() -> None:
    client = Client()
    subs = ServerSubs(cast("Any", client))
    plain = SubscribeResult()
    subs.settle(ConnectResult(client="id", subs={"a": THERE, "b": plain, "c": THERE}))
    assert subs.remembered() == {name: {"recover": True, "offset": 5, "epoch": "e"} for name in "ac"}
    for channel, offset in (("a", 6), ("a", 6), ("b", 1), ("b", 1), ("unknown", 1)):
        subs.on_publication(channel, publication(offset))
    assert client.events.data == {"a": [6], "b": [1, 1]}
    subs.remove("c", Ended(2000, "server unsubscribe"))
    subs.remove("c", Ended(2000, "server unsubscribe"))
    missed = SubscribeResult(
        recoverable=True, recovered=True, epoch="e", offset=6, publications=[publication(7)]
    )
    subs.settle(ConnectResult(client="id", subs={"a": missed}))
    assert client.events.data["a"] == [6, 7]
    gone = [event[1:] for event in client.events.events if event[0] == "unsubscribed"]
    assert gone == [
        ("c", 2000, "server unsubscribe"),
        ("b", ClientCode.TRANSPORT_CLOSED, "not subscribed any more"),
    ]
    subs.forget_positions()
    assert subs.remembered() == {}
