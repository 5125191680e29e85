"""Leaving to a successor, without turning anybody away who has come to this process.

Whoever was accepted here and is still in the handshake would be refused by a server that drains. The
successor accepts on the same sockets, so there is time: those who have come are let in, and then asked to
go like all others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.server.server import Server

LOOK_EVERY_S = 0.1
"""Each look walks over all connections, some milliseconds with 20,000."""


def retire(server: Server, drain: Callable[[], object]) -> None:
    """Accept nobody any more, and call `drain` when all handshakes are over, as they are in some seconds."""
    server.retire()
    reactor = server.reactor
    latest_s = reactor.now + server.deadlines.handshake_s

    def look() -> None:
        if reactor.now >= latest_s or not server.arriving():
            drain()
        else:
            reactor.call_later(LOOK_EVERY_S, look)

    look()
