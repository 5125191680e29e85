"""How long the loop's turns take, and how late it is: the one look at the clock that the loop does not make.

A turn begins when the clock is read behind the poll (phase 4), and its work ends before the next sleep. So
one look at the clock, in the hook before the sleep, measures the turn; and it is the moment at which what
the fan-out has sent in phase 1 is out. A turn costs some 0.3 us more for it.

Lag is what a client feels: how late a timer is that is due twice a second. Must not know what the turns
are for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsloop.loop.histogram import Histogram

if TYPE_CHECKING:
    from wsloop.loop.clock import Clock
    from wsloop.loop.reactor import Reactor
    from wsloop.server.fan_out import PacedFanOut

LAG_EVERY_S = 0.5
"""Twice a second: a stall that a client feels is seen, and an idle process takes 0.01 % of a core."""


class LoopWatch:
    """Watches `reactor`, whose clock is `clock`, and `fan_out`, from the reactor's next turn on.

    `turn`, `lag` and `fan_out` are the histograms; `lag_s` is the last lag.
    """

    __slots__ = ("_clock", "_due_s", "_ended", "_reactor", "fan_out", "lag", "lag_s", "turn")

    def __init__(self, reactor: Reactor, clock: Clock, fan_out: PacedFanOut) -> None:
        self.turn = Histogram()
        self.lag = Histogram()
        self.fan_out = Histogram()
        self.lag_s = 0.0
        self._reactor = reactor
        self._clock = clock
        self._ended: list[float] = []
        self._due_s = 0.0
        fan_out.ended = self._ended
        # Not at once: what came before the first turn is not its work.
        reactor.call_soon(self._begin)

    def _begin(self) -> None:
        self._reactor.before_sleep.append(self._on_turn_end)
        self._wait()

    def _on_turn_end(self) -> None:
        """Note how long the turn has worked, and the publications that have reached everybody in it."""
        now_s = self._clock.now()
        self.turn.observe(now_s - self._reactor.now)
        ended = self._ended
        if ended:
            for began_s in ended:
                self.fan_out.observe(now_s - began_s)
            ended.clear()

    def _wait(self) -> None:
        self._due_s = self._reactor.now + LAG_EVERY_S
        self._reactor.call_at(self._due_s, self._on_due)

    def _on_due(self) -> None:
        self.lag_s = max(0.0, self._reactor.now - self._due_s)
        self.lag.observe(self.lag_s)
        self._wait()
