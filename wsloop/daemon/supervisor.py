"""The first process of a daemon with several workers: holds sockets, forks, watches, and nothing else.

It serves nobody, so that nothing a client does can hurt it; and what it does not do need not be
restarted. It runs on the same reactor as the processes that serve. docs/internals/processes.md tells who
forks whom, what each holds, and what happens when each of them dies.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import signal
from dataclasses import replace
from typing import TYPE_CHECKING

from wsloop.daemon import (
    banner,
    children,
    compose,
    joint,  # noqa: F401 - needed by all children, and read once, before they are forked
    logs,
    serving,
)
from wsloop.daemon.channel import Answer, Drain, HandOver, Stopping
from wsloop.daemon.crew import Crew
from wsloop.daemon.crew_steering import Helm, Roster, rows_of
from wsloop.daemon.forks import Forks
from wsloop.daemon.heartbeat import Beats
from wsloop.daemon.reload import Outcome, Record, judge
from wsloop.daemon.roles import Kind, Role
from wsloop.daemon.runtime import Runtime
from wsloop.daemon.signals import SignalHandling
from wsloop.daemon.slots import Patience, Slot
from wsloop.daemon.sockets import Purpose
from wsloop.daemon.workforce import Workforce
from wsloop.errors import StartupError
from wsloop.loop.clock import MonotonicClock, unix_time
from wsloop.loop.poller import make_poller
from wsloop.loop.reactor import Reactor
from wsloop.loop.wakeup import SocketpairWakeup
from wsloop.observe.snapshot import snapshot_of
from wsloop.server.lifecycle import Deadlines
from wsloop.server.pulse import Jitter
from wsloop.transport.bind import FdBind

if TYPE_CHECKING:
    import socket

    from wsloop.daemon.channel import Ask
    from wsloop.daemon.first_process import FirstProcess
    from wsloop.daemon.slots import Child
    from wsloop.daemon.steward import Done, Steward
    from wsloop.loop.poller import Poller
    from wsloop.observe.snapshot import Snapshot

log = logging.getLogger("wsloop.daemon")

PATIENCE = Patience()

GRACE_S = 5.0
"""Beyond the drain's window, in which a worker ends by itself: then it is killed."""

HUB_STOP_S = 5.0
"""For the hub process, which ends when the workers have."""

STOP_NOW_S = 2.0
"""For processes that are told to stop now, to say so and to end."""


def run(first: FirstProcess, workers: int, said: list[str]) -> int:
    """Supervise to the end and return the exit code; raises StartupError if the daemon cannot start.

    The sockets of `first` are open; `said` is what is printed when all workers serve.
    """
    with contextlib.ExitStack() as stack:
        # What is wrong with the settings is found before anything is forked.
        secrets = compose.secrets(first.settings)
        compose.options(first.settings, secrets.tokens, secrets.certificates)
        runtime = Runtime(os.environ)
        stack.callback(runtime.close)
        wakeup, poller = SocketpairWakeup(), make_poller()
        clock = MonotonicClock()
        reactor = Reactor(clock, poller, wakeup=wakeup)
        stack.callback(reactor.close)
        supervisor = Supervisor(first, secrets, workers, reactor, runtime, said)
        supervisor.begin(Forks(reactor, functools.partial(_serve, supervisor, wakeup, poller)))
        stack.callback(supervisor.close)
        handling = SignalHandling(
            reactor, clock, wakeup.write_fileno(),
            supervisor.stop, supervisor.stop_now, supervisor.reload,
            {
                signal.SIGCHLD: supervisor.reap,
                signal.SIGUSR1: supervisor.reopen_logs,
                signal.SIGUSR2: functools.partial(supervisor.notify, signal.SIGUSR2),
                signal.SIGTTIN: supervisor.add_worker,
                signal.SIGTTOU: supervisor.remove_worker,
            },
        )  # fmt: skip
        stack.callback(handling.restore)
        supervisor.reap()  # who died before there was a handler
        reactor.run()
        log.info("stopped")
    return supervisor.exit_code


def _serve(
    supervisor: Supervisor, wakeup: SocketpairWakeup, poller: Poller, slot: Slot, line: socket.socket
) -> int:
    """Be a child: let go of what is the supervisor's, and serve."""
    beats = Beats(line.detach())
    role = supervisor.role_of(slot, beats)
    supervisor.leave_to_child(role)
    wakeup.close()
    poller.close()
    settings = supervisor.settings
    try:
        return serving.serve(settings, role, supervisor.first.sources)
    except Exception as error:
        if beats.fail(children.reason_of(error)):
            return error.exit_code if isinstance(error, StartupError) else 1
        raise


class Supervisor:
    """Decides when processes begin and end.

    `secrets` is what all of them show and judge by; `said` the banner, printed when all of them serve.
    """

    def __init__(
        self,
        first: FirstProcess,
        secrets: compose.Secrets,
        workers: int,
        reactor: Reactor,
        runtime: Runtime,
        said: list[str],
    ) -> None:
        self.settings = first.settings
        self.first = first
        self.exit_code = 0
        self._secrets = secrets
        self._reactor = reactor
        self._sockets = first.sockets
        self._runtime = runtime
        self._said = [*said, f"  workers  {workers}"]
        self._workforce = Workforce(first.sockets, workers)
        self._crew: Crew
        self._record = Record(unix_time)
        self._is_announced = self._is_stopping = self._is_hub_told = False
        self._drained_from = 0
        self._helm = Helm(
            reactor,
            drain=self.stop,
            reload=self.reload,
            restart=first.restart,
            resize=self._resize,
            roster=self._roster,
        )

    # -- beginning ---------------------------------------------------------------------------

    def begin(self, processes: Forks) -> None:
        """Start the hub process, and the workers, which wait for it by themselves."""
        self._crew = Crew(
            self._reactor,
            processes,
            Jitter(os.urandom),
            patience=PATIENCE,
            on_change=self._on_change,
            on_failure=self._on_failure,
            on_give_up=self._give_up,
            on_ask=self._on_ask,
            on_drain=self._workforce.replace,
        )
        self._crew.fill(Slot(Kind.HUB))
        self._workforce.begin(self._crew)

    def role_of(self, slot: Slot, steward: Steward) -> Role:
        """Return what a process for `slot` is to be."""
        common = Role(
            workers=self._workforce.count,
            link_path=self._runtime.link_path,
            steward=steward,
            secrets=self._secrets,
            is_successor=self.first.is_successor,
        )
        if slot.kind is Kind.HUB:
            return replace(
                common,
                kind=Kind.HUB,
                admin=self._sockets.bind_for(Purpose.ADMIN),
                control=self._sockets.bind_for(Purpose.CONTROL),
                link_fd=self._runtime.link_fileno(),
                kept=self._crew.kept,
            )
        return replace(common, kind=Kind.WORKER, binds=self._workforce.binds_of(slot), slot=slot.number)

    def leave_to_child(self, role: Role) -> None:
        """Close, in a forked process, what is not its own."""
        binds = (*role.binds, *(bind for bind in (role.admin, role.control) if bind is not None))
        self._sockets.close_copies(tuple(bind.fd for bind in binds if isinstance(bind, FdBind)))
        if role.link_fd < 0:
            self._runtime.close_copy()
        self._crew.leave_to_child()
        self.first.leave_to_child()

    def _on_change(self) -> None:
        if self._is_stopping:
            self._go_on_stopping()
        elif not self._is_announced and self._crew.is_up():
            self._is_announced = True
            log.info("%d workers serve", self._workforce.count)
            self.first.begin(self._reactor, self._leave, f"{self._workforce.count} workers serve")
            banner.show(self._said)

    def _on_failure(self, line: str) -> None:
        """Tell why a process could not start; standard error, which is told too, may be nobody's."""
        children.complain(line)
        if self.settings.log.file:
            log.critical("%s", line)

    # -- signals -----------------------------------------------------------------------------

    def reap(self) -> None:
        """Take note of children that have ended."""
        self._crew.reap()

    def reload(self) -> Outcome:
        """Judge the configuration; if it is good, let every process read it again.

        Those to come go by it as well. What has changed is told here, once for all.
        """
        self.first.reloading()
        try:
            outcome, plan = judge(self.first.sources, self.settings)
            self._record.note(outcome)
            if plan is not None:
                self.settings = plan.settings
                self._secrets = compose.Secrets(plan.tokens, plan.options.certificates)
                self.notify(signal.SIGHUP)
        finally:  # a fault is logged by the reactor, and systemd does not wait for ever
            self.first.reloaded()
        return outcome

    def reopen_logs(self) -> None:
        """Open the log's file again, here and in every process."""
        logs.reopen()
        self.notify(signal.SIGUSR1)

    def notify(self, number: int) -> None:
        """Pass a signal on to every process."""
        self._crew.notify(number)

    # -- ending ------------------------------------------------------------------------------

    def stop(self) -> None:
        """Let the workers drain, then the hub process end; kill who does not."""
        if not self._is_stopping:
            self._crew.signal(signal.SIGTERM, Kind.WORKER)
            self._begin_stopping(self.settings.server.timeout_graceful_shutdown)

    def _leave(self) -> None:
        """Do the same for a successor, who serves: whoever has come here is let in before."""
        for child in self._crew.children.values():
            child.line.send(HandOver(drains=child.slot.kind is Kind.WORKER))
        window_s = self.settings.server.timeout_graceful_shutdown
        self._begin_stopping(window_s + Deadlines().handshake_s)

    def _begin_stopping(self, window_s: float) -> None:
        self._is_stopping = True
        self._drained_from = sum(row.connections for row in self._roster().rows)
        self.first.stopping()
        self._crew.tell_hub(Stopping())
        self._crew.dismiss()
        self._sockets.close(Purpose.CLIENTS)
        self._reactor.call_later(window_s + GRACE_S, functools.partial(self._kill, Kind.WORKER))
        self._go_on_stopping()

    def stop_now(self) -> None:
        """Let nobody drain."""
        self.stop()
        self._crew.signal(signal.SIGQUIT)
        self._reactor.call_later(STOP_NOW_S, functools.partial(self._kill, None))

    def _go_on_stopping(self) -> None:
        if not self._crew.of(Kind.WORKER) and not self._is_hub_told:
            self._is_hub_told = True
            for child in self._crew.children.values():
                child.line.send(Drain())
            self._reactor.call_later(HUB_STOP_S, functools.partial(self._kill, None))
        if not self._crew.children:
            self._reactor.stop()

    def _kill(self, kind: Kind | None) -> None:
        for child in self._crew.children.values():
            if kind is None or child.slot.kind is kind:
                log.warning("%s did not end in time: killed", child)
        self._crew.signal(signal.SIGKILL, kind)

    def _give_up(self) -> None:
        self.exit_code = 1
        self.stop()

    def close(self) -> None:
        """Let go of all lines. Children that are left find that they are alone, and end."""
        self._crew.close()

    def add_worker(self) -> None:
        """Start one worker more (TTIN)."""
        if not self._is_stopping:
            self._workforce.add()

    def remove_worker(self) -> None:
        """Let one worker go (TTOU)."""
        if not self._is_stopping:
            self._workforce.remove()

    def _resize(self, by: int, done: Done) -> None:
        if self._is_stopping:
            done(False, "the daemon is stopping")
        else:
            self._workforce.resize(by, done)

    def _on_ask(self, child: Child, ask: Ask) -> None:
        def answer(is_done: bool, text: str) -> None:
            child.line.send(Answer(ask.number, is_done, text))

        self._helm.carry_out(ask.what, ask.argument, answer)

    def _roster(self) -> Roster:
        warnings = (logs.complaint(), self._record.warning())
        return Roster(
            rows_of(self._crew, self._reactor.now),
            self._drained_from,
            "; ".join(filter(None, warnings)),
            self._numbers(),
        )

    def _numbers(self) -> Snapshot:
        """Return what the supervisor counts, which the hub process tells with the numbers of all."""
        counted = {
            "wsloop_worker_deaths_total": self._crew.deaths,
            "wsloop_log_lines_lost_total": logs.statistics().lost_total,
        }
        return snapshot_of((counted, self._record.numbers(is_first=True)), "supervisor", str(os.getpid()))
