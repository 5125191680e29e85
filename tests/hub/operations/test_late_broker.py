"""Operations behind a broker that answers later, or not at all."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.hub.scripted import ScriptedVerifier
from tests.hub.support import LateBroker, Peer, World
from wsloop.hub import codes, revocations
from wsloop.hub.broker import Unavailable
from wsloop.hub.grants import Identity
from wsloop.hub.operations import reading, table, users
from wsloop.hub.operations.core import Operations
from wsloop.hub.operations.peers import NoPeers
from wsloop.hub.operations.results import PeerInfo, Process, Result
from wsloop.hub.presence import MemoryPresence

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from wsloop.hub.broker import Done
    from wsloop.hub.presence import PresenceStats


class Desk:
    """A hub behind a late broker, and an operator."""

    def __init__(self) -> None:
        self.world = World(broker=LateBroker)
        self.broker: LateBroker = self.world.broker
        self.verifier = ScriptedVerifier()
        self.verifier.identities["ann"] = Identity("ann")
        self.world.hub.verifier = self.verifier
        self.later: list[Callable[[], object]] = []
        self.operations = Operations(
            self.world.hub,
            later=self._postpone,
            uid="u",
            name="n",
            process=lambda: Process(cpu=0.0, rss=0),
            slowest=lambda _count: [],
        )

    def _postpone(self, callback: Callable[[], object]) -> None:
        self.later.append(callback)

    def call(self, method: str, /, **fields: object) -> list[Any]:
        """Call a method; the list gets its answer when it is there: the result, or an error's number."""
        answers: list[Any] = []

        def done(outcome: Result | codes.Code) -> None:
            if isinstance(outcome, codes.Code):
                answers.append(outcome.code)
            else:
                answers.append(json.loads(msgspec.json.encode(outcome)))

        table.call(self.operations, method, json.dumps(fields).encode(), done)
        return answers

    def turn(self) -> None:
        """Do what was left for a later turn."""
        waiting, self.later = self.later, []
        for each in waiting:
            each()

    def join(self) -> Peer:
        peer = self.world.open()
        peer.say({"id": 1, "connect": {"token": "ann"}})
        peer.take()
        return peer


class AbsentPresence(MemoryPresence):
    """A presence behind a link that is down."""

    def members(self, channel: str, done: Done[Mapping[str, bytes]]) -> None:
        done(Unavailable("the link is down"))

    def stats(self, channel: str, done: Done[PresenceStats]) -> None:
        done(Unavailable("the link is down"))


@pytest.fixture
def desk() -> Desk:
    return Desk()


READS = ("publish", "history", "history_remove")


@pytest.mark.parametrize("method", READS)
def test_an_answer_comes_when_the_broker_has_answered(desk: Desk, method: str) -> None:
    answers = desk.call(method, channel="a", data=1)
    assert answers == []
    desk.broker.deliver()
    assert len(answers) == 1


@pytest.mark.parametrize("method", ["publish", "history", "acks"])
def test_a_broker_that_cannot_is_error_100(desk: Desk, method: str) -> None:
    desk.broker.failing = True
    assert desk.call(method, channel="a", data=1) == [100]


@pytest.mark.parametrize("method", ["presence", "presence_stats"])
def test_a_presence_that_cannot_tell_is_error_100(desk: Desk, method: str) -> None:
    desk.world.hub.presence = AbsentPresence()
    assert desk.call(method, channel="a") == [100]


NOTED = {"block_user": "user", "revoke_token": "uid", "invalidate_user_tokens": "user"}


@pytest.mark.parametrize(("method", "field"), NOTED.items())
def test_what_can_no_longer_be_noted_is_error_106(
    desk: Desk, method: str, field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revocations, "MAX_ENTRIES", 0)
    assert desk.call(method, **{field: "a"}) == [106]


def test_a_broadcast_is_answered_when_its_last_channel_is(desk: Desk) -> None:
    answers = desk.call("broadcast", channels=["a", "nowhere:b", "c"], data=1)
    desk.broker.deliver(1)
    assert answers == []
    desk.broker.deliver()
    assert [list(each) for each in answers[0]["responses"]] == [["result"], ["error"], ["result"]]


def commands(count: int) -> list[dict[str, object]]:
    return [{"publish": {"channel": "a", "data": number}} for number in range(count)]


def test_a_batch_waits_for_each_command_before_the_next(desk: Desk) -> None:
    answers = desk.call("batch", commands=commands(3))
    for _ in range(3):
        assert answers == []
        assert len(desk.broker) == 1
        desk.broker.deliver(1)
    assert [reply["publish"]["offset"] for reply in answers[0]["replies"]] == [1, 2, 3]


def test_a_parallel_batch_begins_all_and_is_answered_in_order(desk: Desk) -> None:
    answers = desk.call("batch", commands=[*commands(100), {"presence": {"channel": "a"}}], parallel=True)
    begun = len(desk.broker)
    assert 0 < begun < 101
    desk.turn()
    assert len(desk.broker) == 100
    assert answers == []
    desk.broker.deliver()
    assert [reply["publish"]["offset"] for reply in answers[0]["replies"][:100]] == list(range(1, 101))
    assert answers[0]["replies"][100] == {"presence": {"presence": {}}}


def test_a_batch_that_completes_at_once_still_leaves_the_turn(desk: Desk) -> None:
    answers = desk.call("batch", commands=[{"presence": {"channel": "a"}}] * 200)
    assert answers == []
    turns = 0
    while not answers:
        desk.turn()
        turns += 1
    assert turns == 3
    assert len(answers[0]["replies"]) == 200


@pytest.mark.parametrize("parallel", [False, True])
def test_a_batch_says_no_more_than_so_much(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, *, parallel: bool
) -> None:
    monkeypatch.setattr(table, "BATCH_REPLY_BYTES", 100)
    answers = desk.call("batch", commands=[{"presence_stats": {"channel": "a"}}] * 10, parallel=parallel)
    while not answers:
        desk.turn()
    replies = answers[0]["replies"]
    told = [reply for reply in replies if "presence_stats" in reply]
    assert 1 <= len(told) < 10
    assert replies[: len(told)] == told
    assert [reply["error"]["code"] for reply in replies[len(told) :]] == [106] * (10 - len(told))


def test_who_leaves_while_being_subscribed_does_not_keep_the_answer(desk: Desk) -> None:
    peer, other = desk.join(), desk.join()
    answers = desk.call("subscribe", user="ann", channel="a")
    peer.client.closed()
    assert answers == []
    desk.broker.deliver()
    assert answers == [{}]
    assert [line["push"]["channel"] for line in other.take() if "subscribe" in line.get("push", {})] == ["a"]
    assert desk.world.hub.channel("a") is not None


def test_a_subscription_whose_stream_cannot_be_read_is_error_100(desk: Desk) -> None:
    peer = desk.join()
    desk.broker.failing = True
    assert desk.call("subscribe", user="ann", channel="a") == [100]
    assert peer.take() == []
    assert desk.world.hub.channel("a") is None


def test_unsubscribe_ends_what_has_not_begun_yet(desk: Desk) -> None:
    peer = desk.join()
    subscribed = desk.call("subscribe", user="ann", channel="a")
    assert desk.call("unsubscribe", user="ann", channel="a") == [{}]
    desk.broker.deliver()
    assert len(subscribed) == 1
    assert peer.client.subscriptions == {}
    assert desk.world.hub.channel("a") is None


def test_who_is_in_too_many_channels_is_closed_with_3505(desk: Desk) -> None:
    peer = desk.join()
    limit = desk.world.hub.options.channel_limit
    for number in range(limit):
        desk.call("subscribe", user="ann", channel=f"c{number}")
        desk.broker.deliver()
    assert desk.call("subscribe", user="ann", channel="one-more") == [{}]
    assert peer.close_code == 3505


def test_unsubscribe_from_where_nobody_is_is_done(desk: Desk) -> None:
    peer = desk.join()
    assert desk.call("unsubscribe", user="ann", channel="nobody") == [{}]
    assert (peer.take(), peer.close_code) == ([], None)


@pytest.mark.parametrize("method", ["channels", "connections"])
def test_what_goes_while_a_page_is_read_is_not_on_it(
    desk: Desk, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "NAMES_PER_TURN", 1)
    monkeypatch.setattr(users, "CONNECTIONS_PER_TURN", 1)
    leaver, other = sorted((desk.join(), desk.join()), key=lambda peer: peer.client.id, reverse=True)
    for peer, channel in ((other, "a"), (leaver, "b")):
        peer.ask("subscribe", channel=channel)
        desk.broker.deliver()
    kept = {"channels": "a", "connections": other.client.id}[method]
    answers = desk.call(method)
    desk.turn()  # both were looked at: they are on the page
    leaver.client.closed()
    while not answers:
        desk.turn()
    assert list(answers[0][method]) == [kept]


class ManyPeers(NoPeers):
    """Connections that are no more than their numbers."""

    def snapshot(self) -> Sequence[Any]:
        return range(50)

    def describe(self, peer: int) -> PeerInfo:
        age_s = float(peer * 37 % 50)
        return PeerInfo(peer, "", "", "192.0.2.1:9", "open", age_s, 0, 0, 0, 0, 0)


@given(st.integers(1, 60))
def test_the_first_of_many_connections_are_the_oldest(limit: int) -> None:
    desk = Desk()
    desk.operations.peers = ManyPeers()
    (answer,) = desk.call("peers", limit=limit)
    ages = [each["age_s"] for each in answer["connections"]]
    assert (ages, answer["total"]) == (sorted(map(float, range(50)), reverse=True)[:limit], 50)


def test_where_nobody_can_connect_nobody_is_listed(desk: Desk) -> None:
    assert desk.call("peers") == [{"connections": [], "total": 0}]
