"""From a failing history to a smaller one that fails alike: fewer steps, kinds of faults, single faults.

Each attempt is a history of its own, and what is left away changes all that follows; so nothing is certain
but that the result fails with the same name. Time is bounded, the clock given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from wsloop.testing.simulator.faults import KINDS, Marks
from wsloop.testing.simulator.run import Failure, History, play
from wsloop.testing.simulator.trace import Trace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Item = TypeVar("Item")

MOST_SINGLE = 100

SHRINK_S = 60.0
"""Real seconds spent on it at most: some hundred attempts."""


class Shrinker:
    """Makes `failure` smaller until `now` has reached `deadline_s`; `best` is what it came to.

    `attempts` counts the histories that were played.
    """

    def __init__(self, failure: Failure, now: Callable[[], float], deadline_s: float) -> None:
        self.best = failure
        self.attempts = 0
        self._now = now
        self._deadline_s = deadline_s

    def run(self) -> Failure:
        """Shrink, and return the best."""
        self._cut_off()
        self._fewer_kinds()
        self._fewer_steps()
        self._fewer_single()
        self._cut_off()
        return self.best

    def _try(self, history: History) -> bool:
        """Play; take the history over if it fails alike."""
        if self._now() >= self._deadline_s:
            return False
        self.attempts += 1
        failure, _ = play(history, Marks(), Trace())
        if failure is None or failure.name != self.best.name:
            return False
        self.best = failure
        return True

    def _cut_off(self) -> None:
        """Leave away the steps behind the failure."""
        if self.best.step < self.best.history.steps:
            self._try(msgspec.structs.replace(self.best.history, steps=self.best.step))

    def _fewer_steps(self) -> None:
        """Begin the calm earlier, for what is found then only."""
        steps = self.best.history.steps // 2
        while steps and self._try(msgspec.structs.replace(self.best.history, steps=steps)):
            steps //= 2

    def _fewer_kinds(self) -> None:
        fired = {name for name, _ in self.best.single}
        kinds = [kind.name for kind in KINDS if kind.name in fired]
        self._try_plan(kinds=frozenset(kinds))
        _smallest(kinds, lambda few: self._try_plan(kinds=frozenset(few)))

    def _fewer_single(self) -> None:
        """Leave single faults away; a list of more than `MOST_SINGLE` would tell nobody anything."""
        before = self.best
        _smallest(list(before.single), lambda few: self._try_plan(only=frozenset(few)))
        if len(self.best.single) > MOST_SINGLE:
            self.best = before

    def _try_plan(self, **changes: object) -> bool:
        history = self.best.history
        return self._try(
            msgspec.structs.replace(history, plan=msgspec.structs.replace(history.plan, **changes))
        )


def _smallest(items: Sequence[Item], still_fails: Callable[[Sequence[Item]], bool]) -> Sequence[Item]:
    """Return a part of `items` with which it still fails: without halves, quarters, ... single ones.

    Delta debugging (Zeller and Hildebrandt, 2002), by complements.
    """
    if still_fails(()):
        return ()
    size = len(items)
    while size > 1:
        size = (size + 1) // 2
        start = 0
        while start < len(items):
            fewer = [*items[:start], *items[start + size :]]
            if len(fewer) < len(items) and still_fails(fewer):
                items = fewer
            else:
                start += size
    return items
