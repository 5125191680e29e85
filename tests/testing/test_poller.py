from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsloop.loop.poller import READ, WRITE
from wsloop.testing.clock import FakeClock
from wsloop.testing.contracts.poller import PollerContract
from wsloop.testing.network import MemoryNetwork, NetworkFaults
from wsloop.testing.poller import DeadlockError, FakePoller, StaleDescriptorError
from wsloop.transport.bind import TcpBind

if TYPE_CHECKING:
    from wsloop.testing.memory_socket import MemorySocket


class TestFakePollerKeepsTheContract(PollerContract):
    def setup_method(self) -> None:
        self.clock = FakeClock()
        self.network = MemoryNetwork(self.clock)
        super().setup_method()

    def make_poller(self, max_events: int) -> FakePoller:
        return FakePoller(self.network, self.clock, max_events=max_events)

    def make_pair(self) -> tuple[MemorySocket, MemorySocket]:
        return self.network.pair()

    def teardown_method(self) -> None:
        super().teardown_method()
        assert self.network.open_descriptors() == {}


def make(delay_s: float = 0.0) -> tuple[FakeClock, MemoryNetwork, FakePoller]:
    clock = FakeClock()
    network = MemoryNetwork(clock, faults=NetworkFaults(delay_s, delay_s))
    return clock, network, FakePoller(network, clock)


def test_readiness_is_level_triggered() -> None:
    _, network, poller = make()
    left, right = network.pair()
    poller.register(right.fileno(), READ)
    assert poller.poll(0) == []
    left.send(b"ab")
    for _ in range(2):
        assert poller.poll(0) == [(right.fileno(), READ)]
    right.recv(1)
    assert poller.poll(0) == [(right.fileno(), READ)]
    right.recv(1)
    assert poller.poll(0) == []


def test_writable_until_full() -> None:
    clock = FakeClock()
    network = MemoryNetwork(clock, capacity_bytes=10)
    poller = FakePoller(network, clock)
    left, right = network.pair()
    poller.register(left.fileno(), READ | WRITE)
    assert poller.poll(None) == [(left.fileno(), WRITE)]
    left.send(bytes(10))
    assert poller.poll(0) == []
    right.recv(1)
    assert poller.poll(0) == [(left.fileno(), WRITE)]


@pytest.mark.parametrize("interest", [READ, WRITE, READ | WRITE])
def test_a_reset_is_folded_into_the_interest(interest: int) -> None:
    _, network, poller = make()
    left, right = network.pair()
    poller.register(left.fileno(), interest)
    right.reset()
    assert poller.poll(0) == [(left.fileno(), interest)]


def test_a_parked_descriptor_is_silent_even_after_a_hang_up() -> None:
    _, network, poller = make()
    left, right = network.pair()
    poller.register(left.fileno(), 0)
    right.reset()
    assert poller.poll(10.0) == []
    poller.modify(left.fileno(), READ)
    assert poller.poll(None) == [(left.fileno(), READ)]


def test_a_listening_socket_is_readable_while_somebody_waits() -> None:
    _, network, poller = make()
    listener = network.listen(TcpBind("127.0.0.1", 80))
    poller.register(listener.fileno(), READ | WRITE)
    assert poller.poll(0) == []
    network.connect(TcpBind("127.0.0.1", 80))
    assert poller.poll(0) == [(listener.fileno(), READ)]


def test_an_idle_poll_moves_the_clock_by_its_timeout() -> None:
    clock, _, poller = make()
    start_s = clock.now()
    assert poller.poll(600.0) == []
    assert clock.now() == start_s + 600.0
    assert poller.poll(0) == []
    assert poller.poll(-1.0) == []
    assert clock.now() == start_s + 600.0


def test_the_clock_jumps_to_the_next_arrival_only() -> None:
    clock, network, poller = make(delay_s=0.25)
    left, right = network.pair()
    poller.register(right.fileno(), READ)
    start_s = clock.now()
    left.send(b"x")
    assert poller.poll(600.0) == [(right.fileno(), READ)]
    assert clock.now() == start_s + 0.25


def test_a_timeout_before_the_next_arrival_ends_the_poll() -> None:
    clock, network, poller = make(delay_s=0.25)
    left, right = network.pair()
    poller.register(right.fileno(), READ)
    left.send(b"x")
    start_s = clock.now()
    assert poller.poll(0.1) == []
    assert clock.now() == start_s + 0.1
    assert poller.poll(None) == [(right.fileno(), READ)]


@given(st.lists(st.floats(0, 1e5), max_size=10), st.floats(0, 1e6))
def test_no_timeout_ends_early(timeouts_s: list[float], start_s: float) -> None:
    clock = FakeClock(start_s)
    poller = FakePoller(MemoryNetwork(clock), clock)
    for timeout_s in timeouts_s:
        deadline_s = clock.now() + timeout_s
        poller.poll(timeout_s)
        assert clock.now() >= deadline_s


def test_a_loop_that_would_sleep_for_ever_is_told_what_it_waits_for() -> None:
    _, network, poller = make()
    with pytest.raises(DeadlockError, match="no descriptor at all"):
        poller.poll(None)
    listener = network.listen(TcpBind("127.0.0.1", 80))
    poller.register(listener.fileno(), READ)
    with pytest.raises(DeadlockError, match=r"listening on 127.0.0.1:80 \(READ\)"):
        poller.poll(None)


def test_a_socket_closed_while_registered_is_an_error_even_if_its_number_is_reused() -> None:
    _, network, poller = make()
    left, right = network.pair()
    fd = left.fileno()
    poller.register(fd, READ)
    left.close()
    again, _ = network.pair()
    assert again.fileno() == fd
    with pytest.raises(StaleDescriptorError, match=f"descriptor {fd} was closed"):
        poller.poll(0)
    poller.unregister(fd)
    assert poller.poll(0) == []
    right.close()


def test_registering_twice_or_not_at_all() -> None:
    _, network, poller = make()
    left, _right = network.pair()
    spare = network.spare()
    spare.take()
    poller.register(left.fileno(), READ)
    assert len(poller) == 1
    with pytest.raises(KeyError):
        poller.register(left.fileno(), READ)
    for fd in (99, 5):
        with pytest.raises(OSError, match="Bad file descriptor"):
            poller.register(fd, READ)
        with pytest.raises(KeyError):
            poller.modify(fd, READ)
        with pytest.raises(KeyError):
            poller.unregister(fd)
    poller.close()
    poller.close()
    assert len(poller) == 0


def test_a_bounded_batch_starves_nobody() -> None:
    clock = FakeClock()
    network = MemoryNetwork(clock)
    poller = FakePoller(network, clock, max_events=3)
    ends = [end for _ in range(4) for end in network.pair()]
    for end in ends:
        poller.register(end.fileno(), WRITE)
    seen: list[int] = []
    for _ in range(8):
        batch = poller.poll(0)
        assert len(batch) == 3
        seen += [fd for fd, _ in batch]
    assert all(seen.count(end.fileno()) == 3 for end in ends)


def test_the_order_is_that_of_registration_or_drawn_from_the_seed() -> None:
    clock = FakeClock()
    network = MemoryNetwork(clock)
    ends = [end for _ in range(10) for end in network.pair()]
    orders = []
    for shuffle_seed in (None, 1, 1, 2):
        poller = FakePoller(network, clock, shuffle_seed=shuffle_seed)
        for end in ends:
            poller.register(end.fileno(), WRITE)
        orders.append([fd for fd, _ in poller.poll(0)])
    assert orders[0] == sorted(orders[0])
    assert orders[1] == orders[2] != orders[3]
    assert all(sorted(order) == orders[0] for order in orders)
