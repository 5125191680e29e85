"""Where time comes in.

The only module below `daemon/` that imports `time`. Everything else is handed a `Clock`,
or the `now` that the reactor read once in phase 4 of its turn; so a test, or the
simulator, decides what time it is.
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """A source of monotonic time."""

    def now(self) -> float:
        """Return seconds since an arbitrary point; never goes back."""
        ...


class WallClock(Protocol):
    """What a calendar shows; only for what others wrote down, such as the end of a token's life."""

    def __call__(self) -> float:
        """Return Unix seconds; may jump when the machine's clock is set."""
        ...


def unix_time() -> float:
    """Return the machine's `time.time()`; satisfies `WallClock`."""
    return time.time()


class MonotonicClock:
    """The machine's monotonic clock (CLOCK_MONOTONIC): unmoved by NTP steps or date(1)."""

    __slots__ = ()

    def now(self) -> float:
        """Return `time.monotonic()`, in seconds."""
        return time.monotonic()
