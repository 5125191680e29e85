"""Which descriptors are ready: the port, and its implementations on epoll and the stdlib's selectors.

The kernel's interfaces differ in traps, not in purpose. What every back end here promises, and
what the contract suite (`wsloop/testing/contracts/poller.py`) checks:

- A descriptor comes at most once in a batch. kqueue reports its reading and its writing side
  as two events.
- Events are a non-empty part of the interest. A hang-up or an error is no event of its own: it
  is folded into the interest, so that the next read or write meets it and learns its errno.
- Interest 0 parks a descriptor: it is known, but not in the kernel's set. epoll would accept
  an empty set and then report every hang-up at once and for ever (143,000 times in 0.2 s).
- A batch is bounded. `EpollSelector` asks for as many events as there are descriptors; 100,000
  ready ones at once would hold up timers and callbacks for a second.

kqueue, poll and select are served through the stdlib's selectors. epoll is used directly: a
`SelectorKey` made for each registration and looked up for each event would be a second book
beside the one that is kept here anyway. Next: `reactor.py`.
"""

from __future__ import annotations

import errno
import math
import select
import selectors
from typing import Protocol

from wsloop.errors import StartupError

READ = selectors.EVENT_READ
WRITE = selectors.EVENT_WRITE

MAX_EVENTS = 512
"""Most descriptors in one batch: a few milliseconds of work; the kernel hands the rest out next,
and takes turns (epoll's ready list is a queue), so nobody starves."""


MAX_WAIT_S = 3600.0
"""Longest wait in one call. The kernel counts milliseconds in 31 bits, 24 days, and Python refuses
more; a timer may be years away. One early return an hour is no cost."""


class Poller(Protocol):
    """The port through which a loop learns what is ready. Level-triggered."""

    def register(self, fd: int, interest: int) -> None:
        """Watch `fd` for `interest` (READ | WRITE, or 0: parked). Raises KeyError if it is known."""
        ...

    def modify(self, fd: int, interest: int) -> None:
        """Change the interest of `fd`. Raises KeyError if it is not known."""
        ...

    def unregister(self, fd: int) -> None:
        """Forget `fd`, before it is closed. Raises KeyError if it is not known."""
        ...

    def poll(self, timeout_s: float | None) -> list[tuple[int, int]]:
        """Return (fd, events) of what is ready; wait up to `timeout_s` (None: for ever, 0: not at all).

        May return early with nothing, and does so after an hour. The list is the caller's.
        """
        ...

    def close(self) -> None:
        """Release the kernel's object; the descriptors watched stay open. Idempotent."""
        ...

    def __len__(self) -> int:
        """Return how many descriptors are known, parked ones included."""
        ...


class SelectorPoller:
    """A `Poller` on any selector of the stdlib."""

    __slots__ = ("_interests", "_overflow", "_selector", "max_events")

    def __init__(self, selector: selectors.BaseSelector, max_events: int = MAX_EVENTS) -> None:
        self._selector = selector
        self._interests: dict[int, int] = {}
        # What was ready beyond max_events comes first next time: select and poll report in the
        # order of the descriptors, so whoever has a low number would always win.
        self._overflow: list[int] = []
        self.max_events = max_events

    def __len__(self) -> int:
        return len(self._interests)

    def register(self, fd: int, interest: int) -> None:
        """See `Poller.register`."""
        if fd in self._interests:
            raise KeyError(f"descriptor {fd} is registered already")
        if interest:
            self._selector.register(fd, interest)
        self._interests[fd] = interest

    def modify(self, fd: int, interest: int) -> None:
        """See `Poller.modify`; parks with unregister, never with an empty interest."""
        before = self._interests[fd]
        if before == interest:
            return
        if not before:
            self._selector.register(fd, interest)
        elif interest:
            self._selector.modify(fd, interest)
        else:
            self._selector.unregister(fd)
        self._interests[fd] = interest

    def unregister(self, fd: int) -> None:
        """See `Poller.unregister`."""
        if self._interests.pop(fd):
            self._selector.unregister(fd)

    def poll(self, timeout_s: float | None) -> list[tuple[int, int]]:
        """See `Poller.poll`; one entry per descriptor, whatever the kernel makes of it."""
        if timeout_s is not None:
            timeout_s = min(timeout_s, MAX_WAIT_S)
        merged: dict[int, int] = {}
        for key, events in self._selector.select(timeout_s):
            merged[key.fd] = merged.get(key.fd, 0) | events
        if len(merged) <= self.max_events:
            self._overflow.clear()
            return list(merged.items())
        waited = {fd: None for fd in self._overflow if fd in merged}
        order = [*waited, *(fd for fd in merged if fd not in waited)]
        self._overflow = order[self.max_events :]
        return [(fd, merged[fd]) for fd in order[: self.max_events]]

    def close(self) -> None:
        """See `Poller.close`."""
        self._selector.close()
        self._interests.clear()


_EPOLL_MASKS = (0, 1, 4, 5)
"""For each interest: EPOLLIN is 1 and READ, too; EPOLLOUT is 4, WRITE is 2."""


class EpollPoller:
    """epoll(7): O(ready) per poll, however many descriptors are watched. Linux only."""

    __slots__ = ("_epoll", "_interests", "max_events")

    def __init__(self, max_events: int = MAX_EVENTS) -> None:
        self._epoll = select.epoll()
        self._interests: dict[int, int] = {}
        self.max_events = max_events

    def __len__(self) -> int:
        return len(self._interests)

    def register(self, fd: int, interest: int) -> None:
        """See `Poller.register`."""
        if fd in self._interests:
            raise KeyError(f"descriptor {fd} is registered already")
        if interest:
            self._epoll.register(fd, _EPOLL_MASKS[interest])
        self._interests[fd] = interest

    def modify(self, fd: int, interest: int) -> None:
        """See `Poller.modify`; parks with unregister, never with an empty interest."""
        before = self._interests[fd]
        if before == interest:
            return
        if not before:
            self._epoll.register(fd, _EPOLL_MASKS[interest])
        elif interest:
            self._epoll.modify(fd, _EPOLL_MASKS[interest])
        else:
            self._epoll.unregister(fd)
        self._interests[fd] = interest

    def unregister(self, fd: int) -> None:
        """See `Poller.unregister`."""
        if self._interests.pop(fd):
            try:
                self._epoll.unregister(fd)
            except OSError as error:
                # Closed too early, and by now perhaps another's number: the kernel has forgotten it.
                if error.errno not in (errno.EBADF, errno.ENOENT, errno.EPERM):
                    raise

    def poll(self, timeout_s: float | None) -> list[tuple[int, int]]:
        """See `Poller.poll`; EPOLLHUP and EPOLLERR, which are always reported, become the interest."""
        if timeout_s is None:
            timeout_s = -1.0
        elif timeout_s > 0:
            # epoll_wait counts milliseconds: rounded down, the last one would be spent spinning.
            timeout_s = math.ceil(min(timeout_s, MAX_WAIT_S) * 1e3) * 1e-3
        else:
            timeout_s = 0.0  # below 0 would be for ever
        batch = self._epoll.poll(timeout_s, self.max_events)
        interests = self._interests
        for fd, mask in batch:
            if mask != READ or fd not in interests:
                return self._normalised(batch)
        # EPOLLIN is 1, as READ is: nearly every batch is what the kernel made it.
        return batch

    def _normalised(self, batch: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """Return the batch in READ and WRITE."""
        ready = []
        for fd, mask in batch:
            interest = self._interests.get(fd)
            # None: closed before it was unregistered, while a forked process still holds it open.
            # The kernel goes on reporting it then, under a number that means nothing here.
            if interest:
                ready.append((fd, (mask & 1 | mask >> 1 & 2) & interest or interest))
        return ready

    def close(self) -> None:
        """See `Poller.close`."""
        self._epoll.close()
        self._interests.clear()


class SelectPoller(SelectorPoller):
    """select(2): everywhere, for descriptors below FD_SETSIZE only, 1,024 on Linux."""

    __slots__ = ()

    def __init__(self, max_events: int = MAX_EVENTS) -> None:
        super().__init__(selectors.SelectSelector(), max_events)

    def register(self, fd: int, interest: int) -> None:
        """See `Poller.register`; raises ValueError for a descriptor that select(2) cannot watch."""
        # Asked now, for this one: once it is in the set, every poll would raise, for all.
        select.select([fd], [], [], 0)
        super().register(fd, interest)


_SELECTORS = {
    "epoll": "EpollSelector",
    "kqueue": "KqueueSelector",
    "poll": "PollSelector",
    "select": "SelectSelector",
}
"""Back ends, the best first, and the stdlib's class for each. kqueue(2) is for macOS and the BSDs,
poll(2) costs O(watched) per call, select(2) is everywhere, for descriptors below 1,024."""

BACKENDS = ("auto", *_SELECTORS)


def make_poller(backend: str = "auto", max_events: int = MAX_EVENTS) -> Poller:
    """Return a poller by name: "epoll", "kqueue", "poll", "select", or "auto" for the best there is.

    Raises StartupError if this machine does not have it, ValueError for another name.
    """
    if backend not in BACKENDS:
        raise ValueError(f"{backend!r} is none of {', '.join(BACKENDS)}")
    if backend == "auto":
        backend = next(name for name in _SELECTORS if hasattr(select, name))
    if not hasattr(select, backend):
        raise StartupError(f"this machine has no {backend}", "leave --poller away")
    if backend == "epoll":
        return EpollPoller(max_events)
    if backend == "select":
        return SelectPoller(max_events)
    return SelectorPoller(getattr(selectors, _SELECTORS[backend])(), max_events)
