"""A connection's states follow its table; none is closed and still there, or freed inside a callback.

Every connection's state is compared with the one it had when it was looked at last: a state must be one that
the table leads to from there, in any number of steps.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from wsloop.server.lifecycle import TRANSITIONS, State

if TYPE_CHECKING:
    from wsloop.server.registry import Registry
    from wsloop.testing.simulator.model.scene import Scene

PHASE = "_reap"
"""The method of the reactor in which connections may be freed."""


def reachable() -> dict[State, frozenset[State]]:
    """Return, for each state, those that the table leads to in any number of steps, itself included."""
    found = {state: {state} for state in State}
    for _ in State:
        for (before, _), after in TRANSITIONS.items():
            for states in found.values():
                if before in states:
                    states.add(after)
    return {state: frozenset(states) for state, states in found.items()}


REACHABLE = reachable()


def check_step(scene: Scene, name: str, number: int, before: State, after: State) -> None:
    """Judge the states of connection `number` of the process `name` at two times."""
    if after not in REACHABLE[before]:
        scene.broken("states", f"connection {number} of {name} went from {before.value} to {after.value}")


def check_freed(scene: Scene, name: str, number: int) -> None:
    """Judge, where a socket is closed, that this is phase 8: nobody up the stack may still hold it."""
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == PHASE:
            return
        frame = frame.f_back  # type: ignore[assignment]
    scene.broken("states", f"connection {number} of {name} was freed inside a callback")


class States:
    """Those of one process's life; `look` costs a walk over its connections."""

    __slots__ = ("_last", "_name", "_registry", "_scene")

    def __init__(self, scene: Scene, name: str, registry: Registry) -> None:
        self._scene = scene
        self._name = name
        self._registry = registry
        self._last: dict[int, State] = {}

    def look(self) -> None:
        """Compare every state with the last one. Between two turns only."""
        last, self._last = self._last, {}
        for connection in self._registry.snapshot():
            state = connection.state
            if state is State.CLOSED:
                self._scene.broken(
                    "states", f"connection {connection.id} of {self._name} is closed, and still there"
                )
            check_step(
                self._scene, self._name, connection.id, last.get(connection.id, State.ACCEPTING), state
            )
            self._last[connection.id] = state
