"""Coming into a channel, recovering, and going out of it: section 6 of the protocol."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.hub.support import LateBroker, Peer, World
from wsloop.hub import codes, joining
from wsloop.hub.commands import SubscribeRequest
from wsloop.hub.grants import SubscriptionGrant
from wsloop.hub.history import LINE_BYTES
from wsloop.hub.namespaces import Namespace, dev_namespaces
from wsloop.hub.options import HubOptions
from wsloop.hub.presence import MemoryPresence

BY_REQUEST = Namespace(
    join_leave=True,
    history_size=10,
    history_ttl_s=60.0,
    allow_positioning=True,
    allow_recovery=True,
    allow_subscribe_for_client=True,
    allow_subscribe_for_anonymous=True,
    allow_publish_for_client=True,
    allow_publish_for_anonymous=True,
)
"""Nothing forced: each client gets what it asks for."""


def join(info: dict[str, str], channel: str = "c") -> dict[str, Any]:
    return {"push": {"channel": channel, "join": {"info": info}}}


def leave(info: dict[str, str], channel: str = "c") -> dict[str, Any]:
    return {"push": {"channel": channel, "leave": {"info": info}}}


def publications(lines: list[Any]) -> list[int]:
    return [line["push"]["pub"]["offset"] for line in lines if "pub" in line.get("push", {})]


# -- the reply ---------------------------------------------------------------------------------


BARE = Namespace(allow_subscribe_for_client=True, allow_subscribe_for_anonymous=True)


def test_a_dev_subscription_is_positioned_and_recoverable_unasked() -> None:
    peer = World().connect()
    reply = peer.ask("subscribe", channel="chat:room")
    assert reply == {"recoverable": True, "positioned": True, "epoch": reply["epoch"], "offset": 0}


def test_a_subscription_has_what_it_asks_for() -> None:
    world = World(namespaces={"": BY_REQUEST})
    plain, positioned, recoverable = (world.connect() for _ in range(3))
    assert plain.ask("subscribe", channel="c") == {}
    assert set(positioned.ask("subscribe", channel="c", positioned=True)) == {"positioned", "epoch", "offset"}
    assert recoverable.ask("subscribe", channel="c", recoverable=True)["recoverable"] is True


def test_without_history_nothing_is_positioned() -> None:
    options = Namespace(
        force_recovery=True,
        force_positioning=True,
        allow_subscribe_for_client=True,
        allow_subscribe_for_anonymous=True,
    )
    peer = World(namespaces={"": options}).connect()
    assert peer.ask("subscribe", channel="c", recoverable=True) == {}


def test_the_reply_comes_before_the_first_push_and_the_join_after_it() -> None:
    peer = World().connect()
    peer.say({"id": 2, "subscribe": {"channel": "c"}})
    reply, push = peer.take()
    assert reply["id"] == 2
    assert push == join(peer.info)


@pytest.mark.parametrize(
    ("code", "request_"),
    [
        (102, {"channel": "nope:c"}),
        (103, {"channel": "$c"}),
        (103, {"channel": "c", "token": "x"}),
        (103, {"channel": "c#42"}),
        (107, {"channel": "c" * 256}),
        (107, {"channel": "caf\u00e9"}),
        (107, {"channel": "c", "tf": {"key": "k", "cmp": "like", "val": "v"}}),
        (107, {"channel": "c", "tf": {"key": "k", "cmp": "almost", "val": "v"}}),
        (107, {"channel": "bare:c", "tf": {"key": "k", "cmp": "eq", "val": "v"}}),
        (108, {"channel": "c", "type": 1}),
    ],
)
def test_refusals(code: int, request_: dict[str, Any]) -> None:
    world = World(namespaces={**dev_namespaces(), "bare": BARE})
    peer = world.connect()
    assert peer.ask("subscribe", **request_) == code
    assert peer.take() == []
    assert world.hub.statistics().subscriptions == 0


def test_subscribing_twice_is_105() -> None:
    peer = World().connect()
    peer.ask("subscribe", channel="c")
    assert peer.ask("subscribe", channel="c") == 105


def test_too_many_subscriptions_are_106() -> None:
    peer = World(HubOptions(allow_anonymous=True, channel_limit=2)).connect()
    peer.ask("subscribe", channel="a")
    peer.ask("subscribe", channel="b")
    assert peer.ask("subscribe", channel="c") == 106
    peer.ask("unsubscribe", channel="a")
    assert peer.ask("subscribe", channel="c")["positioned"]


def test_offers_that_the_namespace_does_not_allow_are_not_taken_up() -> None:
    world = World(namespaces={"": BY_REQUEST})
    assert world.connect().ask("subscribe", channel="c", delta="fossil", flag=1) == {}
    reply = World().connect().ask("subscribe", channel="c", delta="fossil", flag=1)
    assert reply["delta"] is True
    assert reply["id"] > 0


# -- recovery ----------------------------------------------------------------------------------


def published(count: int, **options: Any) -> tuple[World, str]:
    world = World(HubOptions(allow_anonymous=True, **options))
    peer = world.connect()
    epoch = peer.ask("subscribe", channel="c")["epoch"]
    for number in range(1, count + 1):
        peer.ask("publish", channel="c", data=number)
    return world, epoch


def recover(world: World, offset: int, epoch: str, **request: object) -> Any:
    peer = world.connect()
    return peer.ask("subscribe", channel="c", recover=True, offset=offset, epoch=epoch, **request)


def test_a_recovered_client_gets_what_it_missed_and_its_own_offset_back() -> None:
    world, epoch = published(5)
    reply = recover(world, 2, epoch)
    assert reply["was_recovering"] is reply["recovered"] is True
    assert [pub["data"] for pub in reply["publications"]] == [3, 4, 5]
    assert reply["offset"] == 2
    assert reply["epoch"] == epoch


def test_a_client_that_missed_nothing_is_recovered() -> None:
    world, epoch = published(5)
    reply = recover(world, 5, epoch)
    assert (reply["recovered"], reply["offset"], "publications" in reply) == (True, 5, False)


def test_an_empty_epoch_means_any() -> None:
    world, _ = published(2)
    assert [pub["offset"] for pub in recover(world, 0, "")["publications"]] == [1, 2]


@pytest.mark.parametrize(("offset", "epoch"), [(2, "other"), (6, None), (0, "other")])
def test_a_client_of_elsewhere_is_not_recovered(offset: int, epoch: str | None) -> None:
    world, true_epoch = published(5)
    reply = recover(world, offset, epoch or true_epoch)
    assert "recovered" not in reply
    assert "publications" not in reply
    assert (reply["was_recovering"], reply["offset"], reply["epoch"]) == (True, 5, true_epoch)


def test_a_client_that_missed_more_than_is_kept_is_not_recovered() -> None:
    world, epoch = published(105)
    assert "recovered" not in recover(world, 4, epoch)
    assert recover(world, 5, epoch)["recovered"]


def test_a_client_that_missed_more_than_the_recovery_limit_is_not_recovered() -> None:
    world, epoch = published(10, recovery_limit=3)
    assert "recovered" not in recover(world, 6, epoch)
    assert recover(world, 7, epoch)["recovered"]


def test_a_client_may_prefer_error_112() -> None:
    world, epoch = published(5)
    assert recover(world, 2, "other", flag=2) == 112
    assert world.hub.statistics().subscriptions == 1
    assert recover(world, 2, epoch, flag=3)["recovered"]


def test_history_that_expired_cannot_be_recovered_but_the_position_is_known() -> None:
    world, epoch = published(5)
    world.clock.advance(300.0)
    assert "recovered" not in recover(world, 4, epoch)
    assert recover(world, 5, epoch)["recovered"]


def test_recovery_is_for_recoverable_subscriptions() -> None:
    peer = World(namespaces={"": BY_REQUEST}).connect()
    for request in ({"positioned": True}, {}):
        reply = peer.ask("subscribe", channel="c", recover=True, **request)
        assert reply["was_recovering"] is True
        assert "recovered" not in reply
        peer.ask("unsubscribe", channel="c")


def test_a_client_that_missed_more_bytes_than_a_reply_holds_is_not_recovered() -> None:
    limit_bytes = 1 + 3 * (1 + len('{"user":"","client":""}') + 36 + LINE_BYTES)
    world, epoch = published(10, recovery_limit_bytes=limit_bytes)
    assert "recovered" not in recover(world, 6, epoch)
    assert recover(world, 7, epoch)["recovered"]


# -- cache mode --------------------------------------------------------------------------------

CACHE = msgspec.structs.replace(dev_namespaces()[""], recovery_mode="cache", history_size=3)


def cached(count: int) -> tuple[World, str]:
    world = World(namespaces={"": CACHE})
    epoch = world.connect().ask("subscribe", channel="c")["epoch"]
    for number in range(1, count + 1):
        world.hub.publish("c", b"%d" % number)
    return world, epoch


@pytest.mark.parametrize(
    ("offset", "epoch"), [(0, ""), (0, None), (4, None), (9, None), (5, "other"), (5, "")]
)
def test_in_cache_mode_the_newest_is_given_whatever_was_missed(offset: int, epoch: str | None) -> None:
    world, true_epoch = cached(5)
    reply = recover(world, offset, true_epoch if epoch is None else epoch)
    assert reply["recovered"] is reply["was_recovering"] is True
    assert [(pub["offset"], pub["data"]) for pub in reply["publications"]] == [(5, 5)]
    assert (reply["offset"], reply["epoch"]) == (offset, true_epoch)


def test_in_cache_mode_who_is_at_the_top_is_recovered_with_nothing() -> None:
    world, epoch = cached(5)
    reply = recover(world, 5, epoch)
    assert (reply["recovered"], reply["offset"], "publications" in reply) == (True, 5, False)
    world.clock.advance(300.0)
    assert recover(world, 5, epoch)["recovered"] is True


@pytest.mark.parametrize(("count", "pause_s"), [(0, 0.0), (5, 300.0)])
def test_in_cache_mode_an_empty_cache_recovers_nobody_else(count: int, pause_s: float) -> None:
    world, epoch = cached(count)
    world.clock.advance(pause_s)
    reply = recover(world, 0, epoch)
    assert "recovered" not in reply
    assert reply["offset"] == count
    assert recover(world, 3, epoch, flag=2) == 112


def test_in_cache_mode_what_comes_next_follows_on() -> None:
    world, epoch = cached(5)
    peer = world.connect()
    peer.ask("subscribe", channel="c", recover=True, offset=2, epoch=epoch)
    world.hub.publish("c", b"6")
    assert publications(peer.take()) == [6]


# -- gaps --------------------------------------------------------------------------------------


def test_a_lost_stream_ends_subscriptions_with_2500_so_that_they_resubscribe() -> None:
    world, epoch = published(3)
    peer = world.connect()
    peer.ask("subscribe", channel="c")
    peer.take()
    world.memory_broker.remove_history("c", lambda _: None)
    world.hub.publish("c", b"1")
    unsubscribe = {"code": 2500, "reason": "insufficient state"}
    assert peer.take()[-1] == {"push": {"channel": "c", "unsubscribe": unsubscribe}}
    reply = peer.ask("subscribe", channel="c", recover=True, offset=3, epoch=epoch)
    assert "recovered" not in reply
    assert reply["offset"] == 1


def test_a_newcomer_to_a_new_epoch_ends_the_subscriptions_of_the_old() -> None:
    world, epoch = published(3)
    old, new = world.connect(), world.connect()
    old.ask("subscribe", channel="c")
    world.memory_broker.remove_history("c", lambda _: None)
    assert new.ask("subscribe", channel="c")["epoch"] != epoch
    assert old.take()[-1]["push"]["unsubscribe"]["code"] == 2500
    assert set(new.ask("presence", channel="c")["presence"]) == {new.client.id}


# -- joins and leaves --------------------------------------------------------------------------


def test_others_hear_of_join_and_leave() -> None:
    world = World()
    here, there = world.connect(), world.connect()
    here.ask("subscribe", channel="c")
    here.take()
    there.ask("subscribe", channel="c")
    assert here.take() == [join(there.info)]
    assert there.ask("unsubscribe", channel="c") == {}
    assert here.take() == [leave(there.info)]
    assert there.take() == [join(there.info)]


def test_joins_are_for_those_who_ask_unless_forced() -> None:
    world = World(namespaces={"": BY_REQUEST})
    curious, other = world.connect(), world.connect()
    curious.ask("subscribe", channel="c", join_leave=True)
    other.ask("subscribe", channel="c")
    assert curious.take() == [join(curious.info), join(other.info)]
    assert other.take() == []
    curious.ask("unsubscribe", channel="c")
    other.client.closed()
    assert other.take() == []


def test_without_join_leave_nobody_hears() -> None:
    options = Namespace(allow_subscribe_for_client=True, allow_subscribe_for_anonymous=True)
    world = World(namespaces={"": options})
    here, there = world.connect(), world.connect()
    here.ask("subscribe", channel="c", join_leave=True)
    there.ask("subscribe", channel="c")
    there.client.closed()
    assert here.take() == []


def test_unsubscribe_is_idempotent() -> None:
    peer = World().connect()
    assert peer.ask("unsubscribe", channel="c") == {}
    assert peer.ask("unsubscribe", channel="nope:never") == {}


def test_after_unsubscribe_nothing_comes() -> None:
    world = World()
    peer = world.connect()
    peer.ask("subscribe", channel="c")
    peer.ask("unsubscribe", channel="c")
    peer.take()
    world.hub.publish("c", b"1")
    assert peer.take() == []


@pytest.mark.parametrize("by_server", [False, True])
def test_the_connection_hears_which_channel_is_left_behind_its_last_push(by_server: bool) -> None:
    world = World()
    peer = world.connect()
    peer.ask("subscribe", channel="c")
    world.hub.publish("c", b"1")
    peer.take()
    before = len(peer.subscriber.lines)
    if by_server:
        joining.end_with_push(peer.client.subscriptions["c"], codes.UNSUBSCRIBE_SERVER)
    else:
        peer.ask("unsubscribe", channel="c")
    assert peer.subscriber.has_left == [("c", before)]


def test_presence_ends_when_the_transport_is_gone_and_not_before() -> None:
    """Teardown order: a client that comes back at once must not find its former self."""
    world = World()
    here, gone = world.connect(), world.connect()
    here.ask("subscribe", channel="c")
    gone.ask("subscribe", channel="c")
    here.take()
    gone.client.disconnect(3000, "test")
    assert here.take() == []
    gone.client.closed()
    assert here.take() == [leave(gone.info)]
    assert list(here.ask("presence", channel="c")["presence"]) == [here.client.id]


def test_a_closed_client_leaves_all_its_channels_once() -> None:
    world = World()
    here, gone = world.connect(), world.connect()
    for channel in ("a", "b"):
        here.ask("subscribe", channel=channel)
        gone.ask("subscribe", channel=channel)
    here.take()
    gone.client.closed()
    gone.client.closed()
    assert here.take() == [leave(gone.info, "a"), leave(gone.info, "b")]


def test_nothing_is_left_of_clients_that_went() -> None:
    world = World()
    peers = [world.connect() for _ in range(20)]
    for number, peer in enumerate(peers):
        peer.ask("subscribe", channel=f"c{number % 3}")
        peer.ask("publish", channel=f"c{number % 3}", data=1)
    for peer in peers:
        peer.client.closed()
    for seconds in (300.0, 3600.0):
        world.clock.advance(seconds)
        world.hub.expire(world.clock.now())
    statistics = world.hub.statistics()
    assert (statistics.clients, statistics.channels, statistics.subscriptions) == (0, 0, 0)
    assert (statistics.broker.streams, statistics.broker.interests, statistics.broker.publications) == (
        0,
        0,
        0,
    )
    assert isinstance(world.presence, MemoryPresence)
    assert world.presence.channel_count == 0


# -- a broker that answers later ---------------------------------------------------------------


def late() -> tuple[World, Peer]:
    world = World(broker=LateBroker)
    return world, world.connect()


def test_what_is_published_while_the_stream_is_read_comes_once_and_after_the_reply() -> None:
    world, peer = late()
    world.hub.publish("c", b"1")
    peer.say({"id": 2, "subscribe": {"channel": "c"}})
    world.hub.publish("c", b"2")
    world.hub.publish("c", b"3")
    assert peer.take() == []
    world.broker.deliver()
    lines = peer.take()
    assert lines[0]["subscribe"]["offset"] == 1
    assert publications(lines) == [2, 3]


def test_a_client_that_went_while_the_stream_was_read_is_not_let_in() -> None:
    world, peer = late()
    peer.say({"id": 2, "subscribe": {"channel": "c"}})
    peer.client.closed()
    world.broker.deliver()
    statistics = world.hub.statistics()
    assert (statistics.subscriptions, statistics.channels, statistics.broker.interests) == (0, 0, 0)
    assert peer.take() == []


def test_a_subscription_ended_while_the_stream_was_read_is_refused() -> None:
    world, peer = late()
    peer.say({"id": 2, "subscribe": {"channel": "c"}}, {"id": 3, "unsubscribe": {"channel": "c"}})
    world.broker.deliver()
    unsubscribed, refused = peer.take()
    assert unsubscribed == {"id": 3, "unsubscribe": {}}
    assert (refused["id"], refused["error"]["code"]) == (2, 100)
    assert world.hub.statistics().channels == 0


def test_a_subscription_begun_anew_while_the_first_is_pending_is_let_in_once() -> None:
    world, peer = late()
    peer.say(
        {"id": 2, "subscribe": {"channel": "c"}},
        {"id": 3, "unsubscribe": {"channel": "c"}},
        {"id": 4, "subscribe": {"channel": "c"}},
        {"id": 5, "subscribe": {"channel": "c"}},
    )
    world.broker.deliver()
    answers = {line["id"]: line.get("error", {}).get("code") for line in peer.take() if "id" in line}
    assert answers == {2: 100, 3: None, 4: None, 5: 105}
    assert world.hub.statistics().subscriptions == 1


def test_rights_of_subscribers_begin_with_the_reply() -> None:
    options = Namespace(
        history_size=1,
        history_ttl_s=1.0,
        force_positioning=True,
        allow_subscribe_for_client=True,
        allow_subscribe_for_anonymous=True,
        allow_publish_for_subscriber=True,
        allow_publish_for_anonymous=True,
    )
    world = World(broker=LateBroker, namespaces={"": options})
    peer = world.connect()
    peer.say({"id": 2, "subscribe": {"channel": "c"}})
    assert peer.ask("publish", channel="c", data=1) == 103


def test_an_unpositioned_subscription_is_told_when_the_broker_listens() -> None:
    world = World(broker=LateBroker, namespaces={**dev_namespaces(), "plain": BY_REQUEST})
    peer = world.connect()
    peer.say({"id": 5, "subscribe": {"channel": "plain:c"}})
    assert peer.take() == []
    world.broker.deliver()
    assert peer.take() == [{"id": 5, "subscribe": {}}]


def test_an_unpositioned_subscription_does_without_a_broker_that_fails() -> None:
    world = World(broker=LateBroker, namespaces={**dev_namespaces(), "plain": BY_REQUEST})
    peer = world.connect()
    world.broker.failing = True
    assert peer.ask("subscribe", channel="plain:c") == {}
    assert world.hub.subscription_count == 1


def test_who_has_gone_before_the_broker_listens_leaves_nothing_behind() -> None:
    world = World(broker=LateBroker, namespaces={**dev_namespaces(), "plain": BY_REQUEST})
    peer = world.connect()
    peer.say({"id": 5, "subscribe": {"channel": "plain:c"}}, {"id": 6, "unsubscribe": {"channel": "plain:c"}})
    world.broker.deliver()
    assert [line["id"] for line in peer.take()] == [6, 5]
    assert not list(world.hub.channel_names())


def test_a_stream_that_cannot_be_read_leaves_no_lease_behind() -> None:
    world = World(broker=LateBroker)
    peer = world.connect()
    world.broker.failing = True
    subscription = joining.occupy(peer.client, "chat:a", world.hub.namespaces.rules_of("chat:a"))
    outcomes: list[bytes | codes.Code] = []
    grant = SubscriptionGrant(expire_at=int(world.clock.unix_s()) + 60)
    joining.join(subscription, SubscribeRequest(channel="chat:a"), grant, outcomes.append)
    assert outcomes == [codes.INTERNAL_ERROR]
    world.clock.advance(1000.0)
    world.hub.expire(world.clock.now())
    assert (peer.take(), peer.close_code) == ([], None)
