"""What a connection still has to send: a queue of byte pieces that are never copied.

The workload: nearly always empty, or one small frame that leaves in the same turn; sometimes
a handful of frames that one turn produced; rarely a long queue, because the peer reads slower
than its channels talk. And the same broadcast frame lies in thousands of outboxes at a time.

So the pieces are kept by reference and shared. The first piece has a slot of its own, and the
deque behind it exists only while there is a second one: an idle connection pays for no
container. The kernel may take any number of bytes, so the reader peeks, sends, and advances by
what was taken: nothing is popped that the kernel does not have, and what remains of a piece is
a memoryview of it.

Watermarks count bytes and have hysteresis, so that a queue that hovers about the mark does not
switch its connection between slow and well with each send.

Knows nothing of sockets. `transport/base.py::flush` empties it; read that next.
"""

from __future__ import annotations

from collections import deque
from itertools import islice

Piece = bytes | bytearray | memoryview
"""What may be queued: unchanged for as long as it lies here; a view is one-dimensional, of bytes."""


class Outbox:
    """A byte queue over shared pieces, with a high and a low watermark.

    Arguments, in bytes: the outbox `is_high` from the moment its size reaches `high_bytes`
    until it has drained to `low_bytes` or less. Raises ValueError unless
    0 <= low_bytes < high_bytes. Nothing is refused: the limit's consequence is the caller's.

    Attributes, for reading only: `size`, the bytes queued; `is_high`; the two marks.
    """

    __slots__ = ("_before", "_first", "_rest", "_whole", "high_bytes", "is_high", "low_bytes", "size")

    def __init__(self, high_bytes: int = 262_144, low_bytes: int = 65_536) -> None:
        if not 0 <= low_bytes < high_bytes:
            raise ValueError(f"watermarks {low_bytes} and {high_bytes} are not 0 <= low < high")
        self.high_bytes = high_bytes
        self.low_bytes = low_bytes
        self.size = 0
        self.is_high = False
        self._first: Piece | None = None
        self._rest: deque[Piece] | None = None
        # The piece that left before the first, and the first as it was when part of it has left.
        self._before: Piece | None = None
        self._whole: Piece | None = None

    def __bool__(self) -> bool:
        """Return whether anything is queued."""
        return self._first is not None

    @property
    def pieces(self) -> int:
        """Return how many pieces are queued."""
        if self._rest is not None:
            return 1 + len(self._rest)
        return 0 if self._first is None else 1

    def append(self, data: Piece) -> None:
        """Queue `data` by reference: it must not change until it has been sent or cleared.

        An empty piece is ignored.
        """
        length = len(data)
        if not length:
            return
        if self._first is None:
            self._first = data
        elif self._rest is None:
            self._rest = deque((data,))
        else:
            self._rest.append(data)
        self.size += length
        if self.size >= self.high_bytes:
            self.is_high = True

    def peek(self) -> Piece | None:
        """Return the oldest piece, or what is left of it, without removing it; None if empty."""
        return self._first

    def gather(self, max_views: int, max_bytes: int) -> list[Piece]:
        """Return the oldest pieces, at most `max_views` and exactly up to `max_bytes` in all.

        The last one is cut with a memoryview where the limit falls inside it. Nothing is
        removed and nothing is copied. Both limits are at least 1.
        """
        if self._first is None:
            return []
        views: list[Piece] = [self._first]
        if self._rest is not None:
            views.extend(islice(self._rest, max_views - 1))
        if self.size <= max_bytes:
            return views
        return _cut(views, max_bytes)

    def advance(self, count_bytes: int) -> None:
        """Remove the oldest `count_bytes` bytes: those the kernel has taken.

        Raises ValueError if that is negative or more than `size`.
        """
        if not 0 <= count_bytes <= self.size:
            raise ValueError(f"cannot advance by {count_bytes} bytes of {self.size}")
        if count_bytes == self.size:
            # `clear`, written out: every frame that leaves in one piece passes here.
            self.size = 0
            self._first = self._rest = self._before = self._whole = None
            self.is_high = False
            return
        self.size -= count_bytes
        if self.size <= self.low_bytes:
            self.is_high = False
        self._drop(count_bytes)

    def clear(self) -> int:
        """Forget everything queued and return how many bytes that was."""
        dropped_bytes, self.size = self.size, 0
        self._first = self._rest = self._before = self._whole = None
        self.is_high = False
        return dropped_bytes

    def begun(self) -> tuple[Piece | None, Piece | None, int]:
        """Return the piece that left last, the whole of the first, and how many bytes of that have left.

        To tell what must still follow for a peer to make sense of what it has: the first of these
        belongs with the second where the two were queued as one.
        """
        first = self._first
        if first is None or self._whole is None:
            return self._before, first, 0
        return self._before, self._whole, len(self._whole) - len(first)

    def keep(self, count_bytes: int) -> None:
        """Forget all but the oldest `count_bytes`, and with them what had `begun`."""
        kept = self.gather(self.pieces, count_bytes) if count_bytes else []
        self.clear()
        for piece in kept:
            self.append(piece)

    def _drop(self, count_bytes: int) -> None:
        """Remove `count_bytes` bytes, fewer than are queued, from the front of the pieces."""
        first = self._first
        while first is not None and count_bytes >= len(first):
            count_bytes -= len(first)
            self._before, self._whole = self._whole or first, None
            first = self._rest.popleft() if self._rest else None
        if first is not None and count_bytes:
            self._whole = self._whole or first
            first = memoryview(first)[count_bytes:]
        self._first = first
        # One empty deque is 760 bytes: a connection that is slow once does not keep it.
        if not self._rest:
            self._rest = None


def _cut(views: list[Piece], max_bytes: int) -> list[Piece]:
    """Return the beginning of `views` that holds at most `max_bytes`, the last one cut to fit."""
    room = max_bytes
    for index, view in enumerate(views):
        if len(view) >= room:
            views[index] = memoryview(view)[:room]
            return views[: index + 1]
        room -= len(view)
    return views
