"""Deadlines of connections and subscriptions whose right to be here ends.

A heap, looked at once a second: these deadlines are minutes and hours away, counted in whole
seconds, and nobody is hurt by one second more. A lease that is prolonged is not moved in the
heap: when its old deadline comes it is queued again. One that is cancelled lets go of its
owner at once and leaves a hundred bytes in the heap until then.
"""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


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
        self._on_end = None

    def look(self, now_s: float) -> None:
        """End it if its time has come, else queue it again. For `Expiries` only."""
        if self._on_end is None:
            return
        if self.deadline_s > now_s:
            self._expiries.queue(self)
        else:
            on_end, self._on_end = self._on_end, None
            on_end()


class Expiries:
    """All leases of one hub."""

    __slots__ = ("_heap", "_numbers")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Lease]] = []
        self._numbers = count()

    def __len__(self) -> int:
        return len(self._heap)

    def lease(self, deadline_s: float, on_end: Callable[[], object]) -> Lease:
        """Return a lease; `on_end` is called once when it ends, some time after `deadline_s`."""
        lease = Lease(self, deadline_s, on_end)
        self.queue(lease)
        return lease

    def queue(self, lease: Lease) -> None:
        """Have the lease looked at when its deadline comes. For `Lease` only."""
        heappush(self._heap, (lease.deadline_s, next(self._numbers), lease))

    def run(self, now_s: float, limit: int) -> int:
        """End what is due, looking at `limit` leases at most; return how many were looked at."""
        looked_at = 0
        heap = self._heap
        while heap and heap[0][0] <= now_s and looked_at < limit:
            heappop(heap)[2].look(now_s)
            looked_at += 1
        return looked_at
