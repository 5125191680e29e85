"""Commands that wait for their replies: each completed exactly once, in time.

All have the same time to live, so that they stand in the order of their deadlines, and one timer is
enough for all of a client's. Must not know what a command says; `messaging.py` does.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import msgspec

from wsloop.client.messages import LOST, TIMEOUT, TOO_MANY_CALLS, CallError, Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wsloop.loop.reactor import Reactor
    from wsloop.loop.wheel import Timer

    Done = Callable[[Any], object]

MAX_CALLS = 4096
"""Commands of one client that may wait. One more fails at once: who sends faster than the server
answers must not fill the memory."""


class Call:
    """A command. `line` is what is sent; `may_repeat`: twice does no harm."""

    __slots__ = ("deadline_s", "done", "is_sent", "line", "may_repeat", "method")

    def __init__(self, method: str, line: str, deadline_s: float, done: Done, *, may_repeat: bool) -> None:
        self.method = method
        self.line = line
        self.deadline_s = deadline_s
        self.done = done
        self.may_repeat = may_repeat
        self.is_sent = False


class Calls:
    """The commands of one client. What `done` raises is the caller's of this class to catch."""

    __slots__ = ("_calls", "_last_id", "_reactor", "_timeout_s", "_timer")

    def __init__(self, reactor: Reactor, timeout_s: float) -> None:
        self._reactor = reactor
        self._timeout_s = timeout_s
        self._calls: dict[int, Call] = {}
        self._last_id = 0
        self._timer: Timer | None = None

    def __len__(self) -> int:
        return len(self._calls)

    def add(
        self, method: str, fields: dict[str, object], done: Done, *, may_repeat: bool = False
    ) -> Call | None:
        """Return a new call, not sent; `done` gets the result, or a CallError. None if it failed at once."""
        if len(self._calls) >= MAX_CALLS:
            self._reactor.call_soon(functools.partial(done, TOO_MANY_CALLS))
            return None
        self._last_id += 1
        line = msgspec.json.encode({"id": self._last_id, method: fields}).decode()
        deadline_s = self._reactor.now + self._timeout_s
        call = self._calls[self._last_id] = Call(method, line, deadline_s, done, may_repeat=may_repeat)
        if self._timer is None:
            self._timer = self._reactor.call_at(deadline_s, self._on_deadline)
        return call

    def complete(self, reply: Reply) -> None:
        """Complete the call that `reply` answers; an unknown id is ignored, it came too late."""
        call = self._calls.pop(reply.id, None)
        if call is None:
            return
        if reply.error is not None:
            error = reply.error
            call.done(CallError(error.code, error.message, temporary=error.temporary))
        else:
            result = getattr(reply, call.method)
            call.done(CallError(2, "an answer to another question") if result is None else result)

    def unsent(self) -> Iterator[Call]:
        """Yield what is to be sent, in order."""
        return (call for call in list(self._calls.values()) if not call.is_sent)

    def lose(self) -> None:
        """Fail what was sent on a connection that is gone, but for what may be sent again."""
        lost = [(number, call) for number, call in self._calls.items() if call.is_sent]
        for number, call in lost:
            if call.may_repeat:
                call.is_sent = False
            else:
                del self._calls[number]
        for _, call in lost:
            if not call.may_repeat:
                call.done(LOST)

    def fail(self, error: CallError) -> None:
        """Fail them all."""
        calls, self._calls = list(self._calls.values()), {}
        if self._timer is not None:
            self._reactor.cancel(self._timer)
            self._timer = None
        for call in calls:
            call.done(error)

    def _on_deadline(self) -> None:
        """Fail what is late, and wait for the next."""
        self._timer = None
        late = [number for number, call in self._calls.items() if call.deadline_s <= self._reactor.now]
        calls = [self._calls.pop(number) for number in late]
        if self._calls:
            self._timer = self._reactor.call_at(
                next(iter(self._calls.values())).deadline_s, self._on_deadline
            )
        for call in calls:
            call.done(TIMEOUT)
