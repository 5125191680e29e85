"""The fan-out: who gets a frame, and who is told that something was missed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hypothesis import example, given
from hypothesis import strategies as st

from tests.hub import fossil
from tests.hub.support import RecordedSubscriber, World
from wsloop.hub import replies
from wsloop.hub.audiences import NOT_POSITIONED, PLAIN, Wish
from wsloop.hub.broker import Retention
from wsloop.hub.channels import Channel, HeldReceiver, Subscription
from wsloop.hub.codec import JSON
from wsloop.hub.fan_out import DirectFanOut, Packet, kept
from wsloop.hub.history import Publication, StreamPosition
from wsloop.hub.namespaces import ChannelRules, Namespace

if TYPE_CHECKING:
    from collections.abc import Sequence

RULES = ChannelRules(Namespace(), Retention())


class Room:
    """A channel with subscriptions made by hand."""

    def __init__(self) -> None:
        self.world = World()
        self.channel = Channel("c", RULES, DirectFanOut())

    def enter(
        self, position: StreamPosition | None, *, wants_joins: bool = False, wish: Wish = PLAIN
    ) -> Subscription:
        subscription = Subscription(self.world.connect().client, self.channel)
        subscription.wants_joins = wants_joins
        subscription.wish = wish
        assert self.channel.add(subscription, position) == []
        return subscription


def publication(offset: int) -> Publication:
    return Publication(offset, b"%d" % offset)


def push(offset: int) -> bytes:
    return replies.pub_push(replies.push_start("c"), publication(offset))


def heard(subscription: Subscription) -> list[bytes]:
    assert isinstance(subscription.receiver, RecordedSubscriber)
    return subscription.receiver.pushes


def test_every_subscriber_is_given_the_same_bytes_object() -> None:
    room = Room()
    subscriptions = [room.enter(None), room.enter(StreamPosition(0, "e")), room.enter(None)]
    assert room.channel.deliver(publication(1), "e") == []
    frame = heard(subscriptions[0])[0]
    assert all(heard(subscription)[0] is frame for subscription in subscriptions)


@given(position=st.integers(0, 6), offsets=st.lists(st.integers(1, 8), max_size=12))
def test_a_positioned_subscriber_sees_no_gap_and_no_duplicate(position: int, offsets: list[int]) -> None:
    room = Room()
    subscription = room.enter(StreamPosition(position, "e"))
    expected = position
    for offset in offsets:
        broken = room.channel.deliver(publication(offset), "e")
        assert broken == ([subscription] if offset > expected + 1 else [])
        expected += offset == expected + 1
    assert heard(subscription) == [push(o) for o in range(position + 1, expected + 1)]


def test_an_unpositioned_subscriber_sees_everything() -> None:
    room = Room()
    subscription = room.enter(None)
    for offset in (5, 3, 3, 9):
        room.channel.deliver(publication(offset), "e")
    assert len(heard(subscription)) == 4
    assert subscription.offset == NOT_POSITIONED


def test_a_publication_outside_the_stream_moves_nobody() -> None:
    room = Room()
    subscription = room.enter(StreamPosition(4, "e"))
    assert room.channel.deliver(publication(0), "") == []
    assert len(heard(subscription)) == 1
    assert subscription.offset == 4
    assert room.channel.epoch == "e"


def test_a_new_epoch_breaks_all_who_are_positioned_even_where_the_offset_would_fit() -> None:
    room = Room()
    positioned, plain = room.enter(StreamPosition(0, "old")), room.enter(None)
    assert room.channel.deliver(publication(1), "new") == [positioned]
    assert heard(positioned) == []
    assert len(heard(plain)) == 1


def test_a_newcomer_of_a_new_epoch_makes_the_others_stale() -> None:
    room = Room()
    old, plain = room.enter(StreamPosition(3, "old")), room.enter(None)
    newcomer = Subscription(room.world.connect().client, room.channel)
    assert room.channel.add(newcomer, StreamPosition(0, "new")) == [old]
    room.channel.deliver(publication(1), "new")
    assert [len(heard(each)) for each in (old, plain, newcomer)] == [0, 1, 1]


def test_a_newer_top_than_was_delivered_means_that_others_missed_something() -> None:
    room = Room()
    old, plain = room.enter(StreamPosition(3, "e")), room.enter(None)
    newcomer = Subscription(room.world.connect().client, room.channel)
    assert room.channel.add(newcomer, StreamPosition(4, "e")) == [old]
    assert room.channel.deliver(publication(5), "e") == []
    assert [len(heard(each)) for each in (old, plain, newcomer)] == [0, 1, 1]


def test_a_stream_that_went_back_breaks_everybody_who_was_ahead() -> None:
    room = Room()
    ahead = room.enter(StreamPosition(3, "e"))
    assert room.channel.compare(StreamPosition(2, "e")) == [ahead]
    assert room.channel.deliver(publication(3), "e") == []
    assert heard(ahead) == []


def test_who_stands_at_the_top_is_left_alone() -> None:
    room = Room()
    room.enter(None)
    assert room.channel.compare(StreamPosition(7, "e")) == []
    room.enter(StreamPosition(7, "e"))
    assert room.channel.compare(StreamPosition(7, "e")) == []


def test_joins_go_to_those_who_want_them() -> None:
    room = Room()
    curious, other = room.enter(None, wants_joins=True), room.enter(None)
    assert room.channel.wants_joins
    room.channel.deliver_join(replies.join_push, b"{}")
    assert (len(heard(curious)), len(heard(other))) == (1, 0)
    room.channel.remove(curious)
    assert not room.channel.wants_joins


def test_a_subscriber_that_leaves_during_delivery_disturbs_nobody() -> None:
    room = Room()

    class Leaver(RecordedSubscriber):
        def push(self, data: bytes, packets: Sequence[Packet]) -> None:
            room.channel.remove(leaving)

    leaving = room.enter(None)
    leaving.receiver = Leaver()
    other = room.enter(None)
    room.channel.deliver(publication(1), "e")
    assert len(heard(other)) == 1
    assert len(room.channel) == 1


def large(offset: int) -> Publication:
    rows = [{"id": index, "name": f"user {offset if index == 20 else index}"} for index in range(40)]
    return Publication(offset, json.dumps(rows).encode(), delta=True)


def payloads(subscription: Subscription) -> list[bytes]:
    """What a client makes of whole payloads and differences to the one before."""
    found = [b""]
    for line in heard(subscription):
        pub = json.loads(line)["push"]["pub"]
        text = pub["data"].encode()
        found.append(fossil.apply(found[-1], text) if pub.get("delta") else text)
    return found[1:]


@given(position=st.integers(0, 4), offsets=st.lists(st.integers(1, 6), max_size=8))
@example(position=1, offsets=[1, 2, 3])
def test_whoever_is_passed_over_can_still_make_sense_of_the_next_difference(
    position: int, offsets: list[int]
) -> None:
    room = Room()
    wish = Wish(delta=True)
    everything, positioned = room.enter(None, wish=wish), room.enter(StreamPosition(position, "e"), wish=wish)
    expected = position
    for offset in offsets:
        room.channel.deliver(large(offset), "e")
        expected += offset == expected + 1
    assert payloads(everything) == [large(offset).data for offset in offsets]
    assert payloads(positioned) == [large(offset).data for offset in range(position + 1, expected + 1)]


@given(st.integers(0, 6), st.integers(0, 6))
def test_a_held_receiver_passes_all_on_in_order_once_it_is_released(before: int, after: int) -> None:
    inner = RecordedSubscriber()
    held = HeldReceiver(inner)
    messages = [b"%d" % number for number in range(before + after)]
    for message in messages[:before]:
        DirectFanOut().send([held], message, kept(JSON))
    assert inner.pushes == []
    held.release()
    assert inner.pushes == messages[:before]
    for message in messages[before:]:
        DirectFanOut().send([held], message, kept(JSON))
    assert inner.pushes == messages
