"""Looks at the loop from beside it: what does a turn do that lasts too long? Its stack is logged meanwhile.

A thread, since whatever blocks the loop's own blocks all that the loop could do about it. It costs next
to nothing: while the loop sleeps, so does the thread, until the loop wakes it (`loop/lag.py`); while the
loop works, it looks at most once in `limit_s`. Code that does not let go of the interpreter (a long
regular expression, a large json) is seen only when it does: then only the turn's length is told.

Made after any fork, which no thread would survive.
"""

from __future__ import annotations

import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING

from wsloop.daemon import log_block

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.loop.lag import TurnWatch

MAX_FRAMES = 40
"""Lines of a stack that are logged, two for each: the innermost."""

STACK_EVERY_S = 1.0
"""One stack in this time: a loop that is blocked again and again must not fill the disk."""


def start(watch: TurnWatch | None) -> Callable[[], None]:
    """Begin to watch, unless there is nothing to be watched; return what ends it."""
    if watch is None:
        return lambda: None
    watchdog = Watchdog(watch)
    watchdog.start()
    return watchdog.stop


class Watchdog(threading.Thread):
    """Watches the turns of the thread that makes it, which is the loop's; `stop` ends it."""

    def __init__(self, watch: TurnWatch) -> None:
        super().__init__(name="wsloop-watchdog", daemon=True)
        self._watch = watch
        self._loop_thread = threading.get_ident()
        self._stopped = False
        self._quiet_until_s = 0.0
        # Held, but for the moment in which it is rung.
        self._bell = threading.Lock()
        self._bell.acquire()

    def stop(self) -> None:
        """End the thread; to be called by the loop's."""
        self._stopped = True
        self._ring()
        self.join()

    def run(self) -> None:
        """Sleep, look, and tell once of each turn that lasts too long."""
        watch = self._watch
        told_s = 0.0  # when the turn that was told of began
        while not self._stopped:
            began_s = watch.began_s
            left_s = max(began_s + watch.limit_s, self._quiet_until_s) - time.monotonic()
            if not began_s or began_s == told_s:
                self._sleep_with_the_loop(told_s)
            elif left_s > 0:
                self._bell.acquire(timeout=left_s)
            else:
                told_s = began_s
                self._tell(began_s)

    def _sleep_with_the_loop(self, told_s: float) -> None:
        """Sleep until the next turn begins, or `stop`."""
        self._watch.alarm = self._ring
        # Set first, then looked: a turn that begins in between either rings, or is seen here.
        if self._watch.began_s in (0.0, told_s):
            self._bell.acquire()

    def _ring(self) -> None:
        if self._bell.locked():
            self._bell.release()

    def _tell(self, began_s: float) -> None:
        """Log what the loop's thread does now, unless it is done."""
        now_s = time.monotonic()
        frame = sys._current_frames().get(self._loop_thread)
        if frame is None or self._watch.began_s != began_s:
            return
        self._quiet_until_s = now_s + STACK_EVERY_S
        stack = "".join(traceback.format_stack(frame, MAX_FRAMES)).rstrip()
        log_block.warn("the loop is held up since %d ms, at:", 1000 * (now_s - began_s), block=stack)
