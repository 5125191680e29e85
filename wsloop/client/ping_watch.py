"""The server's pings, which tell that a connection lives: what is done when they stay away."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.loop.reactor import Reactor
    from wsloop.loop.wheel import Timer

MAX_PING_DELAY_S = 10.0
"""How late the server's ping may be before the connection counts as dead; the SDKs have the same."""


class PingWatch:
    """One timer for many pings. `on_silence` is called once if they stay away; then it is armed no more."""

    __slots__ = ("_every_s", "_heard_s", "_on_silence", "_reactor", "_timer")

    def __init__(self, reactor: Reactor, on_silence: Callable[[], object]) -> None:
        self._reactor = reactor
        self._on_silence = on_silence
        self._every_s = self._heard_s = 0.0
        self._timer: Timer | None = None

    def arm(self, every_s: float) -> None:
        """Expect a ping every `every_s` seconds from now on; 0: the server sends none."""
        self._every_s = every_s
        self.note()
        if every_s:
            self._wait()

    def note(self) -> None:
        """Take note of a ping."""
        self._heard_s = self._reactor.now

    def stop(self) -> None:
        """Expect nothing any more."""
        if self._timer is not None:
            self._reactor.cancel(self._timer)
            self._timer = None

    def _wait(self) -> None:
        self._timer = self._reactor.call_at(self._heard_s + self._every_s + MAX_PING_DELAY_S, self._check)

    def _check(self) -> None:
        """Look whether a ping came since the timer was armed."""
        self._timer = None
        if self._reactor.now - self._heard_s >= self._every_s + MAX_PING_DELAY_S:
            self._on_silence()
        else:
            self._wait()
