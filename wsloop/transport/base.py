"""The ports of this room: the socket it needs, the transport it offers, and the flush between.

`SocketLike` is the part of `socket.socket` that is used here. The in-memory network of
`wsloop.testing` offers the same part with the same errors, so the simulator runs this very
code. `Transport` is what the server sees: bytes in, bytes out, and no errno. Would-block is an
ordinary result (None, or 0 bytes taken), the peer's end of stream is b"" or 0, and everything
else that may happen to a stream is one `TransportError`.

Must not know what the bytes mean. Read `tcp.py` next, then `listener.py`.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from wsloop.errors import TransportError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wsloop.buffers.outbox import Outbox, Piece

SocketAddress: TypeAlias = Any
"""An address as the stdlib has it: its shape depends on the family, a tuple or a path."""

FLUSH_BYTES = 262_144
"""Most bytes one flush hands to the kernel, so that one fast reader of a long queue does not hold
up the turn: about 60 us of copying. The rest leaves in the next turn."""

JOIN_BYTES = 16_384
"""Below this, joining the pieces and one `send` beats `sendmsg`; a piece this long is never joined."""

JOIN_PIECE_BYTES = 4_096
"""Pieces shorter than this on average are joined even when they are many: handing 512 pieces of
128 B to `sendmsg` costs three times as much as copying them (measured over a socketpair)."""

MAX_VIEWS = 256
"""Pieces per `sendmsg`. The kernel's own limit (IOV_MAX) is 1,024; more than 256 gain nothing."""

GONE_ERRNOS: frozenset[int] = frozenset(
    {
        errno.ECONNRESET,  # the peer, or a box between, sent RST
        errno.EPIPE,  # written after the reset was reported, or after our own shutdown
        errno.ECONNABORTED,
        errno.ENOTCONN,  # reset before the first call on the accepted socket
        errno.ETIMEDOUT,  # retransmissions or keep-alive probes gave up
        errno.EHOSTUNREACH,
        errno.ENETUNREACH,
        errno.ENETDOWN,
        errno.ENETRESET,
        errno.EHOSTDOWN,
        getattr(errno, "ENONET", errno.ENETDOWN),  # Linux only
        errno.ECONNREFUSED,  # these three from ICMP messages that routers and firewalls send
        errno.EPROTO,
        errno.ENOPROTOOPT,
        errno.EACCES,  # a firewall of this machine
        errno.EPERM,
        errno.ENOBUFS,  # the kernel has no memory for this stream: it fails, the others go on
        errno.ENOMEM,
    }
)
"""What may happen to a stream without anybody's mistake. Any other errno is a bug in wsloop."""


class SocketLike(Protocol):
    """The part of `socket.socket` that transports and listeners use; always non-blocking.

    Raises what sockets raise: BlockingIOError for EAGAIN, other OSErrors with their errno.
    """

    @property
    def family(self) -> int:
        """The address family: AF_INET, AF_INET6 or AF_UNIX."""
        ...

    def fileno(self) -> int:
        """Return the descriptor, -1 once closed."""
        ...

    def recv(self, max_bytes: int, /) -> bytes:
        """Return what has arrived, b"" at the end of the stream."""
        ...

    def recv_into(self, buffer: memoryview, /) -> int:
        """Fill `buffer` from the start; return the number of bytes, 0 at the end of the stream."""
        ...

    def send(self, data: Piece, /) -> int:
        """Return how many bytes of `data` were taken."""
        ...

    def sendmsg(self, buffers: Sequence[Piece], /) -> int:
        """Like `send`, of several pieces in order."""
        ...

    def shutdown(self, how: int, /) -> None:
        """Close one direction or both (SHUT_RD, SHUT_WR, SHUT_RDWR)."""
        ...

    def close(self) -> None:
        """Release the descriptor; calling it again does nothing."""
        ...

    def accept(self) -> tuple[SocketLike, SocketAddress]:
        """Return the next connection of a listening socket, and its peer's address."""
        ...

    def listen(self, backlog: int, /) -> None:
        """Begin to accept connections, at most `backlog` of them waiting."""
        ...

    def setsockopt(self, level: int, option: int, value: int | bytes, /) -> None:
        """Set an option."""
        ...

    def setblocking(self, flag: bool, /) -> None:
        """Switch non-blocking mode; only False is ever passed."""
        ...

    def getsockname(self) -> SocketAddress:
        """Return our own address."""
        ...

    def getpeername(self) -> SocketAddress:
        """Return the peer's address."""
        ...


class Transport(Protocol):
    """One byte stream, as the server sees it. After `close` or `abort` no other method is called."""

    @property
    def is_secure(self) -> bool:
        """Whether the stream is encrypted; pages behind it have https:// in their origin."""
        ...

    @property
    def has_input(self) -> bool:
        """Whether bytes wait inside, so that a read is due although the socket may not be readable."""
        ...

    @property
    def has_output(self) -> bool:
        """Whether bytes that were taken still wait inside: flush, even if the outbox is empty."""
        ...

    @property
    def peer(self) -> str:
        """The peer's address for logs: printable ASCII, whatever the peer chose."""
        ...

    @property
    def peer_host(self) -> str:
        """The part of it that limits are counted by: the IP address, or "unix"."""
        ...

    def fileno(self) -> int:
        """Return the descriptor to register with the reactor, -1 once closed."""
        ...

    def read(self, max_bytes: int) -> bytes | None:
        """Return at most `max_bytes` that have arrived; b"" at the end of the stream; None for not yet.

        Raises TransportError when the stream is gone.
        """
        ...

    def read_into(self, buffer: memoryview) -> int | None:
        """Read into the caller's non-empty `buffer`; the count, 0 at the end, None for not yet.

        Raises TransportError when the stream is gone.
        """
        ...

    def write(self, data: Piece) -> int:
        """Return how many bytes of the non-empty `data` the kernel took; 0 when it is full.

        What waits inside (`has_output`) counts as taken, and is sent first by the next write or flush.

        Raises TransportError when the stream is gone.
        """
        ...

    def write_many(self, views: Sequence[Piece]) -> int:
        """Like `write`, of at most `MAX_VIEWS` pieces in order, none of them copied."""
        ...

    def flush(self, outbox: Outbox, max_bytes: int = FLUSH_BYTES) -> bool:
        """Send from `outbox` until it is empty, the kernel is full, or `max_bytes` are sent.

        Returns whether it is empty. Otherwise the caller asks for writability: that event
        comes at once if only the budget was spent. Raises TransportError when the stream is gone.
        """
        ...

    def shutdown_write(self) -> None:
        """Tell the peer that nothing more follows (FIN); reading goes on. Harmless when gone."""
        ...

    def close(self) -> None:
        """Release the descriptor; what the kernel has taken is still delivered. Idempotent.

        What waits inside (`has_output`) is offered to the kernel once more.
        """
        ...

    def abort(self) -> None:
        """Reset the stream (RST) and release the descriptor: nothing more is delivered. Idempotent."""
        ...


def transport_error(error: OSError) -> TransportError:
    """Return the TransportError for an OSError of `GONE_ERRNOS`; raise any other one again."""
    if error.errno not in GONE_ERRNOS:
        raise error
    return TransportError(errno.errorcode[error.errno])


def flush(transport: Transport, outbox: Outbox, max_bytes: int = FLUSH_BYTES) -> bool:
    """Carry out `Transport.flush` for any transport, on its `write` and `write_many`.

    Peek, send, then advance: the outbox keeps every byte until the kernel has it. After a short
    write the kernel is full, and asking again would only cost an EAGAIN (1 us).
    """
    while (first := outbox.peek()) is not None:
        offered_bytes = outbox.size
        if len(first) == offered_bytes <= max_bytes:
            sent_bytes = transport.write(first)
        else:
            views = outbox.gather(MAX_VIEWS, max_bytes)
            offered_bytes = sum(map(len, views))
            if offered_bytes < JOIN_BYTES or _is_joined(views, offered_bytes):
                sent_bytes = transport.write(b"".join(views))
            else:
                sent_bytes = transport.write_many(views)
        outbox.advance(sent_bytes)
        max_bytes -= sent_bytes
        if sent_bytes < offered_bytes or max_bytes <= 0:
            break
    return not outbox.size


def _is_joined(views: list[Piece], total_bytes: int) -> bool:
    """Return whether copying many `views` together is cheaper than handing them over one by one."""
    return total_bytes < JOIN_PIECE_BYTES * len(views) and max(map(len, views)) < JOIN_BYTES
