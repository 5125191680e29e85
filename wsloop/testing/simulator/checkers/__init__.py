"""Judges of a run: each promise in a file of its own, which says what would break it.

P1 to P5 and P7 are functions that are told of one event (an append, an acknowledgement, a push) and raise a
`Violation`; so is what is judged of single connections. `watch.py` calls what looks at the world after each
turn, at rest and at the end: between two turns nothing of a server's can change. None walks over the whole
world after a turn: what costs more than a comparison is done every so many turns, and says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from wsloop.testing.simulator.world import World


class Checker(Protocol):
    """Looks at a world; raises `Violation` if a promise is broken."""

    def after_turn(self, world: World) -> None:
        """Look after each turn: must cost next to nothing."""
        ...

    def at_rest(self, world: World) -> None:
        """Look half a minute after the last fault."""
        ...

    def at_end(self, world: World) -> None:
        """Look when everything is closed."""
        ...


def checkers(world: World) -> list[Checker]:
    """Return who looks at a world, whose people are there already."""
    from wsloop.testing.simulator.checkers.watch import Watch  # noqa: PLC0415 - they need the protocol above
    from wsloop.testing.simulator.people.operator import Operator  # noqa: PLC0415

    return [Watch(world, each.town) for each in world.actors if isinstance(each, Operator)]
