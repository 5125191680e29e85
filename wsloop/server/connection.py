"""THE one meeting point: a connection's life, where session, transport and timers meet.

A byte comes in through `_on_readable`, becomes events in the handshake or the session, and
reaches the handler; what a handler sends goes into the outbox and leaves in phase 1 of the
next turn, through `_flush`. One wheel entry serves every deadline of the connection.

Who may call: the loop's thread only. After CLOSED every sending method does nothing, so a
handler or the hub need not ask first.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from wsloop.errors import PoolExhaustedError, TransportError
from wsloop.loop.poller import READ, WRITE
from wsloop.protocol.close import CloseCode
from wsloop.protocol.events import BinaryMessage, CloseReceived, Failed, Ping, TextMessage
from wsloop.protocol.fast_path import FastSession
from wsloop.protocol.session_states import SessionState
from wsloop.server import access
from wsloop.server.http_phase import HttpPhase
from wsloop.server.lifecycle import State, Step, step
from wsloop.server.story import fields
from wsloop.server.turn import QUIET_BYTES
from wsloop.server.upkeep import Upkeep

if TYPE_CHECKING:
    from wsloop.buffers.ring import Ring
    from wsloop.protocol.deflate_offers import Agreement
    from wsloop.protocol.events import Event, Request
    from wsloop.server.app import App, Route
    from wsloop.server.server import Server
    from wsloop.server.turn import Turn
    from wsloop.transport.base import Transport

log = logging.getLogger("wsloop.server")

READ_BYTES = 65536
"""Most that one readiness brings in: the fairness budget of bytes per connection and turn."""
TAIL_BYTES = 2048
"""Up to here what must wait is kept as it is; rings, of which there is a bounded number, are for more."""

_OPEN = State.OPEN
_CLOSED = State.CLOSED
"""An enum's member takes 30 ns to look up, a global 5; a message asks four times."""


class Connection(Upkeep):
    """One accepted socket, from accept to close.

    Owns its transport, its outbox and, while unparsed bytes wait, a ring borrowed from the
    server's pool. `server` provides the ports: reactor, entropy, pool. `app` is what it is served.
    """

    __slots__ = ("_close_code", "_close_reason", "_control_due_s", "_going_on", "_http", "_outgrown")

    def __init__(self, server: Server, transport: Transport, connection_id: int, app: App) -> None:
        super().__init__(server, transport, connection_id)
        self._http: HttpPhase | None = HttpPhase(server, self, app)
        self._control_due_s = 0.0
        self._going_on = self._outgrown = False
        self._close_code, self._close_reason = int(CloseCode.ABNORMAL), ""
        on_ready = self._on_ready_secure if transport.is_secure else self._on_ready
        # First: if the poller does not take it, nothing else is left behind.
        server.reactor.register(transport.fileno(), READ, on_ready)
        self._timer = server.reactor.call_later(server.deadlines.handshake_s, self._on_timer)
        self.state = step(self.state, Step.BEGIN)

    # -- the loop calls: each entry is a boundary, beyond which no exception goes ------

    def _on_ready(self, events: int) -> None:
        """Phase 5: the poller says the descriptor is ready.

        What is common comes first and in one piece: an open WebSocket of which nothing waits.
        """
        try:
            session = self._session
            if events != READ or session is None or self._waiting is not None or session.is_filling:
                self._on_ready_otherwise(events)
                return
            data = self._transport.read(READ_BYTES)
            if data:
                self._server.tally.bytes_received += len(data)
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
        elif self._waiting is not None:
            self._read_behind(self._session, self._waiting)
        elif self._session.is_filling:
            self._read_into_place(self._session)
        else:
            self._on_ready(READ)

    def _on_ready_secure(self, events: int) -> None:
        """Phase 5, over TLS: follow what the transport keeps inside; no event of the socket's would tell."""
        self._on_ready(events)
        if self.state is not _CLOSED:
            if self._transport.has_input and not self._paused:
                self.go_on_later()
            if self._transport.has_output:
                self._watch()

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
            if self.state is _CLOSED or self._is_stopped:
                return
            if self._http is not None:
                self._http.go_on()
            elif self._session is not None:
                if self._backlog is not None:
                    self._go_on_handing_out(self._session)
                if self._waiting is not None and self._backlog is None and not self._going_on:
                    if isinstance(self._waiting, bytes):
                        self._take_again(self._session, self._waiting)
                    else:
                        self._parse_waiting(self._session, self._waiting)
            if self._transport.has_input and not (self._going_on or self._paused or self.state is _CLOSED):
                self._on_ready_secure(READ)
            elif self._transport.has_output and self.state is not _CLOSED:
                self._watch()
        except Exception as error:
            self._on_error(error)

    def _on_error(self, error: Exception) -> None:
        """Tell whose fault it was: a peer's is one line, ours a traceback and 1011."""
        self._end_cork()
        if isinstance(error, TransportError):
            self.lose(error.errno_name)
        else:
            log.error("internal error", exc_info=error, extra=fields(self))
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
            self._server.tally.bytes_received += len(data)
            self._http.receive(data)

    def go_on_later(self) -> None:
        """Go on with what is over this turn's budget in the next phase 7; one at a time."""
        if not self._going_on:
            self._going_on = True
            self._server.turn.go_on_later(self._continue)

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
        self._server.tally.note_open(self._server.reactor.now - self._began_s, is_compressed=bool(deflate))
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
        if len(data) < QUIET_BYTES:
            consumed = session.receive(data)
        else:
            consumed = session.receive(data, self._server.turn.grant(len(data)))
        if consumed == len(data):
            self._dispatch(session, session.take_events())
        else:
            self._keep(session, memoryview(data)[consumed:])
            self._dispatch(session, session.take_events())
            self._follow_up(session)

    def _take_again(self, session: FastSession, data: bytes) -> None:
        """Decode a few bytes that waited, and what came behind; the same frame gets no more time."""
        since_s = self._waits_since_s
        self._let_go_of_input()
        self._take(session, data)
        if self._waiting is not None and len(self._waiting) == len(data):
            self._waits_since_s = since_s

    def _keep(self, session: FastSession, tail: memoryview) -> None:
        """Keep bytes that must wait: a few as they are, many in a ring."""
        while len(tail) > READ_BYTES and not self._outgrown:
            # Only behind a handshake or a tail: what came with it may be more than a ring holds.
            tail = tail[session.receive(tail) :]
        if len(tail) <= TAIL_BYTES:
            self._waiting = bytes(tail) or None
        else:
            try:
                self._waiting = ring = self._server.pool.borrow()
            except PoolExhaustedError:
                self._outgrown = True
                return
            ring.writable()[: len(tail)] = tail
            ring.commit(len(tail))
        self._waits_since_s = self._server.reactor.now
        self._wake_by(self._waits_since_s + self._server.deadlines.frame_s)

    def _read_behind(self, session: FastSession, waiting: Ring | bytes) -> None:
        """Read behind what waits, and go on from there."""
        if isinstance(waiting, bytes):
            data = self._transport.read(READ_BYTES)
            if data:
                self._server.tally.bytes_received += len(data)
                self._take_again(session, waiting + data)
            elif data is not None:
                self._on_eof()
            return
        if space := waiting.writable():
            count = self._transport.read_into(space)
            if not count:
                if count is not None:
                    self._on_eof()
                return
            self._was_heard = True
            self._server.tally.bytes_received += count
            waiting.commit(count)
        self._parse_waiting(session, waiting)

    def _read_into_place(self, session: FastSession) -> None:
        """Read a long frame's payload into the message's own buffer, which is its last."""
        count = self._transport.read_into(session.writable())
        session.commit(count or 0)
        if count:
            self._was_heard = True
            self._server.tally.bytes_received += count
            self._dispatch(session, session.take_events())
        elif count == 0:
            self._on_eof()

    def _parse_waiting(self, session: FastSession, waiting: Ring) -> None:
        """Decode what waits; the ring is given back when it is empty."""
        turn = self._server.turn
        while waiting:
            view = waiting.readable()
            whole = len(view) == len(waiting)
            consumed = session.receive(view, turn.grant(len(view)))
            if consumed:
                waiting.consume(consumed)
                self._waits_since_s = self._server.reactor.now
            if session.is_spent:
                break
            if consumed < len(view):
                if whole:
                    break
                waiting.straighten()
        if not waiting:
            self._let_go_of_input()
        self._dispatch(session, session.take_events())
        self._follow_up(session)

    def _let_go_of_input(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not isinstance(waiting, bytes):
            self._server.pool.give_back(waiting)

    def _dispatch(self, session: FastSession, events: list[Event]) -> None:
        """Hand the events to the handler, in order; what it answers leaves together, at the end."""
        handler = self._handler
        assert handler is not None
        self._server.tally.messages_received += len(events)
        self._cork = []
        for event in events:
            if type(event) is TextMessage:
                if handler.on_text(event.data):
                    self._postpone(events, event)
                    break
            elif type(event) is BinaryMessage:
                if handler.on_binary(event.data):
                    self._postpone(events, event)
                    break
            else:
                self._on_control(session, event, events)
            if self.state is not _OPEN:
                break
        self._uncork()

    def _follow_up(self, session: FastSession) -> None:
        """Go on later with what was over the budget; end a connection whose rest found no room."""
        if session.is_spent and self._waiting is not None:
            self.go_on_later()
        if self._outgrown:
            self._end_for_want_of_rings(session)

    def _postpone(self, events: list[Event], last: Event) -> None:
        """Keep the events behind `last`, about which the handler has more to do; read no more meanwhile."""
        done = next(index for index, event in enumerate(events) if event is last)
        self._backlog = backlog = events[done + 1 :]
        self._server.tally.messages_received -= len(backlog)  # they will be handed out again
        self._watch()
        self.go_on_later()

    def _go_on_handing_out(self, session: FastSession) -> None:
        """Let the handler go on with its message, then hand out those behind it."""
        backlog, handler = self._backlog, self._handler
        assert backlog is not None
        assert handler is not None
        self._cork = []
        more = handler.on_turn()
        self._uncork()
        if self.state is not _OPEN or not more:
            self._backlog = None
            if self.state is not _CLOSED:
                self._watch()
                self._dispatch(session, backlog if self.state is _OPEN else [])
        else:
            self.go_on_later()

    def _end_for_want_of_rings(self, session: FastSession) -> None:
        """Close: half a frame had no place to wait, so the stream is out of step."""
        if self.state is _OPEN:
            log.warning("no ring left to read into, closed with 1013", extra=fields(self))
            self.close(int(CloseCode.TRY_AGAIN_LATER), "server is out of buffers")
            session.lose_track()

    @property
    def turn(self) -> Turn:
        """What the present turn may do, for handlers that weigh their own work."""
        return self._server.turn

    def _on_control(self, session: FastSession, event: Event, events: list[Event]) -> None:
        """Follow a close or a failure; count pings and pongs, and answer the pings."""
        self._server.tally.messages_received -= 1  # it is none
        if self._lines is not None:
            self._seal()
        if isinstance(event, CloseReceived | Failed):
            self._note_close(event.code, event.reason)
            session.answer_close()
            if isinstance(event, Failed):
                log.info("%s failed: %d %s", self.peer, event.code, event.reason, extra=fields(self))
            self.enqueue(session.take_output())
            self.finish()
        elif self.state is _OPEN and self._may_control() and isinstance(event, Ping):
            # RFC 6455 section 5.5.3: a peer that does not take its pongs is owed only the latest.
            latest = next(late for late in reversed(events) if type(late) is Ping)
            if event is latest or not self._interest & WRITE:
                session.answer_ping(event.payload)
                self._queue_ahead(session.take_output())

    def _may_control(self) -> bool:
        """Count one control frame; a peer that sends too many of them is closed.

        The generic cell rate algorithm (ITU-T I.371): one number, the time at which the
        frames so far would have been due at the allowed pace.
        """
        limits, now = self._limits, self._server.reactor.now
        due_s = max(self._control_due_s, now) + 1 / limits.control_frames_per_s
        # Half a frame more: tenths of a second do not add up exactly.
        if due_s - now > (limits.control_burst + 0.5) / limits.control_frames_per_s:
            log.info("%s sends too many control frames", self.peer, extra=fields(self))
            self.close(int(CloseCode.POLICY_VIOLATION), "too many control frames")
            if self._session is not None:
                # More of the same is on its way: it is not worth decoding.
                self._session.lose_track()
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

    # -- the end of it ------------------------------------------------------------

    def close(self, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        """Begin the close handshake behind what is queued; without a WebSocket, end behind its answer.

        `reason` is cut at a character boundary to the 123 bytes that fit a close frame.
        """
        if self._lines is not None:
            self._seal()
        if self.state is State.OPEN:
            assert self._session is not None
            self._note_close(code, reason)
            self._session.send_close(code, reason)
            self.enqueue(self._session.take_output())
            self.finish()
        elif self.state in (State.ACCEPTING, State.HANDSHAKING):
            if self._http is not None and self._http.end_after_answer():
                return
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

    def finish(self) -> None:
        """Enter CLOSING: flush, then wait for the peer's half, no longer than `close_s`."""
        self._end_queue()
        if self.state in (State.HANDSHAKING, State.OPEN):
            self.state = step(self.state, Step.FINISH)
            self._http = None
            reactor = self._server.reactor
            reactor.rearm(self._timer, reactor.now + self._server.deadlines.close_s)
        self.flush_later()

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

    def lose(self, why: str, *, abort: bool = False) -> None:
        """Enter CLOSED. Nothing is freed inside a callback: the rest is phase 8's."""
        if self.state is State.CLOSED:
            return
        if log.isEnabledFor(logging.DEBUG):
            log.debug("%s: %s", self.peer, why, extra=fields(self))
        self._cork = self._lines = None
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
        self._let_go_of_input()
        handler, self._handler = self._handler, None
        if handler is not None:
            access.ended(self, self._close_code, self._server.reactor.now - self._began_s)
        self._backlog = self._mailbox = self.member = None
        self._server.forget(self)
        self._http = self._session = None
        if handler is not None:
            self._server.tally.closes[self._close_code] += 1
            handler.on_closed(self._close_code, self._close_reason)
