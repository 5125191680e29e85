"""A transport over a plain stream socket: TCP or Unix.

Each method is one system call and the translation of its result. That a hot path can afford:
around the 1.2 us of `recv` and the 4 us of `send`, the call, the try block and the result cost
some 100 ns (see docs/internals/buffers.md for who calls it when).

Reads once per readiness and never "until EAGAIN": a read that ends in EAGAIN costs 1 us, while
a level-triggered poller reports the rest for nothing. Read `listener.py` for where the sockets
come from.
"""

from __future__ import annotations

import errno
import socket
import struct
from typing import TYPE_CHECKING

from wsloop.transport.base import FLUSH_BYTES, flush, transport_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wsloop.buffers.outbox import Outbox, Piece
    from wsloop.transport.base import SocketAddress, SocketLike

LINGER_RESET = struct.pack("ii", 1, 0)
"""struct linger {on, 0 s}: close(2) then discards what is unsent and resets the stream."""


_AF_UNIX = int(socket.AF_UNIX)
"""To compare with the plain number that an accepted socket has: half the time."""


class TcpTransport:
    """One connected, non-blocking stream socket; satisfies `Transport`, which has the contracts.

    Arguments: `sock`, which the transport owns from here on; `address`, the peer's address as
    accept(2) gave it, or None to ask the socket. Switches Nagle's algorithm off on TCP: a
    reply leaves in one `send` anyway, and must not wait for the acknowledgement of the last.
    `is_prompt` tells that this has been done: under Linux the listening socket hands it down.
    """

    __slots__ = ("_address", "_sock")

    is_secure = has_input = has_output = False

    def __init__(self, sock: SocketLike, address: SocketAddress = None, *, is_prompt: bool = False) -> None:
        self._sock = sock
        self._address = peer_address(sock) if address is None else address
        if not is_prompt:
            switch_nagle_off(sock)

    @property
    def peer(self) -> str:
        """The peer's address, put into words when it is asked for: most connections never are."""
        return describe_peer(self._sock, self._address)

    @property
    def peer_host(self) -> str:
        """The IP address, or "unix"."""
        return host_of_peer(self._sock, self._address)

    def fileno(self) -> int:
        """Return the descriptor, -1 once closed."""
        return self._sock.fileno()

    def release(self) -> tuple[SocketLike, SocketAddress]:
        """Return socket and address for another transport that takes the place of this one."""
        return self._sock, self._address

    def read(self, max_bytes: int) -> bytes | None:
        """Read at most `max_bytes` into a new bytes object: the kernel's copy is the only one."""
        try:
            return self._sock.recv(max_bytes)
        except BlockingIOError:  # EAGAIN
            return None
        except OSError as error:  # GONE_ERRNOS
            raise transport_error(error) from error

    def read_into(self, buffer: memoryview) -> int | None:
        """Read into `buffer`, which stays the caller's."""
        try:
            return self._sock.recv_into(buffer)
        except BlockingIOError:  # EAGAIN
            return None
        except OSError as error:  # GONE_ERRNOS
            raise transport_error(error) from error

    def write(self, data: Piece) -> int:
        """Offer `data` to the kernel."""
        try:
            return self._sock.send(data)
        except BlockingIOError:  # EAGAIN
            return 0
        except OSError as error:  # GONE_ERRNOS; Python ignores SIGPIPE, so EPIPE arrives here
            raise transport_error(error) from error

    def write_many(self, views: Sequence[Piece]) -> int:
        """Offer several pieces to the kernel in one call."""
        try:
            return self._sock.sendmsg(views)
        except BlockingIOError:  # EAGAIN
            return 0
        except OSError as error:  # GONE_ERRNOS
            raise transport_error(error) from error

    def flush(self, outbox: Outbox, max_bytes: int = FLUSH_BYTES) -> bool:
        """Send from `outbox`; see `wsloop.transport.base.flush`.

        The common case, one frame that the kernel takes whole, is written out here: two calls
        fewer than the general way, 0.3 us instead of 0.5 around the system call (timeit over a
        socket that does nothing).
        """
        first = outbox.peek()
        if first is None:
            return True
        if len(first) != outbox.size or outbox.size > max_bytes:
            return flush(self, outbox, max_bytes)
        try:
            sent_bytes = self._sock.send(first)
        except BlockingIOError:  # EAGAIN
            return False
        except OSError as error:  # GONE_ERRNOS
            raise transport_error(error) from error
        outbox.advance(sent_bytes)
        return not outbox.size

    def shutdown_write(self) -> None:
        """Send FIN behind what the kernel has taken."""
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            if error.errno != errno.ENOTCONN:  # the peer has reset the stream: nobody to tell
                raise

    def close(self) -> None:
        """Close the socket.

        Bytes that have arrived and were never read turn this into a reset on Linux, which can
        overtake our last words: who has just sent a close frame reads to the end first.
        """
        self._sock.close()

    def abort(self) -> None:
        """Reset the stream. A Unix stream knows no reset: it ends as with `close`."""
        if self._sock.fileno() < 0:
            return
        try:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
        except OSError as error:
            if error.errno != errno.EINVAL:  # macOS, after the peer's own reset
                raise
        self._sock.close()


def accepted(sock: SocketLike, address: SocketAddress) -> TcpTransport:
    """Return the transport of a socket that a `Listener` has accepted, which saw to Nagle's algorithm."""
    return TcpTransport(sock, address, is_prompt=True)


def switch_nagle_off(sock: SocketLike) -> None:
    """Set TCP_NODELAY, on TCP. On a listening socket under Linux: for all that it accepts."""
    if sock.family != _AF_UNIX:
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            # macOS, where the peer has reset the stream already; the first read tells.
            if error.errno != errno.EINVAL:
                raise


def peer_address(sock: SocketLike) -> SocketAddress:
    """Return the address of a TCP socket's peer; None on a Unix socket, or if the peer is gone already."""
    if sock.family == _AF_UNIX:
        return None
    try:
        return sock.getpeername()
    except OSError as error:
        if error.errno not in (errno.ENOTCONN, errno.EINVAL):
            raise
        return None


def host_of_peer(sock: SocketLike, address: SocketAddress) -> str:
    """Return the IP address in `address`; without one "unix" on a Unix socket, else "?".

    An IPv4 client of a dual-stack listener (::ffff:192.0.2.1) is named by its IPv4 address, so
    that a limit per host counts it once. `sock` may be closed.
    """
    if not isinstance(address, tuple):  # None, or a path
        return "unix" if sock.family == _AF_UNIX else "?"
    host: str = address[0]
    return host[7:] if host.startswith("::ffff:") and "." in host else host


def describe_peer(sock: SocketLike, address: SocketAddress) -> str:
    """Return host and port of a socket's peer as one writes them, only the host if there is no port."""
    host = host_of_peer(sock, address)
    if not isinstance(address, tuple):
        return host
    return f"[{host}]:{address[1]}" if ":" in host else f"{host}:{address[1]}"
