"""What has happened and was not delivered yet: a bounded queue that survives the process.

The file is only ever appended to. It begins with a magic word and the spool's id; then come records,
each with its length, a CRC-32 and its number:

    EVENT      number n, the payload
    DELIVERED  everything up to number n has been taken by the receiver

Reading it back, the first record that is cut off or does not match its checksum ends it: that is the
write that a crash interrupted, and what was written after nothing. When the file is twice as long as
what may wait, or nothing waits any more, it is replaced by one that holds only what is left.

Numbers count up by one over the spool's whole life, and an event keeps its own: with the spool's id
it tells the receiver what it has seen, and a gap, what was lost. What waits is in memory as well, so
the file is read at start only. Pure but for the store, which is a port; the file is `spool_file.py`.
"""

from __future__ import annotations

import enum
import logging
import struct
import zlib
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger("wsloop.client")

MAGIC = b"wsloop1\n"
HEADER_BYTES = len(MAGIC) + 8

RECORD = struct.Struct("<IIQB")
"""Length of the payload, CRC-32 of all that follows it, number, kind."""
_CHECKED = struct.Struct("<QB")

MAX_PAYLOAD_BYTES = 1024 * 1024
"""No event is longer; a longer one in the file is not one."""

COMPACT_BYTES = 65_536
"""A file in which nothing waits is replaced from this size on, and not for every event."""


class Overflow(enum.Enum):
    """Which event is lost when there is no room."""

    NEWEST = "newest"
    OLDEST = "oldest"


class SpoolStore(Protocol):
    """Where a spool's bytes are kept. Every method but `sync` may raise OSError."""

    def load(self) -> bytes:
        """Return all that is there, b"" if nothing is."""
        ...

    def append(self, data: bytes) -> None:
        """Add `data`; short and buffered by the system, so it is quick."""
        ...

    def replace(self, data: bytes) -> None:
        """Keep `data` instead of all that was there; a crash leaves the one or the other."""
        ...

    def sync(self) -> None:
        """Begin to make safe against a loss of power what was appended; does not wait, never raises."""
        ...

    def close(self) -> None:
        """Release it, all made safe. Idempotent."""
        ...


class Event(NamedTuple):
    """What waits to be delivered, kept as it is written: a file of 4 MiB is put together in 1 ms."""

    number: int
    record: bytes

    @property
    def payload(self) -> bytes:
        """What was appended."""
        return self.record[RECORD.size :]


class SpoolError(Exception):
    """What is stored is not a spool; it is left alone."""


class Spool:
    """A queue of payloads. `append`, `batch` and `delivered` are quick; `flush` writes.

    Arguments: `store`; `max_bytes` that may wait, payloads and records' heads; `overflow`, what to
    drop beyond it; `entropy` for the id of a new spool. Raises SpoolError and OSError.

    `dropped` counts what was lost for want of room.
    """

    def __init__(
        self, store: SpoolStore, max_bytes: int, overflow: Overflow, entropy: Callable[[int], bytes]
    ) -> None:
        self._store = store
        self._max_bytes = max_bytes
        self._overflow = overflow
        self._events: deque[Event] = deque()
        self._unwritten = bytearray()
        self._needs_replace = False
        self._has_failed = False
        self.waiting_bytes = 0
        self.dropped = 0
        self.id = b""
        self._last_number = 0
        self._stored_bytes = self._load(store.load())
        if not self.id:
            self.id = entropy(8)
            self._needs_replace = True

    def __len__(self) -> int:
        return len(self._events)

    @property
    def next_number(self) -> int:
        """The number that the next event gets."""
        return self._last_number + 1

    def has_room(self, size_bytes: int) -> bool:
        """Return whether so many bytes more would be kept, safely, and nothing be lost for them."""
        return not self._has_failed and self.waiting_bytes + size_bytes <= self._max_bytes

    def append(self, payload: bytes, keep: int = 0) -> bool:
        """Queue an event; return whether nothing was lost for it.

        The oldest `keep` events are not dropped: they are being delivered. A payload longer than
        MAX_PAYLOAD_BYTES or than the whole spool has no room at all, and displaces nothing. A lost
        event takes its number with it.
        """
        size_bytes = RECORD.size + len(payload)
        is_whole = True
        self._last_number += 1
        if len(payload) > MAX_PAYLOAD_BYTES or size_bytes > self._max_bytes:
            self.dropped += 1
            return False
        while self.waiting_bytes + size_bytes > self._max_bytes:
            is_whole = False
            self.dropped += 1
            if self._overflow is Overflow.NEWEST or len(self._events) <= keep:
                return False
            self.waiting_bytes -= len(self._events[keep].record)
            del self._events[keep]
        record = _record(_EVENT, self._last_number, payload)
        self._events.append(Event(self._last_number, record))
        self.waiting_bytes += size_bytes
        self._unwritten += record
        return is_whole

    def batch(self, max_events: int, max_bytes: int) -> list[Event]:
        """Return the oldest events, at least one if there is any, and within both limits."""
        chosen: list[Event] = []
        size_bytes = 0
        for event in islice(self._events, max_events):
            size_bytes += len(event.record) - RECORD.size
            if chosen and size_bytes > max_bytes:
                break
            chosen.append(event)
        return chosen

    def delivered(self, count: int) -> None:
        """Forget the oldest `count` events, of which there are as many: the receiver has them."""
        for _ in range(count):
            number, record = self._events.popleft()
            self.waiting_bytes -= len(record)
        if count:
            self._unwritten += _record(_DELIVERED, number, b"")

    def flush(self) -> None:
        """Write what is new; a store that cannot take it is told once, and tried again each time."""
        stored_bytes = self._stored_bytes + len(self._unwritten)
        is_long = stored_bytes > 2 * self._max_bytes + HEADER_BYTES
        if is_long or (not self._events and stored_bytes > COMPACT_BYTES):
            self._needs_replace = True
        if not self._needs_replace and not self._unwritten:
            return
        try:
            if self._needs_replace:
                image = self._image()
                self._store.replace(image)
                self._stored_bytes = len(image)
            else:
                self._store.append(bytes(self._unwritten))
                self._stored_bytes += len(self._unwritten)
        except OSError as error:
            # Part of a record may be there: the next write replaces everything.
            self._needs_replace = True
            self._unwritten.clear()
            if not self._has_failed:
                self._has_failed = True
                log.error("events are kept in memory only: %s", error.strerror)
            return
        if self._has_failed:
            self._has_failed = False
            log.warning("events are kept on disk again")
        self._needs_replace = False
        self._unwritten.clear()
        self._store.sync()

    def close(self) -> None:
        """Write what is new and release the store."""
        self.flush()
        self._store.close()

    def _image(self) -> bytes:
        """Return the file that holds what waits, and the last number."""
        pieces = [MAGIC, self.id]
        # With a gap in the numbers, everything before the first is delivered; without events, all.
        before = self._events[0].number - 1 if self._events else self._last_number
        pieces.append(_record(_DELIVERED, before, b""))
        pieces += [event.record for event in self._events]
        return b"".join(pieces)

    def _load(self, data: bytes) -> int:
        """Take over what was stored; return how many bytes of it count. Raises SpoolError."""
        if len(data) < HEADER_BYTES:
            if not MAGIC.startswith(data[: len(MAGIC)]):
                raise SpoolError("it is not a spool of events")
            return 0
        if not data.startswith(MAGIC):
            raise SpoolError("it is not a spool of events")
        self.id = data[len(MAGIC) : HEADER_BYTES]
        at = HEADER_BYTES
        while (found := _read(data, at)) is not None:
            kind, event, at = found
            if kind == _EVENT:
                self._events.append(event)
            else:
                while self._events and self._events[0].number <= event.number:
                    self._events.popleft()
            self._last_number = max(self._last_number, event.number)
        self.waiting_bytes = sum(len(event.record) for event in self._events)
        if at < len(data):
            self._needs_replace = True
            log.warning("the last %d bytes of the spool of events are damaged, and dropped", len(data) - at)
        return at


_EVENT, _DELIVERED = 1, 2


def _record(kind: int, number: int, payload: bytes) -> bytes:
    checksum = zlib.crc32(payload, zlib.crc32(_CHECKED.pack(number, kind)))
    return RECORD.pack(len(payload), checksum, number, kind) + payload


def _read(data: bytes, at: int) -> tuple[int, Event, int] | None:
    """Return the record at `at` as (kind, event, where the next one begins); None if none is whole there."""
    if len(data) - at < RECORD.size:
        return None
    length, checksum, number, kind = RECORD.unpack_from(data, at)
    start = at + RECORD.size
    if length > MAX_PAYLOAD_BYTES or len(data) - start < length or kind not in (_EVENT, _DELIVERED):
        return None
    end = start + length
    if zlib.crc32(data[start:end], zlib.crc32(_CHECKED.pack(number, kind))) != checksum:
        return None
    return kind, Event(number, data[at:end]), end


class NoStore:
    """A `SpoolStore` that keeps nothing: what waits is lost with the process."""

    def load(self) -> bytes:
        """See `SpoolStore.load`."""
        return b""

    def append(self, data: bytes) -> None:
        """See `SpoolStore.append`."""

    def replace(self, data: bytes) -> None:
        """See `SpoolStore.replace`."""

    def sync(self) -> None:
        """See `SpoolStore.sync`."""

    def close(self) -> None:
        """See `SpoolStore.close`."""
