"""The wheel of a daemon with several processes: the hub process is asked, the supervisor steers.

The supervisor's end answers what `heartbeat.Beats.ask` asks; the hub process's end is what the control
socket's service knows as `Steering`. In between is a line of small messages, so an answer is one text:
a line for the operator, or JSON.
"""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Protocol

import msgspec

from wsloop.daemon.roles import Kind
from wsloop.daemon.steering import DRAIN_AFTER_S, SteeringError, WorkerRow
from wsloop.observe.snapshot import Snapshot  # noqa: TC001 - an annotation of what is decoded
from wsloop.server.health import OVERLOADED

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.daemon.crew import Crew
    from wsloop.daemon.reload import Outcome
    from wsloop.daemon.slots import Child
    from wsloop.daemon.steering import Told
    from wsloop.daemon.steward import Done
    from wsloop.loop.reactor import Reactor

ROSTER_EVERY_S = 1.0
"""How old what the hub process knows of the others may be: as old as their beats."""


MAX_LINES = 200
MAX_LINE = 1000
"""Of what a reload has changed: lines that an operator is shown, and characters of each. The log has all."""


class Roster(msgspec.Struct, frozen=True):
    """Who is there, and how the supervisor is.

    `drained_from`: how many clients there were when the drain began; `warning`: what is wrong with the
    supervisor itself, although the daemon serves; `numbers`: its own metrics, None before it was asked.
    """

    rows: tuple[WorkerRow, ...] = ()
    drained_from: int = 0
    warning: str = ""
    numbers: Snapshot | None = None


class Reloaded(msgspec.Struct, frozen=True):
    """What a reload came to, in words."""

    lines: list[str]
    is_error: bool = False
    hint: str = ""


def rows_of(crew: Crew, now_s: float) -> tuple[WorkerRow, ...]:
    """Return who is there, workers only, by name."""
    rows = [_row(child, now_s) for child in crew.of(Kind.WORKER)]
    rows.sort(key=lambda row: (row.name, row.pid))
    return tuple(rows)


def _row(child: Child, now_s: float) -> WorkerRow:
    beat = child.beat
    if beat is None:
        return WorkerRow(child.slot.name, child.pid, "starting", 0, deaths=child.slot.deaths)
    state = "draining" if beat.is_draining else "serving" if beat.is_ready else "not ready"
    return WorkerRow(
        child.slot.name,
        child.pid,
        state,
        beat.connections,
        beat.draining_left,
        round(now_s - child.heard_s, 3),
        child.slot.deaths,
        beat.reason,
        beat.warning,
    )


class Helm:
    """The supervisor's end: what it does when it is asked.

    `drain`, `reload`, `restart` and `resize` are the supervisor's; `roster` tells who is there.
    """

    def __init__(
        self,
        reactor: Reactor,
        *,
        drain: Callable[[], object],
        reload: Callable[[], Outcome],
        restart: Callable[[Done], object],
        resize: Callable[[int, Done], object],
        roster: Callable[[], Roster],
    ) -> None:
        self._reactor = reactor
        self._drain = drain
        self._reload = reload
        self._roster = roster
        self._orders: dict[str, Callable[[str, Done], object]] = {
            "restart": lambda _, done: restart(done),
            "add_workers": lambda argument, done: resize(int(argument), done),
            "drain": self._on_drain,
            "reload": self._on_reload,
            "roster": lambda _, done: done(True, msgspec.json.encode(self._roster()).decode()),
        }

    def carry_out(self, what: str, argument: str, done: Done) -> None:
        """Do what a process asks for; `done` is given whether it was done, and a text."""
        order = self._orders.get(what)
        if order is None:
            done(False, f"unknown: {what}")
        else:
            order(argument, done)

    def _on_drain(self, _argument: str, done: Done) -> None:
        done(True, "")
        self._reactor.call_later(DRAIN_AFTER_S, self._drain)

    def _on_reload(self, _argument: str, done: Done) -> None:
        outcome = self._reload()
        lines = outcome.lines()
        if len(lines) > MAX_LINES:
            lines = [*lines[:MAX_LINES], f"and {len(lines) - MAX_LINES} more: see the log"]
        told = Reloaded([line[:MAX_LINE] for line in lines], bool(outcome.error), outcome.hint[:MAX_LINE])
        done(True, msgspec.json.encode(told).decode())


class Asks(Protocol):
    """Who asks the supervisor: `heartbeat.Beats`, once it is attached."""

    @property
    def is_daemon_stopping(self) -> bool:
        """Whether the workers drain."""
        ...

    def ask(self, what: str, argument: str, done: Done, /) -> None:
        """Ask; `done` is given whether it was done, and a text."""
        ...


class CrewSteering:
    """The hub process's end. Satisfies `Steering`. `begin` once the line to the supervisor is there."""

    def __init__(self, reactor: Reactor, supervisor: Asks) -> None:
        self.roster = Roster()
        self._reactor = reactor
        self._supervisor = supervisor
        self._is_asking = False

    def begin(self) -> None:
        """Ask who is there, now and from time to time; not again before the answer is there."""
        if not self._is_asking:
            self._is_asking = True
            self.workers(lambda _: None)
        self._reactor.call_later(ROSTER_EVERY_S, self.begin)

    def reason(self) -> str:
        """Return why clients should not be sent to the workers, "" if they may (`Health`).

        All of them drain; or one of them is overloaded, since it refuses its part of those who come; that is
        as old as the roster. Whether workers are linked this process knows sooner by itself (`joint.py`).
        """
        if self._supervisor.is_daemon_stopping:
            return "draining"
        full = [
            f"{row.name} is {row.reason}" for row in self.roster.rows if row.reason.startswith(OVERLOADED)
        ]
        return "; ".join(full)

    def warning(self) -> str:
        """Return what is wrong with the others although they serve, "" if nothing is; as old as `roster`."""
        others = [("supervisor", self.roster.warning), *((row.name, row.warning) for row in self.roster.rows)]
        return "; ".join(f"{name}: {warning}" for name, warning in others if warning)

    def drain(self, done: Told) -> None:
        """See `Steering.drain`."""
        self._supervisor.ask("drain", "", functools.partial(_told, done))

    def reload(self, done: Told) -> None:
        """See `Steering.reload`."""

        def told(is_done: bool, text: str) -> None:
            outcome = msgspec.json.decode(text, type=Reloaded) if is_done else Reloaded([text], True)
            done(SteeringError(outcome.lines[0], outcome.hint) if outcome.is_error else outcome.lines)

        self._supervisor.ask("reload", "", told)

    def restart(self, done: Told) -> None:
        """See `Steering.restart`."""
        self._supervisor.ask("restart", "", functools.partial(_told, done))

    def workers(self, done: Callable[[list[WorkerRow]], object]) -> None:
        """See `Steering.workers`."""

        def told(is_done: bool, text: str) -> None:
            self._is_asking = False
            if is_done:
                self.roster = msgspec.json.decode(text, type=Roster)
            done(list(self.roster.rows))

        self._supervisor.ask("roster", "", told)

    def pid(self) -> int:
        """See `Steering.pid`: the supervisor is the parent."""
        return os.getppid()

    def progress(self) -> tuple[int, int]:
        """See `Steering.progress`; as old as the roster."""
        of = self.roster.drained_from
        return (sum(row.connections for row in self.roster.rows), of) if of else (0, 0)


def _told(done: Told, is_done: bool, text: str) -> None:
    """Complete an order with its line, or with why it was not carried out."""
    if is_done:
        done([text] if text else [])
    else:
        done(SteeringError(text))
