"""The least loop a listener can run on, over the fake poller or over select.poll with real sockets."""

from __future__ import annotations

import select
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.testing.clock import FakeClock


class StubTimer:
    def __init__(self, deadline_s: float, callback: Callable[[], object]) -> None:
        self.deadline_s = deadline_s
        self.callback = callback


class StubLoop:
    """`readable` tells which of the watched descriptors are readable."""

    def __init__(self, clock: FakeClock, readable: Callable[[dict[int, int]], list[int]]) -> None:
        self.clock = clock
        self.readable = readable
        self.interests: dict[int, int] = {}
        self.handlers: dict[int, Callable[[int], object]] = {}
        self.timers: list[StubTimer] = []

    @property
    def now(self) -> float:
        return self.clock.now()

    def register(self, fd: int, interest: int, handler: Callable[[int], object]) -> None:
        assert fd not in self.handlers
        self.interests[fd] = interest
        self.handlers[fd] = handler

    def set_interest(self, fd: int, interest: int) -> None:
        assert fd in self.handlers
        self.interests[fd] = interest

    def unregister(self, fd: int) -> None:
        del self.handlers[fd]
        del self.interests[fd]

    def call_later(self, delay_s: float, callback: Callable[[], object]) -> StubTimer:
        timer = StubTimer(self.now + delay_s, callback)
        self.timers.append(timer)
        return timer

    def cancel(self, timer: StubTimer) -> None:
        self.timers.remove(timer)

    def turn(self) -> int:
        """Serve what is ready, then what is due; return how many handlers and timers ran."""
        ready = self.readable(self.interests)
        for fd in ready:
            self.handlers[fd](1)
        due = [timer for timer in self.timers if timer.deadline_s <= self.now]
        for timer in due:
            self.timers.remove(timer)
            timer.callback()
        return len(ready) + len(due)

    def run_for(self, duration_s: float) -> int:
        """Turn for `duration_s`, moving the clock to the next timer when idle; return what ran."""
        end_s = self.now + duration_s
        calls = 0
        while self.now < end_s:
            ran = self.turn()
            calls += ran
            if not ran:
                due_s = min([timer.deadline_s for timer in self.timers] + [end_s])
                self.clock.advance(max(min(due_s, end_s) - self.now, 1e-9))
        return calls


def poll_really(interests: dict[int, int]) -> list[int]:
    poll = select.poll()
    for fd, interest in interests.items():
        if interest:
            poll.register(fd, select.POLLIN)
    return [fd for fd, _ in poll.poll(0)]
