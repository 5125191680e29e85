"""Restart without a gap: a new daemon is started, given the listening sockets, and waited for.

The new process is this program with the same arguments, so an upgraded installation and a changed file
take effect. It inherits every listening socket (`inheritance.py`), and says so on a pipe once it serves;
until then both accept. Only then the old one stops accepting and drains. If the new one ends before, or says
nothing for too long, it is killed, and nothing has happened.

docs/how-to/restart.md is for the operator.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from typing import TYPE_CHECKING

import msgspec

from wsloop.daemon.inheritance import READY, VARIABLE
from wsloop.daemon.systemd import OF_ONE_PROCESS
from wsloop.errors import ConfigError, StartupError
from wsloop.loop.poller import READ

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.daemon.inheritance import Inheritance
    from wsloop.loop.reactor import Reactor

log = logging.getLogger("wsloop.daemon")

READY_WITHIN_S = 30.0
"""For a new daemon to serve: it takes half a second, and the machine may be busy."""

MEANINGS = {
    ConfigError.exit_code: "bad configuration: its standard error, or wsloop check-config, tells",
    StartupError.exit_code: "it could not start: see its standard error",
}
"""What an exit code says to an operator who sees nothing but the answer of `wsloop ctl restart`."""

LOOK_EVERY_S = 0.05
LOOKS = 100
"""How often, and how many times, a process that has closed the pipe is looked for: it has all but ended."""


def _spawn(command: list[str], environ: dict[str, str], descriptors: tuple[int, ...]) -> int:
    """Start a program that inherits `descriptors`; return its pid. Raises OSError.

    Nothing else is inherited, since all that Python opens is closed by exec(2), nor are the signals that
    the interpreter ignores.
    """
    try:
        for descriptor in descriptors:
            os.set_inheritable(descriptor, True)
        return os.posix_spawn(
            command[0], command, environ, setsigmask=(), setsigdef=(signal.SIGPIPE, signal.SIGXFSZ)
        )
    finally:
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)


class Successor:
    """A new daemon that is being started with what `left` says, but for its pipe, which is made here.

    `on_ready` is called with its pid, or `on_failed` with one line that says what went wrong. Raises
    OSError if it cannot be started at all.
    """

    def __init__(
        self,
        reactor: Reactor,
        left: Inheritance,
        on_ready: Callable[[int], object],
        on_failed: Callable[[str], object],
        *,
        command: list[str] | None = None,
        ready_within_s: float = READY_WITHIN_S,
    ) -> None:
        self._reactor = reactor
        self._on_ready = on_ready
        self._on_failed = on_failed
        self._looks_left = LOOKS
        self._pipe, theirs = os.pipe()
        os.set_blocking(self._pipe, False)
        left = msgspec.structs.replace(left, ready=theirs, predecessor=os.getpid())
        environ = {name: value for name, value in os.environ.items() if name not in OF_ONE_PROCESS}
        environ[VARIABLE] = msgspec.json.encode(left).decode()
        try:
            self.pid = _spawn(command or [sys.executable, *sys.orig_argv[1:]], environ, left.descriptors())
        except OSError:
            os.close(self._pipe)
            raise
        finally:
            os.close(theirs)
        reactor.register(self._pipe, READ, self._on_pipe)
        self._timer = reactor.call_later(ready_within_s, self._on_late)

    def cancel(self) -> None:
        """End the new process, without a word to anybody: it is not wanted any more."""
        self._forget()
        self._kill()

    def _on_pipe(self, _events: int) -> None:
        said = os.read(self._pipe, 64)
        if said == READY:
            self._forget()
            self._on_ready(self.pid)
        elif not said:
            self._forget()
            self._look()

    def _look(self) -> None:
        """See how the process ended that has closed the pipe."""
        gone, status = os.waitpid(self.pid, os.WNOHANG)
        if gone:
            code = os.waitstatus_to_exitcode(status)
            why = MEANINGS.get(code, "see its standard error")
            self._on_failed(f"the new process ended with exit status {code} before it served ({why})")
        elif self._looks_left:
            self._looks_left -= 1
            self._timer = self._reactor.call_later(LOOK_EVERY_S, self._look)
        else:
            self._fail("closed its pipe and did not end")

    def _on_late(self) -> None:
        self._forget()
        self._fail("did not serve in time")

    def _fail(self, what: str) -> None:
        self._kill()
        self._on_failed(f"the new process (pid {self.pid}) {what}, and was killed")

    def _kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)  # over in a moment: nothing holds up a process that is killed

    def _forget(self) -> None:
        self._reactor.cancel(self._timer)
        if self._pipe >= 0:
            self._reactor.unregister(self._pipe)
            os.close(self._pipe)
            self._pipe = -1
