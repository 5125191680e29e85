"""One link: what is said comes in order, in one write a turn; silence, queues and damage end it."""

from __future__ import annotations

import functools
import socket
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsloop.cluster.codec import LinkError, MessageReader, encode
from wsloop.cluster.link import Link
from wsloop.cluster.link_states import LINK_TRANSITIONS, LinkLimits, LinkState, LinkStep, Traffic
from wsloop.cluster.messages import Answer, Ask, Cast, Message, Ping
from wsloop.errors import StateError
from wsloop.loop.clock import MonotonicClock
from wsloop.loop.poller import make_poller
from wsloop.loop.reactor import Reactor
from wsloop.testing.machine import Machine
from wsloop.testing.network import NetworkFaults
from wsloop.transport.tcp import TcpTransport

KINDS = Ping | Ask | Answer | Cast


class Owner:
    """Keeps what it is told; `fault` is raised for the next message."""

    def __init__(self) -> None:
        self.heard: list[Message] = []
        self.ended: list[str] = []
        self.drained = 0
        self.fault: Exception | None = None

    def on_message(self, link: Link, message: Message) -> None:
        fault, self.fault = self.fault, None
        if fault is not None:
            raise fault
        self.heard.append(message)

    def on_drained(self, link: Link) -> None:
        self.drained += 1

    def on_tick(self, link: Link) -> None:
        pass

    def on_ended(self, link: Link, reason: str) -> None:
        self.ended.append(reason)


class Pair:
    """Two ends of one link, each on a loop of its own."""

    def __init__(self, *, faults: NetworkFaults | None = None, seed: int = 0, **limits: Any) -> None:
        self.machine = Machine(seed, faults=faults)
        self.owners = (Owner(), Owner())
        self.traffic = (Traffic(), Traffic())
        self.reactors = (self._loop(), self._loop())
        self.socks = self.machine.network.pair()
        self.limits = LinkLimits(**limits)
        self.left, self.right = (self._link(index) for index in (0, 1))
        self.left.ready()
        self.right.ready()

    def _loop(self) -> Reactor:
        poller = self.machine.poller()
        reactor = Reactor(self.machine.clock, poller)
        self.machine.add(reactor, poller)
        return reactor

    def _link(self, index: int) -> Link:
        return Link(
            self.reactors[index],
            TcpTransport(self.socks[index]),
            self.owners[index],
            MessageReader(KINDS),
            self.limits,
            self.traffic[index],
            pings=index == 0,
        )

    def run(self, duration_s: float = 0.1) -> None:
        self.machine.run_for(duration_s)


def state(link: Link) -> LinkState:
    return link.state


def test_the_table_says_what_is_possible() -> None:
    pair = Pair()
    assert state(pair.left) is LinkState.READY
    with pytest.raises(StateError, match="welcomed is illegal while the link is ready"):
        pair.left.ready()
    pair.left.close()
    pair.left.close()
    assert state(pair.left) is LinkState.CLOSED
    assert LINK_TRANSITIONS[LinkState.CLOSED] == {}
    assert {step for steps in LINK_TRANSITIONS.values() for step in steps} == set(LinkStep)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(0, 3000), max_size=12),
    st.integers(0, 2**32),
    st.integers(100, 5000),
    st.integers(1, 50),
)
def test_everything_comes_in_order_over_any_network(
    sizes: list[int], seed: int, most_bytes: int, per_turn: int
) -> None:
    faults = NetworkFaults(
        max_delay_s=0.01, max_read_bytes=most_bytes, max_write_bytes=most_bytes, eagain_chance=0.1
    )
    pair = Pair(faults=faults, seed=seed, messages_per_turn=per_turn, dead_s=1e9)
    said = [Cast(str(number), b"x" * size) for number, size in enumerate(sizes)]
    for message in said:
        pair.left.send(message)
        pair.right.send(message)
    for owner in pair.owners:
        pair.machine.run_until(functools.partial(has_heard, owner, said), within_s=10_000)


def has_heard(owner: Owner, said: list[Cast]) -> bool:
    return [message for message in owner.heard if isinstance(message, Cast)] == said


def test_what_is_said_in_one_turn_leaves_in_one_write() -> None:
    pair = Pair()
    writes: list[int] = []
    send = pair.socks[0].send

    def counted(data: Any) -> int:
        writes.append(len(data))
        return send(data)

    pair.socks[0].send = counted  # type: ignore[method-assign]
    data = encode(Cast("name", b"body"))
    for _ in range(300):
        pair.left.send_encoded(data)
    assert writes == []
    pair.run()
    assert writes == [300 * len(data)]
    assert pair.owners[0].drained == 1
    assert pair.traffic[0].messages_out == pair.traffic[1].messages_in == 300
    assert pair.traffic[0].bytes_out == pair.traffic[1].bytes_in == 300 * len(data)


def test_a_turn_deals_with_a_portion_and_reads_no_more_meanwhile() -> None:
    pair = Pair(messages_per_turn=10)
    for number in range(35):
        pair.left.send(Cast(str(number), b""))
    counts = []
    while len(pair.owners[1].heard) < 35:
        before = len(pair.owners[1].heard)
        pair.machine.turn()
        counts.append(len(pair.owners[1].heard) - before)
    assert counts == [20, 10, 5]  # the first turn reads, and goes on once behind everybody else
    assert [message.name for message in pair.owners[1].heard if isinstance(message, Cast)] == [
        str(number) for number in range(35)
    ]


def test_a_queue_beyond_its_limit_ends_the_link_from_the_loop() -> None:
    """The other end does not run: nothing raises where the message was said, and later ones are dropped."""
    pair = Pair(queue_bytes=200_000)
    pair.machine.stop(pair.reactors[1])
    for _ in range(40):
        pair.left.send(Cast("", b"x" * 10_000))
        assert pair.owners[0].ended == []
        pair.run(0.01)
        if pair.owners[0].ended:
            break
    assert pair.left.state is LinkState.CLOSED
    assert pair.owners[0].ended[0].endswith("bytes are queued for it")
    assert (pair.traffic[0].overflows, pair.traffic[0].ended) == (1, 1)
    assert pair.left.queue_bytes == 0
    pair.left.send(Cast("", b""))
    pair.machine.go_on(pair.reactors[1])
    pair.run()
    assert pair.owners[1].ended == ["the other end has gone"]


def test_pings_come_every_second_and_silence_ends_the_link() -> None:
    pair = Pair()
    pair.run(3.5)
    pings = [message for message in pair.owners[1].heard if isinstance(message, Ping)]
    assert [ping.number for ping in pings] == [1, 2, 3]
    pair.left.receive_pong(3)
    assert pair.left.round_trip_s == pytest.approx(0.5, abs=0.02)
    assert pair.right.silence_s < 1.0
    pair.machine.stop(pair.reactors[0])
    pair.run(5.5)
    assert pair.right.is_stalled
    assert pair.right.statistics().silence_s == pytest.approx(6.0, abs=0.1)
    pair.run(26)
    assert pair.owners[1].ended == ["silent for 30 s"]


def test_a_link_without_greetings_ends() -> None:
    pair = Pair()
    other = Machine()
    poller = other.poller()
    reactor = Reactor(other.clock, poller)
    other.add(reactor, poller)
    owner = Owner()
    near, _ = other.network.pair()
    Link(reactor, TcpTransport(near), owner, MessageReader(KINDS), pair.limits, Traffic(), pings=True)
    other.run_for(6)
    assert owner.ended == ["no greeting within 5 s"]


@pytest.mark.parametrize(
    "noise", [b"\xff\xff\xff\xff", b"\x00\x00\x00\x01\xc1", b"\x00\x00\x00\x00", b"GET / HTTP/1.1\r\n"]
)
def test_hostile_bytes_end_this_link_only(noise: bytes) -> None:
    pair = Pair()
    pair.socks[0].send(noise)
    pair.run()
    assert len(pair.owners[1].ended) == 1
    pair.run()
    assert {pair.left.state, pair.right.state} == {LinkState.CLOSED}


def test_an_owner_may_end_the_link_for_a_message() -> None:
    pair = Pair()
    pair.owners[1].fault = LinkError("it must not say this")
    pair.left.send(Ask(1, "a", b""))
    pair.left.send(Ask(2, "b", b""))
    pair.run()
    assert pair.owners[1].ended == ["it must not say this"]
    assert pair.owners[1].heard == []


def test_a_fault_of_the_program_costs_one_message(caplog: pytest.LogCaptureFixture) -> None:
    pair = Pair()
    pair.owners[1].fault = KeyError("a bug")
    pair.left.send(Ask(1, "a", b""))
    pair.left.send(Answer(1, b"b"))
    pair.run()
    assert pair.owners[1].heard == [Answer(1, b"b")]
    assert "Ask from the link raised" in caplog.text


def test_closing_offers_what_was_said_to_the_kernel() -> None:
    pair = Pair()
    pair.left.send(Cast("last words", b""))
    pair.left.close()
    pair.run()
    assert pair.owners[1].heard == [Cast("last words", b"")]
    assert pair.owners[0].ended == []
    assert pair.owners[1].ended == ["the other end has gone"]


def test_a_reset_is_told_once_and_nothing_is_left() -> None:
    pair = Pair()
    pair.left.send(Cast("lost", b""))
    pair.socks[0].reset()
    pair.run()
    assert len(pair.owners[0].ended) == len(pair.owners[1].ended) == 1
    for reactor in pair.reactors:
        statistics = reactor.statistics()
        assert (statistics.descriptors, statistics.timers, statistics.callbacks, statistics.errors) == (
            0, 0, 0, 0,
        )  # fmt: skip
    assert pair.machine.network.open_descriptors() == {}


def test_a_link_over_a_real_socket_leaves_no_descriptor() -> None:
    near, far = socket.socketpair()
    near.setblocking(False)
    reactor = Reactor(MonotonicClock(), make_poller())
    link = Link(
        reactor, TcpTransport(near), Owner(), MessageReader(KINDS), LinkLimits(), Traffic(), pings=True
    )
    link.send(Cast("a", b"b"))
    link.close()
    reactor.close()
    assert near.fileno() == -1
    assert far.recv(100) == encode(Cast("a", b"b"))
    far.close()
