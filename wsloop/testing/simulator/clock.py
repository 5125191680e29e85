"""The machine's clocks: a monotonic one, and the one on the wall, which somebody sets."""

from __future__ import annotations

from wsloop.testing.clock import FakeClock


class WorldClock(FakeClock):
    """Virtual time for all processes of a world; `offset_s` is how wrong the wall clock is set."""

    __slots__ = ("offset_s",)

    def __init__(self) -> None:
        super().__init__()
        self.offset_s = 0.0

    def unix_s(self) -> float:
        """Return Unix seconds as the wall clock shows them: it jumps when it is set."""
        return super().unix_s() + self.offset_s

    def move_to(self, time_s: float) -> None:
        """Let it be `time_s`, unless that is past."""
        self._now_s = max(self._now_s, time_s)
