"""What happened, as a running hash, and as lines for people.

Everything that could differ between two runs of a seed is noted: turns with what was ready, bytes on the
wire, faults, the clock. Two runs with equal digests took the same way. Notes are tuples of numbers, text
and bytes; they are hashed in batches, in MessagePack, which is the same on every Python and for every hash
seed, and put into words only when somebody reads them.
"""

from __future__ import annotations

import hashlib
from collections import deque
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

BATCH = 256
"""Notes hashed at a time: the cost of a call is shared, and little memory waits."""

KEPT = 200
"""Notes kept for the end of a report: some screens."""

SHOWN_BYTES = 160
"""Of a value in a line."""

Note = tuple[str | int | float | bytes | None, ...]


class Trace:
    """The record of a run. `log`, if given, is called with each line as it is hashed.

    `note` takes the kind of what happened and values. `digest` is the hash of all notes so far.
    """

    def __init__(self, log: Callable[[str], object] | None = None) -> None:
        self._log = log
        self._hash = hashlib.blake2b(digest_size=16)
        self._encode = msgspec.msgpack.Encoder().encode
        self._fresh: list[Note] = []
        self._kept: deque[Note] = deque(maxlen=KEPT)
        self._taken_in = 0

    def note(self, *note: str | int | float | bytes | None) -> None:
        """Take note: a kind, such as "send", then its values."""
        fresh = self._fresh
        fresh.append(note)
        if len(fresh) >= BATCH:
            self._take_in()

    @property
    def noted(self) -> int:
        """How many notes were taken so far."""
        return self._taken_in + len(self._fresh)

    @property
    def digest(self) -> str:
        """The hash of everything noted, in hexadecimal."""
        self._take_in()
        return self._hash.hexdigest()

    def last_lines(self) -> list[str]:
        """Return the last `KEPT` notes, as lines."""
        self._take_in()
        return [line(note) for note in self._kept]

    def _take_in(self) -> None:
        fresh, self._fresh = self._fresh, []
        # Without the array's header, so that it does not matter when somebody asked for the digest.
        header_bytes = 1 if len(fresh) < 16 else 3
        self._hash.update(memoryview(self._encode(fresh))[header_bytes:])
        self._kept.extend(fresh)
        self._taken_in += len(fresh)
        if self._log is not None:
            for note in fresh:
                self._log(line(note))


def line(note: Note) -> str:
    """Return a note in words."""
    words = [_word(value) for value in note]
    return f"{words[0]:<9} {'  '.join(words[1:])}".rstrip()


def _word(value: str | int | float | bytes | None) -> str:
    if isinstance(value, float):
        return f"{value:.6f}"
    if isinstance(value, bytes):
        more = f"... {len(value)} bytes" if len(value) > SHOWN_BYTES else ""
        return repr(value[:SHOWN_BYTES]) + more
    return str(value)
