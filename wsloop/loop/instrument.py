"""Hooks through which a recorder can watch the loop, free while there is none.

`Reactor.instrument` is None, or one `Instrument`. The turn looks once whether there is one;
only then does it call. What a hook raises is reported like any other callback's fault.
"""

from __future__ import annotations

import enum


class Phase(enum.IntEnum):
    """The eight phases of a turn, in their order (docs/internals/turn.md)."""

    FLUSH = 1
    TIMEOUT = 2
    POLL = 3
    CLOCK = 4
    DISPATCH = 5
    TIMERS = 6
    CALLBACKS = 7
    REAP = 8


class Instrument:
    """Does nothing; override what is wanted. Called on the loop's thread, so it must be quick."""

    def on_turn_start(self, turn: int) -> None:
        """Turn number `turn` begins (counted from 1)."""

    def on_phase(self, phase: Phase) -> None:
        """`phase` begins."""

    def on_poll(self, timeout_s: float | None, ready: int) -> None:
        """Take note that the poll, allowed `timeout_s`, returned `ready` descriptors."""

    def on_turn_end(self, turn: int) -> None:
        """All eight phases of `turn` are over."""
