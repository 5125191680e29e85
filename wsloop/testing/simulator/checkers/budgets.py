"""A turn's work is within its budget: commands, messages, receivers served, timers, callbacks.

Counted from one turn to the next. What is read per connection and turn is judged in `wire.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from wsloop.loop.reactor import TIMER_BUDGET
from wsloop.server.connection import READ_BYTES
from wsloop.server.messaging import COMMAND_UNITS, COMMANDS_PER_TURN, LEAST_COMMANDS
from wsloop.server.turn import LEAST_UNITS, QUIET_BYTES, UNITS_PER_TURN

if TYPE_CHECKING:
    from wsloop.loop.reactor import Reactor
    from wsloop.server.assembly import House
    from wsloop.server.fan_out import PacedFanOut, _Job
    from wsloop.testing.simulator.model.scene import Scene

LEAST_FRAME_BYTES = 6
"""Of a client's: a header of two bytes and a mask of four."""

QUIET_FRAMES = QUIET_BYTES // LEAST_FRAME_BYTES
"""Most frames of a read that asks for no share of the turn's sum."""


def most_commands(connections: int) -> int:
    """Return how many commands one turn may carry out for so many connections.

    Each its share; and of all the sum, one more share, the least of all.
    """
    of_all = UNITS_PER_TURN // COMMAND_UNITS + COMMANDS_PER_TURN + LEAST_COMMANDS * connections
    return min(of_all, COMMANDS_PER_TURN * connections)


def most_messages(connections: int) -> int:
    """Return how many messages one turn may hand out.

    Whoever reads first may take all that fits into one read; the sum bounds the others.
    """
    return UNITS_PER_TURN + READ_BYTES // LEAST_FRAME_BYTES + max(QUIET_FRAMES, LEAST_UNITS) * connections


class Budgets:
    """Those of one process's life. `peak`: most publications that one of its turns has handed out."""

    __slots__ = (
        "_commands",
        "_fan_out",
        "_finish",
        "_gone",
        "_hub",
        "_messages",
        "_name",
        "_next_id",
        "_publications",
        "_registry",
        "_scene",
        "_serve",
        "_served",
        "_server",
        "_tally",
        "_there",
        "peak",
    )

    def __init__(self, scene: Scene, name: str, house: House) -> None:
        self._scene = scene
        self._name = name
        self._hub = house.hub
        self._server = house.server
        self._tally = house.server.tally
        self._fan_out = fan_out = cast("PacedFanOut", house.hub.fan_out)
        self._serve, self._finish = fan_out._serve, fan_out.finish
        self._served = 0
        fan_out._serve, fan_out.finish = self._tap, self._tap_finish  # type: ignore[method-assign]
        self._registry = registry = house.server.registry
        self._there, self._next_id, self._gone = len(registry), registry._next_id, 0
        self.peak = 0
        self._publications = house.hub._publications_total
        self._commands = house.hub.commands_total
        self._messages = house.server.tally.messages_received

    def check(self) -> None:
        """Judge the turn that has ended; nothing if it was another process's."""
        registry = self._registry
        there, next_id = len(registry), registry._next_id
        self._gone = self._there + next_id - self._next_id - there
        self._there, self._next_id = there, next_id
        if self._served:
            served, self._served = self._served, 0
            if served > self._fan_out._sends_per_turn:
                self._scene.broken("budget", f"{self._name} served {served} receivers in one turn")
        publications = self._hub._publications_total
        if publications != self._publications:
            self.peak = max(self.peak, publications - self._publications)
            self._publications = publications
        commands, messages = self._hub.commands_total, self._tally.messages_received
        if commands != self._commands or messages != self._messages:
            done, self._commands = commands - self._commands, commands
            if done > COMMANDS_PER_TURN and done > most_commands(self._busy()):
                self._scene.broken("budget", f"{self._name} carried out {done} commands in one turn")
            done, self._messages = messages - self._messages, messages
            if done > UNITS_PER_TURN and done > most_messages(there):
                self._scene.broken("budget", f"{self._name} handed out {done} messages in one turn")

    def _busy(self) -> int:
        """Return for how many connections commands may have been carried out in the turn that has ended."""
        number = self._server.turn.number
        handlers = [each._handler for each in self._registry.snapshot()]
        busy = [each for each in handlers if getattr(each, "_turn_number", 0) == number]
        return self._gone + len(busy)

    def _tap(self, job: _Job, budget: int) -> int:
        """Count what a turn's portion of a fan-out comes to."""
        served: int = self._serve(job, budget)
        self._served += served
        return served

    def _tap_finish(self) -> None:
        """Count nothing that is served without regard to turns: the server drains."""
        served = self._served
        self._finish()
        self._served = served


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
