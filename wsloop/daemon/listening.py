"""Where a daemon listens: the settings' addresses, opened, and what the banner says of them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from wsloop.daemon import admin, banner, control_place
from wsloop.daemon.sockets import Purpose
from wsloop.errors import StartupError, UsageError
from wsloop.transport.bind import FdBind, TcpBind, parse_bind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wsloop.daemon.settings import Settings
    from wsloop.daemon.sockets import Sockets
    from wsloop.transport.bind import Bind


def listen(settings: Settings, sockets: Sockets, slots: int = 1) -> list[str]:
    """Open all places, those for clients for so many `slots`; return what is printed about them."""
    bound = [sockets.open(Purpose.CLIENTS, bind, slots).bind for bind in binds(settings, sockets)]
    said = banner.lines(settings, bound)
    given = sockets.activated(Purpose.ADMIN)
    said += admin.listen(settings, lambda bind: sockets.open(Purpose.ADMIN, (*given, bind)[0]).bind)
    return said + _listen_for_control(settings, sockets, bound)


def _listen_for_control(settings: Settings, sockets: Sockets, bound: Sequence[Bind]) -> list[str]:
    """Open the control socket, if there is one; return what is printed about it.

    One that was asked for must be there: raises StartupError. One that nobody asked for may be missing,
    as where nothing is writable.
    """
    ports = [bind.port for bind in bound if isinstance(bind, TcpBind)]
    name = str(ports[0]) if ports else f"pid{os.getpid()}"
    try:
        bind = control_place.bind_for(settings.server.control, name, os.environ)
        if bind is None:
            return []
        sockets.open(Purpose.CONTROL, bind)
    except StartupError as error:
        if settings.server.control is not None:
            raise
        return [f"  control  off: {error.message}"]
    return [f"  control  {bind.path}"]


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
