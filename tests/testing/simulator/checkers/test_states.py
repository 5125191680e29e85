"""States as a check: what the table leads to, and where connections are freed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.testing.simulator.checkers.by_hand import broken, scene
from wsloop.server.lifecycle import State
from wsloop.server.registry import Registry
from wsloop.testing.simulator.checkers.states import REACHABLE, States, check_freed, check_step

ORDER = list(State)


@pytest.mark.parametrize("before", ORDER)
def test_states_go_forward_only(before: State) -> None:
    assert REACHABLE[before] == set(ORDER[ORDER.index(before) :])


def test_a_step_back_is_found() -> None:
    check_step(scene(), "server", 9, State.OPEN, State.CLOSED)
    with broken("states", "connection 9 of server went from closing to open"):
        check_step(scene(), "server", 9, State.CLOSING, State.OPEN)


def connection(number: int, state: State) -> Any:
    return SimpleNamespace(id=number, state=state)


def test_all_connections_are_looked_at() -> None:
    registry = Registry()
    one, two = connection(1, State.OPEN), connection(2, State.HANDSHAKING)
    registry.add(one)
    registry.add(two)
    states = States(scene(), "server", registry)
    states.look()
    two.state = State.OPEN
    states.look()
    one.state = State.HANDSHAKING
    with broken("states", "connection 1 of server went from open to handshaking"):
        states.look()


def test_a_closed_connection_that_is_still_there_is_found() -> None:
    registry = Registry()
    registry.add(connection(3, State.CLOSED))
    with broken("states", "connection 3 of server is closed, and still there"):
        States(scene(), "server", registry).look()


def test_connections_are_freed_in_phase_8_only() -> None:
    def _reap() -> None:
        check_freed(scene(), "server", 4)

    def _dispatch() -> None:
        check_freed(scene(), "server", 4)

    _reap()
    with broken("states", "connection 4 of server was freed inside a callback"):
        _dispatch()
