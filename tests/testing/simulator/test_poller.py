from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

import pytest

from tests.testing.simulator.kit import DOOR, Kit
from wsloop.loop.poller import READ, WRITE
from wsloop.loop.reactor import Reactor
from wsloop.testing.contracts.poller import PollerContract
from wsloop.testing.poller import StaleDescriptorError
from wsloop.testing.simulator.faults import FaultPlan
from wsloop.testing.simulator.poller import Ready, SimulatedPoller

if TYPE_CHECKING:
    from wsloop.testing.simulator.sockets import SimulatedSocket


class SettledPoller(SimulatedPoller):
    """What was sent has arrived before each poll, as over a real socket pair."""

    def __init__(self, kit: Kit, max_events: int) -> None:
        super().__init__(kit.near.descriptors, kit.storm, lambda _: [], max_events)
        self.kit = kit

    def poll(self, timeout_s: float | None) -> Ready:
        self.kit.settle()
        return super().poll(timeout_s)


class TestSimulatedPollerKeepsTheContract(PollerContract):
    def setup_method(self) -> None:
        self.kit = Kit()
        self.kit.far = self.kit.near  # one process has both ends, as the contract's does
        super().setup_method()

    def make_poller(self, max_events: int) -> SimulatedPoller:
        return SettledPoller(self.kit, max_events)

    def make_pair(self) -> tuple[SimulatedSocket, SimulatedSocket]:
        return self.kit.pair()

    def teardown_method(self) -> None:
        super().teardown_method()
        assert len(self.kit.near.descriptors) == 0


def watched(kit: Kit, interest: int) -> tuple[SimulatedPoller, SimulatedSocket, SimulatedSocket]:
    left, right = kit.pair()
    poller = kit.poller(kit.near)
    poller.register(left.fileno(), interest)
    return poller, left, right


def test_a_poll_looks_only_at_what_may_be_ready() -> None:
    poller, left, right = watched(Kit(), READ)
    assert poller.poll(0.0) == []
    assert list(poller.maybe) == []
    right.send(b"x")
    assert poller.poll(1.0) == [(left.fileno(), READ)]


def test_a_socket_closed_while_registered_is_an_error() -> None:
    poller, left, _ = watched(Kit(), READ)
    left.close()
    with pytest.raises(StaleDescriptorError):
        poller.poll(0.0)


def test_a_number_may_have_a_new_owner_before_its_event_is_handed_out() -> None:
    """A link is closed for a newer one, somebody is accepted: the old one's event must reach nobody."""
    kit = Kit(FaultPlan(kinds=frozenset({"reuse"})))
    newer, new_end = kit.pair()
    older, old_end = kit.pair()
    listener = kit.near.listen(DOOR)
    reactor = Reactor(kit.clock, kit.poller(kit.near))
    seen: list[str] = []

    def close_older(_events: int) -> None:
        newer.recv(9)
        reactor.unregister(number)
        older.close()

    def accept(_events: int) -> None:
        sock, _ = listener.accept()
        seen.append("reused" if sock.fileno() == number else "another number")
        reactor.register(sock.fileno(), READ, lambda _: seen.append("served"))

    number = older.fileno()
    reactor.register(newer.fileno(), READ, close_older)
    reactor.register(listener.fileno(), READ, accept)
    reactor.register(number, READ, lambda _: seen.append("closed and served"))
    for end in (new_end, old_end):
        end.send(b"x")
    kit.far.connect(DOOR)
    kit.settle()
    kit.force("reuse", 1e-9)
    reactor.run_once()
    assert seen == ["reused"]


def test_spurious_readiness() -> None:
    kit = Kit(FaultPlan())
    poller, left, _ = watched(kit, READ)
    kit.force("spurious", 1e-9)
    assert poller.poll(0.0) == [(left.fileno(), READ)]
    with pytest.raises(BlockingIOError):
        left.recv(1)


def test_a_parked_descriptor_is_never_reported() -> None:
    kit = Kit(FaultPlan())
    poller, _, _ = watched(kit, 0)
    kit.force("spurious", 1e-9)
    assert poller.poll(0.0) == []
    assert kit.marks.fired["spurious"] == 0, "nobody was reported"


def test_a_hang_up_behind_bytes_is_everything_at_once() -> None:
    kit = Kit(FaultPlan())
    poller, left, right = watched(kit, READ | WRITE)
    left.peer.capacity_bytes = 0
    kit.force("write-reset", inf)
    right.send(b"last words")
    kit.force("hang-up", 1e-9)
    kit.settle()
    assert poller.poll(0.0) == [(left.fileno(), READ | WRITE)]
    assert left.recv(99) == b"last words"
    with pytest.raises(ConnectionResetError):
        left.recv(99)


def test_lists_are_cut_and_shuffled_and_nobody_is_lost() -> None:
    kit = Kit(FaultPlan())
    poller, left, right = watched(kit, READ)
    lefts = [left]
    right.send(b"x")
    for _ in range(5):
        left, right = kit.pair()
        poller.register(left.fileno(), READ)
        right.send(b"x")
        lefts.append(left)
    kit.settle()
    kit.force("cut-list", 1e-9)
    kit.force("shuffle", 1e-9)
    seen: list[int] = []
    while len(seen) < len(lefts):
        batch = poller.poll(0.0)
        for fd, _ in batch:
            seen.append(fd)
            next(each for each in lefts if each.fileno() == fd).recv(9)
    assert sorted(seen) == [each.fileno() for each in lefts]
    assert poller.poll(0.0) == []
