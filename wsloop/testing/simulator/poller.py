"""The poller of a simulated process: it looks at those descriptors only that may be ready.

Whoever becomes ready says so (`touch`). A descriptor that was reported is looked at again by the next
poll, as level-triggered readiness demands, and left away once it is not ready. So a poll costs what is
ready, not what is watched. While nothing is, the process sleeps: the world decides for how long.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from wsloop.testing.memory_socket import os_error
from wsloop.testing.poller import StaleDescriptorError
from wsloop.testing.simulator.sockets import SimulatedListener, SimulatedSocket

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.testing.simulator.faults import Chance, Storm
    from wsloop.testing.simulator.network import Descriptors

MAX_EVENTS = (1, 2, 4, 512)
"""Reported by one poll at most, drawn for each process's life: the fewer, the more ways there are to
interleave what they do. The last is that of the real ones."""

Ready = list[tuple[int, int]]


class SimulatedPoller:
    """Satisfies `wsloop.loop.poller.Poller`.

    `sleep(timeout_s)` is called when nothing is ready; it returns what is by then, nothing when the process
    has slept enough. `reported`: descriptors in the last poll's list; `maybe`: those that may be ready.
    """

    def __init__(
        self,
        descriptors: Descriptors,
        storm: Storm,
        sleep: Callable[[float | None], Ready],
        max_events: int = MAX_EVENTS[-1],
    ) -> None:
        self.reported = 0
        self._max_events = max_events
        self._descriptors = descriptors
        self._sleep = sleep
        self._interests: dict[int, int] = {}
        self._sockets: dict[int, SimulatedSocket | SimulatedListener] = {}
        self.maybe: dict[int, None] = {}
        self._spurious, self._shuffle = storm.by_call("spurious"), storm.by_call("shuffle")
        self._cut, self._early = storm.by_call("cut-list"), storm.by_call("early")

    def __len__(self) -> int:
        return len(self._interests)

    def register(self, fd: int, interest: int) -> None:
        """See `Poller.register`."""
        if fd in self._interests:
            raise KeyError(f"descriptor {fd} is already registered")
        sock = self._descriptors.owner(fd)
        if not isinstance(sock, SimulatedSocket | SimulatedListener):
            raise os_error(errno.EBADF)
        sock.poller = self
        self._sockets[fd] = sock
        self._interests[fd] = interest
        self.maybe[fd] = None

    def modify(self, fd: int, interest: int) -> None:
        """See `Poller.modify`."""
        if self._interests[fd] != interest:
            self._interests[fd] = interest
            self.maybe[fd] = None

    def unregister(self, fd: int) -> None:
        """See `Poller.unregister`."""
        del self._interests[fd]
        self.maybe.pop(fd, None)
        self._sockets.pop(fd).poller = None

    def touch(self, fd: int) -> None:
        """Look at this descriptor in the next poll."""
        self.maybe[fd] = None

    def close(self) -> None:
        """See `Poller.close`."""
        for sock in self._sockets.values():
            sock.poller = None
        self._interests.clear()
        self._sockets.clear()
        self.maybe.clear()

    def poll(self, timeout_s: float | None) -> Ready:
        """See `Poller.poll`."""
        ready = self.collect()
        if not ready and timeout_s != 0.0 and (self._early is None or not self._early.strikes()):
            ready = self._sleep(timeout_s)
        if len(ready) > 1:
            self._disturb(ready)
        if self._spurious is not None and self._spurious.strikes():
            self._add_spurious(self._spurious, ready)
        self.reported = len(ready)
        return ready

    def collect(self) -> Ready:
        """Return what is ready now, before a fault has touched it."""
        ready: Ready = []
        maybe = self.maybe
        if not maybe:
            return ready
        idle = []
        interests, sockets = self._interests, self._sockets
        for fd in maybe:
            sock = sockets[fd]
            if sock._fd != fd:
                raise StaleDescriptorError(f"descriptor {fd} was closed while registered: {sock}")
            events = sock.events(interests[fd])
            if not events:
                idle.append(fd)
            else:
                ready.append((fd, events))
        for fd in idle:
            del maybe[fd]
        return ready

    def _disturb(self, ready: Ready) -> None:
        """Report the descriptors in any order, and not all of them."""
        if self._shuffle is not None and self._shuffle.strikes():
            self._shuffle.random.shuffle(ready)
        if self._cut is not None and self._cut.strikes():
            self._shorten(ready, self._cut.random.randrange(1, len(ready)))
        elif len(ready) > self._max_events:
            self._shorten(ready, self._max_events)

    def _shorten(self, ready: Ready, count: int) -> None:
        """Report the first `count` only; whoever is served goes to the end of the line."""
        del ready[count:]
        for fd, _ in ready:
            if self.maybe.pop(fd, self) is None:
                self.maybe[fd] = None

    def _add_spurious(self, spurious: Chance, ready: Ready) -> None:
        """Report one more, whoever it is."""
        reported = {fd for fd, _ in ready}
        others = [each for each in self._interests.items() if each[1] and each[0] not in reported]
        if others:
            ready.append(spurious.random.choice(others))
        else:
            spurious.miss()
