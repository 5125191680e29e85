"""The sockets of `MemoryNetwork`: what a kernel does with a stream, without a kernel.

They satisfy `wsloop.transport.base.SocketLike` and raise what real sockets raise, so
`TcpTransport` and `Listener` run on them unchanged. What is copied of Linux's manners, since
code above gets it wrong otherwise:

- a send takes any number of bytes, and none (EAGAIN) while the receiver's buffer is full;
- FIN ends one direction only; the other goes on;
- closing with unread bytes, or with SO_LINGER 0, is a reset: what was under way is lost;
- bytes for a closed socket come back as a reset, so the first write after it still succeeds;
- a reset is reported once (ECONNRESET), after the bytes that had arrived; from then on reads
  end (b"") and writes are broken pipes (EPIPE);
- accept(2) reports EMFILE before it looks whether anybody waits;
- a listener that closes resets who waits in its queue.

Where the kernel would wait, these raise BlockingIOError, and so does a connect to a full queue.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from wsloop.transport.bind import UnixBind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wsloop.buffers.outbox import Piece
    from wsloop.testing.network import MemoryNetwork
    from wsloop.transport.bind import TcpBind

CAPACITY_BYTES = 65_536
"""What a direction holds: small beside a kernel's 2.5 MiB, so that EAGAIN is met early."""

Address = tuple[str, int] | str


def os_error(number: int) -> OSError:
    """Return the OSError that the kernel's errno `number` becomes, of the right subclass."""
    return OSError(number, os.strerror(number))


def _address(bind: TcpBind | UnixBind) -> Address:
    """Return `bind` in the shape of getsockname(2)."""
    if isinstance(bind, UnixBind):
        return bind.path
    return (bind.host, bind.port)


class MemoryDescriptor:
    """What listening and connected sockets share: a number, an address, and closing.

    Every method of `SocketLike` is here, refusing; the two kinds override what they can do.
    """

    def __init__(self, network: MemoryNetwork, bound: TcpBind | UnixBind) -> None:
        self.bound = bound
        self._network = network
        self._fd = -1
        self._is_closed = False
        self._resets_on_close = False

    @property
    def family(self) -> int:
        """AF_UNIX for a path, AF_INET6 for an address with colons, else AF_INET."""
        if isinstance(self.bound, UnixBind):
            return socket.AF_UNIX
        return socket.AF_INET6 if ":" in self.bound.host else socket.AF_INET

    def open(self) -> None:
        """Take a descriptor; raises OSError(EMFILE). Called by the network."""
        self._fd = self._network.descriptors.allocate(self)

    def fileno(self) -> int:
        """Return the descriptor, -1 once closed."""
        return self._fd

    def close(self) -> None:
        """Free the descriptor. Idempotent."""
        self._is_closed = True
        if self._fd >= 0:
            self._network.descriptors.release(self._fd)
            self._fd = -1

    def setsockopt(self, level: int, option: int, value: int | bytes, /) -> None:
        """Heed SO_LINGER on TCP, ignore the others."""
        self._check_open()
        if (level, option) == (socket.SOL_SOCKET, socket.SO_LINGER) and self.family != socket.AF_UNIX:
            assert isinstance(value, bytes)
            self._resets_on_close = struct.unpack("ii", value) == (1, 0)

    def setblocking(self, flag: bool, /) -> None:
        """Accept False; raise ValueError for True, since nothing could ever wake the caller."""
        if flag:
            raise ValueError("a socket in memory cannot block")

    def getsockname(self) -> Address:
        """Return our address."""
        self._check_open()
        return _address(self.bound)

    def readable(self) -> bool:
        """Return whether a read, or accept, would not block."""
        raise NotImplementedError

    def writable(self) -> bool:
        """Return whether a write would not block."""
        return False

    def recv(self, _max_bytes: int, /) -> bytes:
        """Refuse: ENOTCONN."""
        raise os_error(errno.ENOTCONN)

    def recv_into(self, _buffer: memoryview, /) -> int:
        """Refuse: ENOTCONN."""
        raise os_error(errno.ENOTCONN)

    def send(self, _data: Piece, /) -> int:
        """Refuse: ENOTCONN."""
        raise os_error(errno.ENOTCONN)

    def sendmsg(self, _buffers: Sequence[Piece], /) -> int:
        """Refuse: ENOTCONN."""
        raise os_error(errno.ENOTCONN)

    def shutdown(self, _how: int, /) -> None:
        """Refuse: ENOTCONN."""
        raise os_error(errno.ENOTCONN)

    def getpeername(self) -> Address:
        """Refuse: ENOTCONN."""
        raise os_error(errno.ENOTCONN)

    def accept(self) -> tuple[MemorySocket, Address]:
        """Refuse: EINVAL."""
        raise os_error(errno.EINVAL)

    def listen(self, _backlog: int, /) -> None:
        """Refuse: EINVAL."""
        raise os_error(errno.EINVAL)

    def _check_open(self) -> None:
        """Let arrive what is due; raise EBADF on a closed socket."""
        if self._is_closed:
            raise os_error(errno.EBADF)
        self._network.settle()


class MemoryListeningSocket(MemoryDescriptor):
    """A socket with a queue of connections; made by `MemoryNetwork.listen`."""

    def __init__(self, network: MemoryNetwork, bound: TcpBind | UnixBind, backlog: int) -> None:
        super().__init__(network, bound)
        self.open()
        self.backlog = backlog
        self.accept_calls = 0
        self._queue: deque[MemorySocket] = deque()
        self._expected = 0

    def __str__(self) -> str:
        return f"listening on {self.bound}"

    def is_full(self) -> bool:
        """Return whether the queue, with what is on its way into it, has reached the backlog."""
        return len(self._queue) + self._expected >= self.backlog

    def expect(self, server: MemorySocket) -> None:
        """Queue the server's end of a new connection once it gets here. Called by the network."""
        self._expected += 1
        # Bytes sent right behind the connect must not overtake it.
        arrive = partial(self._on_arrival, server)
        server.last_arrival_s = self._network.transmit(server.last_arrival_s, arrive)

    def listen(self, backlog: int, /) -> None:
        """Change the backlog."""
        self._check_open()
        self.backlog = backlog

    def accept(self) -> tuple[MemorySocket, Address]:
        """Return the oldest waiting connection; raises EMFILE first, then EAGAIN."""
        self._check_open()
        self.accept_calls += 1
        if self._network.descriptors.is_full():
            raise os_error(errno.EMFILE)
        if not self._queue:
            raise os_error(errno.EAGAIN)
        server = self._queue.popleft()
        server.open()
        return server, _address(server.peer_bound)

    def readable(self) -> bool:
        """Return whether a connection waits."""
        return bool(self._queue)

    def close(self) -> None:
        """Free the address, and reset who waits."""
        if self._is_closed:
            return
        self._network.forget_listener(self.bound)
        super().close()
        while self._queue:
            self._queue.popleft().reset()

    def _on_arrival(self, server: MemorySocket) -> None:
        self._expected -= 1
        if self._is_closed:
            server.reset()
        else:
            self._queue.append(server)


class MemorySocket(MemoryDescriptor):
    """One end of a connection; made by `MemoryNetwork.connect`, `.pair` and accept.

    Two methods have no twin in `socket.socket`: `reset`, which a test calls for a cable that a
    router cuts, and `vanish`, for a peer that loses its power.
    """

    peer: MemorySocket

    def __init__(
        self, network: MemoryNetwork, bound: TcpBind | UnixBind, peer_bound: TcpBind | UnixBind
    ) -> None:
        super().__init__(network, bound)
        self.peer_bound = peer_bound
        self.last_arrival_s = float("-inf")
        self._arrived = bytearray()
        self._incoming_bytes = 0
        self._has_vanished = False
        self._is_aborted = False
        self._has_fin = False
        self._has_error = False
        self._is_reset = False
        self._is_read_shut = False
        self._is_write_shut = False

    def __str__(self) -> str:
        return f"{self.bound} connected to {self.peer_bound}"

    def join(self, peer: MemorySocket) -> None:
        """Make this socket and `peer` the two ends of one connection. Called by the network."""
        self.peer = peer
        peer.peer = self

    def recv(self, max_bytes: int, /) -> bytes:
        """Return 1 to `max_bytes` bytes, as many as the faults let through; see the module."""
        self._check_open()
        if max_bytes == 0:
            return b""
        if self._arrived:
            self._maybe_eagain()
            count = self._some(min(max_bytes, len(self._arrived)), self._network.faults.max_read_bytes)
            data = bytes(self._arrived[:count])
            del self._arrived[:count]
            return data
        self._raise_pending_error()
        if self._has_fin or self._is_reset or self._is_read_shut:
            return b""
        raise os_error(errno.EAGAIN)

    def recv_into(self, buffer: memoryview, /) -> int:
        """Like `recv`, into the caller's buffer."""
        data = self.recv(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def send(self, data: Piece, /) -> int:
        """Take 1 to `len(data)` bytes, as many as fit and the faults let through."""
        self._check_open()
        self._raise_pending_error()
        if self._is_reset or self._is_write_shut:
            raise os_error(errno.EPIPE)
        if not data:
            return 0
        room = min(len(data), self.peer.room())
        if room <= 0:
            raise os_error(errno.EAGAIN)
        self._maybe_eagain()
        if self._chance(self._network.faults.reset_chance):
            self.reset()
            self._raise_pending_error()
        count = self._some(room, self._network.faults.max_write_bytes)
        self._send_to_peer(bytes(data[:count]))
        return count

    def sendmsg(self, buffers: Sequence[Piece], /) -> int:
        """Like `send`, of several pieces."""
        return self.send(b"".join(buffers))

    def shutdown(self, how: int, /) -> None:
        """End one direction or both; ENOTCONN after a reset."""
        self._check_open()
        if self._is_reset:
            raise os_error(errno.ENOTCONN)
        if how != socket.SHUT_WR:
            self._is_read_shut = True
        if how != socket.SHUT_RD and not self._is_write_shut:
            self._is_write_shut = True
            self._notify_peer(self.peer.on_fin)

    def getpeername(self) -> Address:
        """Return the peer's address; ENOTCONN after a reset."""
        self._check_open()
        if self._is_reset:
            raise os_error(errno.ENOTCONN)
        return _address(self.peer_bound)

    def readable(self) -> bool:
        """Return whether bytes, the end, or an error wait."""
        return bool(self._arrived) or self._has_fin or self._is_reset or self._is_read_shut

    def writable(self) -> bool:
        """Return whether there is room, or an error to report."""
        return self._is_reset or self._is_write_shut or self.peer.room() > 0

    def close(self) -> None:
        """Close with FIN, or with a reset where bytes are unread or SO_LINGER is 0."""
        if self._is_closed:
            return
        self._network.settle()
        super().close()
        if self._is_reset:
            return
        if self._arrived or self._resets_on_close:
            self._arrived.clear()
            self._is_aborted = True
            self._notify_peer(self.peer.on_reset)
        elif not self._is_write_shut:
            self._notify_peer(self.peer.on_fin)

    def reset(self) -> None:
        """Break the connection for both ends, losing what is under way in both directions."""
        for end in (self, self.peer):
            end._is_aborted = True
            end.on_reset()

    def vanish(self) -> None:
        """Disappear without a word: the peer's bytes go nowhere and nothing is ever answered."""
        super().close()
        self._has_vanished = True
        self._is_aborted = True

    def room(self) -> int:
        """Return how many bytes this end can take: what it holds and what is under way counts."""
        return self._network.capacity_bytes - len(self._arrived) - self._incoming_bytes

    def on_data(self, data: bytes) -> None:
        """Take what the peer sent. These three are called by the peer, through the network."""
        if self._has_vanished:
            return
        self._incoming_bytes -= len(data)
        if self._is_closed:
            self._notify_peer(self.peer.on_reset)
        elif not self.peer._is_aborted and not self._is_reset:
            self._arrived += data

    def on_fin(self) -> None:
        """Note that the peer sends no more."""
        self._has_fin = True

    def on_reset(self) -> None:
        """Note that the connection is gone."""
        if not self._is_closed and not self._is_reset:
            self._is_reset = self._has_error = True

    def _send_to_peer(self, data: bytes) -> None:
        self.peer._incoming_bytes += len(data)
        self._notify_peer(partial(self.peer.on_data, data))

    def _notify_peer(self, arrive: Callable[[], None]) -> None:
        """Have `arrive` called at the peer's end after the network's delay, in order."""
        self.peer.last_arrival_s = self._network.transmit(self.peer.last_arrival_s, arrive)

    def _raise_pending_error(self) -> None:
        """Report a reset, once."""
        if self._has_error:
            self._has_error = False
            raise os_error(errno.ECONNRESET)

    def _maybe_eagain(self) -> None:
        if self._chance(self._network.faults.eagain_chance):
            raise os_error(errno.EAGAIN)

    def _chance(self, chance: float) -> bool:
        return chance > 0 and self._network.random.random() < chance

    def _some(self, count: int, limit: int | None) -> int:
        """Return `count`, or by chance 1 to the smaller of it and `limit`."""
        return count if limit is None else self._network.random.randint(1, min(count, limit))
