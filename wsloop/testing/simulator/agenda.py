"""What is to happen, and when: bytes that arrive, people who act. A heap, first come first served."""

from __future__ import annotations

import heapq
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Agenda:
    """Calls in the order of their times, those of one time in the order in which they were entered.

    `entries` is the heap, to be looked at only: its first item's first is when something is due next.
    `called` counts what was due so far.
    """

    __slots__ = ("_sequence", "called", "entries")

    def __init__(self) -> None:
        self.entries: list[tuple[float, int, Callable[..., object], tuple[object, ...]]] = []
        self._sequence = self.called = 0

    def __len__(self) -> int:
        return len(self.entries)

    def at(self, due_s: float, action: Callable[..., object], arguments: tuple[object, ...] = ()) -> None:
        """Call `action(*arguments)` once it is `due_s`."""
        self._sequence += 1
        heapq.heappush(self.entries, (due_s, self._sequence, action, arguments))

    def next_s(self) -> float:
        """Return when the first entry is due, infinity if there is none."""
        return self.entries[0][0] if self.entries else math.inf

    def run(self, now_s: float) -> None:
        """Call everything that is due, also what is entered for now meanwhile."""
        entries = self.entries
        while entries and entries[0][0] <= now_s:
            _, _, action, arguments = heapq.heappop(entries)
            self.called += 1
            action(*arguments)
