"""Run one process that serves: listen, say so, serve until told to stop, drain, leave.

The order matters. Listening comes before the banner, so that the printed address works;
logging's thread starts before the loop and stops after it; the heap is frozen last, when all
that lives for ever is there.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import gc
import logging
import signal
from typing import TYPE_CHECKING

from wsloop.daemon import banner, compose, control, log_block, logs, observing, watchdog
from wsloop.daemon.config import Sources
from wsloop.daemon.reload import Reloading
from wsloop.daemon.roles import Kind
from wsloop.daemon.shares import share_of
from wsloop.daemon.signals import SignalHandling
from wsloop.daemon.steering import AloneSteering
from wsloop.loop.wakeup import SocketpairWakeup
from wsloop.server.assembly import assemble

if TYPE_CHECKING:
    from wsloop.daemon.crew_steering import CrewSteering
    from wsloop.daemon.reload import Outcome
    from wsloop.daemon.roles import Role
    from wsloop.daemon.settings import Settings
    from wsloop.daemon.tokens import Tokens
    from wsloop.loop.clock import Clock
    from wsloop.loop.reactor import Reactor
    from wsloop.server.assembly import House, Options
    from wsloop.server.server import Server

log = logging.getLogger("wsloop.daemon")

SPREAD_SHARE = 0.8
"""Of the drain's window: when the last clients are asked to go."""

PROGRESS_S = 2.0
"""Between two lines that tell how far a drain is."""


def serve(settings: Settings, role: Role, sources: Sources | None = None) -> int:
    """Serve to the end and return the exit code; raises StartupError if it cannot start.

    `sources` are where the settings come from, read again at a reload; None: nowhere.
    """
    whole, settings = settings, share_of(settings, role)
    with contextlib.ExitStack() as stack:
        stack.callback(logs.start(settings.log, dev=settings.dev, process=role.name))
        secrets = role.secrets or compose.secrets(settings)
        tokens = secrets.tokens
        options = compose.options(
            settings,
            tokens,
            secrets.certificates,
            spools=whole.hooks.spool or "",
            is_successor=role.is_successor,
        )
        if role.kind is not Kind.ALONE:
            # Imported here: a daemon of one process needs nothing of `wsloop.cluster`.
            from wsloop.daemon import joint  # noqa: PLC0415

            name = f"{options.node_name}_{role.name}"
            options = dataclasses.replace(options, node_name=name, domain=joint.domain(role, options.broker))
        wakeup = SocketpairWakeup()
        stack.callback(wakeup.close)
        ports = compose.real_ports(settings, wakeup)
        stack.callback(ports.poller.close)
        house = assemble(ports, options)
        stack.callback(_tear_down, house)
        if tokens is not None and tokens.sources:
            stack.callback(tokens.fetch(house.reactor, ports.network, ports.entropy))
        observer = observing.observe(house, ports, role)
        crew = _crew(house, role)
        if crew is not None:
            metrics = joint.join_as_hub(house, observer, crew, role.kept)
        elif role.kind is Kind.WORKER:
            metrics = joint.join_as_worker(house, observer)
        else:
            metrics = observing.metrics_of(observer)
        house = observing.with_metrics(house, metrics)
        role.steward.lending()
        for bind in role.binds:
            house.server.listen(bind)
        if role.admin is not None:
            house.server.listen_admin(role.admin, house.admin, secure=settings.admin.tls)
        stack.callback(watchdog.start(house.lag))

        def build(changed: Settings, judges: Tokens | None) -> Options:
            return compose.options(share_of(changed, role), judges)

        # The changes of several processes are told by their supervisor, once.
        level = logging.INFO if role.kind is Kind.ALONE else logging.DEBUG
        reloading = Reloading(sources or Sources(), whole, house, tokens, build, level)
        observer.add(functools.partial(reloading.record.numbers, is_first=role.kind is Kind.ALONE))
        house.health.add_warning(reloading.record.warning)
        _serve(reloading, house, ports.clock, wakeup, role, crew)
    return 0


def _tear_down(house: House) -> None:
    """Drop whoever is still there."""
    house.server.close()
    house.reactor.stop()  # so that the last turn, which reaps what was dropped, does not sleep
    house.reactor.run_once()
    if house.outside is not None:
        house.outside.close()
    house.domain.close()
    house.reactor.close()


def _crew(house: House, role: Role) -> CrewSteering | None:
    """Return what steers the processes of which this one is the hub; None in every other."""
    if role.kind is not Kind.HUB:
        return None
    # Imported here: a daemon of one process needs none of it.
    from wsloop.daemon.crew_steering import CrewSteering  # noqa: PLC0415
    from wsloop.daemon.heartbeat import Beats  # noqa: PLC0415

    assert isinstance(role.steward, Beats)
    return CrewSteering(house.reactor, role.steward)


def _serve(
    reloading: Reloading,
    house: House,
    clock: Clock,
    wakeup: SocketpairWakeup,
    role: Role,
    crew: CrewSteering | None,
) -> None:
    """Print where the daemon is and turn the loop until it is told to stop."""
    reactor, server = house.reactor, house.server

    def stop_now() -> None:
        log.warning("stopping now, %d connections dropped", server.clients)
        reactor.stop()

    def drain() -> None:
        if server.draining:
            return
        role.steward.stopping()
        window_s = reloading.settings.server.timeout_graceful_shutdown
        reactor.call_later(window_s, stop_now)
        server.drain(reactor.stop, spread_s(window_s, server.deadlines.close_s), role.workers)
        _tell_progress(reactor, server)

    def reload() -> Outcome:
        role.steward.reloading()
        try:
            return reloading.run()
        finally:  # a fault is logged by the reactor, and systemd does not wait for ever
            role.steward.reloaded()

    is_child = role.kind is not Kind.ALONE
    # The hub process ends when the workers have, however many processes a TERM is sent to.
    on_term = (lambda: None) if role.kind is Kind.HUB else drain
    others = {signal.SIGUSR1: logs.reopen, signal.SIGUSR2: log_block.state_logger(house)}
    if not is_child:
        others |= dict.fromkeys((signal.SIGTTIN, signal.SIGTTOU), _tell_alone)
    handling = SignalHandling(
        reactor, clock, wakeup.write_fileno(), on_term, stop_now, reload, others, is_child=is_child
    )
    if role.control is not None:
        alone = AloneSteering(server, drain, reload, role.steward.restart)
        control.listen(role.control, house, crew or alone)
    try:
        role.steward.attach(house, drain)
        if crew is not None:
            crew.begin()
        banner.show(role.banner)
        _settle_the_heap()
        reactor.run()
    finally:
        handling.restore()
    log.info("stopped")


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
