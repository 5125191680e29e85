"""Run one process that serves: listen, say so, serve until told to stop, drain, leave.

The order matters. Listening comes before the banner, so that the printed address works;
logging's thread starts before the loop and stops after it; the heap is frozen last, when all
that lives for ever is there.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import logging
import os
import sys
from typing import TYPE_CHECKING

import click

from wsloop import __version__
from wsloop.daemon import admin, compose, control, logs, observing
from wsloop.daemon.port_holder import holder_of
from wsloop.daemon.signals import SignalHandling
from wsloop.daemon.steering import AloneSteering
from wsloop.errors import ConfigError, StartupError
from wsloop.loop.wakeup import SocketpairWakeup
from wsloop.server.assembly import CONNECTION_PATH, assemble
from wsloop.transport.bind import AddressInUseError, TcpBind

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.daemon.roles import Role
    from wsloop.daemon.settings import Settings
    from wsloop.daemon.tokens import Tokens
    from wsloop.loop.reactor import Reactor
    from wsloop.server.assembly import House
    from wsloop.server.server import Server
    from wsloop.transport.bind import Bind
    from wsloop.transport.certificates import Certificates

log = logging.getLogger("wsloop.daemon")

SPREAD_SHARE = 0.8
"""Of the drain's window: when the last clients are asked to go."""

PROGRESS_S = 2.0
"""Between two lines that tell how far a drain is."""


def serve(settings: Settings, role: Role) -> int:
    """Serve to the end and return the exit code; raises StartupError if it cannot start."""
    with contextlib.ExitStack() as stack:
        stack.callback(logs.start(settings.log, dev=settings.dev))
        tokens = compose.tokens(settings)
        options = compose.options(settings, tokens)
        wakeup = SocketpairWakeup()
        stack.callback(wakeup.close)
        ports = compose.real_ports(settings, wakeup)
        stack.callback(ports.poller.close)
        house = assemble(ports, options)
        stack.callback(_tear_down, house)
        if tokens is not None and tokens.sources:
            stack.callback(tokens.fetch(house.reactor, ports.network, ports.entropy))
        bound = [_listen(house, bind) for bind in role.binds]
        app = observing.admin_app(house, observing.observe(house, ports, role))
        banner = [*_banner(settings, bound), *admin.listen(settings, house, app)]
        rereads = _rereads(options.certificates, tokens)
        _serve(settings, role, house, wakeup, banner, rereads)
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


def _listen(house: House, bind: Bind) -> Bind:
    """Listen and return where it became; a port in use is told with the process that holds it."""
    try:
        return house.server.listen(bind).bind
    except AddressInUseError as error:
        holder = holder_of(error.port) if error.port else ""
        if not holder:
            raise
        raise StartupError(f"{error.message} ({holder})", error.hint) from None


def _serve(
    settings: Settings,
    role: Role,
    house: House,
    wakeup: SocketpairWakeup,
    banner: list[str],
    rereads: dict[str, Callable[[], None]],
) -> None:
    """Print where the daemon is and turn the loop until it is told to stop."""
    reactor, server = house.reactor, house.server
    window_s = settings.server.timeout_graceful_shutdown

    def stop_now() -> None:
        log.warning("stopping now, %d connections dropped", server.clients)
        reactor.stop()

    def drain() -> None:
        if server.draining:
            return
        reactor.call_later(window_s, stop_now)
        server.drain(reactor.stop, spread_s(window_s, server.deadlines.close_s))
        _tell_progress(reactor, server)

    reload = functools.partial(_reload, rereads) if rereads else None
    banner += control.listen(settings, role, house, AloneSteering(server, drain, reload))
    handling = SignalHandling(reactor, wakeup.write_fileno(), drain, stop_now, reload)
    try:
        _print_banner(banner)
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


def _rereads(certificates: Certificates | None, tokens: Tokens | None) -> dict[str, Callable[[], None]]:
    """Return what HUP reads again, by its name in the log."""
    found: dict[str, Callable[[], None]] = {}
    if certificates is not None:
        found["the certificate"] = certificates.reload
    if tokens is not None:
        found["the set of keys for tokens"] = tokens.reload
    return found


def _reload(rereads: dict[str, Callable[[], None]]) -> list[str]:
    """Read files again (HUP); bad ones change nothing, and connections go on. Return what became of each."""
    lines = []
    for name, reread in rereads.items():
        try:
            reread()
        except ConfigError as error:
            log.error("%s stays as it was: %s", name, error.message)
            lines.append(f"{name} stays as it was: {error.message}")
        else:
            log.info("%s was read again, and counts from now on", name)
            lines.append(f"{name} was read again, and counts from now on")
    return lines


def _settle_the_heap() -> None:
    """Spare the collector what lives for ever, and let it look less often at the rest.

    With 100,000 live connections the default thresholds stop the process for tens of
    milliseconds at a time to find nothing.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 50, 100)


def _banner(settings: Settings, bound: list[Bind]) -> list[str]:
    mode = "development mode: anybody on this machine may join" if settings.dev else "serving"
    lines = [f"wsloop {__version__}  {mode}", ""]
    http, ws = ("https", "wss") if settings.tls.certfile else ("http", "ws")
    for bind in bound:
        if not isinstance(bind, TcpBind):
            lines.append(f"  listening on {bind}")
        elif settings.dev:
            lines.append(f"  chat     {http}://{bind}/   (open it in two tabs)")
            lines.append(f"  echo     {ws}://{bind}/echo")
            lines.append(f"  clients  {ws}://{bind}{CONNECTION_PATH}")
        else:
            lines.append(f"  clients  {ws}://{bind}{CONNECTION_PATH}")
    if not _can_anybody_connect(settings):
        lines.append("  nobody   can connect yet: set token.hmac_secret_key, another key, or proxy.connect")
    return lines


def _can_anybody_connect(settings: Settings) -> bool:
    """Return whether there is a way in: tokens, the backend, or no question asked."""
    is_open = settings.dev or settings.client.allow_anonymous
    return is_open or bool(settings.proxy.connect) or settings.has_token_keys


def _print_banner(lines: list[str]) -> None:
    try:
        click.echo("\n".join([*lines, "", "Ctrl+C to stop"]))
        sys.stdout.flush()
    except OSError as error:  # EPIPE: nobody reads it; ENOSPC: it goes to a full disk
        log.warning("cannot print the addresses: %s", error.strerror)
        # What could not be written would be tried again at exit, and fail there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
