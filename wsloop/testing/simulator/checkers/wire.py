"""What goes on the wire is the head of what was queued, at every connection and across every partial write.

A `QueueTap` is an outbox that remembers what it was given, apart from what the real one makes of it. A
`WireTap` stands in a socket's `send`: it compares each write with the head of that memory. What is said
without queueing may only be said while nothing is queued; and what the kernel did not take of it must be
queued before the turn is over. So the bytes on the wire are a prefix of the bytes that were said, byte for
byte.

The same taps judge what else is judged at a socket: no output after the close, bytes read per turn, and the
pulse: nobody is pinged again who has not been heard since the last ping, and nobody closed for want of a pong
to a ping that was answered, or never sent.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from wsloop.buffers.outbox import Outbox, Piece
from wsloop.hub.codec import JSON
from wsloop.server.connection import READ_BYTES
from wsloop.server.lifecycle import State
from wsloop.server.messaging import ping

if TYPE_CHECKING:
    from wsloop.server.connection import Connection
    from wsloop.testing.simulator.model.scene import Scene
    from wsloop.testing.simulator.sockets import SimulatedSocket

_CLOSED, _OPEN = State.CLOSED, State.OPEN

BEAT = ping(JSON)
"""A ping of the messaging protocol; one object for all connections."""

FRAME_PING = b"\x89\x00"
CLOSE = 0x88
"""A ping frame, as the server says it; the first byte of a close frame."""

NO_PONG = b"no pong"
"""The reason of a close for want of a pong."""

PULSE_BYTES = 4 + len(NO_PONG)
"""Of the longest of these frames, the close."""


def head_of(owed: deque[Piece], count_bytes: int) -> bytes:
    """Return the first bytes of some pieces, at most so many."""
    found: list[Piece] = []
    for piece in owed:
        if count_bytes <= 0:
            break
        found.append(memoryview(piece)[:count_bytes])
        count_bytes -= len(piece)
    return b"".join(found)


def take_off(owed: deque[Piece], count_bytes: int) -> None:
    """Take the first bytes off some pieces, which have so many at least."""
    while count_bytes:
        first = owed.popleft()
        if len(first) > count_bytes:
            owed.appendleft(memoryview(first)[count_bytes:])
            break
        count_bytes -= len(first)


class QueueTap(Outbox):
    """An outbox whose memory, `owed`, is compared with what leaves. `wire` is told what to expect."""

    __slots__ = ("owed", "wire")

    def __init__(self, high_bytes: int, low_bytes: int) -> None:
        super().__init__(high_bytes, low_bytes)
        self.owed: deque[Piece] = deque()
        self.wire: WireTap

    def append(self, data: Piece) -> None:
        """See `Outbox.append`."""
        size = len(data)
        if size <= PULSE_BYTES:
            if not size:
                return
            if data is BEAT or data == FRAME_PING:
                self.wire.check_ping()
            elif data[0] == CLOSE and bytes(data[4:]) == NO_PONG:
                self.wire.check_given_up()
        self.owed.append(data)
        super().append(data)

    def advance(self, count_bytes: int) -> None:
        """See `Outbox.advance`."""
        self.wire.check_advance(count_bytes)
        if self.wire.is_pinged and self.wire.is_unheard:
            self.wire.is_excused = True
        super().advance(count_bytes)
        take_off(self.owed, count_bytes)
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
        return head_of(self.owed, count_bytes)


class WireTap:
    """Around the socket of `connection`, which was just accepted. `cuts` collects those that owe a rest.

    `is_pinged`: a ping was said, and nothing has been read since. `is_excused`: nor could be, for a while.
    """

    __slots__ = (
        "_connection", "_cuts", "_recv", "_scene", "_send", "_taken", "_turn", "cut", "is_excused",
        "is_pinged", "queue",
    )  # fmt: skip

    def __init__(
        self, scene: Scene, connection: Connection, sock: SimulatedSocket, cuts: dict[WireTap, None]
    ) -> None:
        self.cut: Piece | None = None
        self._scene = scene
        self._connection = connection
        self._cuts = cuts
        self._taken = 0
        self._turn = -1
        self.is_pinged = self.is_excused = False
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

    # -- the pulse -----------------------------------------------------------------------------

    @property
    def is_unheard(self) -> bool:
        """Whether the server reads nothing at this moment, or has not taken all that it has read.

        Then it need not take silence for death: what it takes after the ping counts as heard after it.
        """
        return self._connection._paused or self._connection._going_on

    def check_ping(self) -> None:
        """Judge that a ping is queued: none before it waits for an answer."""
        is_unheard = self.is_unheard
        if self.is_pinged and not (self.is_excused or is_unheard):
            self.broken("a second ping was sent, with nothing heard since the first", "pulse")
        self.is_pinged, self.is_excused = True, is_unheard

    def check_given_up(self) -> None:
        """Judge that the peer is closed for want of a pong: it was pinged, and has not been heard since."""
        if not self.is_pinged:
            self.broken("no pong was missed, since no ping waited for one", "pulse")

    # -- input ---------------------------------------------------------------------------------

    def recv(self, max_bytes: int, /) -> bytes:
        """See `SocketLike.recv`; a turn's budget for a connection is one read, of so many bytes."""
        data = self._recv(max_bytes)
        step = self._scene.step
        if self._turn == step:
            self.broken("was read from twice in one turn", "budget")
        self._turn = step
        if data and self._connection.state is _OPEN:
            self.is_pinged = False
        if len(data) > READ_BYTES:
            self.broken(f"{len(data)} bytes were read in one turn", "budget")
        return data
