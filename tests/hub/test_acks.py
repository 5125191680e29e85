"""The extension `ack`, from the text on the wire, and what the operator is told of it."""

from __future__ import annotations

import pytest

from tests.hub.support import LateBroker, Peer, World
from wsloop.hub.acks import lags
from wsloop.hub.namespaces import Namespace

OPEN = Namespace(
    history_size=10,
    history_ttl_s=60.0,
    allow_positioning=True,
    allow_subscribe_for_client=True,
    allow_subscribe_for_anonymous=True,
)
NAMESPACES = {
    "": OPEN,
    "bare": Namespace(allow_subscribe_for_client=True, allow_subscribe_for_anonymous=True),
}


def world_with(*, publications: int) -> World:
    world = World(namespaces=NAMESPACES)
    for _ in range(publications):
        world.hub.publish("c", b"0")
    return world


def subscriber(world: World, channel: str = "c", *, positioned: bool = True) -> Peer:
    peer = world.connect()
    peer.ask("subscribe", channel=channel, positioned=positioned)
    return peer


def lag_of(world: World, limit: int = 10) -> list[tuple[str, int, int]]:
    channel = world.hub.channel("c")
    assert channel is not None
    return [(lag.client, lag.acked, lag.behind) for lag in lags(channel.subscriptions(), channel.top, limit)]


def test_an_ack_is_answered_and_counted() -> None:
    world = world_with(publications=5)
    peer = subscriber(world)
    assert lag_of(world) == [(peer.client.id, 0, 5)]
    assert peer.ask("ack", channel="c", offset=3) == {}
    assert lag_of(world) == [(peer.client.id, 3, 2)]


def test_an_ack_never_goes_back() -> None:
    world = world_with(publications=5)
    peer = subscriber(world)
    assert peer.ask("ack", channel="c", offset=5) == {}
    assert peer.ask("ack", channel="c", offset=2) == {}
    assert lag_of(world) == [(peer.client.id, 5, 0)]


@pytest.mark.parametrize("positioned", [False, True])
def test_what_was_acknowledged_of_a_stream_that_is_no_more_counts_for_nothing(positioned: bool) -> None:
    world = world_with(publications=5)
    peer = subscriber(world, positioned=False)
    if positioned:
        subscriber(world)
    assert peer.ask("ack", channel="c", offset=5) == {}
    world.broker.remove_history("c", lambda _: None)
    for _ in range(3):
        world.hub.publish("c", b"0")
    assert (peer.client.id, 0, 3) in lag_of(world)
    assert peer.ask("ack", channel="c", offset=2) == {}
    assert (peer.client.id, 2, 1) in lag_of(world)


def test_the_furthest_behind_come_first_and_no_more_than_asked_for() -> None:
    world = world_with(publications=5)
    peers = [subscriber(world) for _ in range(4)]
    for peer, offset in zip(peers, (4, 1, 5, 2), strict=True):
        peer.ask("ack", channel="c", offset=offset)
    assert [behind for _, _, behind in lag_of(world)] == [4, 3, 1, 0]
    assert lag_of(world, limit=1) == [(peers[1].client.id, 1, 4)]


@pytest.mark.parametrize(
    ("channel", "offset", "epoch", "error"),
    [
        ("c", 6, "", 107),
        ("c", 1, "otherLife", 112),
        ("elsewhere", 1, "", 103),
        ("bare:c", 1, "", 108),
    ],
)
def test_what_cannot_be_acknowledged_is_refused(channel: str, offset: int, epoch: str, error: int) -> None:
    world = world_with(publications=5)
    peer = subscriber(world)
    peer.ask("subscribe", channel="bare:c")
    assert peer.ask("ack", channel=channel, offset=offset, epoch=epoch) == error
    assert lag_of(world) == [(peer.client.id, 0, 5)]


def test_an_ack_without_a_channel_breaks_the_protocol() -> None:
    peer = World().connect()
    peer.ask("ack", offset=1)
    assert peer.close_code == 3501


def test_where_nobody_is_positioned_the_broker_knows_the_top() -> None:
    world = world_with(publications=5)
    peer = subscriber(world, positioned=False)
    assert peer.ask("ack", channel="c", offset=6) == 107
    assert peer.ask("ack", channel="c", offset=5) == {}


def test_a_broker_that_does_not_answer_is_error_100() -> None:
    world = World(namespaces=NAMESPACES, broker=LateBroker)
    peer = subscriber(world, positioned=False)
    world.broker.deliver()
    world.broker.failing = True
    assert peer.ask("ack", channel="c", offset=5) == 100


def test_what_was_acknowledged_goes_with_the_subscription() -> None:
    world = world_with(publications=5)
    peer = subscriber(world)
    peer.ask("ack", channel="c", offset=5)
    peer.ask("unsubscribe", channel="c")
    peer.ask("subscribe", channel="c", positioned=True)
    assert lag_of(world) == [(peer.client.id, 0, 5)]
