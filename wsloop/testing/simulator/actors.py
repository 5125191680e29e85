"""Who lives in a simulated world: people with clients of all kinds, and one operator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from wsloop.testing.simulator.people.channels import choose
from wsloop.testing.simulator.people.echoer import Echoer
from wsloop.testing.simulator.people.operator import Operator
from wsloop.testing.simulator.people.person import Person
from wsloop.testing.simulator.people.rogue import Rogue
from wsloop.testing.simulator.people.town import Town

if TYPE_CHECKING:
    from wsloop.testing.simulator.world import World


class Actor(Protocol):
    """Somebody who acts now and then; `name` is for the trace."""

    name: str

    def act(self, world: World) -> None:
        """Do something, and see to the next time (`World.wake`)."""
        ...


FEWEST, MOST = 3, 6
"""People with messaging clients; the more there are, the larger the fan-out, and the fewer steps for each."""

ARRIVAL_S = 0.5
"""Within which all have come for the first time."""


def people(world: World) -> list[Actor]:
    """Return who lives in a world, the operator first. Each will act by themselves."""
    town = Town(world)
    chance = town.chance
    for number in range(chance.randint(FEWEST, MOST)):
        name = f"p{number}"
        # Most have a name of their own, which is their user; one has a second device; some are nobody.
        kind = chance.choices(("own", "other", "nobody"), (7, 1, 2))[0]
        user = {"own": name, "other": "p0", "nobody": ""}[kind if number else "own"]
        town.people.append(Person(town, name, user, choose(chance, chance.choice((1, 1, 2, 2, 3)))))
    actors: list[Actor] = [Operator(town), *town.people]
    actors += [Echoer(town, f"echo {number}") for number in range(chance.choice((0, 1, 2)))]
    actors += [Rogue(town, f"rogue {number}") for number in range(chance.choice((0, 0, 1, 2)))]
    for actor in actors:
        world.wake(actor, chance.random() * ARRIVAL_S)
    return actors
