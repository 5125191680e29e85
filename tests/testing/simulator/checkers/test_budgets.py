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


def house(connections: int = 2) -> Any:
    tally = SimpleNamespace(messages_received=100)
    server = SimpleNamespace(tally=tally, registry=range(connections))
    return SimpleNamespace(hub=SimpleNamespace(commands_total=50, _publications_total=7), server=server)


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
