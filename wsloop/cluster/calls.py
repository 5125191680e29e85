"""Questions of the hub process to all workers at once, each answered within a time."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from wsloop.cluster import messages
from wsloop.cluster.codec import encode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wsloop.loop.reactor import Reactor
    from wsloop.loop.wheel import Timer

Answered = Callable[[dict[int, bytes | None]], object]
"""A completion: slot -> answer, None where there was none in time, or the worker was lost."""


class Asked(Protocol):
    """A worker that can be asked."""

    slot: int

    def deliver(self, data: bytes, /) -> None:
        """Send an encoded question."""
        ...


class _Call:
    """A question under way: the answers so far, and who has not answered."""

    __slots__ = ("answers", "done", "timer", "waiting")

    def __init__(self, answers: dict[int, bytes | None], waiting: dict[Asked, None], done: Answered) -> None:
        self.answers = answers
        self.waiting = waiting
        self.done = done
        self.timer: Timer | None = None


class Calls:
    """All questions to workers that are under way."""

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor
        self._last_number = 0
        self._calls: dict[int, _Call] = {}

    def __len__(self) -> int:
        return len(self._calls)

    def ask(
        self,
        name: str,
        body: bytes,
        timeout_s: float,
        done: Answered,
        *,
        workers: Iterable[Asked],
        absent: Iterable[int] = (),
    ) -> None:
        """Ask `workers`; the slots of `absent` are answered with None.

        `done` is called once, within `timeout_s`; at once if there is nobody to ask. Raises LinkError for a
        question too long for a link.
        """
        waiting = dict.fromkeys(workers)  # asked in this order, on every run
        call = _Call(dict.fromkeys([*absent, *(each.slot for each in waiting)]), waiting, done)
        if not waiting:
            done(call.answers)
            return
        self._last_number = number = self._last_number + 1
        data = encode(messages.Ask(number, name, body))
        self._calls[number] = call
        call.timer = self._reactor.call_later(timeout_s, functools.partial(self._finish, number))
        for worker in list(waiting):
            worker.deliver(data)

    def receive(self, worker: Asked, answer: messages.Answer) -> None:
        """Take a worker's answer; one that comes too late is ignored."""
        call = self._calls.get(answer.number)
        if call is not None and worker in call.waiting:
            call.answers[worker.slot] = answer.body
            self._count_out(answer.number, call, worker)

    def lose(self, worker: Asked) -> None:
        """Expect nothing more of a worker: what it has not answered is answered with None."""
        for number, call in list(self._calls.items()):
            if worker in call.waiting:
                self._count_out(number, call, worker)

    def excuse(self, worker: Asked) -> None:
        """Expect nothing more of a worker that has left, with all its clients: it is not missing."""
        for number, call in list(self._calls.items()):
            if worker in call.waiting:
                del call.answers[worker.slot]
                self._count_out(number, call, worker)

    def close(self) -> None:
        """End all questions with what was answered."""
        for number in list(self._calls):
            self._finish(number)

    def _count_out(self, number: int, call: _Call, worker: Asked) -> None:
        call.waiting.pop(worker, None)
        if not call.waiting:
            self._finish(number)

    def _finish(self, number: int) -> None:
        call = self._calls.pop(number, None)
        if call is not None:
            assert call.timer is not None
            self._reactor.cancel(call.timer)
            call.done(call.answers)
