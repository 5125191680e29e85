"""What every `Poller` must do: a suite to inherit from in a pytest class.

    class TestMine(PollerContract):
        def make_poller(self, max_events): return MyPoller(max_events)

The descriptors are real socket pairs by default; `make_pair` can be overridden for a poller
of simulated ones. Needs no pytest itself.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from wsloop.loop.poller import READ, WRITE, Poller

if TYPE_CHECKING:
    from collections.abc import Callable


class PollerContract:
    """Inherit, override `make_poller`, and let pytest collect the tests."""

    def make_poller(self, max_events: int) -> Poller:
        """Return a new poller that reports at most `max_events` descriptors a batch."""
        raise NotImplementedError

    def make_pair(self) -> tuple[Any, Any]:
        """Return two connected, non-blocking sockets; closing one hangs up the other."""
        left, right = socket.socketpair()
        left.setblocking(False)
        right.setblocking(False)
        return left, right

    def setup_method(self) -> None:
        """Make a poller and one pair of sockets."""
        self.poller = self.make_poller(512)
        self.sockets: list[Any] = []
        self.left, self.right = self.pair()
        self.fd = self.left.fileno()

    def teardown_method(self) -> None:
        """Close everything."""
        self.poller.close()
        for sock in self.sockets:
            sock.close()

    def pair(self) -> tuple[Any, Any]:
        """Return a pair that is closed after the test."""
        pair = self.make_pair()
        self.sockets += pair
        return pair

    def test_nothing_ready_is_an_empty_batch(self) -> None:
        """A timeout of 0 does not wait."""
        self.poller.register(self.fd, READ)
        assert self.poller.poll(0) == []

    def test_readiness_is_level_triggered(self) -> None:
        """What is not read is reported again."""
        self.poller.register(self.fd, READ)
        self.right.send(b"x")
        assert self.poller.poll(1.0) == [(self.fd, READ)]
        assert self.poller.poll(1.0) == [(self.fd, READ)]
        self.left.recv(10)
        assert self.poller.poll(0) == []

    def test_only_what_was_asked_for_is_reported(self) -> None:
        """A descriptor that could be written is silent while only reading is asked for."""
        self.poller.register(self.fd, READ)
        assert self.poller.poll(0) == []
        self.poller.modify(self.fd, WRITE)
        self.right.send(b"x")
        assert self.poller.poll(1.0) == [(self.fd, WRITE)]

    def test_to_ask_again_for_the_same_changes_nothing(self) -> None:
        """Neither for a descriptor that is watched, nor for one that is parked."""
        for interest in (READ, 0):
            self.poller.register(self.fd, interest)
            self.poller.modify(self.fd, interest)
            self.right.send(b"x")
            assert self.poller.poll(0) == ([(self.fd, READ)] if interest else [])
            self.poller.unregister(self.fd)

    def test_both_sides_come_as_one_entry(self) -> None:
        """Reading and writing at once are one pair, never two; at the latest the next poll has both.

        kqueue has two events; the selector of early Python 3.11 asks it for one a descriptor.
        """
        self.poller.register(self.fd, READ | WRITE)
        self.right.send(b"x")
        seen = 0
        for _ in range(2):
            ((fd, events),) = self.poller.poll(1.0)
            assert fd == self.fd
            seen |= events
        assert seen == READ | WRITE

    def test_a_parked_descriptor_is_known_and_silent_even_after_a_hang_up(self) -> None:
        """Interest 0 must not reach epoll: it would report the hang-up at once, and for ever."""
        self.poller.register(self.fd, READ)
        self.poller.modify(self.fd, 0)
        self.right.send(b"x")
        self.right.close()
        for _ in range(3):
            assert self.poller.poll(0) == []
        assert len(self.poller) == 1
        self.poller.modify(self.fd, READ)
        assert self.poller.poll(1.0) == [(self.fd, READ)]

    def test_a_descriptor_may_begin_parked(self) -> None:
        """Registered with 0, then woken."""
        self.poller.register(self.fd, 0)
        self.right.send(b"x")
        assert self.poller.poll(0) == []
        self.poller.modify(self.fd, READ)
        assert self.poller.poll(1.0) == [(self.fd, READ)]

    def test_a_hang_up_is_folded_into_the_interest(self) -> None:
        """Whoever only reads or only writes still meets the end."""
        other, peer = self.pair()
        self.poller.register(self.fd, READ)
        self.poller.register(other.fileno(), WRITE)
        self.right.close()
        peer.close()
        ready = dict(self.poller.poll(1.0))
        assert ready == {self.fd: READ, other.fileno(): WRITE}

    def test_a_forgotten_descriptor_is_not_reported(self) -> None:
        """Unregistered means silent, and no longer counted."""
        self.poller.register(self.fd, READ)
        self.right.send(b"x")
        self.poller.unregister(self.fd)
        assert self.poller.poll(0) == []
        assert len(self.poller) == 0

    def test_a_parked_descriptor_can_be_forgotten(self) -> None:
        """It is in no kernel set, so nothing is removed there."""
        self.poller.register(self.fd, 0)
        self.poller.unregister(self.fd)
        assert len(self.poller) == 0

    def test_a_number_may_be_used_again_after_close(self) -> None:
        """Closed and reopened under the same number, it is a new descriptor."""
        self.poller.register(self.fd, READ)
        self.poller.unregister(self.fd)
        self.left.close()
        again, peer = self.pair()
        for sock in (again, peer):
            self.poller.register(sock.fileno(), READ)
        peer.send(b"x")
        assert self.poller.poll(1.0) == [(again.fileno(), READ)]

    def test_the_batch_is_bounded_and_nobody_starves(self) -> None:
        """With room for two, five ready descriptors are all reported within a few batches."""
        self.poller.close()
        self.poller = self.make_poller(2)
        watched = set()
        for _ in range(5):
            left, right = self.pair()
            self.poller.register(left.fileno(), READ)
            right.send(b"x")
            watched.add(left.fileno())
        seen: set[int] = set()
        for _ in range(5):
            batch = self.poller.poll(1.0)
            assert 1 <= len(batch) <= 2
            seen.update(fd for fd, _ in batch)
        assert seen == watched

    def test_a_wait_of_any_length_is_possible(self) -> None:
        """Timers may be years away, or never; a time that has passed does not wait."""
        self.poller.register(self.fd, READ)
        assert self.poller.poll(-5.0) == []
        self.right.send(b"x")
        for timeout_s in (3e6, 1e12, float("inf"), None):
            assert self.poller.poll(timeout_s) == [(self.fd, READ)]

    def test_mistakes_are_key_errors(self) -> None:
        """Registering twice, or naming what is not known, changes nothing."""
        self.poller.register(self.fd, READ)
        unknown = self.right.fileno()
        mistakes: list[Callable[[], None]] = [
            lambda: self.poller.register(self.fd, READ),
            lambda: self.poller.modify(unknown, READ),
            lambda: self.poller.unregister(unknown),
        ]
        for mistake in mistakes:
            try:
                mistake()
            except KeyError:
                continue
            raise AssertionError("no KeyError")
        assert len(self.poller) == 1
