"""Run a daemon: decide which processes it takes, and become the first of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsloop.daemon import admin, serving
from wsloop.daemon.roles import Role
from wsloop.errors import UsageError
from wsloop.transport.bind import FdBind, TcpBind, parse_bind

if TYPE_CHECKING:
    from wsloop.daemon.settings import Settings
    from wsloop.transport.bind import Bind


def run(settings: Settings) -> int:
    """Run a daemon to its end and return the exit code; raises StartupError if it cannot start."""
    return serving.serve(settings, Role(binds=tuple(binds(settings))))


def binds(settings: Settings) -> list[Bind]:
    """Return where to listen; raises StartupError for an address that --dev must not open."""
    server = settings.server
    binds = [parse_bind(text) for text in server.bind] or [TcpBind(server.host, server.port)]
    if settings.dev:
        for bind in binds:
            if isinstance(bind, TcpBind) and not admin.is_loopback(bind.host):
                raise UsageError(
                    f"--dev lets anybody in, so it listens on this machine only, not on {bind.host}",
                    "leave --host away, or start without --dev",
                )
            if isinstance(bind, FdBind):
                raise UsageError("--dev does not take an inherited socket", "use --host and --port")
    return binds
