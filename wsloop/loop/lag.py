"""How long turns last, from the wake-up to the next sleep: while one does, nobody else is served.

Costs a look at the clock before each sleep and two hooks, some 1 us a turn. Whoever wants to know of a
turn while it lasts, such as a watching thread, reads `began_s`, and leaves an `alarm` to be called when
the loop wakes next; so it can sleep as long as the loop does (docs/internals/watchdog.md).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wsloop.loop.histogram import Histogram

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.loop.clock import Clock
    from wsloop.loop.reactor import Reactor

log = logging.getLogger("wsloop.loop")


@dataclass(frozen=True, slots=True)
class LagStatistics:
    """A snapshot: turns that lasted too long, and the longest of all turns, in seconds."""

    slow_turns_total: int
    longest_s: float


class TurnWatch:
    """Measures the turns of `reactor` by `clock`; those over `limit_s` are counted and logged.

    `began_s` is when the present turn began, 0.0 while the loop sleeps. `alarm` is called once, on the
    loop's thread, at the next wake-up; `on_end` at the end of each turn's work, with the time. `durations`
    has all turns.
    """

    __slots__ = (
        "_clock", "_longest_s", "_reactor", "_slow_turns_total", "alarm", "began_s", "durations", "limit_s",
        "on_end",
    )  # fmt: skip

    def __init__(self, reactor: Reactor, clock: Clock, limit_s: float) -> None:
        self.limit_s = limit_s
        self.began_s = 0.0
        self.durations = Histogram()
        self.alarm: Callable[[], object] | None = None
        self.on_end: Callable[[float], object] | None = None
        self._reactor = reactor
        self._clock = clock
        self._slow_turns_total = 0
        self._longest_s = 0.0
        reactor.after_sleep.insert(0, self._on_wake)
        reactor.before_sleep.append(self._on_sleep)

    def statistics(self) -> LagStatistics:
        """Return a snapshot; costs nothing."""
        return LagStatistics(self._slow_turns_total, self._longest_s)

    def _on_wake(self) -> None:
        self.began_s = self._reactor.now
        if self.alarm is not None:
            alarm, self.alarm = self.alarm, None
            alarm()

    def _on_sleep(self) -> None:
        began_s, self.began_s = self.began_s, 0.0
        if not began_s:
            return  # the first turn had no sleep before it
        now_s = self._clock.now()
        lasted_s = now_s - began_s
        self.durations.observe(lasted_s)
        if self.on_end is not None:
            self.on_end(now_s)
        self._longest_s = max(self._longest_s, lasted_s)
        if lasted_s >= self.limit_s:
            self._slow_turns_total += 1
            log.warning("a turn of the loop lasted %d ms, and nobody was served meanwhile", 1000 * lasted_s)
