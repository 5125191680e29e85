"""Sockets that go out: begin a connection, and dress its socket as a transport.

connect(2) on a non-blocking socket only begins (EINPROGRESS): the socket becomes writable once it is
decided, and the first write tells how. So there is no transport of a kind of its own: a `TcpTransport`
or `TlsTransport` over a socket that is still connecting takes no byte (EAGAIN), and the first write
of one that failed raises what connect(2) would have said, ECONNREFUSED or ETIMEDOUT.

Its caller watches for writability first. Read `client/connection.py` for it.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from wsloop.errors import TransportError
from wsloop.transport.base import GONE_ERRNOS
from wsloop.transport.bind import TcpBind
from wsloop.transport.tcp import TcpTransport, switch_nagle_off

if TYPE_CHECKING:
    import ssl

    from wsloop.transport.base import SocketLike, Transport
    from wsloop.transport.bind import Network, UnixBind

UNABLE_ERRNOS = GONE_ERRNOS | {
    errno.EMFILE,
    errno.ENFILE,
    errno.EADDRNOTAVAIL,  # no free port of our own, or an address of a family that is switched off
    errno.EAFNOSUPPORT,
    errno.EINVAL,  # an address of another scope
    errno.EAGAIN,  # a Unix socket whose backlog is full
    errno.ENOENT,  # a Unix socket that is not there
    errno.ENOTDIR,
    errno.ENAMETOOLONG,
    errno.EPROTOTYPE,  # a Unix socket that is no stream
}
"""What opening or connecting a socket may meet without anybody's mistake in this program."""


def open_transport(
    network: Network, address: TcpBind | UnixBind, context: ssl.SSLContext | None = None, hostname: str = ""
) -> Transport:
    """Return a transport that is connecting to `address`.

    With `context` it speaks TLS, and the certificate must be `hostname`'s. Raises TransportError if
    it fails at once.
    """
    try:
        sock: SocketLike = network.connect(address)
    except OSError as error:
        if error.errno not in UNABLE_ERRNOS:
            raise
        raise TransportError(errno.errorcode[error.errno]) from error
    if context is None:
        return TcpTransport(sock, _peer(address))
    # Imported here: who asks plain endpoints only need not load OpenSSL.
    from wsloop.transport.tls import TlsTransport  # noqa: PLC0415
    from wsloop.transport.tls_side import ClientSide  # noqa: PLC0415

    switch_nagle_off(sock)
    return TlsTransport(sock, _peer(address), ClientSide(context, hostname))


def _peer(address: TcpBind | UnixBind) -> tuple[str, int] | None:
    """Return the address as getpeername(2) would once it is connected; None on a Unix socket."""
    return (address.host, address.port) if isinstance(address, TcpBind) else None
