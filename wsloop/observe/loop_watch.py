"""How late the loop is, and how long a fan-out takes.

Lag is what a client feels: how late a timer is that is due twice a second. The end of a turn's work, before
the sleep, is the moment at which what the fan-out has sent in phase 1 is out; `TurnWatch`, which looks at
the clock then, tells it. Must not know what the turns are for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsloop.loop.histogram import Histogram

if TYPE_CHECKING:
    from wsloop.loop.lag import TurnWatch
    from wsloop.loop.reactor import Reactor
    from wsloop.server.fan_out import PacedFanOut

LAG_EVERY_S = 0.5
"""Twice a second: a stall that a client feels is seen, and an idle process takes 0.01 % of a core."""


class LoopWatch:
    """Watches `reactor`, with `turns`, and `fan_out`.

    `lag` and `fan_out` are the histograms; `lag_s` is the last lag.
    """

    __slots__ = ("_due_s", "_ended", "_reactor", "fan_out", "lag", "lag_s", "turns")

    def __init__(self, reactor: Reactor, turns: TurnWatch, fan_out: PacedFanOut) -> None:
        self.turns = turns
        self.lag = Histogram()
        self.fan_out = Histogram()
        self.lag_s = 0.0
        self._reactor = reactor
        self._due_s = 0.0
        self._ended: list[float] = []
        fan_out.ended = self._ended
        turns.on_end = self._on_turn_end
        # Not at once: what comes before the first turn is no lag.
        reactor.call_soon(self._wait)

    def _on_turn_end(self, now_s: float) -> None:
        """Note the publications that have reached everybody in this turn."""
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
