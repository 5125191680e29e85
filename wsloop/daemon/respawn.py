"""When a process that died is started again, and when no more: pure, told the time.

A worker that dies by chance is back in a tenth of a second; one that dies whenever it starts is tried
less and less often, and when processes die all the time the daemon gives up, so that whoever started
it (systemd, Kubernetes) sees a failure instead of a service that is always just coming.
"""

from __future__ import annotations

from collections import deque

FIRST_S = 0.1
LONGEST_S = 30.0
"""The pauses between a death and the next start: short enough for one accident, long enough that a
broken installation does not burn a core."""

HEALTHY_S = 60.0
"""Who has lived so long did not die of how it was started: the next pause is the first one again."""

MOST_DEATHS = 10
WITHIN_S = 60.0
"""So many deaths in so much time, over all processes, and the daemon gives up."""


class Backoff:
    """The pauses of one slot: each up to twice the one before, from `FIRST_S` to `LONGEST_S`."""

    __slots__ = ("_failures",)

    def __init__(self) -> None:
        self._failures = 0

    def next_s(self, lived_s: float, fraction: float) -> float:
        """Return how long to wait after a process died that had lived `lived_s` seconds.

        `fraction` in [0, 1) is chance: it takes up to half away, so that many do not come back at once.
        """
        if lived_s >= HEALTHY_S:
            self._failures = 0
        whole_s = min(LONGEST_S, FIRST_S * 2.0 ** min(self._failures, 16))
        self._failures += 1
        return max(FIRST_S, whole_s * (1.0 - fraction / 2))


class Deaths:
    """The deaths of the last `WITHIN_S` seconds."""

    __slots__ = ("_times",)

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=MOST_DEATHS)

    def add(self, now_s: float) -> bool:
        """Count one more at `now_s`; return whether they are too many."""
        self._times.append(now_s)
        return len(self._times) == MOST_DEATHS and now_s - self._times[0] < WITHIN_S
