"""Coverage of properties: the first examples of each are measured, the others run untraced, twice as fast.

A branch that only one of hundreds of examples would reach is reached today and not tomorrow: it needs an
example of its own. So what is left unmeasured here could not have carried the limit of the coverage anyway.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from coverage import Coverage
from hypothesis.stateful import RuleBasedStateMachine

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

EXAMPLES = 100
"""Measured of each property: as many as hypothesis draws unless told otherwise. Explicit ones come first."""


class Measuring:
    """Counts the examples of the test that runs, and stops the measuring after the first ones."""

    def __init__(self) -> None:
        self._left = EXAMPLES
        self._stopped: Coverage | None = None

    def begin(self) -> None:
        """Before each test."""
        self._left = EXAMPLES

    def count(self) -> None:
        """Before each example."""
        self._left -= 1
        if self._left < 0 and self._stopped is None:
            self._stopped = Coverage.current()
            if self._stopped is not None:
                self._stopped.stop()

    def end(self) -> None:
        """After each test: the next one is measured again."""
        if self._stopped is not None:
            self._stopped.start()
            self._stopped = None

    def watch_machines(self) -> None:
        """Count each new state machine as an example."""
        create = RuleBasedStateMachine.__init__

        @functools.wraps(create)
        def counted(machine: RuleBasedStateMachine) -> None:
            self.count()
            create(machine)

        RuleBasedStateMachine.__init__ = counted  # type: ignore[method-assign, assignment]

    def watch(self, item: pytest.Item) -> None:
        """Count the examples of a test, if it is a property: `hypothesis.inner_test` is there for that."""
        handle = getattr(getattr(item, "obj", None), "hypothesis", None)
        if handle is not None and not hasattr(handle.inner_test, "counts_examples"):
            handle.inner_test = self._counted(handle.inner_test)

    def _counted(self, test: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(test)
        def counted(*arguments: Any, **options: Any) -> None:
            self.count()
            test(*arguments, **options)

        counted.counts_examples = True  # type: ignore[attr-defined]
        return counted
