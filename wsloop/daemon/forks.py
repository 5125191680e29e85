"""The operating system's side of a crew: forking, killing and reaping real processes."""

from __future__ import annotations

import contextlib
import gc
import os
from typing import TYPE_CHECKING

from wsloop.daemon import children
from wsloop.daemon.channel import Channel

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable

    from wsloop.daemon.channel import Message
    from wsloop.daemon.slots import Slot
    from wsloop.loop.reactor import Reactor


class Forks:
    """Satisfies `crew.Processes`. `serve` is what a new process does with its slot and its line."""

    def __init__(self, reactor: Reactor, serve: Callable[[Slot, socket.socket], int]) -> None:
        self._reactor = reactor
        self._serve = serve

    def start(self, slot: Slot, on_message: Callable[[Message, list[int]], object]) -> tuple[int, Channel]:
        """Fork; see `Processes.start`."""
        # What is there now is shared with the child for as long as neither writes to it. A collection
        # writes to all that it looks at.
        gc.collect()
        gc.freeze()
        pid, sock = children.fork(lambda line: self._serve(slot, line), slot.name)
        return pid, Channel(self._reactor, sock, on_message, _nothing)

    def kill(self, pid: int, number: int) -> None:
        """See `Processes.kill`; a process that has ended and was not reaped yet takes no harm."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)

    def reap(self, pids: Iterable[int]) -> list[tuple[int, int]]:
        """See `Processes.reap`; each pid is asked for by its number: others may have children here too."""
        found = []
        for pid in pids:
            try:
                gone, status = os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:  # ECHILD: reaped by somebody else
                gone, status = pid, 0
            if gone:
                found.append((pid, os.waitstatus_to_exitcode(status)))
        return found


def _nothing() -> None:
    """Do nothing: the end of a line is told by the end of the process."""
