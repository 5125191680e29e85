"""Signals become callbacks of the loop.

A Python-level handler runs between two bytecodes of whatever the loop is doing; all it does
here is to queue a callback. The C-level part writes a byte into the wakeup socket
(`signal.set_wakeup_fd`), so that a blocked poll returns at once.
"""

from __future__ import annotations

import functools
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FrameType

    from wsloop.loop.clock import Clock
    from wsloop.loop.reactor import Reactor

SAME_WITHIN_S = 1.0
"""Within it, another TERM or INT is the first one once more: systemd tells the whole control group, a
terminal its process group, and a wrapper in there (a script with a trap, a container's init) passes it on,
within milliseconds. A person who has seen the drain begin and wants it to end takes longer."""


class SignalHandling:
    """Routes TERM and INT to `on_drain`, and QUIT to `on_stop`.

    TERM or INT once more stops now as well, but not within `SAME_WITHIN_S` of the first, by `clock`.

    HUP goes to `on_reload`; without one it is left alone, and ends the process. `others` are called when
    their signals come. Must be made on the main thread; `restore` puts back what was there before.

    In a process that `is_child` each TERM means what the first one does, as it may come from the supervisor
    and from whoever tells all processes at once (systemd, timeout); QUIT alone stops it. INT is left alone.
    """

    def __init__(
        self,
        reactor: Reactor,
        clock: Clock,
        wakeup_fd: int,
        on_drain: Callable[[], object],
        on_stop: Callable[[], object],
        on_reload: Callable[[], object] | None = None,
        others: Mapping[signal.Signals, Callable[[], object]] | None = None,
        *,
        is_child: bool = False,
    ) -> None:
        self._reactor = reactor
        self._on_drain = on_drain
        self._on_stop = on_stop
        self._on_reload = on_reload
        self._is_child = is_child
        self._clock = clock
        self._asked_s: float | None = None
        handlers: dict[signal.Signals, Callable[[int, FrameType | None], None]] = {
            signal.SIGTERM: self._end_gently,
            signal.SIGQUIT: self._end_now,
        }
        if not is_child:
            handlers[signal.SIGINT] = self._end_gently
        if on_reload is not None:
            handlers[signal.SIGHUP] = self._reload
        for number, callback in (others or {}).items():
            handlers[number] = functools.partial(self._on_other, callback)
        self._before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        self._wakeup_before = signal.set_wakeup_fd(wakeup_fd, warn_on_full_buffer=False)

    def _end_gently(self, number: int, frame: FrameType | None) -> None:
        # The clock's time, not the turn's: a loop that is held up would take two wishes for one.
        now_s = self._clock.now()
        if self._asked_s is None:
            self._asked_s = now_s
        if self._is_child or now_s - self._asked_s < SAME_WITHIN_S:
            self._reactor.call_soon_threadsafe(self._on_drain)
        else:
            self._end_now(number, frame)

    def _end_now(self, _number: int, _frame: FrameType | None) -> None:
        self._reactor.call_soon_threadsafe(self._on_stop)

    def _reload(self, _number: int, _frame: FrameType | None) -> None:
        assert self._on_reload is not None
        self._reactor.call_soon_threadsafe(self._on_reload)

    def _on_other(self, callback: Callable[[], object], _number: int, _frame: FrameType | None) -> None:
        self._reactor.call_soon_threadsafe(callback)

    def restore(self) -> None:
        """Give the signals back to whoever had them."""
        signal.set_wakeup_fd(self._wakeup_before)
        for number, handler in self._before.items():
            signal.signal(number, handler)
