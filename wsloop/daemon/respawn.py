"""When a process that died is started again, and when no more: pure, told the time.

A worker that dies by chance is back in a tenth of a second; one that dies whenever it starts is tried
less and less often, and when processes die all the time the daemon gives up, so that whoever started
it (systemd, Kubernetes) sees a failure instead of a service that is always just coming.
"""

from __future__ import annotations

from collections import deque
from math import exp2

FIRST_S = 0.1
LONGEST_S = 30.0
"""The pauses between a death and the next start: short enough for one accident, long enough that a
broken installation does not burn a core."""

FORGIVEN_S = 5.0
"""So much life makes up for one death: a worker that somebody kills every few seconds is back at once each
time, and one that dies of how it was started is not."""

MOST_FAILURES = 9.0
"""Beyond it the pause has long reached its limit; so a minute of life is enough to begin anew."""

MOST_DEATHS = 10
WITHIN_S = 60.0
"""So many deaths in so much time, over all processes, and the daemon gives up. What somebody else killed
(SIGKILL: an operator, or the kernel for want of memory) did not die of itself and is not counted: giving up
would take from all clients what one worker's clients have back in a tenth of a second."""


class Backoff:
    """The pauses of one slot: each up to twice the one before, from `FIRST_S` to `LONGEST_S`."""

    __slots__ = ("_failures",)

    def __init__(self) -> None:
        self._failures = 0.0

    def next_s(self, lived_s: float, fraction: float) -> float:
        """Return how long to wait after a process died that had lived `lived_s` seconds.

        `fraction` in [0, 1) is chance: it takes up to half away, so that many do not come back at once.
        """
        self._failures = max(0.0, min(self._failures, MOST_FAILURES) - lived_s / FORGIVEN_S)
        whole_s = min(LONGEST_S, FIRST_S * exp2(self._failures))
        self._failures += 1
        return max(FIRST_S, whole_s * (1.0 - fraction / 2))


REMEMBERED_S = 600.0
"""How long a reason is known without being heard again: ten tries with the longest pause, twice over."""


class Reasons:
    """Why processes have died, so that one who dies at each try says so once and is counted from then on."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, float]] = {}

    def add(self, reason: str, now_s: float) -> int:
        """Take note of a death for `reason` at `now_s`; return the how manieth it is."""
        self._known = {
            text: (times, heard_s)
            for text, (times, heard_s) in self._known.items()
            if now_s - heard_s < REMEMBERED_S
        }
        times, _ = self._known.get(reason, (0, now_s))
        self._known[reason] = times + 1, now_s
        return times + 1


class Deaths:
    """The deaths of the last `WITHIN_S` seconds that count."""

    __slots__ = ("_times",)

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=MOST_DEATHS)

    def add(self, now_s: float) -> bool:
        """Count one more at `now_s`; return whether they are too many."""
        self._times.append(now_s)
        return len(self._times) == MOST_DEATHS and now_s - self._times[0] < WITHIN_S
