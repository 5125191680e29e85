"""The flight recorder: what goes over a few connections, byte for byte, by an operator's rule.

While a recording runs, each connection that it is about has a `Tap` around its transport. Who was asked for
by user or client is known only when it has said who it is; so the beginnings of new connections are kept for
a moment, and thrown away if they turn out to be others'. A connection that was there before is recorded from
the next moment at which no message is under way. What is kept is bounded in bytes and time, and fetched by
the one who asked for it; there is one recording at a time. While there is none, nothing of this is in
anybody's way. Next: `strip.py`.
"""

from __future__ import annotations

import itertools
import logging
from typing import TYPE_CHECKING

from wsloop.hub import codes
from wsloop.hub.operations.results import RecordedLine
from wsloop.server.lifecycle import State
from wsloop.server.strip import Strip

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wsloop.hub.operations.requests import RecordRequest
    from wsloop.loop.clock import WallClock
    from wsloop.server.connection import Connection
    from wsloop.server.server import Server

log = logging.getLogger("wsloop.server")

TICK_S = 0.1
"""Between two looks at who has said by now who it is."""

CONNECTIONS_PER_TURN = 1000
"""Looked at in one turn, and of those that are waited for at a tick: half a millisecond's worth."""

MAX_CONNECTIONS = 16
"""Recorded in one recording. It is about one peer's trouble; a rule that fits more is a slip."""

MAX_UNKNOWN = 64
"""New connections whose beginnings are kept until they have said who they are; later ones are recorded from
the moment they have."""

UNKNOWN_BYTES = 16 * 1024
"""Of one beginning: the longest request head there may be. With MAX_UNKNOWN, 1 MiB for all."""

UNKNOWN_S = 15.0
"""For a connection to say who it is: the deadlines of the handshake and the connect command are 10 s each,
and most need a moment."""

ABANDONED_S = 15.0
"""Without being asked for what was recorded: who wanted it is gone."""

TAKEN_BYTES = 512 * 1024
"""Given out at once: with base64 around it well below what a link between processes carries."""

NO_SUCH = "there is no such recording"


class FlightRecorder:
    """Records connections of `server`; `unix_s` is the time. Satisfies the hub's `Recorder`."""

    def __init__(self, server: Server, unix_s: WallClock) -> None:
        self._server = server
        self._unix_s = unix_s
        self._recording: Recording | None = None

    def begin(self, order: RecordRequest) -> None:
        """See `Recorder.begin`."""
        if self._recording is not None and not self._recording.over:
            message = "another recording is running; it ends by itself, or when its ctl record is interrupted"
            raise codes.ReplyError(codes.Code(codes.BAD_REQUEST.code, message))
        log.info("recording for at most %g s, %d bytes", order.seconds, order.max_bytes)
        self._recording = Recording(self._server, order, self._unix_s())

    def take(self, recording: str, *, stop: bool) -> tuple[list[RecordedLine], str]:
        """See `Recorder.take`."""
        running = self._recording
        if running is None or running.order.recording != recording:
            return [], NO_SUCH
        if stop:
            running.end("stopped")
        lines = running.take()
        if running.over and not running.waits:
            self._recording = None
            return lines, running.over
        return lines, ""


class Recording:
    """One recording, from its order to its end. `over` tells why it has ended, "" while it runs."""

    def __init__(self, server: Server, order: RecordRequest, began_unix_s: float) -> None:
        self.order = order
        self.over = ""
        self._server = server
        self._reactor = server.reactor
        self._began_s = self._asked_s = server.reactor.now
        self._ahead_s = began_unix_s - self._began_s
        self._room_bytes = self._intake_bytes = order.max_bytes
        self._number = 0
        self._lines: list[RecordedLine] = []
        self._unknown: dict[Strip, float] = {}  # new connections, and when they came
        self._waiting: dict[int, Connection] = {}  # that were there before: unknown, or not at rest
        self._strips: list[Strip] = []  # those that are recorded
        subprotocols = [name.encode() for route in server.app.routes.values() for name in route.subprotocols]
        self._subprotocols = frozenset(subprotocols)
        server.on_accepted = self._on_accepted
        self._look(server.client_connections(), 0)
        self._timer = self._reactor.call_later(TICK_S, self._tick)

    # -- whom it is about ------------------------------------------------------------------

    def _look(self, connections: Sequence[Connection], start: int) -> None:
        """Find those that it is about among the connections that are there, some each turn."""
        for connection in connections[start : start + CONNECTIONS_PER_TURN]:
            if self._fits(connection) is not False:
                self._waiting[connection.id] = connection
        if start + CONNECTIONS_PER_TURN < len(connections) and not self.over:
            self._server.turn.go_on_later(lambda: self._look(connections, start + CONNECTIONS_PER_TURN))
        else:
            self._attach_waiting()

    def _fits(self, connection: Connection) -> bool | None:
        """Tell whether the recording is about a connection; None if that cannot be told yet."""
        order = self.order
        if connection.state is State.CLOSED:
            return False
        if order.connection:
            return connection.id == order.connection
        if order.address and order.address != connection.peer_host:
            # Behind a listed proxy the address is known when the request is.
            is_early = connection.state in (State.ACCEPTING, State.HANDSHAKING)
            return None if is_early and self._server.proxies.hides(connection.peer_host) else False
        if not (order.user or order.client):
            return True
        client, user = connection.member.identity if connection.member is not None else ("", "")
        if not client and not user:
            return None
        return order.user in ("", user) and order.client in ("", client)

    def _on_accepted(self, connection: Connection) -> None:
        """Keep a new connection's beginning, until it is known whose it is."""
        if self.order.connection:
            return
        if len(self._unknown) >= MAX_UNKNOWN:
            self._waiting[connection.id] = connection
            return
        strip = self._strip(connection, is_whole=True)
        self._unknown[strip] = self._reactor.now
        self._judge(strip)

    def _judge(self, strip: Strip) -> None:
        """Record a new connection, or forget it, if it is known by now whose it is."""
        if strip not in self._unknown:
            return
        fits = self._fits(strip.connection)
        is_late = self._reactor.now - self._unknown[strip] > UNKNOWN_S or strip.size > UNKNOWN_BYTES
        if fits is None and not is_late:
            return
        del self._unknown[strip]
        if fits and len(self._strips) < MAX_CONNECTIONS:
            self._adopt(strip)
        else:
            strip.detach()
            if fits is None and strip.connection.state is not State.CLOSED:
                self._waiting[strip.connection.id] = strip.connection

    def _attach_waiting(self) -> None:
        """Record those that were there before, as soon as they fit and nothing of theirs is under way."""
        for connection in list(itertools.islice(self._waiting.values(), CONNECTIONS_PER_TURN)):
            del self._waiting[connection.id]
            fits = self._fits(connection)
            if fits is False or len(self._strips) >= MAX_CONNECTIONS:
                continue
            if fits and connection.state is not State.HANDSHAKING and connection.is_at_rest:
                self._adopt(self._strip(connection, is_whole=False))
            else:
                self._waiting[connection.id] = connection  # behind the others

    def _strip(self, connection: Connection, *, is_whole: bool) -> Strip:
        return Strip(self, connection, is_whole=is_whole, subprotocols=self._subprotocols)

    def _adopt(self, strip: Strip) -> None:
        self._strips.append(strip)
        self._write(strip, "begin", about={"is_whole": strip.is_whole, **strip.facts()})
        strip.is_wanted = True
        self._intake_bytes -= strip.size
        kept, strip.kept = strip.kept, []
        for number, time_s, is_answer, data in kept:
            self.keep(strip, number, time_s, data, is_answer=is_answer)

    # -- what goes through -------------------------------------------------------------------

    def draw_number(self) -> int:
        """Return the number of the next line."""
        self._number += 1
        return self._number

    @property
    def now(self) -> float:
        """Unix seconds, by the loop's clock."""
        return round(self._reactor.now + self._ahead_s, 6)

    @property
    def is_redacting(self) -> bool:
        """Whether secrets are blotted out."""
        return self.order.redact

    def admit(self, strip: Strip, data: bytes) -> bytes:
        """Return as much of a piece as there is room for; what waits to be redacted takes room, too."""
        if not strip.is_wanted:
            if strip.size > UNKNOWN_BYTES:
                self._reactor.call_soon(lambda: self._judge(strip))
            return data
        data = data[: max(self._intake_bytes, 0)]
        self._intake_bytes -= len(data)
        if self._intake_bytes <= 0:
            self._fill()
        return data

    def _fill(self) -> None:
        """End: there is no room. Later, for the connection is at work just now."""
        self._reactor.call_soon(lambda: self.end("it is full"))

    def keep(self, strip: Strip, number: int, time_s: float, data: bytes, *, is_answer: bool) -> None:
        """Keep a piece; the one for which there is no room is cut, and the last."""
        if self._room_bytes > 0:
            kind = "out" if is_answer else "in"
            self._lines.append(
                RecordedLine(number, time_s, str(strip.connection.id), kind, data[: self._room_bytes])
            )
            self._room_bytes -= len(data)
        if self._room_bytes <= 0:
            self._fill()

    def note_end(self, strip: Strip) -> None:
        """Be told that a connection is over."""
        if strip in self._strips:
            self._strips.remove(strip)
            self._write(strip, "end", about=strip.facts())
        self._unknown.pop(strip, None)

    def fail(self, error: Exception) -> None:
        """Be told of a fault of the recorder's own: the connection goes on, the recording does not."""
        log.error("the flight recorder failed", exc_info=error)
        self._reactor.call_soon(lambda: self.end("the recorder failed, see the daemon's log"))

    def _write(self, strip: Strip, kind: str, about: dict[str, str | int | bool]) -> None:
        line = RecordedLine(self.draw_number(), self.now, str(strip.connection.id), kind, about=about)
        self._lines.append(line)

    # -- its end -----------------------------------------------------------------------------

    def _tick(self) -> None:
        now = self._reactor.now
        if now - self._began_s >= self.order.seconds:
            self.end("its time is over")
        elif now - self._asked_s >= ABANDONED_S:
            self.end("nobody has asked for it")
        if self.over:
            return
        for strip in list(self._unknown):
            self._judge(strip)
        self._attach_waiting()
        self._timer = self._reactor.call_later(TICK_S, self._tick)

    def take(self) -> list[RecordedLine]:
        """Return what was recorded since the last time, or the first part of it."""
        self._asked_s = self._reactor.now
        size = count = 0
        while count < len(self._lines) and size < TAKEN_BYTES:
            size += len(self._lines[count].data)
            count += 1
        taken, self._lines = self._lines[:count], self._lines[count:]
        return taken

    @property
    def waits(self) -> bool:
        """Whether there is something to take."""
        return bool(self._lines)

    def end(self, why: str) -> None:
        """Record no more. Idempotent."""
        if self.over:
            return
        for strip in self._strips:
            strip.detach()
            self._write(strip, "about", about=strip.facts())
        for strip in self._unknown:
            strip.detach()
        self.over = why
        self._strips, self._unknown, self._waiting = [], {}, {}
        self._server.on_accepted = None
        self._reactor.cancel(self._timer)
        log.info("recording ended: %s", why)
