"""The output half of a connection: what is said, and in how few calls it leaves.

What one read makes a handler say is corked and leaves at the read's end, in one `send`. Everything
else goes into the outbox and leaves in phase 1 of the next turn. A peer that does not take what
it asked for is first not read any more, then closed as slow. What others tell it waits in a mailbox
while its kernel buffer is full, from which it can still be dropped (`slowness.py`).

`Output` is the lower half of `Connection`, in a file of its own: the two are one object, since a
message passes through both, and a call between objects would cost it a twentieth. Read
`connection.py` first.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from wsloop.buffers.outbox import Outbox
from wsloop.hub.codec import JSON
from wsloop.loop.poller import READ, WRITE
from wsloop.protocol.frames import (
    JOIN_MAX_BYTES,
    SHORT_BYTES,
    TEXT_HEADERS,
    Opcode,
    encode_frame,
    encode_header,
)
from wsloop.server.framing import FRAME_BYTES, frame_of, grouped
from wsloop.server.lifecycle import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wsloop.buffers.outbox import Piece
    from wsloop.hub.codec import Codec
    from wsloop.hub.fan_out import Packet
    from wsloop.loop.wheel import Timer
    from wsloop.protocol.deflate import Compressor
    from wsloop.protocol.events import Event
    from wsloop.protocol.fast_path import FastSession
    from wsloop.protocol.limits import Limits
    from wsloop.server.app import Handler, Member
    from wsloop.server.mailbox import Mailbox
    from wsloop.server.pressure import Pressure
    from wsloop.server.server import Server
    from wsloop.server.story import Story
    from wsloop.transport.base import Transport

log = logging.getLogger("wsloop.server")

CORK_PIECES = 64
"""Most frames of one read's answers that are joined and sent without passing through the outbox."""

_OPEN = State.OPEN
_CLOSED = State.CLOSED
"""An enum's member takes 30 ns to look up, a global 5; a message asks four times."""


class Output:
    """What a connection sends. `Connection` completes it, and says who owns what."""

    __slots__ = (
        "_backlog", "_compressor", "_cork", "_eof", "_flush_wanted", "_full_since_s", "_handler", "_held",
        "_interest", "_is_secure", "_limits", "_lines", "_mailbox", "_outbox", "_pressure", "_reply_bytes",
        "_send_limit_bytes", "_server", "_session", "_timer", "_transport", "_was_heard", "codec",
        "dropped", "id", "member", "sender", "state", "story",
    )  # fmt: skip

    def __init__(self, server: Server, transport: Transport, connection_id: int) -> None:
        self._server = server
        self._transport = transport
        self.id = connection_id
        self.state = State.ACCEPTING
        self._session: FastSession | None = None
        self._handler: Handler | None = None
        self._compressor: Compressor | None = None
        self._outbox = Outbox(server.outbox.high_bytes, server.outbox.low_bytes)
        self._limits: Limits = server.http_limits
        self._send_limit_bytes = self._reply_bytes = 0
        self._interest = READ
        self._is_secure = transport.is_secure
        self._flush_wanted = self._held = self._eof = self._was_heard = False
        # While events are handed out: the short answers to them, sent together at the end.
        self._cork: list[bytes] | None = None
        # The same for lines, which are to share frames.
        self._lines: list[bytes] | None = None
        # While the kernel is full: what others tell the peer. Something in it: something in the outbox.
        self._mailbox: Mailbox | None = None
        self._full_since_s = 0.0
        # Events that wait for the handler to be done with the one before.
        self._backlog: list[Event] | None = None
        self._pressure: Pressure | None = None
        self._timer: Timer
        self.member: Member | None = None
        """Who has a say in what of its messages may be dropped; a handler that is given lanes sets it."""
        self.codec: Codec = JSON
        """How `send_line` joins what it is given."""
        self.sender = ""
        """Who is behind the listed proxy that the peer is; "" if it is none, or no WebSocket yet."""
        self.dropped = 0
        """Messages that were dropped instead of sent, in all."""
        self.story: Story | None = None
        """What the log says of it besides its number, if anything."""

    # -- what the other half has ---------------------------------------------------------

    def close(self, code: int, reason: str) -> None:
        """See `Connection.close`."""
        raise NotImplementedError

    def go_on_later(self) -> None:
        """See `Connection.go_on_later`."""
        raise NotImplementedError

    def lose(self, why: str, *, abort: bool = False) -> None:
        """See `Connection.lose`."""
        raise NotImplementedError

    def _on_error(self, error: Exception) -> None:
        raise NotImplementedError

    def _push_behind(self, data: bytes, packets: Sequence[Packet]) -> None:
        raise NotImplementedError

    def _keep_rest(self, data: bytes, packets: Sequence[Packet], sent_bytes: int) -> None:
        raise NotImplementedError

    def _refill(self, mailbox: Mailbox) -> int:
        raise NotImplementedError

    def _make_room(self) -> bool:
        raise NotImplementedError

    def _judge_pressure(self, taken_bytes: int) -> None:
        raise NotImplementedError

    def _after_last_bytes(self) -> None:
        raise NotImplementedError

    # -- who it is -----------------------------------------------------------------------

    @property
    def peer(self) -> str:
        """The peer's address, printable, for logs; behind a listed proxy with that."""
        peer = self._transport.peer
        return f"{self.sender} via {peer}" if self.sender else peer

    @property
    def peer_host(self) -> str:
        """The part of it that rules go by: the IP address, or "unix"; behind a listed proxy the client's."""
        return self.sender or self._transport.peer_host

    @property
    def is_secure(self) -> bool:
        """Whether the peer came over TLS."""
        return self._transport.is_secure

    def draw(self, count: int) -> bytes:
        """Return `count` random bytes."""
        return self._server.entropy(count)

    # -- saying -------------------------------------------------------------------------

    def send_text(self, data: str) -> None:
        """Queue one text message. Raises UnicodeEncodeError, with nothing queued, for a lone surrogate."""
        cork = self._cork
        payload = data.encode()
        length = len(payload)
        if cork is not None and length < SHORT_BYTES and len(cork) < CORK_PIECES and not self._compressor:
            # Open, and answering what it has just received: nothing else need be asked.
            cork.append(TEXT_HEADERS[length] + payload)
        else:
            self._send(Opcode.TEXT, payload)

    def send_binary(self, data: bytes | bytearray) -> None:
        """Queue one binary message; over 16 KiB `data` is kept, not copied, until the kernel has it.

        A bytearray must not change until then.
        """
        self._send(Opcode.BINARY, data)

    def _send(self, opcode: Opcode, payload: bytes | bytearray) -> None:
        if self.state is not _OPEN or not self._has_room():
            return
        self._server.tally.messages_sent += 1
        if self._compressor and (frame := self._compressor.compressed_frame(opcode, payload)):
            self._queue(frame)
        elif len(payload) <= JOIN_MAX_BYTES:
            self._queue(encode_frame(opcode, payload))
        else:
            self._queue(encode_header(opcode, len(payload)))
            self._queue(payload)

    def send_frame(self, frame: bytes) -> None:
        """Queue one whole, already encoded frame, which other connections may share."""
        if self.state is _OPEN and self._has_room():
            self._server.tally.messages_sent += 1
            self._queue(self._compressor.recode(frame) if self._compressor else frame)

    def push(self, data: bytes, packets: Sequence[Packet]) -> None:
        """Send whole frames that other connections share, at once if nothing else waits.

        For phase 1, where `fan_out.py` calls it: each send is a boundary of its own.
        """
        if self.state is not _OPEN:
            return
        try:
            if self._outbox.size or self._cork is not None or self._mailbox is not None:
                self._push_behind(data, packets)
                return
            if self._compressor:
                data = self._compressor.shared_frames(data)
            sent_bytes = self._transport.write(data)
            self._server.tally.bytes_sent += sent_bytes
            if sent_bytes != len(data) or self._is_secure:
                self._keep_rest(data, packets, sent_bytes)
        except Exception as error:
            self._on_error(error)

    def send_line(self, line: bytes) -> None:
        """Queue a message in `codec` that the peer has asked for, however long it is.

        Those that answer one read share frames, up to `messages_per_frame`; so a handler that sends
        lines while it is given a message sends nothing but lines then.
        """
        if self._cork is None or len(line) > FRAME_BYTES:
            self._seal()
            self._send_reply(frame_of((line,), self.codec))
            return
        if self._lines is None:
            self._lines = []
        self._lines.append(line)
        if len(self._lines) >= self._server.messages_per_frame:
            self._seal()

    def _seal(self) -> None:
        """Queue the lines that were collected, in frames: something else comes, or the read has ended."""
        lines, self._lines = self._lines, None
        if lines:
            for part in grouped(lines, self._server.messages_per_frame):
                self._send_reply(frame_of(part, self.codec))

    def _send_reply(self, frame: bytes) -> None:
        """Queue one whole frame that the peer has asked for.

        The send limit makes room for it until the outbox is empty again: a recovery of some
        megabytes is no slowness. That the peer takes it, not too slowly, is still demanded.
        """
        self._reply_bytes = len(frame)
        self._send_limit_bytes = max(self._send_limit_bytes, self._server.outbox.hard_bytes + len(frame))
        self.send_frame(frame)

    def send_beat(self, frame: bytes) -> None:
        """Queue a frame that asks for a sign of life: it overtakes what could be dropped."""
        if self.state is _OPEN:
            self._queue_ahead((frame,))

    def send_ping(self) -> None:
        """Queue an empty RFC 6455 ping."""
        if self.state is State.OPEN:
            assert self._session is not None
            self._session.send_ping(b"")
            self._queue_ahead(self._session.take_output())

    # -- queueing and writing ------------------------------------------------------------

    def enqueue(self, pieces: Iterable[Piece]) -> None:
        """Queue pieces of bytes as they are; they leave in phase 1 of the next turn, if not before."""
        for piece in pieces:
            self._queue(piece)

    def _queue(self, piece: Piece) -> None:
        """Put bytes behind all that was said; they leave in phase 1 of the next turn at the latest."""
        if self._cork:
            self._queue_cork()
        self._append(piece)
        self.flush_later()

    def _queue_cork(self) -> None:
        """Queue what answers the present read, before something else is."""
        cork, self._cork = self._cork or [], []
        self._server.tally.messages_sent += len(cork)
        for corked in cork:
            self._append(corked)

    def _append(self, piece: Piece) -> None:
        if self._mailbox is None:
            self._outbox.append(piece)
        else:
            self._mailbox.add(piece)

    def _queue_ahead(self, pieces: Iterable[Piece]) -> None:
        """Queue whole control frames, ahead of the mailbox: they mean the same wherever they stand."""
        if self._mailbox is None:
            self.enqueue(pieces)
            return
        for piece in pieces:
            self._outbox.append(piece)
        self.flush_later()

    def flush_later(self) -> None:
        """Have what is queued sent in phase 1 of the next turn."""
        if not self._flush_wanted:
            self._flush_wanted = True
            self._server.reactor.request_flush(self._flush)

    def _has_room(self) -> bool:
        """Tell whether one more message may be queued; a peer too far behind is closed as slow.

        The kernel is asked first: a burst within one turn is not the peer's fault. The bound has
        room for the largest message on top of what may wait otherwise, so that a small one right
        behind a large one is not taken for slowness.
        """
        if self._mailbox is None and self._outbox.size <= self._send_limit_bytes:
            return True
        return self._make_room()

    def _write(self) -> None:
        """Give the kernel what it takes; watch for writability only if something is left."""
        if self.state is _CLOSED:
            return
        before = self._outbox.size
        if before or self._transport.has_output:
            self._transport.flush(self._outbox)
        taken_bytes = before - self._outbox.size
        if self._mailbox is not None:
            taken_bytes += self._refill(self._mailbox)
        self._server.tally.bytes_sent += taken_bytes
        self._after_write(taken_bytes)

    def _after_write(self, taken_bytes: int) -> None:
        """Follow what a write has left: the marks, the poller, and the end of a closing connection."""
        outbox = self._outbox
        if outbox.is_high or self._pressure is not None or self._mailbox is not None:
            self._judge_pressure(taken_bytes)
        if outbox.size or self._interest != READ or self._eof or self._transport.has_output:
            self._watch()
        if not outbox.size:
            if self._reply_bytes:
                self._reply_bytes = 0
                self._send_limit_bytes = self._server.outbox.hard_bytes + self._limits.message_bytes
            if self.state is State.CLOSING and not self._transport.has_output:
                self._after_last_bytes()

    @property
    def _paused(self) -> bool:
        return (self._is_stopped or self._backlog is not None) and self.state is not State.CLOSING

    @property
    def _is_stopped(self) -> bool:
        """Whether nothing is decoded either: the peer does not read, or publishes too fast."""
        return (self._pressure is not None or self._held) and self.state is not State.CLOSING

    def _watch(self) -> None:
        """Ask the poller for exactly what can be used now."""
        wanted = 0 if self._eof or self._paused else READ
        if self._outbox.size or self._transport.has_output:
            wanted |= WRITE
        if wanted != self._interest:
            if wanted & ~self._interest & WRITE:
                self._full_since_s = self._server.reactor.now
            self._interest = wanted
            self._server.reactor.set_interest(self._transport.fileno(), wanted)

    def _flush(self) -> None:
        """Phase 1: send what the turn queued."""
        self._flush_wanted = False
        try:
            self._write()
        except Exception as error:
            self._on_error(error)

    def _uncork(self) -> None:
        """Send what was collected, in one piece; nothing is copied where there is only one."""
        if self._lines is not None:
            self._seal()
        cork, self._cork = self._cork, None
        if not cork:
            return
        tally = self._server.tally
        tally.messages_sent += len(cork)
        data = cork[0] if len(cork) == 1 else b"".join(cork)
        if self._outbox.size:
            self._queue(data)
            return
        sent_bytes = self._transport.write(data)
        tally.bytes_sent += sent_bytes
        if sent_bytes != len(data):
            self._outbox.append(data)
            self._outbox.advance(sent_bytes)
            self._after_write(sent_bytes)

    def _end_cork(self) -> None:
        """Collect no more: what was collected is queued."""
        self._seal()
        cork, self._cork = self._cork, None
        if cork:
            self._server.tally.messages_sent += len(cork)
            self.enqueue(cork)

    def _end_queue(self) -> None:
        """Say nothing more: what is queued by now, a close frame at its end, is the last."""
        self._end_cork()
        if self._mailbox is not None:
            self._mailbox.end()
