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
from wsloop.protocol.events import BinaryMessage, CloseReceived, Failed, TextMessage
from wsloop.protocol.heartbeat import HeartbeatAction
from wsloop.protocol.session import Session, SessionState
from wsloop.server.http_phase import HttpPhase
from wsloop.server.lifecycle import State, Step, step
from wsloop.server.pressure import Pressure
from wsloop.server.pulse import Pulse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wsloop.buffers.ring import Ring
    from wsloop.protocol.events import Event, Request
    from wsloop.server.app import Handler, Route
    from wsloop.server.server import Server
    from wsloop.transport.base import Transport

log = logging.getLogger("wsloop.server")

READ_BYTES = 65536
"""Most that one readiness brings in: the fairness budget of bytes per connection and turn."""
EVENTS_PER_TURN = 256
"""Most messages decoded per connection and turn; the rest waits in the ring for the next."""


class Connection:
    """One accepted socket, from accept to close.

    Owns its transport, its outbox and, while unparsed bytes wait, a ring borrowed from the
    server's pool. `server` provides the ports: reactor, entropy, pool, application.
    """

    __slots__ = (
        "_began_s", "_close_code", "_close_reason", "_eof", "_flush_wanted", "_going_on", "_handler",
        "_http", "_interest", "_message_bytes", "_outbox", "_pressure", "_pulse", "_ring",
        "_send_limit_bytes", "_server", "_session", "_timer", "_transport", "id", "state",
    )  # fmt: skip

    def __init__(self, server: Server, transport: Transport, connection_id: int) -> None:
        self._server = server
        self._transport = transport
        self.id = connection_id
        self.state = State.ACCEPTING
        self._http: HttpPhase | None = HttpPhase(server, self)
        self._session: Session | None = None
        self._handler: Handler | None = None
        self._outbox = Outbox(server.outbox.high_bytes, server.outbox.low_bytes)
        self._ring: Ring | None = None
        self._message_bytes = self._send_limit_bytes = 0
        self._flush_wanted = self._going_on = self._eof = False
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
        """Phase 5: the poller says the descriptor is ready."""
        try:
            if events & WRITE:
                self._write()
            if events & READ:
                self._read()
        except Exception as error:
            self._on_error(error)

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
            elif self._ring is not None:
                self._parse_ring()
            if self._transport.has_input and not self._paused:
                self._read()
        except Exception as error:
            self._on_error(error)

    def _on_error(self, error: Exception) -> None:
        """Tell whose fault it was: a peer's is one line, ours a traceback and 1011."""
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

    def _read(self) -> None:
        """Read once; not while earlier input waits for its turn: it would pile up, unbounded."""
        if self.state is State.CLOSED or self._going_on:
            return
        if self._session is not None:
            self._read_frames()
        else:
            data = self._transport.read(READ_BYTES)
            if data == b"":
                self._on_eof()
            elif data and self._http is not None:
                self._http.receive(data)
        if self._transport.is_secure:
            self._follow_transport()

    def _follow_transport(self) -> None:
        """Serve what a read left or made inside the transport; no event of the socket's would tell."""
        if self._transport.has_input:
            self.go_on_later()
        if self._transport.has_output and self.state is not State.CLOSED:
            self._watch()

    def restart_deadline(self) -> None:
        """Give the next request on the connection a full deadline of its own."""
        reactor = self._server.reactor
        reactor.rearm(self._timer, reactor.now + self._server.deadlines.handshake_s)

    def go_on_later(self) -> None:
        """Go on with what is over this turn's budget in the next phase 7; one at a time."""
        if not self._going_on:
            self._going_on = True
            self._server.reactor.call_soon(self._continue)

    def open(self, route: Route, request: Request, trailing: bytes) -> None:
        """Become a WebSocket; `trailing` are the bytes that came right behind the handshake."""
        self._http = None
        self._session = Session(route.limits)
        self._message_bytes = route.limits.message_bytes
        self._send_limit_bytes = self._server.outbox.hard_bytes + self._message_bytes
        self.state = step(self.state, Step.UPGRADE)
        self._began_s = self._server.reactor.now
        self._server.reactor.rearm(self._timer, self._began_s)
        self._handler = route.make_handler(self, request)
        self._handler.on_open()
        if trailing:
            self._take(trailing)

    # -- WebSocket: bytes in -------------------------------------------------------------

    def _read_frames(self) -> None:
        """Do one recv: into bytes if nothing waits (the common read costs no copy), else into the ring."""
        ring = self._ring
        if ring is None:
            data = self._transport.read(READ_BYTES)
            if data:
                self._heard()
                self._take(data)
            elif data is not None:
                self._on_eof()
            return
        space = ring.writable()
        if space:
            count = self._transport.read_into(space)
            if count == 0:
                self._on_eof()
                return
            if count is None:
                return
            self._heard()
            ring.commit(count)
        self._parse_ring()

    def _take(self, data: bytes) -> None:
        """Decode `data`; an unfinished tail moves into a ring, borrowed for as long as it holds bytes."""
        assert self._session is not None
        consumed = self._session.receive(data, EVENTS_PER_TURN)
        while len(data) - consumed > READ_BYTES:
            # Only behind a handshake: what came with it may be more than a ring holds.
            consumed += self._session.receive(memoryview(data)[consumed:], EVENTS_PER_TURN)
        if consumed < len(data):
            self._ring = ring = self._server.pool.borrow()
            tail = memoryview(data)[consumed:]
            ring.writable()[: len(tail)] = tail
            ring.commit(len(tail))
        self._dispatch()

    def _parse_ring(self) -> None:
        """Decode what the ring holds; give it back when it is empty."""
        ring, session = self._ring, self._session
        assert ring is not None
        assert session is not None
        while ring:
            view = ring.readable()
            consumed = session.receive(view, EVENTS_PER_TURN)
            whole = len(view) == len(ring)
            ring.consume(consumed)
            if consumed < len(view):
                if whole:
                    break
                ring.straighten()
        if not ring:
            self._give_back_ring()
        self._dispatch()

    def _give_back_ring(self) -> None:
        if self._ring is not None:
            self._server.pool.give_back(self._ring)
            self._ring = None

    def _dispatch(self) -> None:
        """Hand the decoded events to the handler, in order, and collect what the session answers."""
        session, handler = self._session, self._handler
        assert session is not None
        assert handler is not None
        events = session.take_events()
        for event in events:
            if isinstance(event, TextMessage):
                if self.state is State.OPEN:
                    handler.on_text(event.data)
            elif isinstance(event, BinaryMessage):
                if self.state is State.OPEN:
                    handler.on_binary(event.data)
            else:
                self._on_control(event)
        self.enqueue(session.take_output())
        if self._ring is not None and len(events) >= EVENTS_PER_TURN:
            self.go_on_later()

    def _on_control(self, event: Event) -> None:
        """Follow a close or a failure; pings were answered and pongs noted by the session."""
        if isinstance(event, CloseReceived | Failed):
            assert self._session is not None
            self._note_close(event.code, event.reason)
            self._session.answer_close()
            if isinstance(event, Failed):
                peer = self.peer
                log.info("connection %d: %s failed: %d %s", self.id, peer, event.code, event.reason)
            self.finish()

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
        """Queue one text message."""
        if self.state is State.OPEN and self._has_room():
            assert self._session is not None
            self._session.send_text(data)
            self.enqueue(self._session.take_output())

    def send_binary(self, data: bytes) -> None:
        """Queue one binary message; `data` is kept, not copied, until the kernel has it."""
        if self.state is State.OPEN and self._has_room():
            assert self._session is not None
            self._session.send_binary(data)
            self.enqueue(self._session.take_output())

    def send_frame(self, frame: bytes) -> None:
        """Queue one whole, already encoded frame, which other connections may share."""
        if self.state is not State.OPEN or not self._has_room():
            return
        self._outbox.append(frame)
        if not self._flush_wanted:
            self._flush_wanted = True
            self._server.reactor.request_flush(self._flush)

    def send_reply(self, frame: bytes) -> None:
        """Queue one whole frame that the peer has asked for, however large it is.

        The send limit makes room for it until the outbox is empty again: a recovery of some
        megabytes is no slowness. That the peer takes it, not too slowly, is still demanded.
        """
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

    def enqueue(self, pieces: Iterable[bytes]) -> None:
        """Queue pieces of bytes as they are; they leave in phase 1 of the next turn."""
        for piece in pieces:
            self._outbox.append(piece)
        if self._outbox.size and not self._flush_wanted:
            self._flush_wanted = True
            self._server.reactor.request_flush(self._flush)

    def _has_room(self) -> bool:
        """Tell whether one more message may be queued; a peer too far behind is closed as slow.

        The kernel is asked first: a burst within one turn is not the peer's fault. The bound
        has room for the largest message on top of what may wait otherwise, so that a small
        one right behind a large one is not taken for slowness.
        """
        if self._outbox.size <= self._send_limit_bytes:
            return True
        self._flush()
        if self.state is State.OPEN and self._outbox.size > self._send_limit_bytes:
            self._slow()
        return self.state is State.OPEN

    def _slow(self) -> None:
        assert self._handler is not None
        log.info("connection %d: %s is slow, %d bytes queued", self.id, self.peer, self._outbox.size)
        self.close(self._handler.slow_code, f"slow q={self._outbox.size}")

    def _write(self) -> None:
        """Give the kernel what it takes; watch for writability only if something is left."""
        if self.state is State.CLOSED:
            return
        outbox = self._outbox
        before = outbox.size
        if before or self._transport.has_output:
            self._transport.flush(outbox)
            self._judge_pressure(before - outbox.size)
        self._watch()
        if not outbox.size:
            self._send_limit_bytes = self._server.outbox.hard_bytes + self._message_bytes
            if self.state is State.CLOSING and not self._transport.has_output:
                self._after_last_bytes()

    def _judge_pressure(self, taken_bytes: int) -> None:
        """Stop reading from a peer that does not read; start again when it has caught up."""
        server, pressure = self._server, self._pressure
        if pressure is not None:
            pressure.note_taken(taken_bytes)
            if not self._outbox.is_high:
                self._pressure = None
                self._heard()
                self.go_on_later()
        elif self._outbox.is_high and self.state in (State.HANDSHAKING, State.OPEN):
            self._pressure = pressure = Pressure(server.reactor.now)
            look_s = pressure.window_ends_s(server.deadlines.stall_s)
            server.reactor.rearm(self._timer, min(self._timer.deadline_s, look_s))

    @property
    def _paused(self) -> bool:
        return self._pressure is not None and self.state is not State.CLOSING

    def _watch(self) -> None:
        """Ask the poller for exactly what can be used now."""
        wanted = 0 if self._eof or self._paused else READ
        if self._outbox.size or self._transport.has_output:
            wanted |= WRITE
        if wanted != self._interest:
            self._interest = wanted
            self._server.reactor.set_interest(self._transport.fileno(), wanted)

    # -- time ----------------------------------------------------------------------------

    def _heard(self) -> None:
        """Take note of a sign of life: one stored number, no timer operation."""
        if self._pulse is not None:
            self._pulse.heard_s = self._server.reactor.now

    def start_beating(self) -> None:
        """Begin the heartbeat, jittered, so that a reconnect storm does not beat as one.

        To be called by the handler, once, when the peer is ready to answer it.
        """
        server, now = self._server, self._server.reactor.now
        fraction = int.from_bytes(server.entropy(2), "big") / 65536
        self._pulse = Pulse(now, server.deadlines, fraction)
        server.reactor.rearm(self._timer, now)

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
            self._heard()  # a peer that is not read cannot be heard
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
            self._watch()

    @property
    def peer(self) -> str:
        """The peer's address, printable, for logs."""
        return self._transport.peer

    @property
    def peer_host(self) -> str:
        """The part of it that rules go by: the IP address, or "unix"."""
        return self._transport.peer_host

    @property
    def is_secure(self) -> bool:
        """Whether the peer came over TLS."""
        return self._transport.is_secure

    def lose(self, why: str, *, abort: bool = False) -> None:
        """Enter CLOSED. Nothing is freed inside a callback: the rest is phase 8's."""
        if self.state is State.CLOSED:
            return
        log.debug("connection %d: %s: %s", self.id, self.peer, why)
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
