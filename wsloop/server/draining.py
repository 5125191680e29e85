"""Ending all connections, a few at a time: the clients of a server that stops come back elsewhere.

If all were closed at one moment, all would connect to the next server at one moment, and it would
refuse most of them or be late for those it has. So they are closed at an even pace, in random order:
neighbours in the order of arrival are often one proxy's, or one page's.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.loop.reactor import Reactor
    from wsloop.server.connection import Connection

STEP_S = 0.05
"""Between two steps: many enough that the pace is even, few enough that they cost nothing."""

LEAST_PER_S = 200.0
"""Closed at least, by all processes together: who has a few clients need not wait for the end of a window.
The next server takes as many a second, unless its operator says otherwise (`server.limit_accept_rate`)."""


class Drain:
    """Closes `connections` within `spread_s` seconds, 0: at once; begins with `begin`.

    `draw` returns a random fraction; `processes` drain at the same time. Those that are gone by themselves
    are passed over.
    """

    def __init__(
        self,
        reactor: Reactor,
        connections: list[Connection],
        spread_s: float,
        draw: Callable[[], float],
        processes: int = 1,
    ) -> None:
        self.total = len(connections)
        self._reactor = reactor
        self._waiting = sorted(connections, key=lambda _: draw()) if spread_s else connections[::-1]
        self._began_s = reactor.now
        self._per_s = max(self.total / spread_s, LEAST_PER_S / processes) if spread_s else 0.0

    @property
    def left(self) -> int:
        """How many have not been asked to go yet."""
        return len(self._waiting)

    def begin(self) -> None:
        """Close the first, and go on by timer until all are asked to go."""
        elapsed_s = self._reactor.now - self._began_s
        due = ceil((elapsed_s + STEP_S) * self._per_s) if self._per_s else self.total
        while self._waiting and self.total - len(self._waiting) < due:
            self._waiting.pop().shut_down()
        if self._waiting:
            self._reactor.call_later(STEP_S, self.begin)

    def forget(self) -> None:
        """Ask nobody any more: those who are left are dropped."""
        self._waiting.clear()
