"""What goes on the wire is the head of what was queued, at every connection and across every partial write.

A `QueueTap` is an outbox that remembers what it was given, apart from what the real one makes of it. A
`WireTap` stands in a socket's `send`: it compares each write with the head of that memory. What is said
without queueing may only be said while nothing is queued; and what the kernel did not take of it must be
queued before the turn is over. So the bytes on the wire are a prefix of the bytes that were said, byte for
byte.

The same taps judge what else is judged at a socket: no output after the close, bytes read per turn.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from wsloop.buffers.outbox import Outbox, Piece
from wsloop.server.connection import READ_BYTES
from wsloop.server.lifecycle import State

if TYPE_CHECKING:
    from wsloop.server.connection import Connection
    from wsloop.testing.simulator.model.scene import Scene
    from wsloop.testing.simulator.sockets import SimulatedSocket

_CLOSED = State.CLOSED


class QueueTap(Outbox):
    """An outbox whose memory, `owed`, is compared with what leaves. `wire` is told what to expect."""

    __slots__ = ("owed", "wire")

    def __init__(self, high_bytes: int, low_bytes: int) -> None:
        super().__init__(high_bytes, low_bytes)
        self.owed: deque[Piece] = deque()
        self.wire: WireTap

    def append(self, data: Piece) -> None:
        """See `Outbox.append`."""
        if len(data):
            self.owed.append(data)
        super().append(data)

    def advance(self, count_bytes: int) -> None:
        """See `Outbox.advance`."""
        self.wire.check_advance(count_bytes)
        super().advance(count_bytes)
        left, owed = count_bytes, self.owed
        while left:
            first = owed.popleft()
            if len(first) > left:
                owed.appendleft(memoryview(first)[left:])
                break
            left -= len(first)
        self.wire.check_requeued()

    def clear(self) -> int:
        """See `Outbox.clear`."""
        self.owed.clear()
        return super().clear()

    def keep(self, count_bytes: int) -> None:
        """See `Outbox.keep`: what is kept is the head."""
        kept = self.head(count_bytes)
        super().keep(count_bytes)  # which clears, and appends
        if self.head(count_bytes) != kept:
            self.wire.broken("the head of what was queued was not kept")

    def head(self, count_bytes: int) -> bytes:
        """Return the first bytes of what is owed."""
        found: list[Piece] = []
        for piece in self.owed:
            if count_bytes <= 0:
                break
            found.append(memoryview(piece)[:count_bytes])
            count_bytes -= len(piece)
        return b"".join(found)


class WireTap:
    """Around the socket of `connection`, which was just accepted. `cuts` collects those that owe a rest."""

    __slots__ = ("_connection", "_cuts", "_recv", "_scene", "_send", "_taken", "_turn", "cut", "queue")

    def __init__(
        self, scene: Scene, connection: Connection, sock: SimulatedSocket, cuts: dict[WireTap, None]
    ) -> None:
        self.cut: Piece | None = None
        self._scene = scene
        self._connection = connection
        self._cuts = cuts
        self._taken = 0
        self._turn = -1
        self._send, self._recv = sock.send, sock.recv
        sock.send = self.send  # type: ignore[method-assign]
        sock.recv = self.recv  # type: ignore[method-assign]
        before = connection._outbox
        self.queue = connection._outbox = QueueTap(before.high_bytes, before.low_bytes)
        self.queue.wire = self

    def broken(self, what: str, name: str = "wire") -> None:
        """Raise the Violation of a promise at this connection."""
        connection = self._connection
        self._scene.broken(name, f"at connection {connection.id} ({connection.peer}) {what}")

    # -- output --------------------------------------------------------------------------------

    def send(self, data: Piece, /) -> int:
        """See `SocketLike.send`."""
        if self._connection.state is _CLOSED:
            self.broken(f"{len(data)} bytes were sent when it was closed", "close")
        queue = self.queue
        if queue.size:
            if data is not queue.owed[0] and queue.head(len(data)) != data:
                self.broken(
                    f"{bytes(data[:40])!r} was sent while {queue.head(40)!r} is the head of the queue"
                )
            count = self._send(data)
            self._taken += count
            return count
        if self.cut is not None:
            self.broken(f"{bytes(data[:40])!r} was sent in front of {bytes(self.cut[:40])!r}")
        try:
            count = self._send(data)
        except BlockingIOError:
            self._owe(data)
            raise
        if count < len(data):
            self._owe(memoryview(data)[count:])
        return count

    def _owe(self, rest: Piece) -> None:
        self.cut = rest
        self._cuts[self] = None

    def check_advance(self, count_bytes: int) -> None:
        """Judge that the queue moves on: by what the socket took, or over what was said in front of it."""
        if self.cut is None and count_bytes != self._taken:
            self.broken(f"the queue moved on by {count_bytes} bytes, of which {self._taken} were taken")
        self._taken = 0

    def check_requeued(self) -> None:
        """Judge what was queued of what the kernel did not take: it goes on where the wire has stopped."""
        if self.cut is None:
            return
        first = self.queue.owed[0] if self.queue.owed else b""
        if not first or bytes(self.cut[: len(first)]) != first:
            self.broken(f"{bytes(first[:40])!r} was queued where {bytes(self.cut[:40])!r} had to follow")
        self.cut = None
        self._cuts.pop(self, None)

    def check_settled(self) -> None:
        """Judge, after the turn, that nothing is owed that is not queued."""
        if self.cut is not None and self._connection.state is not _CLOSED:
            self.broken(f"{len(self.cut)} bytes that were not taken are queued nowhere")

    # -- input ---------------------------------------------------------------------------------

    def recv(self, max_bytes: int, /) -> bytes:
        """See `SocketLike.recv`; a turn's budget for a connection is one read, of so many bytes."""
        data = self._recv(max_bytes)
        step = self._scene.step
        if self._turn == step:
            self.broken("was read from twice in one turn", "budget")
        self._turn = step
        if len(data) > READ_BYTES:
            self.broken(f"{len(data)} bytes were read in one turn", "budget")
        return data
