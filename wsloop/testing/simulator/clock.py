"""The machine's clocks: a monotonic one, and the one on the wall, which somebody sets."""

from __future__ import annotations

from wsloop.testing.clock import FakeClock


class WorldClock(FakeClock):
    """Virtual time for all processes of a world.

    `now_s` is what `now` returns, to be read only. `offset_s` is how wrong the wall clock is set.
    """

    __slots__ = ("now_s", "offset_s")

    def __init__(self) -> None:
        super().__init__()
        self.now_s = self._now_s
        self.offset_s = 0.0

    def now(self) -> float:
        """Return the virtual time in seconds."""
        return self.now_s

    def unix_s(self) -> float:
        """Return Unix seconds as the wall clock shows them: it jumps when it is set."""
        return super().unix_s() + self.offset_s

    def advance(self, delta_s: float) -> None:
        """See `FakeClock.advance`."""
        super().advance(delta_s)
        self.now_s = self._now_s

    def move_to(self, time_s: float) -> None:
        """Let it be `time_s`, unless that is past."""
        if time_s > self.now_s:
            self.now_s = self._now_s = time_s
