"""Is this process ready for clients? Asked by load balancers and operators, answered with reasons.

A reason takes the process out of rotation. A *warning* does not: clients are served as ever, but the operator
misses something, such as lines of the log; sending clients elsewhere would help nobody.

Each part that can make a process unready adds a check of its own; none of them knows another.
Served as `/readyz`; whether the process lives at all is `/livez`, which only needs an answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


OVERLOADED = "overloaded"
"""How a reason begins that is load, which passes, and stands for clients who are new only."""


class Health:
    """The checks of one process. `add` them while it is put together."""

    def __init__(self) -> None:
        self._checks: list[Callable[[], str]] = []
        self._checks_of_others: list[Callable[[], str]] = []
        self._warnings: list[Callable[[], str]] = []
        self._warnings_of_others: list[Callable[[], str]] = []

    def add(self, check: Callable[[], str]) -> None:
        """Ask `check` whenever somebody wants to know.

        It returns a reason not to be ready, "" if all is well; it neither blocks nor raises. The public is
        told only whether one is "draining" or "overloaded", alone or before a colon and what is meant by it.
        """
        self._checks.append(check)

    def add_of_others(self, check: Callable[[], str]) -> None:
        """Add a check of other processes, for which this one answers too; it is as those of `add`."""
        self._checks_of_others.append(check)

    def add_warning(self, check: Callable[[], str]) -> None:
        """Ask `check` too: it returns what is wrong although clients are served; else as those of `add`.

        The public is never told of it.
        """
        self._warnings.append(check)

    def add_warning_of_others(self, check: Callable[[], str]) -> None:
        """Add such a check of other processes, for which this one answers too."""
        self._warnings_of_others.append(check)

    def reasons(self) -> list[str]:
        """Return why clients should not be sent here, in the order of the checks; empty if they may."""
        return [*self.own_reasons(), *_told(self._checks_of_others)]

    def own_reasons(self) -> list[str]:
        """Return why this very process is not ready, whatever others are."""
        return _told(self._checks)

    def is_up(self) -> bool:
        """Tell whether nothing but load keeps clients away; who is connected is served."""
        return all(reason.startswith(OVERLOADED) for reason in self.own_reasons())

    def warnings(self) -> list[str]:
        """Return what is wrong although clients may be sent here, in the order of the checks."""
        return [*self.own_warnings(), *_told(self._warnings_of_others)]

    def own_warnings(self) -> list[str]:
        """Return what is wrong in this very process, although it serves."""
        return _told(self._warnings)


def _told(checks: list[Callable[[], str]]) -> list[str]:
    return [text for text in (check() for check in checks) if text]
