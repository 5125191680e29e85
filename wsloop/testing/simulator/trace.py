"""What happened, as a running hash, and as lines for people.

Everything that could differ between two runs of a seed is noted, with its time: turns with what was ready,
bytes on the wire, arrivals, acts, faults. Two runs with equal digests took the same way. Notes are tuples of
numbers, text and bytes; they are hashed in batches, in MessagePack, which is the same on every Python and for
every hash seed, and put into words (`words.py`) only when somebody reads them.
"""

from __future__ import annotations

import hashlib
from collections import deque
from typing import TYPE_CHECKING

import msgspec

from wsloop.testing.simulator.clock import WorldClock
from wsloop.testing.simulator.words import line

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.testing.simulator.words import Note

BATCH = 256
"""Notes hashed at a time: the cost of a call is shared, and little memory waits."""

KEPT = 200
"""Notes kept for the end of a report: some screens."""


class Trace:
    """The record of a run. `log`, if given, is called with each line as it is hashed.

    `note` takes the kind of what happened and values; the time is that of `clock`, a new one for each
    history, which is its world's. `digest` is the hash of all notes so far.
    """

    def __init__(self, log: Callable[[str], object] | None = None) -> None:
        self.clock = WorldClock()
        self._log = log
        self._hash = hashlib.blake2b(digest_size=16)
        self._encode = msgspec.msgpack.Encoder().encode
        self._fresh: list[Note] = []
        self._kept: deque[Note] = deque(maxlen=KEPT)
        self._taken_in = 0

    def note(self, *note: str | int | float | bytes | None) -> None:
        """Take note: a kind, such as "send", then its values."""
        if len(self._fresh) >= BATCH:
            self._take_in()
        self._fresh.append((self.clock.now_s, *note))

    def take_back(self) -> None:
        """Forget the last note: nothing has come of it. Nobody may have asked for the digest since."""
        self._fresh.pop()

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
