"""What is printed when the daemon serves: where it can be reached, for a person or a script to read."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING

import click

from wsloop import __version__
from wsloop.transport.bind import TcpBind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wsloop.daemon.settings import Settings
    from wsloop.transport.bind import Bind

log = logging.getLogger("wsloop.daemon")


def lines(settings: Settings, bound: Sequence[Bind]) -> list[str]:
    """Return what is said of the addresses `bound` where clients are served."""
    # Imported here, where these are open: who connects while the house is loaded waits in their queues.
    from wsloop.server.assembly import CONNECTION_PATH  # noqa: PLC0415

    mode = "development mode: anybody on this machine may join" if settings.dev else "serving"
    found = [f"wsloop {__version__}  {mode}", ""]
    http, ws = ("https", "wss") if settings.tls.certfile else ("http", "ws")
    for bind in bound:
        if not isinstance(bind, TcpBind):
            found.append(f"  listening on {bind}")
        elif settings.dev:
            found.append(f"  chat     {http}://{bind}/   (open it in two tabs)")
            found.append(f"  echo     {ws}://{bind}/echo")
            found.append(f"  clients  {ws}://{bind}{CONNECTION_PATH}")
        else:
            found.append(f"  clients  {ws}://{bind}{CONNECTION_PATH}")
    if not _can_anybody_connect(settings):
        found.append("  nobody   can connect yet: set token.hmac_secret_key, another key, or proxy.connect")
    return found


def _can_anybody_connect(settings: Settings) -> bool:
    """Return whether there is a way in: tokens, the backend, or no question asked."""
    is_open = settings.dev or settings.client.allow_anonymous
    return is_open or bool(settings.proxy.connect) or settings.has_token_keys


def show(lines: Sequence[str]) -> None:
    """Print the lines, if there are any; a stream that takes nothing is no reason to end."""
    if not lines:
        return
    try:
        click.echo("\n".join([*lines, "", "Ctrl+C to stop"]))
        sys.stdout.flush()
    except OSError as error:  # EPIPE: nobody reads it; ENOSPC: it goes to a full disk
        log.warning("cannot print the addresses: %s", error.strerror)
        # What could not be written would be tried again at exit, and fail there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
