"""Several listening sockets on one port, so that each worker has a queue of its own.

With SO_REUSEPORT Linux deals new connections out to the sockets of a port by a hash of their addresses:
no two workers wake for one connection. Other systems know the option too, but give all to the last
socket; there one socket is shared.

A socket of such a group is never closed while the group serves: whatever is in its queue, or on the way
into it, would be reset. Read `bind.py` for one socket, `daemon/sockets.py` for who keeps a group.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from wsloop.transport.bind import TcpBind, listen_tcp

if TYPE_CHECKING:
    import socket

DEALS_OUT = sys.platform == "linux"
"""Whether sockets that share a port get their share of its connections."""


def listen_group(bind: TcpBind, count: int, backlog: int) -> list[socket.socket]:
    """Return `count` sockets that listen on `bind`, port 0 being one free port for all of them.

    Where the kernel does not deal connections out, and for a `count` of 1, it is one socket. The
    caller closes them. Raises StartupError, and AddressInUseError also if the port is held by another
    group: the kernel would let this one join it, and deal half of its clients to each of two daemons.
    """
    if count == 1 or not DEALS_OUT:
        return [listen_tcp(bind, backlog)]
    if bind.port:
        listen_tcp(bind, backlog).close()
    return extend_group(bind, count, backlog)


def extend_group(bind: TcpBind, count: int, backlog: int) -> list[socket.socket]:
    """Return `count` more sockets on a port that this daemon holds, or none; raises StartupError."""
    sockets: list[socket.socket] = []
    try:
        for _ in range(count):
            sockets.append(listen_tcp(bind, backlog, shares_port=True))
            # A name may have another address next time, and port 0 another port.
            bind = TcpBind(*sockets[0].getsockname()[:2])
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    return sockets
