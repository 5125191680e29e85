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

    from wsloop.testing.simulator.faults import Storm
    from wsloop.testing.simulator.network import Descriptors

MAX_EVENTS = 512
"""Reported by one poll at most, as by the real ones."""

Ready = list[tuple[int, int]]


class SimulatedPoller:
    """Satisfies `wsloop.loop.poller.Poller`.

    `sleep(timeout_s)` is called when nothing is ready; it returns when something may be, or when the
    process has slept enough. `reported`: descriptors in the last poll's list.
    """

    def __init__(
        self, descriptors: Descriptors, storm: Storm, sleep: Callable[[float | None], object]
    ) -> None:
        self.reported = 0
        self._descriptors = descriptors
        self._sleep = sleep
        self._interests: dict[int, int] = {}
        self._sockets: dict[int, SimulatedSocket | SimulatedListener] = {}
        self._maybe: dict[int, None] = {}
        self._spurious, self._shuffle = storm["spurious"], storm["shuffle"]
        self._cut, self._hang_up = storm["cut-list"], storm["hang-up"]

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
        self._maybe[fd] = None

    def modify(self, fd: int, interest: int) -> None:
        """See `Poller.modify`."""
        if self._interests[fd] != interest:
            self._interests[fd] = interest
            self._maybe[fd] = None

    def unregister(self, fd: int) -> None:
        """See `Poller.unregister`."""
        del self._interests[fd]
        self._maybe.pop(fd, None)
        self._sockets.pop(fd).poller = None

    def touch(self, fd: int) -> None:
        """Look at this descriptor in the next poll."""
        self._maybe[fd] = None

    def close(self) -> None:
        """See `Poller.close`."""
        for sock in self._sockets.values():
            sock.poller = None
        self._interests.clear()
        self._sockets.clear()
        self._maybe.clear()

    def is_ready(self) -> bool:
        """Tell whether a poll would find something now."""
        return bool(self._maybe) and bool(self._collect())

    def poll(self, timeout_s: float | None) -> Ready:
        """See `Poller.poll`."""
        ready = self._collect() if self._maybe else []
        if not ready and (timeout_s is None or timeout_s > 0):
            self._sleep(timeout_s)
            ready = self._collect() if self._maybe else []
        ready = self._distort(ready)
        self.reported = len(ready)
        return ready

    def _collect(self) -> Ready:
        ready, idle = [], []
        interests, sockets = self._interests, self._sockets
        for fd in self._maybe:
            sock = sockets[fd]
            if sock.fileno() != fd:
                raise StaleDescriptorError(f"descriptor {fd} was closed while registered: {sock}")
            events = sock.events(interests[fd])
            if events:
                ready.append((fd, events))
            else:
                idle.append(fd)
        for fd in idle:
            del self._maybe[fd]
        return ready

    def _distort(self, ready: Ready) -> Ready:
        """Return the list as a kernel may report it as well."""
        for place, (fd, events) in enumerate(ready):
            interest = self._interests[fd]
            if events != interest and self._sockets[fd].is_hung_up() and self._hang_up.strikes():
                ready[place] = (fd, interest)
        if len(self._interests) > len(ready) and self._spurious.strikes():
            self._add_spurious(ready)
        if len(ready) > 1:
            if self._shuffle.strikes():
                self._shuffle.random.shuffle(ready)
            if self._cut.strikes():
                self._shorten(ready, self._cut.random.randrange(1, len(ready)))
            elif len(ready) > MAX_EVENTS:
                self._shorten(ready, MAX_EVENTS)
        return ready

    def _shorten(self, ready: Ready, count: int) -> None:
        """Report the first `count` only; whoever is served goes to the end of the line."""
        del ready[count:]
        for fd, _ in ready:
            if self._maybe.pop(fd, self) is None:
                self._maybe[fd] = None

    def _add_spurious(self, ready: Ready) -> None:
        reported = {fd for fd, _ in ready}
        others = [each for each in self._interests.items() if each[1] and each[0] not in reported]
        if others:
            ready.append(self._spurious.random.choice(others))
