"""What one turn of the loop may do in all, however many peers ask for how much at once.

Each connection has a budget of its own per turn. That bounds what one peer can do, not what a
hundred can: their budgets add up. So the large reads of a turn draw on a common sum, and when
that is used up everybody still gets a little, and the rest in the turns that follow. Work
that is over a connection's budget waits in a queue, from which each turn takes a few.

A read of a message or two does not ask: it cannot hold much. Pure but for the two hooks into the
reactor.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from wsloop.protocol.session import BUDGET

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.loop.reactor import Reactor

UNITS_PER_TURN = 4096
"""Frames that the large reads of one turn may bring in all, in the units of `Session.receive`: some
5 ms, so that the loop looks at the clock and at the other sockets a hundred times a second."""

LEAST_UNITS = 16
"""What everybody gets even so."""

QUIET_BYTES = 1024
"""A read below this does not draw on the sum."""

BYTES_PER_UNIT = 64
"""What a large read draws, by its size: a full one of 64 KiB a quarter of the sum."""

CONTINUATIONS_PER_TURN = 64
"""Connections over their budget that go on in one turn."""


class Turn:
    """The sum and the queue of one server. `number` counts the turns; `units` may be drawn upon."""

    __slots__ = ("_continuations", "_is_due", "_reactor", "number", "units")

    def __init__(self, reactor: Reactor) -> None:
        self.number = 0
        self.units = UNITS_PER_TURN
        self._reactor = reactor
        self._continuations: deque[Callable[[], object]] = deque()
        self._is_due = False
        reactor.after_sleep.append(self._begin)

    def grant(self, size_bytes: int) -> int:
        """Return the budget for decoding `size_bytes` that were read, and draw on the sum."""
        left = self.units
        self.units = left - size_bytes // BYTES_PER_UNIT
        return min(max(left, LEAST_UNITS), BUDGET)

    def go_on_later(self, callback: Callable[[], object]) -> None:
        """Call `callback` in phase 7, as one of at most `CONTINUATIONS_PER_TURN`, in order."""
        self._continuations.append(callback)
        if not self._is_due:
            self._is_due = True
            self._reactor.call_soon(self._go_on)

    def _begin(self) -> None:
        self.number += 1
        self.units = UNITS_PER_TURN

    def _go_on(self) -> None:
        waiting = self._continuations
        for _ in range(min(len(waiting), CONTINUATIONS_PER_TURN)):
            waiting.popleft()()
        self._is_due = bool(waiting)
        if self._is_due:
            self._reactor.call_soon(self._go_on)
