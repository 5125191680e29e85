"""Subscriptions to a pattern: what they are given, and what there is none of."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from tests.hub.support import LateBroker, World
from tests.hub.test_tailoring import OPEN
from wsloop.hub.broker import Draft
from wsloop.hub.grants import Identity, Override, SubscriptionGrant

EVERYTHING = msgspec.structs.replace(
    OPEN,
    presence=True,
    force_push_join_leave=True,
    force_positioning=True,
    force_recovery=True,
    allow_presence_for_client=True,
    allow_presence_for_anonymous=True,
    allow_history_for_client=True,
    allow_history_for_anonymous=True,
    allow_user_limited_channels=True,
)


def world_of(**options: Any) -> World:
    return World(namespaces={"": EVERYTHING, "ns": msgspec.structs.replace(EVERYTHING, **options)})


def publish(world: World, channel: str, data: bytes = b"0", tags: bytes = b"") -> None:
    rules = world.hub.namespaces.rules_of(channel)
    world.broker.publish(channel, Draft(data, tags=tags), rules.retention, lambda _: None)


def test_a_push_carries_the_pattern_and_names_the_real_channel() -> None:
    world = world_of()
    peer = world.connect()
    assert peer.ask("subscribe", channel="ns:a.*", recoverable=True, positioned=True, delta="fossil") == {}
    publish(world, "ns:a.b")
    publish(world, "ns:c.b")
    expected = {"data": 0, "offset": 1, "channel": "ns:a.b"}
    assert peer.take() == [{"push": {"channel": "ns:a.*", "pub": expected}}]


def test_a_pattern_may_have_a_number_and_a_filter() -> None:
    world = world_of()
    peer = world.connect()
    wanted = {"key": "n", "cmp": "ex"}
    number = peer.ask("subscribe", channel="ns:a.*", flag=1, tf=wanted)["id"]
    publish(world, "ns:a.b", tags=b'{"n":"1"}')
    publish(world, "ns:a.b")
    (push,) = (line["push"] for line in peer.take())
    assert (push["id"], push["pub"]["channel"]) == (number, "ns:a.b")


def test_a_client_in_both_is_given_both() -> None:
    world = world_of()
    peer = world.connect()
    peer.ask("subscribe", channel="ns:a.*")
    peer.ask("subscribe", channel="ns:a.b")
    peer.take()
    publish(world, "ns:a.b")
    assert sorted(line["push"]["channel"] for line in peer.take()) == ["ns:a.*", "ns:a.b"]
    assert world.hub.statistics().deliveries_total == 2


def test_nothing_comes_after_the_last_has_left() -> None:
    world = world_of()
    peer, other = world.connect(), world.connect()
    for each in (peer, other):
        each.ask("subscribe", channel="ns:a.*")
    peer.ask("unsubscribe", channel="ns:a.*")
    publish(world, "ns:a.b")
    assert (len(peer.take()), len(other.take())) == (0, 1)
    other.client.closed()
    publish(world, "ns:a.b")
    assert world.hub.statistics().channels == 0


def test_nobody_hears_of_a_pattern_subscriber() -> None:
    world = world_of()
    member, peer = world.connect(), world.connect()
    member.ask("subscribe", channel="ns:a.b")
    member.take()
    peer.ask("subscribe", channel="ns:a.*", join_leave=True)
    peer.ask("unsubscribe", channel="ns:a.*")
    assert member.take() == []
    assert member.ask("presence_stats", channel="ns:a.b") == {"num_clients": 1, "num_users": 1}


@pytest.mark.parametrize("method", ["publish", "presence", "presence_stats", "history"])
def test_a_pattern_is_not_a_channel(method: str) -> None:
    peer = world_of().connect()
    request = {"data": 1} if method == "publish" else {}
    assert peer.ask(method, channel="ns:a.*", **request) == 108


@pytest.mark.parametrize(
    "name", ["ns:*.*.*.*", "ns:" + "a." * 16 + "*", "ns:*.x#42", "ns:é.*", "ns:a.*." + "x" * 250]
)
def test_a_pattern_beyond_the_limits_is_error_107(name: str) -> None:
    assert world_of().connect().ask("subscribe", channel=name) == 107


@pytest.mark.parametrize("name", ["$ns:a.*", "$*"])
def test_a_private_pattern_needs_a_token(name: str) -> None:
    assert world_of().connect().ask("subscribe", channel=name) == 103


@pytest.mark.parametrize("private", ["$ns:a.b", "ns:a.b#42", "$x"])
def test_a_pattern_does_not_reach_into_restricted_channels(private: str) -> None:
    world = world_of()
    peer = world.connect()
    for pattern in ("ns:a.*", "*"):
        peer.ask("subscribe", channel=pattern)
    publish(world, private)
    assert peer.take() == []


def test_where_wildcards_are_not_allowed_a_star_is_a_character() -> None:
    world = world_of(allow_wildcard=False)
    peer = world.connect()
    peer.ask("subscribe", channel="ns:a.*")
    peer.take()
    publish(world, "ns:a.b")
    assert peer.take() == []
    publish(world, "ns:a.*")
    assert [line["push"]["channel"] for line in peer.take()] == ["ns:a.*"]


def test_a_grant_gives_a_pattern_nothing_that_it_cannot_have() -> None:
    everything = Override(
        presence=True,
        join_leave=True,
        force_push_join_leave=True,
        force_positioning=True,
        force_recovery=True,
    )
    grant = SubscriptionGrant(override=everything)
    world = world_of()
    peer = world.open(identity=Identity("42", subscriptions={"ns:a.*": grant}))
    peer.say({"id": 1, "connect": {}})
    (reply,) = peer.take()
    assert reply["connect"]["subs"] == {"ns:a.*": {}}
    publish(world, "ns:a.b")
    assert peer.take()[0]["push"]["pub"]["channel"] == "ns:a.b"


def test_a_broker_behind_a_link_serves_patterns_as_well() -> None:
    world = World(namespaces={"": EVERYTHING}, broker=LateBroker)
    peer = world.connect()
    peer.say({"id": 5, "subscribe": {"channel": "a.*"}})
    world.broker.deliver()
    assert [line["id"] for line in peer.take()] == [5]
    publish(world, "a.b", json.dumps({"n": 1}).encode())
    assert peer.take() == []
    world.broker.deliver()
    assert [line["push"]["pub"]["data"] for line in peer.take()] == [{"n": 1}]
