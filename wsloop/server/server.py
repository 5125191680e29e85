"""The server: listeners, connections, drain. Everything from outside is an argument.

`Server` is handed its reactor (and with it clock and poller), its network (sockets), its
entropy and its application; the simulator hands it others and runs the same code.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wsloop.buffers.pool import RingPool
from wsloop.errors import HandshakeError
from wsloop.protocol.limits import Limits
from wsloop.server.connection import READ_BYTES, Connection
from wsloop.server.fan_out import PacedFanOut
from wsloop.server.lifecycle import Deadlines, State
from wsloop.server.pulse import Jitter
from wsloop.server.registry import Registry
from wsloop.transport.listener import Listener

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.loop.reactor import Reactor
    from wsloop.server.app import App
    from wsloop.transport.base import Transport
    from wsloop.transport.bind import Bind, Network

log = logging.getLogger("wsloop.server")

REFUSALS_AT_ONCE = 64
"""Connections beyond the limit that are let in only to be told 503; the rest is dropped."""


@dataclass(frozen=True, slots=True)
class OutboxMarks:
    """How much may wait for one peer, in bytes."""

    hard_bytes: int = 1024 * 1024
    """With more than this and the route's largest message waiting, the peer is closed as slow.
    Centrifugo's queue: the same."""
    high_bytes: int = 256 * 1024
    """From here on the peer is not read any more, and has `stall_s` to take a mark's worth."""
    low_bytes: int = 64 * 1024
    """Below this it is read again; apart from the high mark, so that the two do not flap."""

    def __post_init__(self) -> None:
        """Raise ValueError unless 0 < low < high <= hard."""
        if not 0 < self.low_bytes < self.high_bytes <= self.hard_bytes:
            raise ValueError("outbox marks must satisfy 0 < low < high <= hard")


@dataclass(frozen=True, slots=True)
class ServerStatistics:
    """A snapshot of a server, for tests, `/healthz` and later metrics."""

    connections: int
    connections_by_state: dict[str, int]
    accepted_total: int
    rings_lent: int


class Server:
    """Accepts connections on any number of listeners and serves one `App` to them."""

    def __init__(
        self,
        reactor: Reactor,
        network: Network,
        app: App,
        *,
        entropy: Callable[[int], bytes],
        deadlines: Deadlines | None = None,
        http_limits: Limits | None = None,
        outbox: OutboxMarks | None = None,
        fan_out: PacedFanOut | None = None,
        max_connections: int = 10_000,
        backlog: int = 1024,
    ) -> None:
        self.reactor = reactor
        self.app = app
        self.jitter = Jitter(entropy)
        self.deadlines = deadlines or Deadlines()
        self.http_limits = http_limits or Limits()
        self.outbox = outbox or OutboxMarks()
        self.fan_out = fan_out or PacedFanOut(reactor)
        self.pool = RingPool(READ_BYTES)
        self.registry = Registry()
        self.draining = False
        self._network = network
        self._max_connections = max_connections
        self._backlog = backlog
        self._listeners: list[Listener] = []
        self._on_drained: Callable[[], object] | None = None
        self._accepted_total = 0

    # -- listening -----------------------------------------------------------------------

    def listen(self, bind: Bind) -> Listener:
        """Listen on `bind`; raises StartupError (AddressInUseError ...) if that cannot be had."""
        sock = self._network.listen(bind, self._backlog)
        listener = Listener(self.reactor, sock, self._on_accept, spare=self._network.spare())
        self._listeners.append(listener)
        return listener

    def _on_accept(self, transport: Transport) -> None:
        """Make a connection of an accepted transport, or drop it where even a refusal is too much."""
        self._accepted_total += 1
        if len(self.registry) >= self._max_connections + REFUSALS_AT_ONCE:
            transport.abort()
            return
        connection = Connection(self, transport, self.registry.next_id())
        self.registry.add(connection)

    def check_room(self, connection: Connection) -> None:
        """Raise HandshakeError 503 if `connection` is over the limit, or the server is draining."""
        if self.draining:
            raise HandshakeError(503, "the server is shutting down", ((b"Retry-After", b"1"),))
        if len(self.registry) > self._max_connections:
            log.warning("connection %d: refused, %d are open", connection.id, len(self.registry) - 1)
            raise HandshakeError(503, "too many connections", ((b"Retry-After", b"5"),))

    # -- stopping ------------------------------------------------------------------------

    def drain(self, on_drained: Callable[[], object]) -> None:
        """Stop accepting, close every connection by its protocol, then call `on_drained` once.

        Ends by itself: a peer that does not answer is dropped after `deadlines.close_s`.
        """
        self.draining = True
        self._on_drained = on_drained
        self._close_listeners()
        self.fan_out.finish()
        for connection in self.registry.snapshot():
            connection.shut_down()
        self._end_drain_if_empty()

    def forget(self, connection: Connection) -> None:
        """Be told by a connection that it is gone; the last one ends a drain."""
        self.registry.remove(connection)
        self._end_drain_if_empty()

    def _end_drain_if_empty(self) -> None:
        if self.draining and not len(self.registry) and self._on_drained is not None:
            on_drained, self._on_drained = self._on_drained, None
            self.reactor.call_soon(on_drained)

    def close(self) -> None:
        """Drop everything at once, without a word to the peers."""
        self.draining = True
        self._close_listeners()
        for connection in self.registry.snapshot():
            connection.drop()

    def _close_listeners(self) -> None:
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()

    # -- looking ---------------------------------------------------------------------------

    def statistics(self) -> ServerStatistics:
        """Return a snapshot; costs a walk over the connections."""
        by_state = dict.fromkeys((state.value for state in State), 0)
        for connection in self.registry.snapshot():
            by_state[connection.state.value] += 1
        return ServerStatistics(len(self.registry), by_state, self._accepted_total, self.pool.lent)
