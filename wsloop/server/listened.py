"""What all listeners of a server have counted, those included that were closed: totals only grow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsloop.transport.listener import Listener


@dataclass(frozen=True, slots=True)
class ListenerTotals:
    """Sums of `ListenerStatistics`; `paused` counts the listeners that are open and do not accept now."""

    shed: int = 0
    aborted: int = 0
    back_offs: int = 0
    paused: int = 0

    def plus(self, listener: Listener) -> ListenerTotals:
        """Return the totals with those of `listener`."""
        last = listener.statistics()
        return ListenerTotals(
            self.shed + last.shed,
            self.aborted + last.aborted,
            self.back_offs + last.back_offs,
            self.paused + (last.paused and not listener.is_closed),
        )


class Listened:
    """The listeners of one server; one that is closed is forgotten, and its counts are kept."""

    __slots__ = ("_closed", "_listeners")

    def __init__(self) -> None:
        self._listeners: list[Listener] = []
        self._closed = ListenerTotals()

    def add(self, listener: Listener) -> None:
        """Take note of a listener that has just been made."""
        self._listeners.append(listener)

    def totals(self) -> ListenerTotals:
        """Return the sums over all there ever were."""
        totals = self._closed
        for listener in self._listeners:
            totals = totals.plus(listener)
            if listener.is_closed:
                self._closed = self._closed.plus(listener)
        self._listeners = [listener for listener in self._listeners if not listener.is_closed]
        return totals
