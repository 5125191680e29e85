"""The promises of messaging, for any history of clients that come, speak, vanish and recover.

A small SDK (`Reader`) keeps what a client keeps: a position per channel. The hub runs on a
broker whose answers wait until the machine lets them through, so that every interleaving of a
read, a publish and a leave is met, and whose events may be lost. Promises P1, P3, P4, P5 and P7.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.hub.support import LateBroker, Peer, World
from wsloop.hub.namespaces import Namespace

CHANNELS = st.sampled_from(["a", "b"])
WHO = st.integers(0, 2)

SMALL = Namespace(
    presence=True,
    join_leave=True,
    force_push_join_leave=True,
    history_size=4,
    history_ttl_s=10.0,
    history_meta_ttl_s=20.0,
    force_recovery=True,
    allow_subscribe_for_client=True,
    allow_subscribe_for_anonymous=True,
    allow_publish_for_client=True,
    allow_publish_for_anonymous=True,
)


@dataclass
class Position:
    """Where a reader stands in a channel; `live` while it is subscribed."""

    epoch: str = ""
    offset: int = 0
    known: bool = False
    live: bool = False


@dataclass
class Reader:
    """One user of the SDK, over all its connections."""

    peer: Peer
    positions: dict[str, Position] = field(default_factory=dict)
    asked: dict[int, str] = field(default_factory=dict)
    acks: dict[int, int] = field(default_factory=dict)

    def at(self, channel: str) -> Position:
        return self.positions.setdefault(channel, Position())


class Promises(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = World(namespaces={"": SMALL}, broker=LateBroker)
        self.broker: LateBroker = self.world.broker
        self.readers = [Reader(self.world.connect()) for _ in range(3)]
        self.next_id = 100
        self.truth: dict[tuple[str, str, int], int] = {}
        self.published: dict[int, tuple[int, str]] = {}

    def say(self, reader: Reader, method: str, **request: object) -> int:
        self.next_id += 1
        reader.peer.say({"id": self.next_id, method: request})
        return self.next_id

    @rule(who=WHO, channel=CHANNELS)
    def subscribe(self, who: int, channel: str) -> None:
        reader = self.readers[who]
        position = reader.at(channel)
        if position.live or channel in reader.asked.values():
            return
        request: dict[str, object] = {"channel": channel}
        if position.known:
            request |= {"recover": True, "epoch": position.epoch, "offset": position.offset}
        reader.asked[self.say(reader, "subscribe", **request)] = channel

    @rule(who=WHO, channel=CHANNELS, burst=st.integers(1, 6))
    def publish(self, who: int, channel: str, burst: int) -> None:
        reader = self.readers[who]
        for _ in range(burst):
            number = len(self.published)
            self.published[number] = (who, channel)
            reader.acks[self.say(reader, "publish", channel=channel, data=number)] = number

    @rule(who=WHO, channel=CHANNELS)
    def unsubscribe(self, who: int, channel: str) -> None:
        reader = self.readers[who]
        if reader.at(channel).live:
            self.say(reader, "unsubscribe", channel=channel)
            self.hear(reader)
            reader.at(channel).live = False

    @rule(who=WHO, other=WHO, missed=st.integers(0, 5), settled=st.booleans())
    def cut_and_come_back(self, who: int, other: int, missed: int, settled: bool) -> None:
        reader = self.readers[who]
        if settled:
            self.broker.deliver()
            self.hear(reader)
        reader.peer.client.closed()
        reader.peer = self.world.connect()
        reader.asked.clear()
        reader.acks.clear()
        back = [channel for channel, position in reader.positions.items() if position.live]
        for channel in back:
            reader.at(channel).live = False
            self.publish(other, channel, missed)
            self.subscribe(who, channel)

    @rule()
    def let_all_through(self) -> None:
        self.broker.deliver()

    @rule(count=st.integers(1, 3))
    def let_through(self, count: int) -> None:
        self.broker.deliver(count)

    @rule(channel=CHANNELS)
    def lose_the_store(self, channel: str) -> None:
        self.world.memory_broker.remove_history(channel, lambda _: None)

    @rule(who=WHO, channel=CHANNELS)
    def lose_an_event(self, who: int, channel: str) -> None:
        self.broker.losing = True
        self.publish(who, channel, 1)
        self.broker.losing = False

    @rule(seconds=st.sampled_from([1.0, 5.0, 10.0, 25.0]))
    def time_passes(self, seconds: float) -> None:
        self.world.clock.advance(seconds)
        self.world.hub.expire(self.world.clock.now())

    @invariant()
    def all_is_heard(self) -> None:
        for reader in self.readers:
            assert reader.peer.close_code is None
            self.hear(reader)

    def hear(self, reader: Reader) -> None:
        for line in reader.peer.take():
            if "push" in line:
                self.on_push(reader, line["push"])
            elif "subscribe" in line:
                self.on_subscribed(reader, reader.asked.pop(line["id"]), line["subscribe"])
            elif "publish" in line:
                number = reader.acks.pop(line["id"])
                _, channel = self.published[number]
                self.agree(channel, line["publish"]["epoch"], line["publish"]["offset"], number)
            else:
                assert "unsubscribe" in line

    def on_subscribed(self, reader: Reader, channel: str, result: dict[str, Any]) -> None:
        position = reader.at(channel)
        if result.get("recovered"):
            assert (result["epoch"], result["offset"]) == (position.epoch, position.offset)
        else:
            assert "publications" not in result
            position.epoch, position.offset = result["epoch"], result["offset"]
        position.known = position.live = True
        for pub in result.get("publications", []):
            self.on_publication(reader, channel, pub)

    def on_push(self, reader: Reader, push: dict[str, Any]) -> None:
        channel = push["channel"]
        assert reader.at(channel).live, "a push before the subscribe reply, or after the end"
        if "pub" in push:
            self.on_publication(reader, channel, push["pub"])
        elif "unsubscribe" in push:
            assert push["unsubscribe"]["code"] == 2500
            reader.at(channel).live = False

    def on_publication(self, reader: Reader, channel: str, pub: dict[str, Any]) -> None:
        position = reader.at(channel)
        assert pub["offset"] == position.offset + 1, "a gap or a duplicate"
        position.offset += 1
        self.agree(channel, position.epoch, pub["offset"], pub["data"])

    def agree(self, channel: str, epoch: str, offset: int, number: int) -> None:
        """Everybody sees the same publication at one place, and each publication at one place."""
        assert self.truth.setdefault((channel, epoch, offset), number) == number
        assert self.published[number][1] == channel

    def teardown(self) -> None:
        self.broker.deliver()
        self.all_is_heard()
        for channel in ("a", "b"):
            self.publish(0, channel, 1)
        self.broker.deliver()
        self.all_is_heard()
        tops: list[Any] = []
        for channel in ("a", "b"):
            self.world.hub.publish(channel, b"-1", tops.append)
        self.broker.deliver()
        for reader in self.readers:
            assert not reader.acks
            for position, top in zip((reader.at("a"), reader.at("b")), tops, strict=True):
                if position.live:
                    assert (position.epoch, position.offset + 1) == (top.epoch, top.offset)
        assert len(set(self.truth.values())) == len(self.truth), "one publication in two places"
        self.fifo_per_publisher()
        self.nothing_is_left()

    def fifo_per_publisher(self) -> None:
        streams: dict[tuple[str, str, int], list[tuple[int, int]]] = {}
        for (channel, epoch, offset), number in self.truth.items():
            who, _ = self.published[number]
            streams.setdefault((channel, epoch, who), []).append((offset, number))
        for places in streams.values():
            numbers = [number for _, number in sorted(places)]
            assert numbers == sorted(numbers)

    def nothing_is_left(self) -> None:
        for reader in self.readers:
            reader.peer.client.closed()
        self.broker.deliver()
        for _ in range(3):
            self.time_passes(25.0)
        statistics = self.world.hub.statistics()
        assert (statistics.clients, statistics.channels, statistics.subscriptions) == (0, 0, 0)
        assert (statistics.broker.streams, statistics.broker.publications) == (0, 0)


TestPromises = Promises.TestCase
TestPromises.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
