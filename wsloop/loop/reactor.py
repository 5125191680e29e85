"""The turn: what happens, in which order, each time around the loop.

1. flush      send what handlers queued, before sleeping
2. timeout    how long may the poll wait?
3. poll       sleep until a descriptor is ready, or the timeout
4. clock      read once; the whole turn sees one `now`
5. dispatch   call the handlers of what is ready
6. timers     call what is due, within a budget
7. callbacks  call what was queued before this phase began
8. reap       dispose of what was closed during the turn

The numbers are those of docs/internals/turn.md, which tells why. The reactor knows descriptors
and callables; it does not know sockets, bytes or WebSockets. Not thread-safe but for
`call_soon_threadsafe` and `stop`.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wsloop.loop.instrument import Instrument, Phase
from wsloop.loop.poller import READ
from wsloop.loop.wheel import TimerWheel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from wsloop.loop.clock import Clock
    from wsloop.loop.poller import Poller
    from wsloop.loop.wakeup import WakeupPort
    from wsloop.loop.wheel import Timer

    Callback = Callable[[], object]
    Handler = Callable[[int], object]
    ErrorHook = Callable[[Exception, str], object]

log = logging.getLogger("wsloop.loop")

TIMER_BUDGET = 1024
"""Most timers called in one turn: some milliseconds. 100,000 pings due at once must not keep the
ready descriptors waiting; what is left is due in the next turn, which does not sleep."""


def log_error(error: Exception, where: str) -> None:
    """Report a fault of the program: with its traceback, since it is a bug."""
    log.error("%s raised", where, exc_info=error)


@dataclass(frozen=True, slots=True)
class ReactorStatistics:
    """A snapshot: turns made, faults caught, and what is registered or waiting now."""

    turns: int
    errors: int
    descriptors: int
    timers: int
    callbacks: int


class Reactor:
    """An event loop on the ports `clock` and `poller`.

    `wakeup` lets other threads in (None: there are none, as in the simulator). `on_error` is
    told of every exception that a callback raises; the turn goes on without it.
    `before_sleep` and `after_sleep` are lists of callables, called each turn before phase 2 and
    after phase 4.
    """

    __slots__ = (
        "_callbacks",
        "_clock",
        "_ended",
        "_errors",
        "_flushes",
        "_gone",
        "_handlers",
        "_on_error",
        "_poller",
        "_reaps",
        "_stopping",
        "_timer_budget",
        "_turns",
        "_wakeup",
        "_wheel",
        "after_sleep",
        "before_sleep",
        "instrument",
        "now",
    )

    def __init__(
        self,
        clock: Clock,
        poller: Poller,
        *,
        wakeup: WakeupPort | None = None,
        timer_budget: int = TIMER_BUDGET,
        on_error: ErrorHook | None = None,
    ) -> None:
        self.now = clock.now()
        self.instrument: Instrument | None = None
        self.before_sleep: list[Callback] = []
        self.after_sleep: list[Callback] = []
        self._clock = clock
        self._poller = poller
        self._wakeup = wakeup
        self._timer_budget = timer_budget
        self._on_error = on_error or log_error
        self._wheel = TimerWheel(self.now)
        self._handlers: dict[int, Handler] = {}
        # Unregistered since the last poll; see phase 5.
        self._gone: set[int] = set()
        # Queues, and taken from one by one, so that what interrupts a phase loses only itself.
        self._flushes: deque[Callback] = deque()
        self._callbacks: deque[Callback] = deque()
        self._reaps: deque[Callback] = deque()
        self._stopping = self._ended = False
        self._turns = self._errors = 0
        if wakeup is not None:
            self.register(wakeup.fileno(), READ, self._on_wakeup)

    # -- the turn --------------------------------------------------------------------------

    def run(self) -> None:
        """Turn until `stop` is called; a later `run` goes on where this one ended.

        A `stop` that came before, from a quick thread or signal, counts: there is no turn then.
        Once `run` has ended, turns made by hand to tidy up do not sleep.
        """
        self._ended = False
        try:
            while not self._stopping:
                self.run_once()
        finally:
            self._stopping = False
            self._ended = True

    def run_once(self) -> None:
        """Make one turn. Only what is no `Exception` (KeyboardInterrupt) gets out of it."""
        if self.instrument is not None:
            self._run_once_watched(self.instrument)
            return
        self._turns += 1
        self._flush()
        timeout_s = self._timeout()
        ready = self._poll(timeout_s)
        self._read_clock()
        self._dispatch(ready)
        self._run_timers()
        self._run_callbacks()
        self._reap()

    def _run_once_watched(self, instrument: Instrument) -> None:
        """Make the same turn with an instrument told of every step."""
        self._turns += 1
        self._call(instrument.on_turn_start, "instrument", self._turns)
        self._enter(instrument, Phase.FLUSH)
        self._flush()
        self._enter(instrument, Phase.TIMEOUT)
        timeout_s = self._timeout()
        self._enter(instrument, Phase.POLL)
        ready = self._poll(timeout_s)
        self._call(instrument.on_poll, "instrument", timeout_s, len(ready))
        self._enter(instrument, Phase.CLOCK)
        self._read_clock()
        self._enter(instrument, Phase.DISPATCH)
        self._dispatch(ready)
        self._enter(instrument, Phase.TIMERS)
        self._run_timers()
        self._enter(instrument, Phase.CALLBACKS)
        self._run_callbacks()
        self._enter(instrument, Phase.REAP)
        self._reap()
        self._call(instrument.on_turn_end, "instrument", self._turns)

    def _flush(self) -> None:
        """Phase 1. What a flush requests waits for the next turn: the queue is counted first."""
        flushes = self._flushes
        for _ in range(len(flushes)):
            try:
                flushes.popleft()()
            except Exception as error:
                self._report(error, "flush")
        for hook in self.before_sleep:
            self._call(hook, "before_sleep hook")

    def _timeout(self) -> float | None:
        """Phase 2. Seconds the poll may wait: none if there is work, None if there is nothing at all.

        Counted from this turn's `now`, so a timer may be late by what the turn has taken so far;
        a second look at the clock each turn would cost more than that is worth.
        """
        if self._callbacks or self._flushes or self._reaps or self._stopping or self._ended:
            return 0.0
        deadline_s = self._wheel.next_deadline()
        if deadline_s is None:
            return None
        return deadline_s - self.now if deadline_s > self.now else 0.0

    def _poll(self, timeout_s: float | None) -> list[tuple[int, int]]:
        """Phase 3. Sleep until a descriptor is ready, or the timeout, or a wakeup."""
        self._gone.clear()
        return self._poller.poll(timeout_s)

    def _read_clock(self) -> None:
        """Phase 4. The only look at the clock."""
        self.now = self._clock.now()
        for hook in self.after_sleep:
            self._call(hook, "after_sleep hook")

    def _dispatch(self, ready: list[tuple[int, int]]) -> None:
        """Phase 5. A handler may have closed another's descriptor, and a third one reused its number.

        So an event counts only if its descriptor was not unregistered since the poll: one of a
        socket that is gone reaches nobody, and the new owner of the number is polled next turn.
        """
        handlers = self._handlers
        gone = self._gone
        for fd, events in ready:
            if fd in gone:
                continue
            try:
                handlers[fd](events)
            except Exception as error:
                self._report(error, f"handler of descriptor {fd}")
                # It stays ready, and would be called again at once, for ever.
                if fd not in gone:
                    self.unregister(fd)

    def _run_timers(self) -> None:
        """Phase 6. In the order of their deadlines, at most the budget."""
        wheel = self._wheel
        wheel.advance(self.now)
        for _ in range(self._timer_budget):
            timer = wheel.pop()
            if timer is None:
                return
            try:
                timer.callback()
            except Exception as error:
                self._report(error, "timer")

    def _run_callbacks(self) -> None:
        """Phase 7. Only those queued before: one that queues itself again does not stop the loop."""
        callbacks = self._callbacks
        for _ in range(len(callbacks)):
            try:
                callbacks.popleft()()
            except Exception as error:
                self._report(error, "callback")

    def _reap(self) -> None:
        """Phase 8. Nothing is freed while somebody up the stack may still hold it."""
        reaps = self._reaps
        for _ in range(len(reaps)):
            try:
                reaps.popleft()()
            except Exception as error:
                self._report(error, "reap")

    # -- faults ------------------------------------------------------------------------------

    def _call(self, callback: Callable[..., object], where: str, *arguments: object) -> None:
        try:
            callback(*arguments)
        except Exception as error:
            self._report(error, where)

    def _enter(self, instrument: Instrument, phase: Phase) -> None:
        self._call(instrument.on_phase, "instrument", phase)

    def _report(self, error: Exception, where: str) -> None:
        self._errors += 1
        try:
            self._on_error(error, where)
        except Exception as second:
            log_error(second, "error hook")

    # -- descriptors -------------------------------------------------------------------------

    def register(self, fd: int, interest: int, handler: Handler) -> None:
        """Call `handler(events)` in phase 5 when `fd` is ready for `interest` (READ | WRITE, 0: parked).

        A handler that raises is unregistered. Raises KeyError if `fd` is registered.
        """
        self._poller.register(fd, interest)
        self._handlers[fd] = handler

    def set_interest(self, fd: int, interest: int) -> None:
        """Change what `fd` is watched for, from the next poll on; raises KeyError if it is not registered."""
        self._poller.modify(fd, interest)

    def unregister(self, fd: int) -> None:
        """Forget `fd`, before it is closed; no event of it is dispatched any more. Raises KeyError."""
        self._poller.unregister(fd)
        del self._handlers[fd]
        self._gone.add(fd)

    # -- time --------------------------------------------------------------------------------

    def call_at(self, deadline_s: float, callback: Callback) -> Timer:
        """Call `callback` in phase 6 of the first turn whose `now` has reached `deadline_s`."""
        return self._wheel.schedule(deadline_s, callback)

    def call_later(self, delay_s: float, callback: Callback) -> Timer:
        """Call `callback` in `delay_s` seconds, counted from this turn's `now`."""
        return self._wheel.schedule(self.now + delay_s, callback)

    def rearm(self, timer: Timer, deadline_s: float) -> None:
        """Move a timer, fired or not, to another deadline."""
        self._wheel.rearm(timer, deadline_s)

    def cancel(self, timer: Timer) -> None:
        """See to it that `timer` does not fire; harmless if it has."""
        self._wheel.cancel(timer)

    # -- work --------------------------------------------------------------------------------

    def call_soon(self, callback: Callback) -> None:
        """Call `callback` in phase 7: of this turn, if that has not begun, else of the next."""
        self._callbacks.append(callback)

    def call_soon_threadsafe(self, callback: Callback) -> None:
        """Like `call_soon`, from any thread or signal handler; wakes the loop."""
        # Appending to a deque is atomic, so there is no lock; phase 7 counts before it takes.
        self._callbacks.append(callback)
        self._notify()

    def request_flush(self, flush: Callback) -> None:
        """Call `flush` in phase 1 of the next turn, before the loop sleeps."""
        self._flushes.append(flush)

    def reap(self, dispose: Callback) -> None:
        """Call `dispose` in phase 8: of this turn, or of the next if phase 8 has begun."""
        self._reaps.append(dispose)

    def stop(self) -> None:
        """End `run` after the present turn; callable from any thread or signal handler."""
        self._stopping = True
        self._notify()

    def close(self) -> None:
        """Release poller and wakeup. Other descriptors belong to whoever registered them."""
        if self._wakeup is not None:
            self.unregister(self._wakeup.fileno())
            self._wakeup.close()
            self._wakeup = None
        self._poller.close()
        self._handlers.clear()

    def handlers(self) -> Iterable[Handler]:
        """Return the handler of each registered descriptor, to be looked at only."""
        return self._handlers.values()

    @property
    def is_busy(self) -> bool:
        """Whether something is queued, so that the next turn does not sleep."""
        return bool(self._callbacks or self._flushes or self._reaps)

    def next_deadline(self) -> float | None:
        """Return when the next timer is due, None if there is none."""
        return self._wheel.next_deadline()

    def statistics(self) -> ReactorStatistics:
        """Return a snapshot; costs nothing."""
        return ReactorStatistics(
            turns=self._turns,
            errors=self._errors,
            descriptors=len(self._handlers),
            timers=len(self._wheel),
            callbacks=len(self._callbacks),
        )

    def _notify(self) -> None:
        # Looked up once: the loop's thread may close the reactor meanwhile.
        wakeup = self._wakeup
        if wakeup is not None:
            wakeup.notify()

    def _on_wakeup(self, _events: int) -> None:
        assert self._wakeup is not None
        self._wakeup.drain()
