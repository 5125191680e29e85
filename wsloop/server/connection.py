"""THE one meeting point: a connection's life, where session, transport and timers meet.

A byte comes in through `_on_readable`, becomes events in the handshake or the session, and
reaches the handler; what a handler sends goes into the outbox and leaves in phase 1 of the
next turn, through `_flush`. One wheel entry serves every deadline of the connection.

Who may call: the loop's thread only. After CLOSED every sending method does nothing, so a
handler or the hub need not ask first.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

from wsloop.buffers.outbox import Outbox
from wsloop.errors import PoolExhaustedError, TransportError
from wsloop.loop.poller import READ, WRITE
from wsloop.protocol.close import CloseCode
from wsloop.protocol.events import BinaryMessage, CloseReceived, Failed, Ping, TextMessage
from wsloop.protocol.fast_path import FastSession
from wsloop.protocol.frames import (
    JOIN_MAX_BYTES,
    SHORT_BYTES,
    TEXT_HEADERS,
    Opcode,
    encode_frame,
    encode_header,
)
from wsloop.protocol.heartbeat import HeartbeatAction
from wsloop.protocol.session import SessionState
from wsloop.server.http_phase import HttpPhase
from wsloop.server.lifecycle import State, Step, step
from wsloop.server.pressure import Pressure
from wsloop.server.pulse import Pulse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wsloop.buffers.outbox import Piece
    from wsloop.buffers.ring import Ring
    from wsloop.protocol.deflate import Compressor
    from wsloop.protocol.deflate_offers import Agreement
    from wsloop.protocol.events import Event, Request
    from wsloop.protocol.limits import Limits
    from wsloop.server.app import Handler, Route
    from wsloop.server.server import Server
    from wsloop.transport.base import Transport

log = logging.getLogger("wsloop.server")

READ_BYTES = 65536
"""Most that one readiness brings in: the fairness budget of bytes per connection and turn."""
CORK_PIECES = 64
"""Most frames of one read's answers that are joined and sent without passing through the outbox."""

_OPEN = State.OPEN
_CLOSED = State.CLOSED
"""An enum's member takes 30 ns to look up, a global 5; a message asks four times."""


class Connection:
    """One accepted socket, from accept to close.

    Owns its transport, its outbox and, while unparsed bytes wait, a ring borrowed from the
    server's pool. `server` provides the ports: reactor, entropy, pool, application.
    """

    __slots__ = (
        "_began_s", "_close_code", "_close_reason", "_compressor", "_control_due_s", "_cork", "_eof",
        "_flush_wanted",
        "_going_on", "_handler", "_held", "_http", "_interest", "_limits", "_outbox", "_pressure", "_pulse",
        "_reply_bytes", "_ring", "_send_limit_bytes", "_server", "_session", "_timer", "_transport",
        "_was_heard", "id", "state",
    )  # fmt: skip

    def __init__(self, server: Server, transport: Transport, connection_id: int) -> None:
        self._server = server
        self._transport = transport
        self.id = connection_id
        self.state = State.ACCEPTING
        self._http: HttpPhase | None = HttpPhase(server, self)
        self._compressor: Compressor | None = None
        self._session: FastSession | None = None
        self._handler: Handler | None = None
        self._outbox = Outbox(server.outbox.high_bytes, server.outbox.low_bytes)
        self._ring: Ring | None = None
        self._limits: Limits = server.http_limits
        self._send_limit_bytes = self._reply_bytes = 0
        self._control_due_s = 0.0
        self._flush_wanted = self._going_on = self._held = self._eof = self._was_heard = False
        # While events are handed out: the short answers to them, sent together at the end.
        self._cork: list[bytes] | None = None
        self._interest = READ
        self._close_code, self._close_reason = int(CloseCode.ABNORMAL), ""
        self._began_s = server.reactor.now
        self._pulse: Pulse | None = None
        self._pressure: Pressure | None = None
        self._timer = server.reactor.call_later(server.deadlines.handshake_s, self._on_timer)
        server.reactor.register(transport.fileno(), READ, self._on_ready)
        self.state = step(self.state, Step.BEGIN)

    # -- the loop calls: each entry is a boundary, beyond which no exception goes ------

    def _on_ready(self, events: int) -> None:
        """Phase 5: the poller says the descriptor is ready.

        What is common comes first and in one piece: an open WebSocket of which nothing waits.
        """
        try:
            session = self._session
            if events != READ or session is None or self._ring is not None or session.is_filling:
                self._on_ready_otherwise(events)
                return
            data = self._transport.read(READ_BYTES)
            if data:
                self._take(session, data)
            elif data is not None:
                self._on_eof()
        except Exception as error:
            self._on_error(error)

    def _on_ready_otherwise(self, events: int) -> None:
        """Write if the kernel takes bytes again; read what is not a message's beginning."""
        if events & WRITE:
            self._write()
        # Not while earlier input waits for its turn: more of it would pile up without a bound.
        if not events & READ or self._going_on or self.state is _CLOSED:
            return
        if self._session is None:
            self._read_http()
        elif self._ring is not None:
            self._read_into_ring(self._session, self._ring)
        elif self._session.is_filling:
            self._read_into_place(self._session)
        else:
            self._on_ready(READ)

    def _flush(self) -> None:
        """Phase 1: send what the turn queued."""
        self._flush_wanted = False
        try:
            self._write()
        except Exception as error:
            self._on_error(error)

    def _on_timer(self) -> None:
        """Phase 6: the deadline of the present state, or the next beat of an open one, is due."""
        try:
            if self.state is State.OPEN:
                self._tend()
            elif self._http is not None and self.state is State.HANDSHAKING:
                self._http.time_out(is_reading=not self._paused)
            elif self.state is State.CLOSING:
                self.lose("close timed out", abort=True)
        except Exception as error:
            self._on_error(error)

    def _continue(self) -> None:
        """Phase 7: go on with input that was over the last turn's budget."""
        self._going_on = False
        try:
            if self._paused or self.state is State.CLOSED:
                return
            if self._http is not None:
                self._http.go_on()
            elif self._ring is not None and self._session is not None:
                self._parse_ring(self._session, self._ring)
        except Exception as error:
            self._on_error(error)

    def _on_error(self, error: Exception) -> None:
        """Tell whose fault it was: a peer's is one line, ours a traceback and 1011."""
        self._end_cork()
        if isinstance(error, TransportError):
            self.lose(error.errno_name)
        elif isinstance(error, PoolExhaustedError):
            log.warning("connection %d: no ring left to read into, closed with 1013", self.id)
            self.close(int(CloseCode.TRY_AGAIN_LATER), "server is out of buffers")
        else:
            log.error("connection %d: internal error", self.id, exc_info=error)
            if self.state is State.OPEN:
                self.close(int(CloseCode.INTERNAL_ERROR), "internal error")
            else:
                self.lose("internal error", abort=True)

    # -- HTTP: until the upgrade -------------------------------------------------------

    def _read_http(self) -> None:
        data = self._transport.read(READ_BYTES)
        if data == b"":
            self._on_eof()
        elif data and self._http is not None:
            self._http.receive(data)

    def restart_deadline(self) -> None:
        """Give the next request on the connection a full deadline of its own."""
        reactor = self._server.reactor
        reactor.rearm(self._timer, reactor.now + self._server.deadlines.handshake_s)

    def go_on_later(self) -> None:
        """Go on with what is over this turn's budget in the next phase 7; one at a time."""
        if not self._going_on:
            self._going_on = True
            self._server.reactor.call_soon(self._continue)

    def open(self, route: Route, request: Request, trailing: bytes, deflate: Agreement | None = None) -> None:
        """Become a WebSocket; `trailing` are the bytes that came right behind the handshake.

        `deflate` is what was agreed on: messages in both directions may be compressed then.
        """
        self._http = None
        self._session = FastSession(route.limits, deflate)
        self._compressor = deflate.compressor if deflate else None
        self._limits = route.limits
        self._send_limit_bytes = self._server.outbox.hard_bytes + route.limits.message_bytes
        self.state = step(self.state, Step.UPGRADE)
        self._began_s = self._server.reactor.now
        self._handler = handler = route.make_handler(self, request)
        if handler.stale_after_s is not None:
            self._wake_by(self._began_s + handler.stale_after_s)
        handler.on_open()
        if trailing:
            self._take(self._session, trailing)

    # -- WebSocket: bytes in -------------------------------------------------------------

    def _take(self, session: FastSession, data: bytes) -> None:
        """Decode `data`; what is over moves into a ring, borrowed for as long as it holds bytes."""
        self._was_heard = True
        consumed = session.receive(data)
        if consumed != len(data):
            self._keep(session, memoryview(data)[consumed:])
        self._dispatch(session)

    def _keep(self, session: FastSession, tail: memoryview) -> None:
        """Borrow a ring for bytes that must wait."""
        while len(tail) > READ_BYTES:
            # Only behind a handshake: what came with it may be more than a ring holds.
            tail = tail[session.receive(tail) :]
        if tail:
            self._ring = ring = self._server.pool.borrow()
            ring.writable()[: len(tail)] = tail
            ring.commit(len(tail))

    def _read_into_ring(self, session: FastSession, ring: Ring) -> None:
        """Read behind what waits in the ring, and go on from there."""
        space = ring.writable()
        if space:
            count = self._transport.read_into(space)
            if count == 0:
                self._on_eof()
                return
            if count is None:
                return
            self._was_heard = True
            ring.commit(count)
        self._parse_ring(session, ring)

    def _read_into_place(self, session: FastSession) -> None:
        """Read a long frame's payload into the message's own buffer, which is its last."""
        count = self._transport.read_into(session.writable())
        session.commit(count or 0)
        if count:
            self._was_heard = True
            self._dispatch(session)
        elif count == 0:
            self._on_eof()

    def _parse_ring(self, session: FastSession, ring: Ring) -> None:
        """Decode what the ring holds; give it back when it is empty."""
        while ring:
            view = ring.readable()
            whole = len(view) == len(ring)
            consumed = session.receive(view)
            ring.consume(consumed)
            if session.is_spent:
                break
            if consumed < len(view):
                if whole:
                    break
                ring.straighten()
        if not ring:
            self._give_back_ring()
        self._dispatch(session)

    def _give_back_ring(self) -> None:
        if self._ring is not None:
            self._server.pool.give_back(self._ring)
            self._ring = None

    def _dispatch(self, session: FastSession) -> None:
        """Hand the events to the handler, in order; what it answers leaves together, at the end."""
        handler = self._handler
        assert handler is not None
        events = session.take_events()
        self._cork = []
        for event in events:
            if type(event) is TextMessage:
                handler.on_text(event.data)
            elif type(event) is BinaryMessage:
                handler.on_binary(event.data)
            else:
                self._on_control(session, event, events)
            if self.state is not _OPEN:
                break
        self._uncork()
        if session.is_spent and self._ring is not None:
            self.go_on_later()

    def _uncork(self) -> None:
        """Send what was collected, in one piece; nothing is copied where there is only one."""
        cork, self._cork = self._cork, None
        if not cork:
            return
        data = cork[0] if len(cork) == 1 else b"".join(cork)
        if self._outbox.size:
            self._queue(data)
            return
        sent_bytes = self._transport.write(data)
        if sent_bytes != len(data):
            self._outbox.append(memoryview(data)[sent_bytes:])
            self._after_write(sent_bytes)

    def _end_cork(self) -> None:
        """Collect no more: what was collected is queued."""
        cork, self._cork = self._cork, None
        if cork:
            self.enqueue(cork)

    def _on_control(self, session: FastSession, event: Event, events: list[Event]) -> None:
        """Follow a close or a failure; count pings and pongs, and answer the pings."""
        if isinstance(event, CloseReceived | Failed):
            self._note_close(event.code, event.reason)
            session.answer_close()
            if isinstance(event, Failed):
                peer = self.peer
                log.info("connection %d: %s failed: %d %s", self.id, peer, event.code, event.reason)
            self.enqueue(session.take_output())
            self.finish()
        elif self.state is _OPEN and self._may_control() and isinstance(event, Ping):
            # RFC 6455 section 5.5.3: a peer that does not take its pongs is owed only the latest.
            latest = next(late for late in reversed(events) if type(late) is Ping)
            if event is latest or not self._interest & WRITE:
                session.answer_ping(event.payload)
                self.enqueue(session.take_output())

    def _may_control(self) -> bool:
        """Count one control frame; a peer that sends too many of them is closed.

        The generic cell rate algorithm (ITU-T I.371): one number, the time at which the
        frames so far would have been due at the allowed pace.
        """
        limits, now = self._limits, self._server.reactor.now
        due_s = max(self._control_due_s, now) + 1 / limits.control_frames_per_s
        # Half a frame more: tenths of a second do not add up exactly.
        if due_s - now > (limits.control_burst + 0.5) / limits.control_frames_per_s:
            log.info("connection %d: %s sends too many control frames", self.id, self.peer)
            self.close(int(CloseCode.POLICY_VIOLATION), "too many control frames")
            return False
        self._control_due_s = due_s
        return True

    def _note_close(self, code: int, reason: str) -> None:
        """Remember the first close code that was said, by either side, for the handler."""
        if self._close_code == CloseCode.ABNORMAL:
            self._close_code, self._close_reason = code, reason

    def _on_eof(self) -> None:
        """Note that the peer sends no more: what is queued still goes out, then the connection ends."""
        self._eof = True
        if self._session is not None:
            self._session.receive_eof()
        elif self._http is not None:
            self._http.receive_eof()
        self.finish()

    # -- WebSocket: bytes out ------------------------------------------------------------

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
            self._queue(self._compressor.recode(frame) if self._compressor else frame)

    def push(self, frames: bytes) -> None:
        """Send whole frames that other connections share, at once if nothing else waits.

        For phase 1, where `fan_out.py` calls it: each send is a boundary of its own.
        """
        if self.state is not _OPEN:
            return
        try:
            if self._compressor:
                frames = self._compressor.shared_frames(frames)
            if self._outbox.size or self._cork is not None:
                if self._has_room():
                    self._queue(frames)
                return
            sent_bytes = self._transport.write(frames)
            if sent_bytes != len(frames):
                self._outbox.append(memoryview(frames)[sent_bytes:])
                self._after_write(sent_bytes)
        except Exception as error:
            self._on_error(error)

    def hold(self) -> bool:
        """Do not read until `resume`: the peer publishes faster than it is sent on. False if it is held."""
        if self._held or self.state is not _OPEN:
            return False
        self._held = True
        self._watch()
        return True

    def resume(self) -> None:
        """Read again."""
        self._held = False
        if self.state is not _CLOSED:
            self._watch()
            self.go_on_later()

    def send_reply(self, frame: bytes) -> None:
        """Queue one whole frame that the peer has asked for, however large it is.

        The send limit makes room for it until the outbox is empty again: a recovery of some
        megabytes is no slowness. That the peer takes it, not too slowly, is still demanded.
        """
        self._reply_bytes = len(frame)
        self._send_limit_bytes = max(self._send_limit_bytes, self._server.outbox.hard_bytes + len(frame))
        self.send_frame(frame)

    def send_ping(self) -> None:
        """Queue an empty RFC 6455 ping."""
        if self.state is State.OPEN:
            assert self._session is not None
            self._session.send_ping(b"")
            self.enqueue(self._session.take_output())

    def close(self, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        """Begin the close handshake behind what is queued; without a WebSocket, just end.

        `reason` is cut at a character boundary to the 123 bytes that fit a close frame.
        """
        if self.state is State.OPEN:
            assert self._session is not None
            self._note_close(code, reason)
            self._session.send_close(code, reason)
            self.enqueue(self._session.take_output())
            self.finish()
        elif self.state in (State.ACCEPTING, State.HANDSHAKING):
            if self._outbox.size:
                self.finish()
            else:
                self.lose("server closes")

    def shut_down(self) -> None:
        """Close because the server stops, with the code this kind of client understands."""
        self.close(self._handler.shutdown_code if self._handler else CloseCode.SERVICE_RESTART, "shutdown")

    def drop(self) -> None:
        """End at once, without a word."""
        self.lose("dropped", abort=True)

    def enqueue(self, pieces: Iterable[Piece]) -> None:
        """Queue pieces of bytes as they are; they leave in phase 1 of the next turn, if not before."""
        for piece in pieces:
            self._queue(piece)

    def _queue(self, piece: Piece) -> None:
        """Put bytes behind all that was said; they leave in phase 1 of the next turn at the latest."""
        if self._cork:
            cork, self._cork = self._cork, []
            for corked in cork:
                self._outbox.append(corked)
        self._outbox.append(piece)
        if not self._flush_wanted:
            self._flush_wanted = True
            self._server.reactor.request_flush(self._flush)

    def _has_room(self) -> bool:
        """Tell whether one more message may be queued; a peer too far behind is closed as slow.

        The kernel is asked first: a burst within one turn is not the peer's fault. The bound has
        room for the largest message on top of what may wait otherwise, so that a small one right
        behind a large one is not taken for slowness.
        """
        if self._outbox.size <= self._send_limit_bytes:
            return True
        self._flush()
        if self.state is _OPEN and self._outbox.size > self._send_limit_bytes:
            self._slow()
        return self.state is _OPEN

    def _slow(self) -> None:
        assert self._handler is not None
        log.info("connection %d: %s is slow, %d bytes queued", self.id, self.peer, self._outbox.size)
        self.close(self._handler.slow_code, f"slow q={self._outbox.size}")

    def _write(self) -> None:
        """Give the kernel what it takes; watch for writability only if something is left."""
        if self.state is _CLOSED:
            return
        before = self._outbox.size
        if before:
            self._transport.flush(self._outbox)
        self._after_write(before - self._outbox.size)

    def _after_write(self, taken_bytes: int) -> None:
        """Follow what a write has left: the marks, the poller, and the end of a closing connection."""
        outbox = self._outbox
        if outbox.is_high or self._pressure is not None:
            self._judge_pressure(taken_bytes)
        if outbox.size or self._interest != READ or self._eof:
            self._watch()
        if not outbox.size:
            if self._reply_bytes:
                self._reply_bytes = 0
                self._send_limit_bytes = self._server.outbox.hard_bytes + self._limits.message_bytes
            if self.state is State.CLOSING:
                self._after_last_bytes()

    def _judge_pressure(self, taken_bytes: int) -> None:
        """Stop reading from a peer that does not read; start again when it has caught up."""
        server, pressure = self._server, self._pressure
        if pressure is not None:
            pressure.note_taken(taken_bytes)
            if not self._outbox.is_high:
                self._pressure = None
                self._was_heard = True
                self.go_on_later()
        elif self._outbox.is_high and self.state in (State.HANDSHAKING, State.OPEN):
            self._pressure = pressure = Pressure(server.reactor.now)
            look_s = pressure.window_ends_s(server.deadlines.stall_s)
            server.reactor.rearm(self._timer, min(self._timer.deadline_s, look_s))

    @property
    def _paused(self) -> bool:
        return (self._pressure is not None or self._held) and self.state is not State.CLOSING

    def _watch(self) -> None:
        """Ask the poller for exactly what can be used now."""
        wanted = (0 if self._eof or self._paused else READ) | (WRITE if self._outbox.size else 0)
        if wanted != self._interest:
            self._interest = wanted
            self._server.reactor.set_interest(self._transport.fileno(), wanted)

    # -- time ----------------------------------------------------------------------------

    def start_beating(self) -> None:
        """Begin the heartbeat, jittered, so that a reconnect storm does not beat as one.

        To be called by the handler, once, when the peer is ready to answer it.
        """
        server = self._server
        self._pulse = Pulse(server.reactor.now, server.deadlines, server.jitter.draw())
        self._wake_by(self._pulse.first_ping_s)

    def _wake_by(self, deadline_s: float) -> None:
        """Have the timer fire by then; to be called too early costs less than to be moved."""
        if deadline_s < self._timer.deadline_s:
            self._server.reactor.rearm(self._timer, deadline_s)

    def _tend(self) -> None:
        """Do what is due on an open connection, then sleep until the next thing is."""
        next_s = min(self._tend_pressure(), self._tend_stale(), self._tend_pulse())
        if self.state is State.OPEN and next_s < math.inf:
            self._server.reactor.rearm(self._timer, next_s)

    def _tend_stale(self) -> float:
        """Let the handler deal with a peer that has not said what it must; return when to look again."""
        assert self._handler is not None
        if self._handler.stale_after_s is None:
            return math.inf
        stale_at_s = self._began_s + self._handler.stale_after_s
        if self._server.reactor.now >= stale_at_s:
            self._handler.on_stale()
        return stale_at_s

    def _tend_pulse(self) -> float:
        """Ping, or give up, a peer whose time has come; return when to look again."""
        if self._pulse is None or self._handler is None:
            return math.inf
        if self._paused:
            self._was_heard = True  # a peer that is not read cannot be heard
        if self._was_heard:
            self._was_heard = False
            self._pulse.note_heard()
        due = self._pulse.beat(self._server.reactor.now, self._server.deadlines)
        if due.action is HeartbeatAction.TIMEOUT:
            self.close(self._handler.no_pong_code, "no pong")
        elif due.action is HeartbeatAction.PING:
            self._handler.on_ping_due()
        return due.next_deadline_s

    def _tend_pressure(self) -> float:
        """Close a peer that has stalled; return when to look again."""
        if self._pressure is None:
            return math.inf
        server = self._server
        stall_s = server.deadlines.stall_s
        if self._pressure.is_stalled(server.reactor.now, stall_s, server.outbox.high_bytes):
            self._slow()
        return self._pressure.window_ends_s(stall_s)

    # -- the end -------------------------------------------------------------------------

    def finish(self) -> None:
        """Enter CLOSING: flush, then wait for the peer's half, no longer than `close_s`."""
        self._end_cork()
        if self.state in (State.HANDSHAKING, State.OPEN):
            self.state = step(self.state, Step.FINISH)
            self._http = None
            reactor = self._server.reactor
            reactor.rearm(self._timer, reactor.now + self._server.deadlines.close_s)
        if not self._flush_wanted:
            self._flush_wanted = True
            self._server.reactor.request_flush(self._flush)

    def _after_last_bytes(self) -> None:
        """Everything is said: close, or half-close and wait for the peer's end.

        Closing a socket with unread input makes the kernel send RST, which can destroy our
        last bytes on their way; so a peer that was refused or failed is read to its end.
        """
        session = self._session
        if self._eof or (session is not None and session.state is SessionState.CLOSED):
            self.lose("closed")
        elif session is None or session.state is SessionState.FAILED:
            self._transport.shutdown_write()

    @property
    def peer(self) -> str:
        """The peer's address, printable, for logs."""
        return self._transport.peer

    @property
    def peer_host(self) -> str:
        """The part of it that rules go by: the IP address, or "unix"."""
        return self._transport.peer_host

    def lose(self, why: str, *, abort: bool = False) -> None:
        """Enter CLOSED. Nothing is freed inside a callback: the rest is phase 8's."""
        if self.state is State.CLOSED:
            return
        if log.isEnabledFor(logging.DEBUG):
            log.debug("connection %d: %s: %s", self.id, self.peer, why)
        self._cork = None
        self.state = step(self.state, Step.LOSE)
        reactor = self._server.reactor
        reactor.cancel(self._timer)
        reactor.unregister(self._transport.fileno())
        reactor.reap(self._dispose_abruptly if abort else self._dispose)

    def _dispose_abruptly(self) -> None:
        self._transport.abort()
        self._dispose()

    def _dispose(self) -> None:
        """Phase 8: the transport first, then whoever must know (presence, leave), then the memory."""
        self._transport.close()
        self._outbox.clear()
        self._give_back_ring()
        self._server.forget(self)
        handler, self._handler = self._handler, None
        self._http = self._session = None
        if handler is not None:
            handler.on_closed(self._close_code, self._close_reason)
