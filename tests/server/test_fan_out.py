"""The fan-out: to each receiver in order and once, in portions, joined where several frames wait."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsloop.hub.codec import JSON
from wsloop.hub.fan_out import Lane, Packet, kept
from wsloop.loop.reactor import Reactor
from wsloop.protocol.frames import Opcode, encode_frame, frame_ends
from wsloop.server.assembly import CONNECTION_PATH
from wsloop.server.fan_out import PacedFanOut
from wsloop.testing.client import OPCODE_TEXT, MessagingMemoryClient, masked_frame
from wsloop.testing.clock import FakeClock
from wsloop.testing.network import MemoryNetwork
from wsloop.testing.poller import FakePoller
from wsloop.testing.server import MemoryServer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LANE = kept(JSON)


class Recorder:
    """A receiver; `taken` is what reached it, one item per send."""

    def __init__(self, log: list[int], number: int) -> None:
        self.taken: list[bytes] = []
        self._log = log
        self._number = number

    def push(self, data: bytes, packets: Sequence[Packet]) -> None:
        assert data == b"".join(packet.data for packet in packets)
        self.taken.append(data)
        self._log.append(self._number)


class Hall:
    """A fan-out on a reactor of its own, and ten receivers."""

    def __init__(self, sends_per_turn: int = 256, *, per_frame: int = 16, delay_s: float = 0.0) -> None:
        clock = self.clock = FakeClock()
        self.reactor = Reactor(clock, FakePoller(MemoryNetwork(clock), clock))
        self.fan_out = PacedFanOut(
            self.reactor, sends_per_turn, messages_per_frame=per_frame, delay_s=delay_s
        )
        self.log: list[int] = []
        self.all = [Recorder(self.log, number) for number in range(10)]

    def turn(self) -> list[int]:
        self.log.clear()
        self.reactor.call_soon(lambda: None)  # so that the turn does not sleep
        self.reactor.run_once()
        return list(self.log)


def frames_of(*parts: bytes) -> bytes:
    return b"".join(encode_frame(Opcode.TEXT, part) for part in parts)


def test_a_message_is_framed_once_and_several_share_a_frame() -> None:
    hall = Hall()
    hall.fan_out.send(hall.all, b"frame", LANE)
    hall.turn()
    first = hall.all[0].taken[0]
    assert first == frames_of(b"frame")
    assert all(receiver.taken == [first] and receiver.taken[0] is first for receiver in hall.all)
    for number in range(18):
        hall.fan_out.send(hall.all, b"%x" % number, LANE)
    assert hall.turn() == list(range(10))
    joined = hall.all[0].taken[1]
    assert joined == frames_of(b"\n".join(b"%x" % number for number in range(16)), b"10\n11")
    assert all(receiver.taken[1] is joined for receiver in hall.all)


def test_joining_can_be_switched_off() -> None:
    hall = Hall(per_frame=1)
    for number in range(3):
        hall.fan_out.send(hall.all, b"%d" % number, LANE)
    hall.turn()
    assert hall.all[0].taken == [frames_of(b"0", b"1", b"2")]


def test_what_may_be_dropped_shares_no_frame_with_what_may_not() -> None:
    hall = Hall()
    droppable = Lane("c", "drop-oldest", JSON)
    for message, lane in ((b"1", droppable), (b"2", droppable), (b"join", LANE), (b"3", droppable)):
        hall.fan_out.send(hall.all, message, lane)
    hall.turn()
    assert hall.all[0].taken == [frames_of(b"1\n2", b"join", b"3")]


def test_with_a_delay_messages_wait_for_one_another_until_a_frame_is_full() -> None:
    hall = Hall(per_frame=3, delay_s=0.02)
    hall.fan_out.send(hall.all, b"1", LANE)
    assert hall.turn() == []
    hall.clock.advance(0.01)
    hall.fan_out.send(hall.all, b"2", LANE)
    assert hall.turn() == []
    hall.clock.advance(0.02)
    hall.turn()
    hall.turn()
    assert hall.all[0].taken == [frames_of(b"1\n2")]
    for number in range(3):
        hall.fan_out.send(hall.all, b"%d" % number, LANE)
    hall.turn()
    assert hall.all[0].taken[1:] == [frames_of(b"0\n1\n2")]


def test_a_portion_a_turn_and_what_comes_meanwhile_waits_its_turn() -> None:
    hall = Hall(sends_per_turn=4)
    hall.fan_out.send(hall.all, b"1", LANE)
    assert hall.turn() == [0, 1, 2, 3]
    hall.fan_out.send(hall.all, b"2", LANE)
    hall.fan_out.send(hall.all, b"3", LANE)
    assert [hall.turn() for _ in range(5)] == [[4, 5, 6, 7], [8, 9, 0, 1], [2, 3, 4, 5], [6, 7, 8, 9], []]
    assert all(receiver.taken == [frames_of(b"1"), frames_of(b"2\n3")] for receiver in hall.all)


def test_nobody_to_send_to_is_nothing_to_do() -> None:
    hall = Hall()
    hall.fan_out.send([], b"x", LANE)
    assert hall.turn() == []


def unframed(taken: list[bytes]) -> bytes:
    """Return the messages without their frames, which are all short, and what joins them."""
    frames, messages, start = b"".join(taken), b"", 0
    for end in frame_ends(frames):
        messages += frames[start + (2 if frames[start + 1] < 126 else 4) : end].replace(b"\n", b"")
        start = end
    return messages


steps = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.integers(0, 3)),
        st.tuples(st.just("settle"), st.integers(0, 9)),
        st.tuples(st.just("turn"), st.just(0)),
    ),
    max_size=40,
)


@settings(max_examples=300)
@given(steps, st.integers(1, 12))
def test_each_receiver_gets_what_named_it_once_and_in_order(
    todo: list[tuple[str, int]], portion: int
) -> None:
    hall = Hall(portion)
    groups = [hall.all, hall.all[:3], hall.all[2:7], hall.all[9:]]
    expected: list[bytes] = [b"" for _ in hall.all]
    for number, (step, which) in enumerate(todo):
        if step == "send":
            frame = b"<%d>" % number
            hall.fan_out.send(groups[which], frame, LANE)
            for receiver in groups[which]:
                expected[receiver._number] += frame
        elif step == "settle":
            hall.fan_out.settle(hall.all[which])
            assert unframed(hall.all[which].taken) == expected[which]
        else:
            assert len(hall.turn()) <= portion
    for _ in range(len(todo) * 10 // portion + 1):
        assert len(hall.turn()) <= portion
    assert [unframed(receiver.taken) for receiver in hall.all] == expected
    assert hall.turn() == []


@pytest.fixture
def house() -> Iterator[MemoryServer]:
    with MemoryServer(seed=5) as made:
        yield made


CHANNEL = "chat:hall"


def gather(house: MemoryServer, count: int) -> list[MessagingMemoryClient]:
    clients = [house.dial(MessagingMemoryClient) for _ in range(count)]
    for client in clients:
        client.upgrade(CONNECTION_PATH)
        client.command(connect={})
        client.command(subscribe={"channel": CHANNEL})
    house.run_until(lambda: all(len(client.replies) == 2 for client in clients))
    return clients


def test_a_burst_to_a_large_channel_lets_others_talk_meanwhile(house: MemoryServer) -> None:
    clients = gather(house, 300)
    polite = house.connect("/echo")
    publisher = clients[0]
    for number in range(64):
        publisher.command(publish={"channel": CHANNEL, "data": number})
    polite.send_text("may I?")
    house.run_until(lambda: polite.texts)
    assert clients[-1].publications(CHANNEL) == []
    house.run_until(lambda: len(clients[-1].publications(CHANNEL)) == 64)
    assert all(client.publications(CHANNEL) == list(range(64)) for client in clients)


def test_publishers_ahead_of_the_fan_out_are_held_until_it_has_caught_up(house: MemoryServer) -> None:
    clients = gather(house, 60)
    publishers = clients[:20]
    rounds = 30
    for publisher in publishers:
        # A channel each: frames for different receivers cannot be joined.
        house.ask(publisher, subscribe={"channel": f"{CHANNEL}{publisher.sock.fileno()}"})
    most = 0
    for number in range(rounds):
        for publisher in publishers:
            other = f"{CHANNEL}{publisher.sock.fileno()}"
            publisher.command(publish={"channel": CHANNEL, "data": number})
            publisher.command(publish={"channel": other, "data": number})
    while any(len(client.publications(CHANNEL)) < rounds * len(publishers) for client in clients):
        house.reactor.run_once()
        most = max(most, sum(connection._held for connection in house.server.registry.snapshot()))
    assert most > 0
    house.run_for(1.0)
    assert not any(connection._held for connection in house.server.registry.snapshot())
    for publisher in publishers:
        assert house.ask(publisher, presence_stats={"channel": CHANNEL})["id"]


def test_what_was_published_before_an_unsubscribe_comes_before_its_reply(house: MemoryServer) -> None:
    clients = gather(house, 3)
    leaver = clients[1]
    lines = [
        {"id": 71, "publish": {"channel": CHANNEL, "data": "before"}},
        {"id": 72, "unsubscribe": {"channel": CHANNEL}},
        {"id": 73, "publish": {"channel": CHANNEL, "data": "after"}},
        {"id": 74, "subscribe": {"channel": CHANNEL}},
    ]
    seen = len(leaver.texts)
    leaver.send_bytes(
        masked_frame(OPCODE_TEXT, b"\n".join(json.dumps(line).encode() for line in lines), bytes(4))
    )
    house.run_until(lambda: 74 in leaver.replies)
    house.run_for(1.0)
    heard = leaver.texts[seen:]
    pushed = next(index for index, text in enumerate(heard) if '"before"' in text)
    unsubscribed = next(index for index, text in enumerate(heard) if '"id":72' in text)
    assert pushed < unsubscribed
    assert leaver.publications(CHANNEL) == ["before"]
    assert clients[0].publications(CHANNEL) == ["before", "after"]


def test_a_shared_goes_behind_what_waits_already(house: MemoryServer) -> None:
    client = house.connect("/echo")
    (connection,) = house.server.registry.snapshot()
    frame = encode_frame(Opcode.TEXT, b"pushed")
    pushed = frame, (Packet(frame, (b"pushed",), LANE),)
    for number in range(4):
        connection.send_text(str(number))
        connection.push(*pushed)
    house.run_until(lambda: len(client.texts) == 8)
    assert client.texts == ["0", "pushed", "1", "pushed", "2", "pushed", "3", "pushed"]
