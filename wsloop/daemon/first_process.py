"""What the first process of a daemon owes to the world: to systemd, to the pid file, to a predecessor.

It is the only process, or the supervisor. It holds the listening sockets, and can hand them over.
"""

from __future__ import annotations

import functools
import logging
import os
from typing import TYPE_CHECKING

from wsloop.daemon import inheritance
from wsloop.daemon.handover import Successor
from wsloop.daemon.pid_file import PidFile
from wsloop.daemon.retiring import retire
from wsloop.daemon.steward import Steward
from wsloop.daemon.systemd import Notifier

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from wsloop.daemon.config import Sources
    from wsloop.daemon.inheritance import Inheritance
    from wsloop.daemon.settings import Settings
    from wsloop.daemon.sockets import Sockets
    from wsloop.daemon.steward import Done
    from wsloop.loop.reactor import Reactor
    from wsloop.server.assembly import House

log = logging.getLogger("wsloop.daemon")

INIT = 1
"""The process whose end is the end of a container."""


class FirstProcess(Steward):
    """Holds `sockets` and the pid file; `left` is what it was left by a predecessor, or by systemd.

    `settings` are those that it was started with, `sources` where they come from. `is_successor`: there is a
    predecessor.

    Raises StartupError if another daemon has the pid file.
    """

    def __init__(
        self,
        settings: Settings,
        sources: Sources,
        sockets: Sockets,
        left: Inheritance,
        environ: Mapping[str, str],
    ) -> None:
        self.settings = settings
        self.sources = sources
        self.sockets = sockets
        self.is_successor = left.predecessor > 0
        self._ready_pipe = left.ready
        self._notifier = Notifier(environ, os.getpid())
        self._pid_file: PidFile | None = None
        self._former_pid_file: PidFile | None = None
        path, held_fd = settings.server.pid_file, left.pid_file_lock
        if held_fd >= 0 and (path is None or left.pid_file != os.path.abspath(path)):
            self._former_pid_file = PidFile(left.pid_file, held_fd)
            held_fd = -1
        if path is not None:
            self._pid_file = PidFile(path, held_fd)
        self._reactor: Reactor
        self._leave: Callable[[], object]
        self._status = "serving"
        self._successor: Successor | None = None
        self._has_begun = self._is_leaving = False

    # -- its life ------------------------------------------------------------------------------

    def lending(self) -> None:
        """See `Steward.lending`; this process is the only one."""
        self.sockets.lend()

    def attach(self, house: House, drain: Callable[[], object], resize: Callable[[int], object]) -> None:
        """See `Steward.attach`; this process is the only one."""
        self.begin(house.reactor, functools.partial(retire, house.server, drain))

    def begin(self, reactor: Reactor, leave: Callable[[], object], status: str = "serving") -> None:
        """Tell everybody that the daemon serves; `leave` stops accepting and drains."""
        self._reactor, self._leave, self._status = reactor, leave, status
        self._has_begun = True
        if self._pid_file is not None:
            self._pid_file.write(os.getpid())
        if self._former_pid_file is not None:  # the settings name another one now
            self._former_pid_file.inherit()
            self._former_pid_file.close()
        self.sockets.confirm()
        if self._ready_pipe >= 0:
            inheritance.say_ready(self._ready_pipe)
            self._ready_pipe = -1
        self._notifier.ready(status)
        if self._notifier.watchdog_s:
            self._keep_alive()

    def _keep_alive(self) -> None:
        """Tell systemd that the loop turns, twice as often as it wants to hear it."""
        if self._notifier.watchdog_s:
            self._notifier.send("WATCHDOG=1")
            self._reactor.call_later(self._notifier.watchdog_s / 2, self._keep_alive)

    def reloading(self) -> None:
        """See `Steward.reloading`."""
        self._notifier.reloading()

    def reloaded(self) -> None:
        """See `Steward.reloaded`."""
        self._notifier.ready(self._status)

    def stopping(self) -> None:
        """See `Steward.stopping`; a successor that does not serve yet is not wanted any more."""
        self._is_leaving = True
        self._notifier.stopping()
        if self._successor is not None:
            self._successor.cancel()
            self._successor = None

    def leave_to_child(self) -> None:
        """Let go, in a forked process, of what is the first one's."""
        for file in (self._pid_file, self._former_pid_file):
            if file is not None:
                file.abandon()
        if self._ready_pipe >= 0:
            os.close(self._ready_pipe)

    def close(self) -> None:
        """Remove the pid file, unless a successor has it."""
        for file in (self._pid_file, self._former_pid_file):
            if file is not None:
                file.close()

    # -- restart -------------------------------------------------------------------------------

    def restart(self, done: Done) -> None:
        """See `Steward.restart`."""
        refusal = self._why_not()
        if refusal:
            done(False, refusal)
            return
        left = inheritance.Inheritance(
            inheritance.bequeath(self.sockets.places),
            pid_file=self._pid_file.path if self._pid_file is not None else "",
            pid_file_lock=self._pid_file.fileno() if self._pid_file is not None else -1,
        )
        failed = functools.partial(self._on_failed, done)
        try:
            self._successor = Successor(self._reactor, left, functools.partial(self._on_ready, done), failed)
        except OSError as error:  # ENOENT: the program is gone; EAGAIN, ENOMEM
            failed(f"the new process cannot be started: {error.strerror}")
        else:
            log.info("restart: the new process is pid %d", self._successor.pid)

    def _why_not(self) -> str:
        """Return why there can be no restart now, "" if there can."""
        if self._is_leaving:
            return "the daemon is stopping"
        if not self._has_begun:
            return "the daemon is starting"
        if self._successor is not None:
            return "a restart is under way"
        if os.getpid() == INIT:
            return "pid 1 cannot be replaced: its end is the end of the container; start a new container"
        return ""

    def _on_ready(self, done: Done, pid: int) -> None:
        """Let the successor be the daemon, and leave."""
        log.info("restart: pid %d serves; this one drains", pid)
        self._successor = None
        self._is_leaving = True
        self._notifier.send(f"MAINPID={pid}")
        self._notifier.mute()
        self.sockets.hand_over()
        if self._pid_file is not None:
            self._pid_file.abandon()
            self._pid_file = None
        done(True, f"pid {pid} serves; pid {os.getpid()} drains")
        self._leave()

    def _on_failed(self, done: Done, reason: str) -> None:
        self._successor = None
        log.error("restart: %s; this one goes on", reason)
        done(False, f"{reason}; pid {os.getpid()} goes on")
