"""What a worker has asked and was not answered yet: by number, each with its time."""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING, Any

from wsloop.cluster import messages
from wsloop.cluster.codec import LinkError
from wsloop.hub.broker import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

UNANSWERED = Unavailable("the broker did not answer in time")


class _Question:
    """Something asked: what kind of answer it needs, how that becomes the result, and when time is up."""

    __slots__ = ("deadline_s", "done", "kind", "result")

    def __init__(
        self,
        deadline_s: float,
        kind: type[messages.Numbered],
        result: Callable[[Any], object],
        done: Callable[[Any], object],
    ) -> None:
        self.deadline_s = deadline_s
        self.kind = kind
        self.result = result
        self.done = done


class Questions:
    """The open questions of one worker, on all its links; numbers are never used twice.

    Every question waits equally long, so the oldest is the first whose time is up.
    """

    __slots__ = ("_last_number", "_open", "unanswered")

    def __init__(self) -> None:
        self.unanswered = 0
        self._last_number = 0
        self._open: dict[int, _Question] = {}

    def __len__(self) -> int:
        return len(self._open)

    def number(self) -> int:
        """Return a number for a question."""
        self._last_number += 1
        return self._last_number

    def add(
        self,
        number: int,
        deadline_s: float,
        kind: type[messages.Numbered],
        result: Callable[[Any], object],
        done: Callable[[Any], object],
    ) -> None:
        """Note a question that was asked; `done` gets the `result` of an answer, which must be a `kind`."""
        self._open[number] = _Question(deadline_s, kind, result, done)

    def receive(self, answer: messages.Numbered) -> None:
        """Take an answer; ignored if its question is not open (any more).

        Raises LinkError for another kind of answer than was asked for.
        """
        question = self._open.pop(answer.number, None)
        if question is None:
            return
        if isinstance(answer, messages.Failed):
            question.done(Unavailable(answer.reason))
        elif type(answer) is not question.kind:
            question.done(Unavailable("the broker gave another kind of answer"))
            raise LinkError(f"{type(answer).__name__} where {question.kind.__name__} was asked for")
        else:
            question.done(question.result(answer))

    def expire(self, now_s: float) -> None:
        """Give up the questions whose time is over."""
        late = list(takewhile(lambda each: each[1].deadline_s <= now_s, self._open.items()))
        for number, _ in late:
            del self._open[number]
        self.unanswered += len(late)
        for _, question in late:
            question.done(UNANSWERED)

    def give_up(self, reason: Unavailable) -> None:
        """Give up all of them."""
        given_up, self._open = self._open, {}
        for question in given_up.values():
            question.done(reason)
