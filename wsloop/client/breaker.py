"""A circuit breaker: whether an endpoint that keeps failing is worth another call. Pure.

    CLOSED --TRIPPED--> OPEN --PROBE--> HALF_OPEN --SUCCEEDED--> CLOSED
                                        HALF_OPEN --TRIPPED----> OPEN

CLOSED lets everything through and counts failures in a row. OPEN lets nothing through for a time that
doubles with every failed probe, with jitter, so that many servers do not come back to a sick backend
in step. HALF_OPEN has one call under way and waits for what becomes of it.

Each call is let through with a ticket. A ticket of an earlier state says nothing about the present
one: what was asked before the breaker opened may fail long after it has closed again.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from wsloop.errors import StateError


class BreakerState(enum.Enum):
    """Whether calls are let through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class BreakerStep(enum.Enum):
    """What moves it on."""

    TRIPPED = "tripped"
    PROBE = "probe"
    PROBE_DROPPED = "probe dropped"
    SUCCEEDED = "succeeded"


BREAKER_TRANSITIONS: dict[BreakerState, dict[BreakerStep, BreakerState]] = {
    BreakerState.CLOSED: {BreakerStep.TRIPPED: BreakerState.OPEN},
    BreakerState.OPEN: {BreakerStep.PROBE: BreakerState.HALF_OPEN},
    BreakerState.HALF_OPEN: {
        BreakerStep.SUCCEEDED: BreakerState.CLOSED,
        BreakerStep.TRIPPED: BreakerState.OPEN,
        BreakerStep.PROBE_DROPPED: BreakerState.OPEN,
    },
}
"""PROBE_DROPPED: it was never asked, so the next call is the probe."""


@dataclass(frozen=True, slots=True)
class BreakerRules:
    """When it opens, and for how long.

    `max_failures` in a row, at least 1, open it: five are no accident, and few enough to lose. It
    stays open `open_s` seconds, doubled with each failed probe up to `max_open_s`, each time
    between half of that and one and a half.
    """

    max_failures: int = 5
    open_s: float = 1.0
    max_open_s: float = 30.0


def backoff_s(first_s: float, most_s: float, failures: int, chance: float) -> float:
    """Return how long to leave a peer alone that has failed `failures` times since the first, from 0.

    Doubles from `first_s` to `most_s`; then, by `chance` in [0, 1), half of that to one and a half.
    """
    # 2 ** 30 times any time is beyond any bound; without a limit the power would overflow.
    return min(most_s, first_s * 2.0 ** min(failures, 30)) * (0.5 + chance)


class Breaker:
    """The breaker of one endpoint."""

    __slots__ = ("_failures", "_probe_at_s", "_rules", "_ticket", "_trips", "state")

    def __init__(self, rules: BreakerRules) -> None:
        self.state = BreakerState.CLOSED
        self._rules = rules
        self._failures = 0  # in a row
        self._trips = 0  # in a row, without a success between
        self._probe_at_s = 0.0
        self._ticket = 0  # counts the steps

    def admit(self, now_s: float) -> int | None:
        """Return a ticket if a call may be made at `now_s`, else None. A ticket must be reported once."""
        if self.state is BreakerState.OPEN and now_s >= self._probe_at_s:
            self._step(BreakerStep.PROBE)
            return self._ticket
        return self._ticket if self.state is BreakerState.CLOSED else None

    def report(self, ticket: int, is_ok: bool, now_s: float, chance: float) -> bool:
        """Tell what became of the call with `ticket`; `chance` is drawn from [0, 1).

        Returns whether the breaker opened or closed by it. A ticket of an earlier state is ignored.
        """
        if ticket != self._ticket:
            return False
        if is_ok:
            self._failures = 0
            if self.state is BreakerState.HALF_OPEN:
                self._trips = 0
                self._step(BreakerStep.SUCCEEDED)
                return True
            return False
        self._failures += 1
        if self.state is BreakerState.CLOSED and self._failures < self._rules.max_failures:
            return False
        rules = self._rules
        self._probe_at_s = now_s + backoff_s(rules.open_s, rules.max_open_s, self._trips, chance)
        self._trips += 1
        self._failures = 0
        self._step(BreakerStep.TRIPPED)
        return True

    def give_back(self, ticket: int) -> None:
        """Tell, instead of `report`, that the call with `ticket` was never made."""
        if ticket == self._ticket and self.state is BreakerState.HALF_OPEN:
            self._step(BreakerStep.PROBE_DROPPED)

    def _step(self, taken: BreakerStep) -> None:
        try:
            self.state = BREAKER_TRANSITIONS[self.state][taken]
        except KeyError:
            raise StateError(f"{taken.value} is illegal while {self.state.value}") from None
        self._ticket += 1
