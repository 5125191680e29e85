"""What `wsloop ctl` can have done to a daemon as a whole: a port, and its form for a single process.

With several processes the one that answers on the control socket is not the one that steers: it asks
the supervisor. Each method tells its outcome once, now or later.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

import msgspec

from wsloop.errors import WsloopError

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.daemon.reload import Outcome
    from wsloop.daemon.steward import Done
    from wsloop.server.server import Server

    Told = Callable[["list[str] | SteeringError"], object]
    """Gets lines for the operator, or why nothing was done."""


DRAIN_AFTER_S = 0.1
"""Without clients a drain ends the daemon at once: the operator's answer leaves first."""


class SteeringError(WsloopError):
    """What was asked for cannot be done; one line says why, another what to do instead, or ""."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class WorkerRow(msgspec.Struct, frozen=True):
    """A process that holds connections."""

    name: str
    pid: int
    state: str  # "serving", "draining", "starting"
    connections: int
    draining_left: int = 0  # of the connections, while it drains
    beat_age_s: float = 0.0  # since it was last heard of
    deaths: int = 0  # how often its slot was filled anew
    reason: str = ""  # why it is not ready, if it is not
    warning: str = ""  # what is wrong although it serves


class Steering(Protocol):
    """The daemon's wheel."""

    def drain(self, done: Told) -> None:
        """Accept no more, take leave of everybody, end."""
        ...

    def reload(self, done: Told) -> None:
        """Read the configuration again; the lines tell what has changed."""
        ...

    def restart(self, done: Told) -> None:
        """Hand the listening sockets to a new daemon, and leave."""
        ...

    def workers(self, done: Callable[[list[WorkerRow]], object]) -> None:
        """Tell of the processes that hold connections."""
        ...

    def pid(self) -> int:
        """Return the process that signals are for: the only one, or the supervisor."""
        ...

    def progress(self) -> tuple[int, int]:
        """Return how many connections are left of how many, while it drains; else (0, 0)."""
        ...


class AloneSteering:
    """The wheel of a daemon that is one process. Satisfies `Steering`.

    `drain` begins a drain; `reload` tells what it came to; `restart`, None: it cannot be done.
    """

    def __init__(
        self,
        server: Server,
        drain: Callable[[], object],
        reload: Callable[[], Outcome],
        restart: Callable[[Done], object] | None = None,
    ) -> None:
        self._server = server
        self._drain = drain
        self._reload = reload
        self._restart = restart

    def drain(self, done: Told) -> None:
        """See `Steering.drain`."""
        done([])
        self._server.reactor.call_later(DRAIN_AFTER_S, self._drain)

    def reload(self, done: Told) -> None:
        """See `Steering.reload`."""
        outcome = self._reload()
        done(SteeringError(outcome.lines()[0], outcome.hint) if outcome.error else outcome.lines())

    def restart(self, done: Told) -> None:
        """See `Steering.restart`."""
        if self._restart is None:
            done(SteeringError("this daemon cannot hand its sockets over", "end it and start it anew"))
        else:
            self._restart(lambda is_done, line: done([line] if is_done else SteeringError(line)))

    def workers(self, done: Callable[[list[WorkerRow]], object]) -> None:
        """See `Steering.workers`."""
        left, _ = self.progress()
        state = "draining" if self._server.draining else "serving"
        done([WorkerRow("alone", os.getpid(), state, self._server.clients, left)])

    def pid(self) -> int:
        """See `Steering.pid`."""
        return os.getpid()

    def progress(self) -> tuple[int, int]:
        """See `Steering.progress`."""
        return (self._server.clients, self._server.drained_from) if self._server.draining else (0, 0)
