"""A poller over the in-memory network that moves the clock instead of sleeping.

Satisfies `wsloop.loop.poller.Poller`, so the simulator runs the real reactor on it. Readiness
is level-triggered and computed from the sockets. When nothing is ready, time jumps to the next
thing that can happen: bytes that arrive, or the end of the timeout. When nothing ever can, a
real loop would sleep for ever; this one raises `DeadlockError` and says what it waited for.

It is stricter than a kernel in one point: a descriptor that was closed while registered is an
error here, since epoll forgets it silently and its number is soon another connection's.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from wsloop.loop.poller import READ, WRITE
from wsloop.testing.memory_socket import MemoryDescriptor, os_error

if TYPE_CHECKING:
    from wsloop.testing.clock import FakeClock
    from wsloop.testing.network import MemoryNetwork


class DeadlockError(RuntimeError):
    """Nothing is ready, nothing is under way, and no timeout was given: nothing will ever happen."""


class StaleDescriptorError(RuntimeError):
    """A socket was closed while its descriptor was still registered."""


@dataclass(slots=True)
class _Registration:
    sock: MemoryDescriptor
    interest: int


class FakePoller:
    """Watches sockets of `network`; satisfies `Poller`.

    `clock` is the network's. Descriptors are reported in the order of their registration, or,
    with a `shuffle_seed`, in an order drawn from it: a kernel promises none either.
    `max_events` bounds one poll, the rest comes first the next time, as with epoll.
    """

    def __init__(
        self,
        network: MemoryNetwork,
        clock: FakeClock,
        *,
        shuffle_seed: int | None = None,
        max_events: int = 512,
    ) -> None:
        self._network = network
        self._clock = clock
        self._random = None if shuffle_seed is None else Random(shuffle_seed)
        self._max_events = max_events
        self._registrations: dict[int, _Registration] = {}
        self.polls = 0

    def __len__(self) -> int:
        """Return how many descriptors are registered, parked ones included."""
        return len(self._registrations)

    def register(self, fd: int, interest: int) -> None:
        """Watch `fd`; raises KeyError if it is registered, OSError(EBADF) if it is not open."""
        if fd in self._registrations:
            raise KeyError(f"descriptor {fd} is already registered")
        sock = self._network.descriptors.owner(fd)
        if not isinstance(sock, MemoryDescriptor):
            raise os_error(errno.EBADF)
        self._registrations[fd] = _Registration(sock, interest)

    def modify(self, fd: int, interest: int) -> None:
        """Change what is waited for, 0 for nothing; raises KeyError if `fd` is not registered."""
        self._registrations[fd].interest = interest

    def unregister(self, fd: int) -> None:
        """Forget `fd`; raises KeyError if it is not registered."""
        del self._registrations[fd]

    def close(self) -> None:
        """Forget everything. Idempotent."""
        self._registrations.clear()

    def poll(self, timeout_s: float | None) -> list[tuple[int, int]]:
        """Return what is ready, each descriptor once, moving the clock until something is.

        `timeout_s` None waits as long as it takes; 0 or less does not wait. Raises
        DeadlockError and StaleDescriptorError.
        """
        self.polls += 1
        deadline_s = None if timeout_s is None else self._clock.now() + timeout_s
        while True:
            self._network.settle()
            ready = self._ready()
            now_s = self._clock.now()
            if ready or (deadline_s is not None and now_s >= deadline_s):
                return ready
            wake_times_s = [t for t in (self._network.next_event_s(), deadline_s) if t is not None]
            if not wake_times_s:
                raise DeadlockError(f"nothing can happen any more; waiting for {self._describe()}")
            self._clock.advance(min(wake_times_s) - now_s)

    def _ready(self) -> list[tuple[int, int]]:
        """Return (fd, events) of what is ready now, at most `max_events`."""
        ready = []
        for fd, registration in self._registrations.items():
            sock = registration.sock
            if sock.fileno() != fd:
                raise StaleDescriptorError(f"descriptor {fd} was closed while registered: {sock}")
            events = registration.interest & (READ * sock.readable() | WRITE * sock.writable())
            if events:
                ready.append((fd, events))
        if self._random is not None:
            self._random.shuffle(ready)
        for fd, _ in ready[: self._max_events] if len(ready) > self._max_events else ():
            # Whoever was served goes to the end of the line.
            self._registrations[fd] = self._registrations.pop(fd)
        return ready[: self._max_events]

    def _describe(self) -> str:
        """Return the registered sockets and what is waited for, for the error message."""
        words = ("nothing", "READ", "WRITE", "READ|WRITE")
        parts = [f"{r.sock} ({words[r.interest]})" for r in self._registrations.values()]
        return "; ".join(parts) or "no descriptor at all"
