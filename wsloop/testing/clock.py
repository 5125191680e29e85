"""A clock that stands still until a test moves it."""

from __future__ import annotations

UNIX_START_S = 1_767_225_600.0 - 1000.0
"""Makes the default start, 1000 s, the first of January 2026 in UTC."""


class FakeClock:
    """Virtual time in seconds; satisfies `wsloop.loop.clock.Clock`.

    Time moves only by `advance` and never backwards. `FakePoller` advances the clock it is
    given instead of sleeping, so a test that "waits" ten minutes takes no time.
    """

    __slots__ = ("_now_s", "_wall_s")

    def __init__(self, start_s: float = 1000.0) -> None:
        self._now_s = start_s
        self._wall_s = UNIX_START_S

    def now(self) -> float:
        """Return the virtual time in seconds."""
        return self._now_s

    def unix_s(self) -> float:
        """Return the virtual time as Unix seconds: 2026 has begun when the clock is made."""
        return self._wall_s + self._now_s

    def set_wall_clock(self, by_s: float) -> None:
        """Move what `unix_s` shows, forwards or back, as somebody does who sets the machine's clock."""
        self._wall_s += by_s

    def advance(self, delta_s: float) -> None:
        """Move time forward by `delta_s` seconds; raises ValueError if it is negative."""
        if delta_s < 0:
            raise ValueError(f"time cannot go back by {-delta_s} s")
        self._now_s += delta_s
