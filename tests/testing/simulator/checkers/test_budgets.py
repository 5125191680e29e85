"""Budgets as a check: what a turn has done, counted; and a loop that is asked for more than it may do."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from tests.testing.simulator.checkers.by_hand import broken, scene
from wsloop.loop.reactor import TIMER_BUDGET, Reactor
from wsloop.testing.clock import FakeClock
from wsloop.testing.network import MemoryNetwork
from wsloop.testing.poller import FakePoller
from wsloop.testing.simulator.checkers.budgets import Budgets, Probe, most_commands, most_messages


class Connections:
    """A registry of so many connections, all of which had commands in turn 7."""

    def __init__(self, count: int, turn: int = 7) -> None:
        self.there = [SimpleNamespace(_handler=SimpleNamespace(_turn_number=turn)) for _ in range(count)]
        self._next_id = count + 1

    def __len__(self) -> int:
        return len(self.there)

    def snapshot(self) -> list[Any]:
        return self.there


class Served:
    """A fan-out that serves as many as it is told to, three in a turn at most."""

    _sends_per_turn = 3

    def _serve(self, _job: object, budget: int) -> int:
        return budget

    def finish(self) -> None:
        self._serve(None, 9)


def house(connections: int = 2) -> Any:
    tally = SimpleNamespace(messages_received=100)
    server = SimpleNamespace(tally=tally, registry=Connections(connections), turn=SimpleNamespace(number=7))
    hub = SimpleNamespace(commands_total=50, _publications_total=7, fan_out=Served())
    return SimpleNamespace(hub=hub, server=server)


def test_what_is_within_the_budget_passes() -> None:
    made = house()
    budgets = Budgets(scene(), "server", made)
    for _ in range(3):
        made.hub.commands_total += most_commands(2)
        made.server.tally.messages_received += most_messages(2)
        made.hub._publications_total += 4
        budgets.check()
    assert budgets.peak == 4


def test_too_many_commands_or_messages_in_a_turn_are_found() -> None:
    made = house()
    budgets = Budgets(scene(), "server", made)
    made.hub.commands_total += most_commands(2) + 1
    with broken("budget", "server carried out", "commands in one turn"):
        budgets.check()
    made.server.tally.messages_received += most_messages(2) + 1
    with broken("budget", "server handed out", "messages in one turn"):
        budgets.check()


def test_the_commands_of_those_who_were_idle_in_the_turn_are_nobody_else_s() -> None:
    made = house(3)
    budgets = Budgets(scene(), "server", made)
    made.server.registry.there[0]._handler._turn_number = 6
    made.hub.commands_total += most_commands(2)
    budgets.check()
    made.hub.commands_total += most_commands(2) + 1
    with broken("budget", "server carried out", "commands in one turn"):
        budgets.check()


def test_who_had_commands_and_has_gone_is_counted() -> None:
    made = house(2)
    budgets = Budgets(scene(), "server", made)
    made.server.registry.there.pop()
    made.hub.commands_total += most_commands(2)
    budgets.check()
    made.hub.commands_total += most_commands(2)
    with broken("budget", "server carried out", "commands in one turn"):
        budgets.check()


def test_a_fan_out_that_serves_too_many_in_a_turn_is_found() -> None:
    made = house()
    budgets = Budgets(scene(), "server", made)
    for _ in range(2):
        made.hub.fan_out._serve(None, 3)
        budgets.check()
    made.hub.fan_out.finish()  # the end of a server waits for no turn
    budgets.check()
    made.hub.fan_out._serve(None, 2)
    made.hub.fan_out._serve(None, 2)
    with broken("budget", "server served 4 receivers in one turn"):
        budgets.check()


def reactor(timer_budget: int = TIMER_BUDGET) -> Reactor:
    clock = FakeClock()
    return Reactor(clock, FakePoller(MemoryNetwork(clock), clock), timer_budget=timer_budget)


def test_a_loop_within_its_budgets_passes_the_probe() -> None:
    loop = reactor()
    probe = Probe(scene(), "server", loop, 0.1)
    turns = 0
    while not probe.is_over:
        loop.run_once()
        probe.check()
        turns += 1
    assert turns > 2


def test_a_loop_without_a_timer_budget_is_found() -> None:
    loop = reactor(timer_budget=100_000)
    probe = Probe(scene(), "server", loop, 0.0)
    with broken("budget", f"server called {Probe.TIMERS} timers in one turn"):
        while not probe.is_over:
            loop.run_once()
            probe.check()


def test_a_loop_that_calls_what_a_callback_has_queued_is_found() -> None:
    loop = reactor()
    probe = Probe(scene(), "server", loop, 0.0)
    loop._run_callbacks()
    loop._run_callbacks()  # as if it went on while there are any
    with broken("budget", "server called one callback 2 times in one turn"):
        probe.check()
