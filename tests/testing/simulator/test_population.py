"""The workload: in some thousand steps there is something of everything that the promises are about."""

from __future__ import annotations

import pytest

from wsloop.testing.simulator.checkers.watch import Watch
from wsloop.testing.simulator.faults import NO_FAULTS
from wsloop.testing.simulator.people.operator import DOINGS, Operator
from wsloop.testing.simulator.people.reader import CountingReader
from wsloop.testing.simulator.world import World

TURNS = 4000


def town_of(world: World) -> Operator:
    operator = world.actors[0]
    assert isinstance(operator, Operator)
    return operator


@pytest.mark.parametrize("shape", ["one", "cluster"])
def test_much_is_published_heard_and_acknowledged(shape: str) -> None:
    world = World("7", shape, NO_FAULTS)
    while world.turns < TURNS:
        world.turn()
    people = town_of(world).town.people
    readers = [reader for person in people for reader in person.readers.values()]
    assert sum(person.writer.acknowledged for person in people) > TURNS // 20
    assert sum(reader.seen for reader in readers) > TURNS // 20
    assert sum(isinstance(reader, CountingReader) and bool(reader.offset) for reader in readers) > len(people)
    assert world.cable.dialled >= len(people)


def test_the_operator_s_doings_are_all_understood() -> None:
    """Each is a method of the API that a server carries out: one that is refused is a violation."""
    world = World("8", "one", NO_FAULTS)
    operator = town_of(world)
    world.run_for(2.0)
    (process,) = world.doors
    for _, doing in DOINGS:
        if doing.__name__ != "drain":
            for _ in range(4):
                doing(operator, process)
        world.run_for(0.2)
    (watch,) = world.checkers
    assert isinstance(watch, Watch)
    assert process.house is not None
    assert process.life == 1


def test_a_drained_server_is_followed_by_another() -> None:
    world = World("9", "one", NO_FAULTS)
    operator = town_of(world)
    world.run_for(1.0)
    (process,) = world.doors
    operator.drain(process)
    world.run_for(5.0)
    assert process.life == 2
    world.calm()  # everybody is back
