"""The admin listener: for the operator's own software, apart from clients.

It serves health and metrics, and the server API where a key is set. In development mode no key is
needed, since only this machine can call; elsewhere the API is off until there is one, and the banner says so.
"""

from __future__ import annotations

import ipaddress
import logging
from typing import TYPE_CHECKING

from wsloop.errors import StartupError, UsageError
from wsloop.transport.bind import AddressInUseError, TcpBind

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.daemon.settings import Settings
    from wsloop.transport.bind import Bind

log = logging.getLogger("wsloop.daemon")

DEFAULT_PORT = 8766


def listen(settings: Settings, listen_on: Callable[[TcpBind], Bind]) -> list[str]:
    """Listen by `listen_on`, and return what the banner says of it; raises StartupError.

    A second daemon that tries things out beside the first must not fail for a listener nobody asked
    for: in development mode the default port may be in use.
    """
    admin = settings.admin
    if not admin.enabled:
        return []
    if settings.dev and not is_loopback(admin.host):
        raise UsageError(
            f"--dev needs no API key, so it listens on this machine only, not on {admin.host}",
            "leave --admin-host away, or start without --dev",
        )
    port = DEFAULT_PORT if admin.port is None else admin.port
    try:
        bind = listen_on(TcpBind(admin.host, port))
    except AddressInUseError as error:
        if settings.dev and admin.port is None:
            return [f"  admin    off: {error.message}; try --admin-port 0"]
        raise StartupError(f"admin: {error.message}", "try --admin-port 0 or --no-admin") from None
    return _lines(settings, bind)


def _lines(settings: Settings, bind: Bind) -> list[str]:
    # Imported here, where the sockets are open: who connects while the house is loaded waits in their queues.
    from wsloop.daemon import compose  # noqa: PLC0415
    from wsloop.server.api import PREFIX  # noqa: PLC0415

    url = f"{'https' if settings.admin.tls else 'http'}://{bind}"
    lines = [f"  admin    {url}/healthz   {url}/metrics"]
    key = compose.api_key(settings)
    if key is None:
        lines.append("  api      off: set admin.api_key to have it")
    elif key:
        lines.append(f"  api      {url}{PREFIX}   (with the API key)")
    else:
        lines.append(f"  api      {url}{PREFIX}   (no key is asked for)")
        if not is_loopback(settings.admin.host):
            log.warning("the server API asks for no key on %s: whoever reaches it rules this server", bind)
    return lines


def is_loopback(host: str) -> bool:
    """Tell whether `host`, a name or an address, leads to this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
