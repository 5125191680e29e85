"""A fixed ring of bytes between `recv_into` and the parser.

The workload: one connection in a hundred holds an unfinished frame when its turn ends; that
tail must wait for the rest, the rest must land behind it without a copy, and a parser must
see what has arrived as plain memory. So: a bytearray that is never resized (a view handed out
stays valid memory for ever), two positions, and views instead of copies.

    writable() -> the socket fills it -> commit(n) -> readable() -> parse -> consume(n)

When the content wraps around the end of the storage, `readable()` shows only its first part.
A parser that needs a whole frame calls `straighten()`, the one place in this room that moves
bytes. Since an empty ring starts again at position 0, the wrap is rare.

Knows nothing of sockets or frames. `pool.py` lends rings; read that next.
"""

from __future__ import annotations


class Ring:
    """A byte queue of fixed capacity that lends memoryviews of its own storage.

    Argument: `capacity_bytes`, at least 1; raises ValueError otherwise. Not thread-safe.

    The ring owns all memory. A view from `writable` or `readable` is valid to use until the
    next `commit`, `consume`, `straighten` or `clear`; afterwards it is still safe memory, but
    its bytes may be anything. Who wants to keep bytes copies them with `bytes(view)`.
    """

    __slots__ = ("_head", "_size", "_storage_ro", "_storage_rw", "capacity")

    def __init__(self, capacity_bytes: int) -> None:
        if capacity_bytes < 1:
            raise ValueError(f"a ring of {capacity_bytes} bytes holds nothing")
        self.capacity = capacity_bytes
        # Two master views made once: a slice of one costs a single small object, and a slice
        # of the read-only one keeps a parser from scribbling over bytes that were received.
        self._storage_rw = memoryview(bytearray(capacity_bytes))
        self._storage_ro = self._storage_rw.toreadonly()
        self._head = 0
        self._size = 0

    def __len__(self) -> int:
        """Return how many committed bytes are not yet consumed."""
        return self._size

    @property
    def free(self) -> int:
        """Return how many bytes can still be written, over both parts of the free space."""
        return self.capacity - self._size

    def writable(self) -> memoryview:
        """Return the contiguous free part that follows the content; empty when the ring is full.

        Not always all of `free`: when the free space wraps, the rest is shown after `commit`.
        """
        tail = self._head + self._size
        if tail < self.capacity:
            return self._storage_rw[tail:]
        return self._storage_rw[tail - self.capacity : self._head]

    def commit(self, count_bytes: int) -> None:
        """Add the first `count_bytes` of `writable()`, just filled by the caller, to the content.

        Raises ValueError if that is negative or more than `writable()` offered.
        """
        tail = self._head + self._size
        room = self.capacity - tail if tail < self.capacity else self.capacity - self._size
        if not 0 <= count_bytes <= room:
            raise ValueError(f"cannot commit {count_bytes} bytes, {room} were offered")
        self._size += count_bytes

    def readable(self) -> memoryview:
        """Return the content as a read-only view, up to where the storage ends.

        All of it unless the content wraps: then `len(readable()) < len(ring)`, and the rest is
        shown after `consume`, or at once after `straighten`.
        """
        return self._storage_ro[self._head : min(self._head + self._size, self.capacity)]

    def consume(self, count_bytes: int) -> None:
        """Drop the oldest `count_bytes` bytes; a ring that becomes empty starts again at 0.

        May be more than `readable()` showed. Raises ValueError if negative or more than held.
        """
        if not 0 <= count_bytes <= self._size:
            raise ValueError(f"cannot consume {count_bytes} bytes of {self._size}")
        self._size -= count_bytes
        # Restarting at 0 makes the next read's room the whole storage and a later wrap unlikely.
        self._head = (self._head + count_bytes) % self.capacity if self._size else 0

    def straighten(self) -> int:
        """Make all content contiguous, and return how many bytes had to be moved.

        Returns 0, and touches nothing, when the content does not wrap. Otherwise everything
        moves to the front: one copy of the content, and the smaller of its two parts twice.
        """
        wrapped = self._head + self._size - self.capacity
        if wrapped <= 0:
            return 0
        storage, size, first = self._storage_rw, self._size, self._size - wrapped
        # memoryview assignment between overlapping slices behaves like memmove(3).
        if first <= wrapped:
            kept = bytes(storage[self._head :])
            storage[first:size] = storage[:wrapped]
            storage[:first] = kept
        else:
            kept = bytes(storage[:wrapped])
            storage[:first] = storage[self._head :]
            storage[first:size] = kept
        self._head = 0
        return size

    def clear(self) -> None:
        """Forget all content. The bytes are not zeroed: only committed ones are ever shown."""
        self._head = 0
        self._size = 0
