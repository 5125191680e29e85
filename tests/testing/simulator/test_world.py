from __future__ import annotations

import math

import pytest

from tests.testing.simulator.kit import Caller
from wsloop.testing.simulator import actors, checkers
from wsloop.testing.simulator import world as world_module
from wsloop.testing.simulator.faults import KINDS, NO_FAULTS, FaultPlan, Per
from wsloop.testing.simulator.process import HUB
from wsloop.testing.simulator.violation import Violation
from wsloop.testing.simulator.world import SHAPES, World


@pytest.fixture(autouse=True)
def _simple_people(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actors, "people", lambda here: [Caller(here, number) for number in range(8)])
    monkeypatch.setattr(checkers, "checkers", lambda _here: [])
    monkeypatch.setattr(world_module, "CALM_S", 0.5)


def world(shape: str = "cluster", plan: FaultPlan = NO_FAULTS, seed: int = 1) -> World:
    """A world of people who come and go; without faults unless it is told otherwise."""
    return World(seed, shape, plan)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_turn_is_one_of_one_process(shape: str) -> None:
    here = world(shape)
    for _ in range(200):
        before = sum(each.reactor.statistics().turns for each in here.processes)
        here.turn()
        assert sum(each.reactor.statistics().turns for each in here.processes) == before + 1
    assert here.turns == 200
    assert here.turns_worked > 50


@pytest.mark.parametrize("shape", SHAPES)
def test_one_seed_is_one_history_and_another_is_another(shape: str) -> None:
    digests = []
    for seed in (1, 1, 2):
        here = world(shape, FaultPlan(), seed)
        for _ in range(500):
            here.turn()
        digests.append(here.trace.digest)
    assert digests[0] == digests[1] != digests[2]


def test_time_passes_only_while_everybody_waits() -> None:
    here = world("one")
    for _ in range(300):
        before_s = here.clock.now()
        here.turn()
        assert here.clock.now() > before_s
    assert here.lasted_s > 0.1


@pytest.mark.parametrize("shape", SHAPES)
def test_after_the_calm_nothing_is_open(shape: str) -> None:
    here = world(shape, FaultPlan(), 3)
    for _ in range(300):
        here.turn()
    here.calm()
    assert here.is_calm
    assert [len(each.network.descriptors) for each in here.processes] == [0] * len(here.processes)


def test_a_process_that_is_killed_makes_no_turn_and_comes_back_with_nothing() -> None:
    here = world()
    hub = here.process(HUB)
    for _ in range(100):
        here.turn()
    before = hub.reactor
    hub.kill()
    hub.kill()
    turns = before.statistics().turns
    assert (hub.house, hub.wake_s(0.0), hub.is_running(0.0)) == (None, math.inf, False)
    for _ in range(100):
        here.turn()
    assert before.statistics().turns == turns
    hub.start()
    hub.start()
    assert (hub.life, hub.reactor is before) == (2, False)
    here.run_for(10.0)
    assert all(len(each.links()) == 1 for each in here.doors)


def test_a_process_that_is_stopped_makes_no_turn_until_it_goes_on() -> None:
    here = world("one")
    (server,) = here.processes
    until_s = here.clock.now() + 5.0
    server.stopped_until_s = until_s
    here.turn()
    assert here.clock.now() >= until_s


@pytest.mark.parametrize("name", [kind.name for kind in KINDS if kind.per is Per.SECONDS])
def test_the_weather_does_what_the_table_says_and_ends(name: str) -> None:
    here = world()
    random = here.choices.stream("a test")
    here.run_for(2.0)
    for _ in range(20):
        here.weather.actions[name](random)
        for _ in range(20):
            here.turn()
    here.calm()
    for each in here.processes:
        assert each.network.descriptors.limit >= 1024


@pytest.mark.parametrize("name", [kind.name for kind in KINDS if kind.per is Per.SECONDS])
def test_a_fault_that_finds_nobody_to_strike_is_not_counted(name: str) -> None:
    here = world(plan=FaultPlan())
    for process in here.processes:
        process.kill()
    here.marks.single.clear()
    here.marks.fired[name] = 7
    here.weather._strike(name)
    if name.startswith(("wall", "suspend")):  # these strike the machine
        assert (here.marks.fired[name], here.marks.single) == (8, [(name, 1)])
    else:
        assert (here.marks.fired[name], here.marks.single) == (7, [])


@pytest.mark.parametrize("name", ["stall", "fin", "reset"])
def test_what_was_done_to_a_line_is_not_done_again(name: str) -> None:
    here = world("one", FaultPlan())
    random = here.choices.stream("a test")
    while not here.cable.lines:
        here.turn()
    (line,) = here.cable.lines.values()
    line.stall()
    if name == "fin":
        line.end_writing()
    elif name == "reset":
        line.reset()
    assert not here.weather.actions[name](random)


def test_the_wall_clock_is_set_and_monotonic_time_is_not() -> None:
    here = world("one")
    before_s, wall_s = here.clock.now(), here.clock.unix_s()
    here.weather.set_the_wall_clock(-3600.0)
    assert here.clock.now() == before_s
    assert here.clock.unix_s() == pytest.approx(wall_s - 3600.0)
    for _ in range(100):
        here.weather.set_the_wall_clock(-86_400.0 * 400)
        assert here.clock.unix_s() > 0.9e9


def test_a_world_in_which_nothing_can_happen_is_a_violation() -> None:
    here = world("one")
    here.processes[0].kill()
    here.agenda.entries.clear()
    with pytest.raises(Violation, match="deadlock"):
        here.turn()


def test_a_refused_connection_is_none() -> None:
    here = world("one")
    (server,) = here.doors
    assert here.dial(server, lambda _: None, lambda _: None) is not None
    server.kill()
    assert here.dial(server, lambda _: None, lambda _: None) is None


def test_a_worker_that_is_parted_links_again_when_it_is_reunited() -> None:
    here = world()
    here.run_for(2.0)
    worker = here.doors[0]
    (link,) = worker.links()
    worker.network.part([link])
    here.run_for(45.0)  # longer than a link lives without a word
    assert worker.links() != [link]
    worker.network.reunite()
    worker.network.reunite()
    assert here.marks.fired["link-partition"] == 1
    here.run_for(10.0)
    (link,) = worker.links()
    assert link.peer in here.process(HUB).network.sockets()
    assert worker.house is not None
    assert worker.house.domain.link_up  # type: ignore[attr-defined]


@pytest.mark.parametrize("repaired_by", ["time", "the calm"])
def test_a_slow_link_is_as_it_was_after_some_time(repaired_by: str) -> None:
    here = world()
    here.cable.link_delay_s = 0.03
    here.run_for(2.0)
    assert here.weather.slow_a_link(here.choices.stream("which"))
    (slow,) = [link for door in here.doors for link in door.links() if link.delay_s != 0.03]
    if repaired_by == "time":
        here.run_for(31.0)
    else:
        here.weather.end()
    for end in (slow, slow.peer):
        assert (end.delay_s, end.jitter_s, end.bytes_per_s) == (0.03, 0.0, 0.0)


class Idler:
    """Wakes up again and again, and does nothing."""

    name = "idler"

    def act(self, here: World) -> None:
        here.wake(self, 0.001)


def test_arrivals_acts_and_turns_are_steps_and_those_who_do_nothing_take_none() -> None:
    here = world("one")
    here.run_for(1.0)
    arrivals_and_acts = here.steps - here.turns
    assert arrivals_and_acts > 0
    idle = world("one")
    for actor in (Idler(), Idler()):
        idle.wake(actor, 0.0)
    idle.run_for(1.0)
    assert idle.agenda.called > here.agenda.called + 1000
    assert idle.steps - idle.turns == arrivals_and_acts


def test_a_loop_that_is_busy_for_nothing_is_a_violation() -> None:
    here = world("one")
    (server,) = here.processes

    def again() -> None:
        server.reactor.call_soon(again)

    again()
    with pytest.raises(Violation, match="spin: server was busy for 1000 turns"):
        here.run_for(60.0)
    assert server.busy_turns > 1000
