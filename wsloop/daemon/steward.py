"""Whoever started a serving process: told how it is, and asked for what it cannot do itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.server.assembly import House

    Done = Callable[[bool, str], object]


class Steward:
    """Nobody's: a process that was started by hand, in a test. What matters is done by those derived.

    `heartbeat.Beats` speaks to a supervisor, `first_process.FirstProcess` to systemd and to the operator.
    `is_daemon_stopping` tells that the other processes drain.
    """

    is_daemon_stopping = False

    def lending(self) -> None:
        """Be told that the process takes the sockets that it was handed, and closes them from now on."""

    def attach(self, house: House, drain: Callable[[], object], resize: Callable[[int], object]) -> None:
        """Be told that the process serves: everything listens, and the loop is about to turn.

        `drain` is called when it must take leave, `resize` with the number of workers when that has changed.
        """

    def reloading(self) -> None:
        """Be told that the configuration is being read again."""

    def reloaded(self) -> None:
        """Be told that it has been, with success or without."""

    def stopping(self) -> None:
        """Be told that the process drains."""

    def restart(self, done: Done) -> None:
        """Put a new daemon in the place of this one; `done` is given whether that went well, and one line.

        Nothing that waits to be accepted is lost. The configuration is read again, and the program
        loaded anew; if that fails, all stays as it is.
        """
        done(False, "this process cannot be restarted")

    def add_workers(self, count: int, done: Done) -> None:
        """Have `count` workers more, or fewer if it is negative; `done` as with `restart`."""
        done(False, "there are no workers: the daemon was started with one process")
