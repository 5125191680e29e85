"""How long to wait before the next attempt: exponential, with full jitter. Pure.

After a restart of the server all its clients come back: without jitter together, with little of it in
waves. Each wait is drawn evenly from the whole range (Marc Brooker, "Exponential Backoff And Jitter").
"""

from __future__ import annotations

from typing import NamedTuple

MAX_DOUBLINGS = 31
"""Beyond it the range has long reached its limit."""


class Backoff(NamedTuple):
    """Waits between `min_s` and `max_s`, in seconds; what centrifuge-js has by default."""

    min_s: float = 0.5
    max_s: float = 20.0

    def delay_s(self, failures: int, random_fraction: float) -> float:
        """Return the wait after so many `failures` in a row (from 0); `random_fraction` is in [0, 1)."""
        reach_s = min(self.max_s, self.min_s * 2.0 ** min(failures, MAX_DOUBLINGS))
        return min(self.max_s, self.min_s + random_fraction * reach_s)


def fraction(entropy: bytes) -> float:
    """Return bytes of entropy, 1 to 6 of them, as a number in [0, 1)."""
    return int.from_bytes(entropy, "big") / (1 << 8 * len(entropy))
