"""Back-pressure: what is known of a peer whose outbox is over its mark.

While it is, the peer is not read (it may not ask for more than it takes), and it must take at
least a mark's worth in every window, else it counts as stalled. Made when the mark is passed,
dropped when the outbox has drained: a peer that keeps up costs nothing.
"""

from __future__ import annotations


class Pressure:
    """One peer's window of observation. Pure: the caller passes the time, in seconds."""

    __slots__ = ("_taken_bytes", "_window_began_s")

    def __init__(self, now_s: float) -> None:
        self._window_began_s = now_s
        self._taken_bytes = 0

    def note_taken(self, count_bytes: int) -> None:
        """Count bytes that the kernel has taken for the peer."""
        self._taken_bytes += count_bytes

    def is_stalled(self, now_s: float, window_s: float, mark_bytes: int) -> bool:
        """Tell whether a whole window passed in which less than `mark_bytes` were taken.

        A window that passed with enough taken is followed by the next.
        """
        if now_s < self._window_began_s + window_s:
            return False
        stalled = self._taken_bytes < mark_bytes
        self._window_began_s = now_s
        self._taken_bytes = 0
        return stalled

    def window_ends_s(self, window_s: float) -> float:
        """Return when to ask again."""
        return self._window_began_s + window_s
