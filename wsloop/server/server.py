"""The server: listeners, connections, drain. Everything from outside is an argument.

`Server` is handed its reactor (and with it clock and poller), its network (sockets), its
entropy and its application; the simulator hands it others and runs the same code.
"""

from __future__ import annotations

import functools
import logging
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wsloop.buffers.pool import RingPool
from wsloop.errors import HandshakeError
from wsloop.protocol.limits import Limits
from wsloop.server.admission import Admission, Refusal, key_of
from wsloop.server.connection import READ_BYTES, Connection
from wsloop.server.draining import Drain
from wsloop.server.fan_out import PacedFanOut
from wsloop.server.forwarded import Proxies
from wsloop.server.lifecycle import Deadlines, State
from wsloop.server.listened import Listened
from wsloop.server.pulse import Jitter
from wsloop.server.refusing import RETRY_AFTER, STATUS, Refuser
from wsloop.server.registry import Registry
from wsloop.server.slow_peers import SLOWEST, SlowPeer, SlowTotals, slow_peers
from wsloop.server.tally import Tally
from wsloop.server.turn import Turn
from wsloop.server.vestibule import Vestibule
from wsloop.transport.listener import Listener
from wsloop.transport.tcp import accepted

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.loop.reactor import Reactor
    from wsloop.server.app import App
    from wsloop.server.vestibule import Make
    from wsloop.transport.base import Transport
    from wsloop.transport.bind import Bind, Network
    from wsloop.transport.certificates import Certificates

log = logging.getLogger("wsloop.server")


ADMIN_CONNECTIONS = 128
"""Connections on admin listeners. They use descriptors that clients never get (`compose.py`); a pool of
the operator's own backend is rarely larger than a hundred."""


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
    hard_messages: int = 10_000
    """With more messages of others waiting, the namespace's policy applies. One that waits costs some
    200 bytes besides its own: 2 MB for a peer."""
    age_s: float = 60.0
    """Nor may one wait longer than this; 0: any time. Who is a minute behind is better off with a
    reconnect, or the newest only. Heartbeat and stall find the dead sooner."""

    def __post_init__(self) -> None:
        """Raise ValueError unless 0 < low < high <= hard, and for messages or an age below 0."""
        if not 0 < self.low_bytes < self.high_bytes <= self.hard_bytes:
            raise ValueError("outbox marks must satisfy 0 < low < high <= hard")
        if self.hard_messages < 1 or self.age_s < 0:
            raise ValueError("an outbox holds 1 message or more, for a time that is not negative")


@dataclass(frozen=True, slots=True)
class ServerStatistics:
    """A snapshot of a server, for tests, `/healthz` and later metrics."""

    connections: int
    connections_by_state: dict[str, int]
    accepted_total: int
    refused_total: int
    rings_lent: int


class Server:
    """Accepts connections on any number of listeners, and serves each its `App`."""

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
        max_per_host: int = 0,
        max_accepts_per_s: float = 0,
        backlog: int = 1024,
        certificates: Certificates | None = None,
        proxies: Proxies | None = None,
    ) -> None:
        self.reactor = reactor
        self.app = app
        self.entropy = entropy
        self.jitter = Jitter(entropy)
        self.deadlines = deadlines or Deadlines()
        self.http_limits = http_limits or Limits()
        self.outbox = outbox or OutboxMarks()
        self.fan_out = fan_out or PacedFanOut(reactor)
        self.turn = Turn(reactor)
        self.pool = RingPool(READ_BYTES)
        self.slow = SlowTotals()
        self.tally = Tally()
        self.messages_per_frame = self.fan_out.messages_per_frame
        self.registry = Registry()
        self.proxies = proxies or Proxies()
        self.draining = False
        self.is_short_of_memory = False
        """Set by `Overload`: nobody new is let in."""
        self.on_accepted: Callable[[Connection], object] | None = None
        """Told of each new client's connection, before anything is read; set while there is a recording."""
        self._network = network
        self._admission = Admission(max_connections, max_per_host, max_accepts_per_s, reactor.now)
        self._refuser = Refuser(reactor)
        self._backlog = backlog
        self.certificates = certificates
        self._listeners: list[Listener] = []
        self.listened = Listened()
        self._admin_listeners: list[Listener] = []
        self._has_left_operator = False
        self._drain: Drain | None = None
        self._vestibule = Vestibule(self, self._let_in)
        self._admin_ids: set[int] = set()
        self._on_drained: Callable[[], object] | None = None
        self._accepted_total = 0

    # -- listening -----------------------------------------------------------------------

    def listen(self, bind: Bind) -> Listener:
        """Listen on `bind`; raises StartupError (AddressInUseError ...) if that cannot be had.

        With certificates everything but a Unix socket, which no wire leads to, speaks TLS.
        """
        listener = self._listen(bind, None, secure=True)
        self._listeners.append(listener)
        return listener

    def retire(self) -> None:
        """Accept nobody any more, neither clients nor the operator's software: another process does.

        It listens on the same sockets. Who has come is served, and may still become a WebSocket.
        """
        _close_all(self._listeners)
        _close_all(self._admin_listeners)

    def arriving(self) -> int:
        """Return how many clients have come and are no WebSocket yet; costs a walk over all."""
        early = (State.ACCEPTING, State.HANDSHAKING)
        return len(self._vestibule) + sum(each.state in early for each in self.client_connections())

    @property
    def listeners(self) -> tuple[Listener, ...]:
        """Where clients are accepted now."""
        return tuple(self._listeners)

    def listen_admin(
        self, bind: Bind, app: App, *, secure: bool = False, admits: Callable[[Transport], bool] | None = None
    ) -> Listener:
        """Listen on `bind` for the operator's own software, which is served `app`; raises as `listen` does.

        Its connections neither count against the clients' limits nor are they refused by them: a server
        that is full must still be told what to do. There may be ADMIN_CONNECTIONS of them.
        `secure` makes it speak TLS, if there are certificates. Whom `admits` does not let in is dropped.
        """
        listener = self._listen(bind, functools.partial(self._on_accept_admin, app, admits), secure=secure)
        self._admin_listeners.append(listener)
        return listener

    def _listen(
        self, bind: Bind, on_accept: Callable[[Transport], object] | None, *, secure: bool
    ) -> Listener:
        """Listen; without `on_accept` for clients, whom proxies may bring."""
        sock = self._network.listen(bind, self._backlog)
        make_transport: Make = accepted
        if secure and self.certificates is not None and sock.family != socket.AF_UNIX:
            make_transport = self.certificates.wrap
        if on_accept is None and self.proxies.speak_first:
            on_accept = functools.partial(self._on_accept_before, make_transport)
            make_transport = accepted
        listener = Listener(
            self.reactor,
            sock,
            on_accept or self._on_accept,
            spare=self._network.spare(),
            make_transport=make_transport,
        )
        self.listened.add(listener)
        return listener

    def _on_accept(self, transport: Transport) -> None:
        """Take an accepted transport."""
        self._accepted_total += 1
        self._let_in(transport)

    def _on_accept_before(self, make: Make, transport: Transport) -> None:
        """Take one on which a proxy may speak before the client; `make` is how it goes on."""
        self._accepted_total += 1
        self._vestibule.receive(make, transport)

    def _let_in(self, transport: Transport) -> None:
        """Make a connection of a client's transport, or refuse it."""
        if self.is_short_of_memory:
            self._refuser.refuse(transport, Refusal.MEMORY)
            return
        host = transport.peer_host
        # Who is behind a listed proxy is known when a request has told: `admit_behind` counts then.
        key = "" if self.proxies.hides(host) else key_of(host)
        refusal = self._admission.judge(key, self.clients + len(self._vestibule), self.reactor.now)
        if refusal is not None:
            self._refuser.refuse(transport, refusal)
        elif (connection := self._add(transport, self.app)) is not None:
            self._admission.enter(key)
            if self.on_accepted is not None:
                self.on_accepted(connection)

    def has_room(self) -> bool:
        """Whether one more may come, of whom it is not known yet who that is."""
        return self._admission.has_room(self.clients + len(self._vestibule))

    def turn_away(self, transport: Transport) -> None:
        """Refuse somebody for whom there is no room, before it is known who that is."""
        self._refuser.refuse(transport, Refusal.FULL)

    def _on_accept_admin(
        self, app: App, admits: Callable[[Transport], bool] | None, transport: Transport
    ) -> None:
        """Make a connection of what the operator's software has opened."""
        self._accepted_total += 1
        if admits is not None and not admits(transport):
            transport.abort()
            return
        if len(self._admin_ids) >= ADMIN_CONNECTIONS:
            self._refuser.refuse(transport, Refusal.FULL)
            return
        connection = self._add(transport, app)
        if connection is not None:
            self._admin_ids.add(connection.id)

    def _add(self, transport: Transport, app: App) -> Connection | None:
        """Make a connection and register it; None, and the transport dropped, if it cannot be watched."""
        try:
            connection = Connection(self, transport, self.registry.next_id(), app)
        except (OSError, ValueError) as error:  # ENOSPC: epoll's limit for a user; ValueError: select's
            log.warning("a connection from %s was dropped, it cannot be watched: %s", transport.peer, error)
            transport.abort()
            return None
        self.registry.add(connection)
        return connection

    def admit_behind(self, connection: Connection, host: str) -> None:
        """Count a connection whose peer is a listed proxy by `host`, who is behind it; to be called once.

        Raises HandshakeError 429 if that address has too many already.
        """
        key = key_of(host)
        if not self._admission.has_room_for(key):
            self._refuser.note(Refusal.HOST)
            raise HandshakeError(STATUS[Refusal.HOST], Refusal.HOST.value, (RETRY_AFTER,))
        self._admission.enter(key)
        connection.sender = host

    def limit_admission(self, max_connections: int, max_per_host: int, max_accepts_per_s: float) -> None:
        """Let in by other limits from now on; nobody who is in has to go. Costs a walk over all."""
        keys = [self._key_of(each) for each in self.registry.snapshot() if each.id not in self._admin_ids]
        self._admission.follow(max_connections, max_per_host, max_accepts_per_s, self.reactor.now, keys)

    def check_draining(self) -> None:
        """Raise HandshakeError 503 if the server takes no new WebSocket."""
        if self.draining:
            raise HandshakeError(503, "the server is shutting down", ((b"Retry-After", b"1"),))
        if self.is_short_of_memory:
            raise HandshakeError(STATUS[Refusal.MEMORY], Refusal.MEMORY.value, (RETRY_AFTER,))

    # -- stopping ------------------------------------------------------------------------

    def drain(self, on_drained: Callable[[], object], spread_s: float = 0.0, processes: int = 1) -> None:
        """Stop accepting, close every connection by its protocol, then call `on_drained` once.

        The clients are asked to go over `spread_s` seconds, at an even pace (`draining.py`), in each of
        `processes` at the same time. The operator's own software is served until all of them are gone.
        Ends by itself: a peer that does not answer is dropped after `deadlines.close_s`. A second call has
        no effect.
        """
        if self.draining:
            return
        self.draining = True
        self._on_drained = on_drained
        _close_all(self._listeners)
        self._vestibule.close()
        self.fan_out.finish()
        clients = self.client_connections()
        self._drain = Drain(self.reactor, clients, spread_s, self.jitter.draw, processes)
        self._drain.begin()
        self._end_drain_if_empty()

    @property
    def clients(self) -> int:
        """How many connections are open, those of the operator's software left out."""
        return len(self.registry) - len(self._admin_ids)

    def client_connections(self) -> list[Connection]:
        """Return them, in the order in which they came."""
        return [each for each in self.registry.snapshot() if each.id not in self._admin_ids]

    @property
    def drained_from(self) -> int:
        """How many clients there were when the drain began; 0 if it has not."""
        return self._drain.total if self._drain is not None else 0

    def forget(self, connection: Connection) -> None:
        """Be told by a connection that it is gone; the last one ends a drain."""
        if self.registry.remove(connection):
            self._leave(connection)
        self._end_drain_if_empty()

    def _leave(self, connection: Connection) -> None:
        if connection.id in self._admin_ids:
            self._admin_ids.remove(connection.id)
        else:
            self._admission.leave(self._key_of(connection))

    def _key_of(self, connection: Connection) -> str:
        """Return what a client's connection was counted by, "" if it was not."""
        is_counted = connection.sender or not self.proxies.hides(connection.peer_host)
        return key_of(connection.peer_host) if is_counted else ""

    def _end_drain_if_empty(self) -> None:
        if not self.draining or self.clients or self._on_drained is None:
            return
        _close_all(self._admin_listeners)
        if not self._has_left_operator:
            self._has_left_operator = True
            for connection in self.registry.snapshot():
                connection.shut_down()
        if not len(self.registry) and self._on_drained is not None:
            on_drained, self._on_drained = self._on_drained, None
            self.reactor.call_soon(on_drained)

    def close(self) -> None:
        """Drop everything at once, without a word to the peers."""
        self.draining = True
        _close_all(self._listeners)
        _close_all(self._admin_listeners)
        if self._drain is not None:
            self._drain.forget()
        self._vestibule.close()
        for connection in self.registry.snapshot():
            connection.drop()
        self._refuser.close()

    # -- looking ---------------------------------------------------------------------------

    def statistics(self) -> ServerStatistics:
        """Return a snapshot; costs a walk over the connections."""
        by_state = dict.fromkeys((state.value for state in State), 0)
        for connection in self.registry.snapshot():
            by_state[connection.state.value] += 1
        refused_total = self._refuser.totals.total()
        return ServerStatistics(
            len(self.registry), by_state, self._accepted_total, refused_total, self.pool.lent
        )

    @property
    def accepted_total(self) -> int:
        """How many connections were accepted, those included that were refused at once."""
        return self._accepted_total

    def refusals(self) -> dict[str, int]:
        """Return how many connections were refused, by the names of `Refusal` in lower case."""
        return {refusal.name.lower(): self._refuser.totals[refusal] for refusal in Refusal}

    def slowest(self, count: int = SLOWEST) -> list[SlowPeer]:
        """Return the `count` connections for which most waits, the worst first; costs a walk over all."""
        return slow_peers(self.registry.snapshot(), self.reactor.now, count)


def _close_all(listeners: list[Listener]) -> None:
    """Close `listeners`, and forget them."""
    while listeners:
        listeners.pop().close()
