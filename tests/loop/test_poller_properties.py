"""Real descriptors that fill, drain and hang up: every back end reports what a model says, and no more."""

from __future__ import annotations

import select
import socket
from dataclasses import dataclass

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from wsloop.loop.poller import READ, WRITE, EpollPoller, make_poller

INTEREST = st.sampled_from([0, READ, WRITE, READ | WRITE])
PICK = st.integers(0, 100)


@dataclass
class Stream:
    """One end that is watched, and the other, which this test holds."""

    near: socket.socket
    far: socket.socket
    interest: int
    waiting_bytes: int = 0
    has_hung_up: bool = False

    @property
    def events(self) -> int:
        """What is to be reported: a hang-up is folded into the whole interest."""
        if self.has_hung_up:
            return self.interest
        return self.interest & (WRITE | (READ if self.waiting_bytes else 0))


class Descriptors(RuleBasedStateMachine):
    """Some streams, each registered for something or parked."""

    backend = "auto"

    def __init__(self) -> None:
        super().__init__()
        self.poller = make_poller(self.backend)
        self.streams: list[Stream] = []

    @rule(interest=INTEREST)
    def register(self, interest: int) -> None:
        near, far = socket.socketpair()
        self.poller.register(near.fileno(), interest)
        self.streams.append(Stream(near, far, interest))

    @precondition(lambda self: self.streams)
    @rule(pick=PICK, interest=INTEREST)
    def modify(self, pick: int, interest: int) -> None:
        stream = self.streams[pick % len(self.streams)]
        self.poller.modify(stream.near.fileno(), interest)
        stream.interest = interest

    @precondition(lambda self: self.streams)
    @rule(pick=PICK)
    def unregister(self, pick: int) -> None:
        stream = self.streams.pop(pick % len(self.streams))
        self.poller.unregister(stream.near.fileno())
        stream.near.close()
        stream.far.close()

    @precondition(lambda self: self.streams)
    @rule(pick=PICK, count=st.integers(1, 9))
    def send(self, pick: int, count: int) -> None:
        stream = self.streams[pick % len(self.streams)]
        if not stream.has_hung_up:
            stream.waiting_bytes += stream.far.send(bytes(count))

    @precondition(lambda self: self.streams)
    @rule(pick=PICK)
    def drain(self, pick: int) -> None:
        stream = self.streams[pick % len(self.streams)]
        if stream.waiting_bytes:
            stream.waiting_bytes -= len(stream.near.recv(1000))

    @precondition(lambda self: self.streams)
    @rule(pick=PICK)
    def hang_up(self, pick: int) -> None:
        stream = self.streams[pick % len(self.streams)]
        stream.far.close()
        stream.has_hung_up = True

    @invariant()
    def reports_exactly_what_is_ready(self) -> None:
        expected = {each.near.fileno(): each.events for each in self.streams if each.events}
        batch = self.poller.poll(0)
        assert len(batch) == len(dict(batch))
        assert dict(batch) == expected
        assert len(self.poller) == len(self.streams)
        if isinstance(self.poller, EpollPoller):
            # An epoll is readable when a wait in it would end: one that is not empty would spin.
            spins, _, _ = select.select([self.poller._epoll], [], [], 0)
            assert bool(spins) == bool(expected)

    def teardown(self) -> None:
        self.poller.close()
        for stream in self.streams:
            stream.near.close()
            stream.far.close()


@pytest.mark.parametrize("backend", ["epoll", "poll", "select"])
def test_a_poller_reports_exactly_what_is_ready_and_sleeps_otherwise(backend: str) -> None:
    if not hasattr(select, backend):
        pytest.skip(f"this machine has no {backend}")
    machine = type("Descriptors", (Descriptors,), {"backend": backend})
    run_state_machine_as_test(machine, settings=settings(max_examples=25, stateful_step_count=25))
