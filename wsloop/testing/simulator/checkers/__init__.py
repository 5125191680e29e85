"""What must hold in every world, after every step and at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from wsloop.testing.simulator.world import World


class Checker(Protocol):
    """Looks at a world; raises `Violation` if a promise is broken."""

    def after_step(self, world: World) -> None:
        """Look after each turn: must cost next to nothing."""
        ...

    def at_rest(self, world: World) -> None:
        """Look half a minute after the last fault."""
        ...

    def at_end(self, world: World) -> None:
        """Look when everything is closed."""
        ...


class NothingOpen:
    """At the end no process has a descriptor open."""

    def after_step(self, world: World) -> None:
        """See `Checker.after_step`."""

    def at_rest(self, world: World) -> None:
        """See `Checker.at_rest`."""

    def at_end(self, world: World) -> None:
        """See `Checker.at_end`."""
        for process in world.processes:
            assert not len(process.network.descriptors), process.network.descriptors.snapshot()


def checkers(_world: World) -> list[Checker]:
    """Return who looks at a world."""
    return [NothingOpen()]
