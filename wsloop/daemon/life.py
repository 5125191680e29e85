"""The life of a process that serves, once it is put together: its loop turns, it is told things, it leaves.

The order matters: signals are taken before anybody is told that the process serves, and the heap is frozen
last, when all that lives for ever is there. Before this comes `serving.py`.
"""

from __future__ import annotations

import functools
import gc
import logging
import signal
from typing import TYPE_CHECKING

from wsloop.daemon import banner, control, log_block, logs
from wsloop.daemon.roles import Kind
from wsloop.daemon.signals import SignalHandling
from wsloop.daemon.steering import AloneSteering

if TYPE_CHECKING:
    from wsloop.daemon.crew_steering import CrewSteering
    from wsloop.daemon.reload import Outcome, Reloading
    from wsloop.daemon.roles import Role
    from wsloop.daemon.shares import Share
    from wsloop.loop.clock import Clock
    from wsloop.loop.reactor import Reactor
    from wsloop.loop.wakeup import SocketpairWakeup
    from wsloop.server.assembly import House
    from wsloop.server.server import Server

log = logging.getLogger("wsloop.daemon")

SPREAD_SHARE = 0.8
"""Of the drain's window: when the last clients are asked to go."""

PROGRESS_S = 2.0
"""Between two lines that tell how far a drain is."""


class Life:
    """A process with this role that listens already. `crew` steers the others, if it is the hub process."""

    def __init__(
        self, house: House, role: Role, share: Share, reloading: Reloading, crew: CrewSteering | None
    ) -> None:
        self._house = house
        self._role = role
        self._share = share
        self._reloading = reloading
        self._crew = crew

    def run(self, clock: Clock, wakeup: SocketpairWakeup) -> None:
        """Print where the daemon is and turn the loop until it is told to stop."""
        role, house, crew = self._role, self._house, self._crew
        handling = self._handle_signals(clock, wakeup)
        if role.control is not None:
            alone = AloneSteering(house.server, self.drain, self.reload, role.steward.restart)
            control.listen(role.control, house, crew or alone)
        try:
            role.steward.attach(house, self.drain, self.resize)
            if crew is not None:
                crew.begin()
            banner.show(role.banner)
            _settle_the_heap()
            house.reactor.run()
        finally:
            handling.restore()
        log.info("stopped")

    def _handle_signals(self, clock: Clock, wakeup: SocketpairWakeup) -> SignalHandling:
        is_child = self._role.kind is not Kind.ALONE
        # The hub process ends when the workers have, however many processes a TERM is sent to.
        on_term = (lambda: None) if self._role.kind is Kind.HUB else self.drain
        others = {signal.SIGUSR1: logs.reopen, signal.SIGUSR2: log_block.state_logger(self._house)}
        if not is_child:
            others |= dict.fromkeys((signal.SIGTTIN, signal.SIGTTOU), _tell_alone)
        return SignalHandling(
            self._house.reactor, clock, wakeup.write_fileno(),
            on_term, self.stop_now, self.reload, others, is_child=is_child,
        )  # fmt: skip

    def stop_now(self) -> None:
        """Let nobody take leave."""
        log.warning("stopping now, %d connections dropped", self._house.server.clients)
        self._house.reactor.stop()

    def drain(self) -> None:
        """Let everybody take leave within the window, then end. Idempotent."""
        server, reactor = self._house.server, self._house.reactor
        if server.draining:
            return
        self._role.steward.stopping()
        window_s = self._reloading.settings.server.timeout_graceful_shutdown
        reactor.call_later(window_s, self.stop_now)
        server.drain(reactor.stop, spread_s(window_s, server.deadlines.close_s), self._share.workers)
        _tell_progress(reactor, server)

    def reload(self) -> Outcome:
        """Read the configuration again, and change what is live."""
        self._role.steward.reloading()
        try:
            return self._reloading.run()
        finally:  # a fault is logged by the reactor, and systemd does not wait for ever
            self._role.steward.reloaded()

    def resize(self, workers: int) -> None:
        """Go by another number of workers."""
        self._share.resize(workers, self._reloading.settings)


def spread_s(window_s: float, close_s: float) -> float:
    """Return over how many seconds of a drain's window clients are asked to go.

    The last of them still has `close_s` to answer, and what is left is for a machine that is busy.
    """
    return max(0.0, min(SPREAD_SHARE * window_s, window_s - close_s - 1.0))


def _tell_progress(reactor: Reactor, server: Server) -> None:
    """Log how far the drain is, now and every few seconds."""
    if server.clients or not server.drained_from:
        log.info("draining %s of %s", f"{server.clients:,}", f"{server.drained_from:,}")
        reactor.call_later(PROGRESS_S, functools.partial(_tell_progress, reactor, server))


def _tell_alone() -> None:
    """Answer a wish for more or fewer workers; without a handler the process would stand still."""
    log.warning("no worker was added or removed: the daemon was started with one process")


def _settle_the_heap() -> None:
    """Spare the collector what lives for ever, and let it look less often at the rest.

    With 100,000 live connections the default thresholds stop the process for tens of
    milliseconds at a time to find nothing.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 50, 100)
