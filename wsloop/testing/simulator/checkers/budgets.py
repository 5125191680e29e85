"""A turn's work is within its budget: commands, messages, timers, callbacks.

Counted from one turn to the next. What is read per connection and turn is judged in `wire.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsloop.loop.reactor import TIMER_BUDGET
from wsloop.server.connection import READ_BYTES
from wsloop.server.messaging import COMMAND_UNITS, COMMANDS_PER_TURN, LEAST_COMMANDS
from wsloop.server.turn import LEAST_UNITS, QUIET_BYTES, UNITS_PER_TURN

if TYPE_CHECKING:
    from wsloop.loop.reactor import Reactor
    from wsloop.server.assembly import House
    from wsloop.testing.simulator.model.scene import Scene

LEAST_FRAME_BYTES = 6
"""Of a client's: a header of two bytes and a mask of four."""

QUIET_FRAMES = QUIET_BYTES // LEAST_FRAME_BYTES
"""Most frames of a read that asks for no share of the turn's sum."""


def most_commands(connections: int) -> int:
    """Return how many commands one turn may carry out: the sum, one more share, the least of all."""
    return UNITS_PER_TURN // COMMAND_UNITS + COMMANDS_PER_TURN + LEAST_COMMANDS * connections


def most_messages(connections: int) -> int:
    """Return how many messages one turn may hand out.

    Whoever reads first may take all that fits into one read; the sum bounds the others.
    """
    return UNITS_PER_TURN + READ_BYTES // LEAST_FRAME_BYTES + max(QUIET_FRAMES, LEAST_UNITS) * connections


class Budgets:
    """Those of one process's life. `peak`: most publications that one of its turns has handed out."""

    __slots__ = (
        "_commands",
        "_hub",
        "_messages",
        "_name",
        "_publications",
        "_registry",
        "_scene",
        "_tally",
        "peak",
    )

    def __init__(self, scene: Scene, name: str, house: House) -> None:
        self._scene = scene
        self._name = name
        self._hub = house.hub
        self._tally = house.server.tally
        self._registry = house.server.registry
        self.peak = 0
        self._publications = house.hub._publications_total
        self._commands = house.hub.commands_total
        self._messages = house.server.tally.messages_received

    def check(self) -> None:
        """Judge the turn that has ended; nothing if it was another process's."""
        publications = self._hub._publications_total
        if publications != self._publications:
            self.peak = max(self.peak, publications - self._publications)
            self._publications = publications
        commands, messages = self._hub.commands_total, self._tally.messages_received
        if commands != self._commands or messages != self._messages:
            done, self._commands = commands - self._commands, commands
            if done > COMMANDS_PER_TURN and done > most_commands(len(self._registry)):
                self._scene.broken("budget", f"{self._name} carried out {done} commands in one turn")
            done, self._messages = messages - self._messages, messages
            if done > UNITS_PER_TURN and done > most_messages(len(self._registry)):
                self._scene.broken("budget", f"{self._name} handed out {done} messages in one turn")


class Probe:
    """A crowd of timers due at once, and a callback that asks to be called again.

    Is told what the loop makes of them. It is over when all have fired.
    """

    TIMERS = TIMER_BUDGET + 500
    TURNS = 8

    __slots__ = ("_callbacks", "_left", "_name", "_reactor", "_scene", "_timers", "_turns")

    def __init__(self, scene: Scene, name: str, reactor: Reactor, delay_s: float) -> None:
        self._scene = scene
        self._name = name
        self._reactor = reactor
        self._timers = self._callbacks = 0
        self._left = self.TIMERS
        self._turns = self.TURNS
        for _ in range(self.TIMERS):
            reactor.call_later(delay_s, self._on_timer)
        reactor.call_soon(self._on_callback)

    @property
    def is_over(self) -> bool:
        """Whether all timers have fired."""
        return not self._left

    def check(self) -> None:
        """Judge the turn that has ended."""
        if self._timers > TIMER_BUDGET:
            self._scene.broken("budget", f"{self._name} called {self._timers} timers in one turn")
        if self._callbacks > 1:
            self._scene.broken(
                "budget", f"{self._name} called one callback {self._callbacks} times in one turn"
            )
        self._timers = self._callbacks = 0

    def _on_timer(self) -> None:
        self._timers += 1
        self._left -= 1

    def _on_callback(self) -> None:
        self._callbacks += 1
        if self._turns:
            self._turns -= 1
            self._reactor.call_soon(self._on_callback)
