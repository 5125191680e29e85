"""Where a daemon listens: the settings' addresses, opened, and what the banner says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsloop.daemon import admin, banner
from wsloop.daemon.sockets import Purpose
from wsloop.errors import UsageError
from wsloop.transport.bind import FdBind, TcpBind, parse_bind

if TYPE_CHECKING:
    from wsloop.daemon.settings import Settings
    from wsloop.daemon.sockets import Sockets
    from wsloop.transport.bind import Bind


def listen(settings: Settings, sockets: Sockets, slots: int = 1) -> list[str]:
    """Open all places, those for clients for so many `slots`; return what is printed about them."""
    bound = [sockets.open(Purpose.CLIENTS, bind, slots).bind for bind in binds(settings, sockets)]
    said = banner.lines(settings, bound)
    return [*said, *admin.listen(settings, lambda bind: sockets.open(Purpose.ADMIN, bind).bind)]


def binds(settings: Settings, sockets: Sockets) -> list[Bind]:
    """Return where to listen; raises StartupError for an address that --dev must not open.

    Sockets of systemd's stand in the place of host and port, and beside no list of addresses.
    """
    server = settings.server
    binds = [parse_bind(text) for text in server.bind]
    binds = binds or sockets.activated(Purpose.CLIENTS) or [TcpBind(server.host, server.port)]
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
