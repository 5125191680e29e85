"""A running hub is given other namespaces: who is in a channel, and what becomes of that."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.hub.support import LateBroker, Peer, World
from wsloop.hub import following
from wsloop.hub.grants import Identity, Override, SubscriptionGrant
from wsloop.hub.namespaces import Namespace, Namespaces
from wsloop.hub.options import HubOptions
from wsloop.hub.rate_limits import NO_RATES, Operation, Rate, RateLimits

OPEN = Namespace(
    presence=True,
    join_leave=True,
    history_size=10,
    history_ttl_s=60.0,
    allow_recovery=True,
    allow_positioning=True,
    allow_wildcard=True,
    allow_subscribe_for_client=True,
    allow_subscribe_for_anonymous=True,
    allow_publish_for_client=True,
    allow_publish_for_anonymous=True,
    allow_presence_for_client=True,
    allow_presence_for_anonymous=True,
    allow_history_for_client=True,
    allow_history_for_anonymous=True,
)


def without(**changed: Any) -> Namespace:
    return Namespace(**{**{name: getattr(OPEN, name) for name in Namespace.__struct_fields__}, **changed})


NO_PRESENCE = without(presence=False)
QUIET = without(join_leave=False)
FORGETFUL = without(history_size=0, history_ttl_s=0.0, allow_recovery=False, allow_positioning=False)


def world(**namespaces: Namespace) -> World:
    return World(namespaces={"": OPEN, **namespaces})


def change(made: World, **namespaces: Namespace) -> None:
    following.follow(made.hub, Namespaces({"": OPEN, **namespaces}))


def pushes(peer: Peer) -> list[Any]:
    return [line["push"] for line in peer.take() if "push" in line]


def members(peer: Peer, channel: str) -> Any:
    answer = peer.ask("presence", channel=channel)
    return answer if isinstance(answer, int) else set(answer["presence"])


def test_a_channel_whose_options_stay_is_left_alone() -> None:
    made = world(a=OPEN)
    ann = made.connect()
    ann.ask("subscribe", channel="a:x", recoverable=True)
    ann.take()
    change(made, a=without(), b=OPEN)
    assert ann.take() == []
    ann.ask("publish", channel="a:x", data=1)
    assert [push["pub"]["offset"] for push in pushes(ann)] == [1]


@pytest.mark.parametrize("positioned", [False, True])
def test_who_is_in_a_namespace_that_is_taken_away_is_told_and_asked_to_come_back(positioned: bool) -> None:
    made = world(a=OPEN)
    ann, ben = made.connect(), made.connect()
    for peer in (ann, ben):
        peer.ask("subscribe", channel="a:x", positioned=positioned)
        peer.ask("subscribe", channel="x")
        peer.take()
    change(made)
    for peer in (ann, ben):
        (push,) = pushes(peer)
        assert push == {"channel": "a:x", "unsubscribe": {"code": 2502, "reason": "state invalidated"}}
        assert peer.close_code is None
        assert peer.ask("subscribe", channel="a:x") == 102
        assert peer.ask("publish", channel="a:x", data=1) == 102
    assert list(made.hub.channel_names()) == ["x"]
    change(made, a=OPEN)
    assert "error" not in ann.ask("subscribe", channel="a:x")


def test_what_the_server_subscribed_a_client_to_ends_without_a_close() -> None:
    made = world(a=OPEN)
    ann = made.connect(Identity("ann", subscriptions={"a:x": SubscriptionGrant()}))
    change(made)
    assert [push["unsubscribe"]["code"] for push in pushes(ann)] == [2502]
    assert ann.close_code is None


def test_a_name_that_is_forbidden_now_and_a_pattern_that_is_none_any_more_end_too() -> None:
    made = world(a=OPEN)
    ann = made.connect()
    for name in ("a:good", "a:BAD", "a:*"):
        ann.ask("subscribe", channel=name)
    ann.take()
    change(made, a=without(channel_regex="[a-z*]+", allow_wildcard=False))
    assert [(push["channel"], push["unsubscribe"]["code"]) for push in pushes(ann)] == [
        ("a:BAD", 2502),
        ("a:*", 2502),
    ]


def test_who_is_about_to_come_in_is_not_let_into_a_namespace_that_is_gone() -> None:
    made = World(namespaces={"": OPEN, "a": OPEN}, broker=LateBroker)
    ann = made.connect()
    assert ann.ask("subscribe", channel="a:x", recoverable=True) is None
    change(made)
    made.broker.deliver()
    (reply,) = ann.take()
    assert reply["error"]["code"] == 100
    assert list(made.hub.channel_names()) == []
    assert ann.ask("subscribe", channel="a:x") == 102


def test_presence_is_complete_as_soon_as_it_is_switched_on_and_empty_when_it_is_off() -> None:
    made = world(a=NO_PRESENCE)
    peers = [made.connect() for _ in range(3)]
    for peer in peers:
        peer.ask("subscribe", channel="a:x")
    assert members(peers[0], "a:x") == 108
    change(made, a=OPEN)
    assert members(peers[0], "a:x") == {peer.client.id for peer in peers}
    peers[1].ask("unsubscribe", channel="a:x")
    assert len(members(peers[0], "a:x")) == 2
    change(made, a=NO_PRESENCE)
    assert members(peers[0], "a:x") == 108
    change(made, a=OPEN)
    peers[2].client.closed(1006, "")
    assert members(peers[0], "a:x") == {peers[0].client.id}


def test_comings_and_goings_are_told_to_who_asked_for_them_from_then_on() -> None:
    made = world(a=QUIET)
    ann = made.connect()
    ann.ask("subscribe", channel="a:x", join_leave=True)
    ann.take()
    change(made, a=without(force_push_join_leave=True))
    ben = made.connect()
    ben.ask("subscribe", channel="a:x")
    assert [list(push)[-1] for push in pushes(ann)] == ["join"]
    change(made, a=QUIET)
    ben.client.closed(1000, "")
    made.connect().ask("subscribe", channel="a:x")
    assert pushes(ann) == []
    change(made, a=OPEN)
    made.connect().ask("subscribe", channel="a:x")
    assert (
        pushes(ann) == []
    )  # the force is gone, and it was not asked for while there was something to ask for


def test_one_who_asked_keeps_being_told_when_the_force_comes_and_stays() -> None:
    made = world(a=OPEN)
    ann, ben = made.connect(), made.connect()
    ann.ask("subscribe", channel="a:x", join_leave=True)
    ben.ask("subscribe", channel="a:x")
    ann.take(), ben.take()
    change(made, a=without(force_push_join_leave=True))
    made.connect().ask("subscribe", channel="a:x")
    assert ["join" in push for push in pushes(ann)] == [True]
    assert ["join" in push for push in pushes(ben)] == [True]


def test_what_a_token_says_about_presence_stays() -> None:
    made = world(a=OPEN)
    hidden = SubscriptionGrant(override=Override(presence=False))
    ann = made.connect(Identity("ann", subscriptions={"a:x": hidden}))
    ben = made.connect()
    ben.ask("subscribe", channel="a:x")
    change(made, a=without(history_size=5))
    assert members(ben, "a:x") == {ben.client.id}
    change(made, a=NO_PRESENCE)
    assert ann.close_code is None


def test_what_a_token_says_about_comings_and_goings_stays() -> None:
    made = world(a=OPEN)
    unseen = SubscriptionGrant(override=Override(join_leave=False))
    ann = made.connect(Identity("ann", subscriptions={"a:x": unseen}))
    ben = made.connect()
    ben.ask("subscribe", channel="a:x", join_leave=True)
    for changed in (without(history_size=5), without(force_push_join_leave=True)):
        change(made, a=changed)
    ben.take(), ann.take()
    made.connect().ask("subscribe", channel="a:x")
    ann.client.closed()
    assert ["join" in push for push in pushes(ben)] == [True]
    assert pushes(ann) == []


def test_without_history_nobody_counts_offsets_and_nobody_misses_one() -> None:
    made = world(a=OPEN)
    ann = made.connect()
    ann.ask("subscribe", channel="a:x", recoverable=True)
    ann.ask("publish", channel="a:x", data=1)
    ann.take()
    change(made, a=FORGETFUL)
    ann.ask("publish", channel="a:x", data=2)
    assert [push["pub"] for push in pushes(ann)] == [{"data": 2, "info": ann.info}]
    change(made, a=OPEN)
    ann.ask("publish", channel="a:x", data=3)
    assert [push["pub"]["data"] for push in pushes(ann)] == [3]
    assert ann.close_code is None


def test_a_hub_that_follows_is_limited_by_other_rates_and_forgets_nothing_that_was_used() -> None:
    made = world()
    ann = made.connect()
    for most, passed, by_newcomer in ((0, 9, 9), (2, 2, 2), (4, 0, 4), (0, 9, 9), (2, 0, 2)):
        made.hub.follow(HubOptions(allow_anonymous=True), None, None, one_rate(most) if most else None)
        for peer, expected in ((ann, passed), (made.connect(), by_newcomer)):
            answers = [peer.ask("history", channel="x") for _ in range(9)]
            assert sum(answer != 111 for answer in answers) == expected


def one_rate(count: int) -> RateLimits:
    rates = list(NO_RATES)
    rates[Operation.HISTORY] = Rate(count, 3600.0)
    return RateLimits(client=tuple(rates))


STATES = [OPEN, NO_PRESENCE, QUIET, FORGETFUL, without(force_push_join_leave=True), None]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(STATES), min_size=1, max_size=6), st.integers(0, 2**32))
def test_whatever_comes_after_what_everybody_in_a_channel_gets_every_publication(
    states: list[Namespace | None], seed: int
) -> None:
    chance = random.Random(seed)
    made = world(a=OPEN)
    peers = [made.connect() for _ in range(3)]
    heard: dict[Peer, list[int]] = {peer: [] for peer in peers}
    for number, state in enumerate([OPEN, *states]):
        change(made, **({} if state is None else {"a": state}))
        for peer in peers:
            if chance.random() < 0.7 and "a:x" not in peer.client.subscriptions:
                peer.ask("subscribe", channel="a:x", recoverable=chance.random() < 0.5)
            peer.take()
        inside = [peer for peer in peers if "a:x" in peer.client.subscriptions]
        assert state is not None or not inside
        if state is not None:
            made.hub.publish("a:x", b"%d" % number)
        for peer in peers:
            data = [push["pub"]["data"] for push in pushes(peer) if "pub" in push]
            assert data == ([number] if peer in inside else [])
            heard[peer] += data
    listed = Namespaces({"": OPEN, "a": OPEN})
    following.follow(made.hub, listed)
    for peer in peers:
        assert peer.close_code is None
        if "a:x" in peer.client.subscriptions:
            assert peer.client.id in members(peer, "a:x")
