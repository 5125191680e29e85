"""Lends rings to the connections that hold an unfinished frame, and bounds their total.

The workload: 100,000 connections, of which a few hundred are in the middle of a frame at any
moment. A 64 KiB ring each would be 6.4 GB; a ring only while it holds bytes is some 20 MB. So
a ring is borrowed when a tail must be kept and given back as soon as it is drained, and an
idle connection owns no buffer. The bound turns many slow senders into a refusal that the
caller sees, instead of memory without end.

Returned rings are reused last in, first out, since the last one is still warm in the cache.
Only a few are kept for reuse: memory that one burst needed goes back to the allocator.

Knows nothing of connections; see `docs/internals/buffers.md` for the whole story.
"""

from __future__ import annotations

from dataclasses import dataclass

from wsloop.buffers.ring import Ring
from wsloop.errors import PoolExhaustedError, StateError

RING_BYTES = 65_536
"""Capacity of one ring: what Linux hands out in one loopback read, and more than any frame that
must lie whole before it is parsed (`protocol.limits`)."""

LIMIT_BYTES = 64 * 1024 * 1024
"""All lent rings together: 1,024 connections in the middle of a frame at once. nginx bounds its
request buffers per connection only; here the sum is what an operator has to provide."""

KEEP_IDLE = 64
"""Rings kept for reuse after a burst (4 MiB at the default size)."""


@dataclass(frozen=True, slots=True)
class RingPoolStatistics:
    """A snapshot of a pool. Counts are rings, except where the name says bytes."""

    ring_bytes: int
    limit_bytes: int
    lent: int
    idle: int
    peak_lent: int
    borrowed_total: int
    exhausted_total: int


class RingPool:
    """Lends `Ring`s of `ring_bytes` each, at most `limit_bytes` of them at a time.

    `keep_idle` is how many returned rings are kept for reuse. Raises ValueError when the limit
    is smaller than one ring. Not thread-safe: one pool per loop.
    """

    __slots__ = (
        "_borrowed_total", "_exhausted_total", "_idle", "_keep_idle", "_lent",
        "_max_lent", "_peak_lent", "limit_bytes", "ring_bytes",
    )  # fmt: skip

    def __init__(
        self, ring_bytes: int = RING_BYTES, limit_bytes: int = LIMIT_BYTES, *, keep_idle: int = KEEP_IDLE
    ) -> None:
        if limit_bytes < ring_bytes:
            raise ValueError(f"a limit of {limit_bytes} bytes allows no ring of {ring_bytes}")
        self.ring_bytes = ring_bytes
        self.limit_bytes = limit_bytes
        self._max_lent = limit_bytes // ring_bytes
        self._keep_idle = keep_idle
        self._idle: list[Ring] = []
        # The set is the proof that a ring comes back once, and to the pool it came from: a
        # double return would give one ring to two connections, and each the other's bytes.
        self._lent: set[Ring] = set()
        self._peak_lent = 0
        self._borrowed_total = 0
        self._exhausted_total = 0

    @property
    def lent(self) -> int:
        """Return how many rings are out."""
        return len(self._lent)

    def borrow(self) -> Ring:
        """Return an empty ring; the caller owns it until `give_back`.

        Raises PoolExhaustedError when `limit_bytes` are lent already.
        """
        lent = self._lent
        if len(lent) >= self._max_lent:
            self._exhausted_total += 1
            raise PoolExhaustedError(f"all {self._max_lent} rings of {self.ring_bytes} bytes are lent")
        ring = self._idle.pop() if self._idle else Ring(self.ring_bytes)
        lent.add(ring)
        self._borrowed_total += 1
        self._peak_lent = max(self._peak_lent, len(lent))
        return ring

    def give_back(self, ring: Ring) -> None:
        """Take `ring` back, whatever it still holds; the caller drops every view of it.

        Raises StateError if this pool did not lend it, or has it back already.
        """
        if ring not in self._lent:
            raise StateError("this ring is not lent by this pool")
        self._lent.remove(ring)
        if len(self._idle) < self._keep_idle:
            ring.clear()
            self._idle.append(ring)

    def statistics(self) -> RingPoolStatistics:
        """Return a frozen snapshot."""
        return RingPoolStatistics(
            ring_bytes=self.ring_bytes,
            limit_bytes=self.limit_bytes,
            lent=len(self._lent),
            idle=len(self._idle),
            peak_lent=self._peak_lent,
            borrowed_total=self._borrowed_total,
            exhausted_total=self._exhausted_total,
        )
