"""Answers that come in any order, carried out in the order in which they were asked for.

A client's publications are asked about one behind the other, and the backend may answer the second
first; but what a publisher sends must be published in its order. So each takes its place in a
line, and an answer waits until all before it have come. They do: every question is completed.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    Action = Callable[[], object]


class InOrder:
    """One line of answers."""

    __slots__ = ("_places",)

    def __init__(self) -> None:
        # Each place is a list of one: None until it is filled.
        self._places: deque[list[Action | None]] = deque()

    def __len__(self) -> int:
        """Return how many places are taken and not yet done."""
        return len(self._places)

    def take_place(self) -> Callable[[Action], None]:
        """Return what fills the place, once: its action is called when all before it were."""
        place: list[Action | None] = [None]
        self._places.append(place)

        def fill(action: Action) -> None:
            place[0] = action
            places = self._places
            while places and (first := places[0][0]) is not None:
                places.popleft()
                first()

        return fill
