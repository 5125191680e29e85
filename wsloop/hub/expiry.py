"""Deadlines of connections and subscriptions whose right to be here ends.

A heap, looked at once a second: these deadlines are minutes and hours away, counted in whole
seconds, and nobody is hurt by one second more. A lease that is prolonged is not moved in the
heap: when its old deadline comes it is queued again. One that is cancelled lets go of its
owner at once and leaves a hundred bytes in the heap, until its deadline or until most of the heap is
such: a right may end in a year, and a client subscribe a thousand times a second.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

SPARE_ENTRIES = 1000
"""Entries of no use that are not worth tidying up."""


class Lease:
    """The right to something until `deadline_s`, monotonic seconds. Made by `Expiries.lease`."""

    __slots__ = ("_expiries", "_on_end", "deadline_s")

    def __init__(self, expiries: Expiries, deadline_s: float, on_end: Callable[[], object]) -> None:
        self._expiries = expiries
        self._on_end: Callable[[], object] | None = on_end
        self.deadline_s = deadline_s

    def move(self, deadline_s: float) -> None:
        """Let it end at another time; no effect if it was cancelled or has ended."""
        if self._on_end is None:
            return
        is_earlier = deadline_s < self.deadline_s
        self.deadline_s = deadline_s
        if is_earlier:
            self._expiries.queue(self)

    def cancel(self) -> None:
        """Let it never end: its owner is gone. Idempotent."""
        if self._on_end is not None:
            self._on_end = None
            self._expiries.let_go()

    @property
    def is_running(self) -> bool:
        """Whether it is still to end: it was neither cancelled nor has it ended."""
        return self._on_end is not None

    def look(self, now_s: float) -> None:
        """End it if its time has come, else queue it again. For `Expiries` only."""
        if self._on_end is None:
            return
        if self.deadline_s > now_s:
            self._expiries.queue(self)
        else:
            on_end, self._on_end = self._on_end, None
            self._expiries.let_go()
            on_end()


class Expiries:
    """All leases of one hub; takes memory in proportion to those that run."""

    __slots__ = ("_heap", "_numbers", "_running")

    def __init__(self) -> None:
        self._running = 0
        self._heap: list[tuple[float, int, Lease]] = []
        self._numbers = count()

    def __len__(self) -> int:
        return len(self._heap)

    def lease(self, deadline_s: float, on_end: Callable[[], object]) -> Lease:
        """Return a lease; `on_end` is called once when it ends, some time after `deadline_s`."""
        lease = Lease(self, deadline_s, on_end)
        self._running += 1
        self.queue(lease)
        return lease

    def queue(self, lease: Lease) -> None:
        """Have the lease looked at when its deadline comes. For `Lease` only."""
        heappush(self._heap, (lease.deadline_s, next(self._numbers), lease))
        self._tidy()

    def let_go(self) -> None:
        """Count a lease out that was cancelled or has ended. For `Lease` only."""
        self._running -= 1
        self._tidy()

    def _tidy(self) -> None:
        """Make the heap anew if most of it is of no use: cancelled, or queued for an earlier time as well."""
        heap = self._heap
        if len(heap) > 2 * self._running + SPARE_ENTRIES:
            running = dict.fromkeys(lease for _, _, lease in heap if lease.is_running)
            # In place: `run` may be at work on it.
            heap[:] = [(lease.deadline_s, next(self._numbers), lease) for lease in running]
            heapify(heap)

    def run(self, now_s: float, limit: int) -> int:
        """End what is due, looking at `limit` leases at most; return how many were looked at."""
        looked_at = 0
        heap = self._heap
        while heap and heap[0][0] <= now_s and looked_at < limit:
            heappop(heap)[2].look(now_s)
            looked_at += 1
        return looked_at
