"""Who lives in a simulated world: people with a client, who do what clients do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from wsloop.testing.simulator.line import Line
    from wsloop.testing.simulator.world import World


class Actor(Protocol):
    """Somebody who acts now and then."""

    def act(self, world: World) -> None:
        """Do something, and see to the next time (`World.wake`)."""
        ...


class Caller:
    """Connects, asks for a page, and hangs up: the least that anybody does."""

    def __init__(self, world: World, number: int) -> None:
        self._random = world.choices.stream(f"caller {number}")
        self._line: Line | None = None
        self._got = bytearray()
        world.wake(self, self._random.random())

    def act(self, world: World) -> None:
        """See `Actor.act`."""
        world.wake(self, self._random.expovariate(10))
        if self._line is None or self._line.is_over:
            self._line = world.dial(self._random.choice(world.doors), self._on_bytes, self._on_end)
        elif self._random.random() < 0.9:
            self._line.write(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        else:
            self._line.leave()

    def _on_bytes(self, data: bytes) -> None:
        self._got = bytearray(data)

    def _on_end(self, how: str) -> None:
        if how == "fin" and self._line is not None:
            self._line.leave()


def people(world: World) -> list[Actor]:
    """Return who lives in a world."""
    return [Caller(world, number) for number in range(8)]
