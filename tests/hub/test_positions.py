"""Promise P6: what is lost on a quiet channel is found within ten seconds."""

from __future__ import annotations

import pytest

from tests.hub.support import LateBroker, Peer, World
from wsloop.hub import positions
from wsloop.hub.grants import Identity, SubscriptionGrant
from wsloop.hub.namespaces import Namespace

PROMISED_S = 10

UNPOSITIONED = Namespace(
    history_size=10, history_ttl_s=60.0, allow_subscribe_for_client=True, allow_subscribe_for_anonymous=True
)


def lossy() -> World:
    return World(broker=LateBroker)


def subscribed(world: World, channel: str = "c", **request: object) -> Peer:
    peer = world.connect()
    peer.say({"id": 50, "subscribe": {"channel": channel, **request}})
    world.broker.deliver()
    peer.take()
    return peer


def lose_one(world: World, channel: str = "c") -> None:
    world.broker.losing = True
    world.hub.publish(channel, b'"lost"')
    world.broker.deliver()
    world.broker.losing = False


def seconds_pass(world: World, seconds: int) -> None:
    for _ in range(seconds):
        world.clock.advance(1.0)
        world.hub.expire(world.clock.now())
        world.broker.deliver()


def is_told(peer: Peer) -> bool:
    return any(line.get("push", {}).get("unsubscribe", {}).get("code") == 2500 for line in peer.take())


@pytest.mark.parametrize("before", range(6))
@pytest.mark.parametrize("channels", [1, 3, 50])
def test_a_loss_on_a_quiet_channel_is_found_in_time_and_recovered(before: int, channels: int) -> None:
    world = lossy()
    names = [f"c{number}" for number in range(channels)]
    peers = [subscribed(world, name) for name in names]
    seconds_pass(world, before)
    lose_one(world, names[-1])
    seconds_pass(world, PROMISED_S)
    assert [is_told(peer) for peer in peers] == [False] * (channels - 1) + [True]
    peer = peers[-1]
    peer.say({"id": 60, "subscribe": {"channel": names[-1], "recover": True, "epoch": "", "offset": 0}})
    world.broker.deliver()
    (reply,) = [line for line in peer.take() if line.get("id") == 60]
    assert [pub["data"] for pub in reply["subscribe"]["publications"]] == ["lost"]


def test_who_came_after_the_loss_reveals_it() -> None:
    world = lossy()
    early = subscribed(world)
    lose_one(world)
    late = subscribed(world)
    assert (is_told(early), is_told(late)) == (True, False)
    seconds_pass(world, PROMISED_S)
    assert not is_told(late)


def test_a_store_that_was_wiped_is_found_as_well() -> None:
    world = lossy()
    peer = subscribed(world)
    world.memory_broker.remove_history("c", lambda _: None)
    seconds_pass(world, PROMISED_S)
    assert is_told(peer)


def test_what_is_on_its_way_is_not_lost() -> None:
    world = lossy()
    peer = subscribed(world)
    for _ in range(40):
        world.hub.publish("c", b"1")
        world.clock.advance(1.0)
        world.hub.expire(world.clock.now())
        world.broker.deliver(1)
    world.broker.deliver()
    assert len(peer.client.subscriptions) == 1
    assert not is_told(peer)


def test_who_is_not_positioned_is_left_alone() -> None:
    world = World(broker=LateBroker, namespaces={"": UNPOSITIONED})
    peer = subscribed(world)
    lose_one(world)
    seconds_pass(world, PROMISED_S)
    assert peer.take() == []


def test_what_the_server_subscribed_ends_with_the_connection() -> None:
    world = lossy()
    peer = world.open()
    peer.client.identity = Identity("ann", subscriptions={"c": SubscriptionGrant()})
    peer.say({"id": 1, "connect": {}})
    world.broker.deliver()
    lose_one(world)
    seconds_pass(world, PROMISED_S)
    assert peer.close_code == 3010


def test_a_broker_that_does_not_answer_proves_nothing() -> None:
    world = lossy()
    peer = subscribed(world)
    world.broker.failing = True
    seconds_pass(world, 30)
    assert len(peer.client.subscriptions) == 1


def test_many_channels_are_asked_about_in_batches() -> None:
    world = lossy()
    hub = world.hub
    peer = world.connect()
    rules = hub.namespaces.rules_of("c")
    for number in range(3 * positions.BATCH):
        channel = hub.open_channel(f"c{number}", rules)
        channel.waiting = 1
    assert peer.close_code is None
    world.clock.advance(1000.0)
    counts = [hub.expire(world.clock.now()) for _ in range(3)]
    assert counts[0] == 0
    world.clock.advance(1000.0)
    counts = [hub.expire(world.clock.now()) for _ in range(5)]
    assert counts[:4] == [positions.BATCH] * 3 + [0]


def test_a_broker_that_loses_nothing_is_not_asked() -> None:
    world = World()
    peer = world.connect()
    peer.ask("subscribe", channel="c")
    asked: list[object] = []
    world.memory_broker.history = lambda *args: asked.append(args)  # type: ignore[method-assign]
    for _ in range(20):
        world.clock.advance(1.0)
        world.hub.expire(world.clock.now())
    assert asked == []


@pytest.mark.parametrize("before", [0, 1, 3])
def test_a_broker_that_says_it_lost_something_is_asked_at_once(before: int) -> None:
    world = lossy()
    names = [f"c{number}" for number in range(20)]
    peers = [subscribed(world, name) for name in names]
    seconds_pass(world, before)
    for name in names:
        lose_one(world, name)
    world.hub.on_interrupted()
    seconds_pass(world, 1)
    assert all(is_told(peer) for peer in peers)


def test_a_broker_that_tells_of_losses_is_asked_until_it_has_answered() -> None:
    world = lossy()
    names = [f"c{number}" for number in range(20)]
    peers = [subscribed(world, name) for name in names]
    world.broker.may_lose_events = False
    lose_one(world, names[7])
    seconds_pass(world, 20)
    assert not any(is_told(peer) for peer in peers)
    world.broker.failing = True
    world.hub.on_interrupted()
    seconds_pass(world, 10)
    assert not any(is_told(peer) for peer in peers)
    world.broker.failing = False
    seconds_pass(world, 2)
    assert [name for name, peer in zip(names, peers, strict=True) if is_told(peer)] == [names[7]]
    asked: list[object] = []
    world.memory_broker.history = lambda *args: asked.append(args)  # type: ignore[method-assign]
    seconds_pass(world, 10)
    assert asked == []
