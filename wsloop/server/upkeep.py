"""The upkeep of a connection: what is due when, on one wheel entry.

An open connection has up to five things to wait for: the next ping or its answer, the handler's
first message, the end of a frame that has begun, a slow reader's progress, and the age of what waits
for it. The timer is set for the earliest; when it fires, `_tend` looks at all of them. It is moved
forward only, so a message costs no timer operation.

The middle part of `Connection`, in a file of its own; see `output.py` for why.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

from wsloop.protocol.close import CloseCode
from wsloop.protocol.heartbeat import HeartbeatAction
from wsloop.server.lifecycle import State
from wsloop.server.pulse import Pulse
from wsloop.server.slowness import Slowness
from wsloop.server.story import fields

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.buffers.ring import Ring
    from wsloop.protocol.deflate_offers import Agreement
    from wsloop.protocol.limits import Limits
    from wsloop.server.server import Server
    from wsloop.transport.base import Transport

log = logging.getLogger("wsloop.server")


class Upkeep(Slowness):
    """What time demands of a connection."""

    __slots__ = ("_began_s", "_pulse", "_waiting", "_waits_since_s")

    def __init__(self, server: Server, transport: Transport, connection_id: int) -> None:
        super().__init__(server, transport, connection_id)
        self._began_s = server.reactor.now
        self._pulse: Pulse | None = None
        # Bytes that were read and are not decoded: an unfinished frame, or what was over a budget.
        self._waiting: Ring | bytes | None = None
        self._waits_since_s = 0.0

    @property
    def began_s(self) -> float:
        """When it was accepted or, if it is open, opened, on the reactor's clock."""
        return self._began_s

    @property
    def descriptor(self) -> int:
        """Its socket's, -1 once that is closed."""
        return self._transport.fileno()

    @property
    def limits(self) -> Limits:
        """What its messages may cost, if it is a WebSocket."""
        return self._limits

    @property
    def agreement(self) -> Agreement | None:
        """What was agreed on about compression, if it is a WebSocket."""
        return None if self._session is None else self._session.agreement

    @property
    def is_at_rest(self) -> bool:
        """Whether no part of a message is under way in either direction."""
        is_input_whole = self._session is None or self._session.is_between_messages
        return is_input_whole and self._waiting is None and not self._outbox.size and self._cork is None

    def route_through(self, wrap: Callable[[Transport], Transport]) -> None:
        """Use what `wrap` makes of the transport from now on, such as a tap around it."""
        self._transport = wrap(self._transport)

    def restart_deadline(self) -> None:
        """Give the next request on the connection, or its answer, a full deadline of its own."""
        reactor = self._server.reactor
        reactor.rearm(self._timer, reactor.now + self._server.deadlines.handshake_s)

    def start_beating(self) -> None:
        """Begin the heartbeat, jittered, so that a reconnect storm does not beat as one.

        To be called by the handler, once, when the peer is ready to answer it.
        """
        if self.state is not State.OPEN:
            return
        server = self._server
        self._pulse = Pulse(server.reactor.now, server.deadlines, server.jitter.draw())
        self._wake_by(self._pulse.first_ping_s)

    def _tend(self) -> None:
        """Do what is due on an open connection, then sleep until the next thing is."""
        slow_s = min(self._tend_pressure(), self._tend_age())
        next_s = min(slow_s, self._tend_input(), self._tend_stale(), self._tend_pulse())
        if self.state is State.OPEN and next_s < math.inf:
            self._server.reactor.rearm(self._timer, next_s)

    def _tend_input(self) -> float:
        """Close a peer that has begun a frame and does not end it; return when to look again.

        A long frame has no deadline: what it holds is bounded by what it has sent.
        """
        if self._waiting is None or self._is_stopped:
            return math.inf
        due_s = self._waits_since_s + self._server.deadlines.frame_s
        if self._server.reactor.now >= due_s:
            log.info("%s does not finish its frame", self.peer, extra=fields(self))
            self.close(int(CloseCode.POLICY_VIOLATION), "a frame took too long")
            if self._session is not None:
                self._session.lose_track()
            return math.inf
        return due_s

    def _tend_stale(self) -> float:
        """Let the handler deal with a peer that has not said what it must; return when to look again."""
        assert self._handler is not None
        if self._handler.stale_after_s is None:
            return math.inf
        stale_at_s = self._began_s + self._handler.stale_after_s
        if self._server.reactor.now >= stale_at_s:
            self._handler.on_stale()
            return math.inf
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
        due = self._pulse.beat(self._server.reactor.now)
        if due.action is HeartbeatAction.TIMEOUT:
            self.close(self._handler.no_pong_code, "no pong")
        elif due.action is HeartbeatAction.PING:
            self._handler.on_ping_due()
        return due.next_deadline_s
