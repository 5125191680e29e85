"""The connections to one origin that one kind of calls share, and the calls that want one.

Of each kind at most `max_in_flight` calls are under way, each on a connection of its own, and at most
`max_waiting` wait their turn; one more fails at once.

A call is tried again only where that cannot do harm: on the next address while none has taken a byte,
and once on a new connection when a kept one turns out to be dead and the peer has not seen the
request, or may see it twice (RFC 9110 section 9.2.2, RFC 9112 section 9.3.1). An address that does not
answer at all costs the calls under way their time; those that follow begin with the next one.

Read `http.py` for who makes pools, `connection.py` for one connection.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wsloop.client.connection import HttpLink, LinkState
from wsloop.errors import HttpError, TransportError
from wsloop.protocol.http_client import MAX_RESPONSE_BYTES
from wsloop.transport.bind import TcpBind, UnixBind
from wsloop.transport.connecting import open_transport

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from wsloop.client.names import Names
    from wsloop.client.urls import Origin
    from wsloop.loop.reactor import Reactor
    from wsloop.loop.wheel import Timer
    from wsloop.protocol.http_client import HttpRequest, HttpResponse
    from wsloop.transport.bind import Network

    Completed = Callable[[HttpResponse | HttpError], object]

log = logging.getLogger("wsloop.client")


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """What one client may hold and wait for, per origin and line of calls.

    `max_in_flight`: calls, and connections, at a time; a small application server has as many
    workers. `max_waiting`: calls that wait for one of them; at 16 in flight of 10 ms each, 256 wait
    160 ms. `connect_timeout_s`: until the peer has taken the first byte; two seconds see one lost
    SYN through. `idle_s`: how long a connection is kept unused, less than the 5 s after which
    Node.js and uvicorn close theirs. `max_response_bytes` bounds a body.
    """

    max_in_flight: int = 16
    max_waiting: int = 256
    connect_timeout_s: float = 2.0
    idle_s: float = 4.0
    max_response_bytes: int = MAX_RESPONSE_BYTES


class Call:
    """One request on its way. `cancel` drops it; then nothing is completed."""

    __slots__ = (
        "connecting",
        "deadline",
        "done",
        "has_retried",
        "link",
        "place",
        "places",
        "pool",
        "request",
    )

    def __init__(self, pool: Pool, request: HttpRequest, done: Completed) -> None:
        self.pool = pool
        self.request = request
        self.done: Completed | None = done  # None: it is over
        self.link: HttpLink | None = None
        self.place: TcpBind | UnixBind | None = None  # where `link` leads
        self.places: list[TcpBind | UnixBind] = []  # still to be tried
        self.has_retried = False
        self.deadline: Timer | None = None
        self.connecting: Timer | None = None

    def cancel(self) -> None:
        """Drop it, with its connection: the answer may be on its way. Idempotent."""
        self.pool.end(self, None)


class Pool:
    """One origin's. `context`, if not None, is what TLS connections are checked with."""

    def __init__(
        self,
        origin: Origin,
        *,
        reactor: Reactor,
        network: Network,
        names: Names,
        limits: HttpLimits,
        context: ssl.SSLContext | None,
    ) -> None:
        self._origin = origin
        self._reactor = reactor
        self._network = network
        self._names = names
        self._limits = limits
        self._context = context
        self._waiting: deque[Call] = deque()
        self._under_way: set[Call] = set()
        self._busy: dict[HttpLink, Call] = {}
        self._idle: dict[HttpLink, Timer] = {}  # the one used last at the end
        self._good: TcpBind | UnixBind | None = (
            None  # the place to begin with: it took bytes last, or another did not
        )
        self._is_starting = self._is_closed = False

    def add(self, request: HttpRequest, timeout_s: float, done: Completed) -> Call:
        """Make a call that ends within `timeout_s`; see `HttpClient.call`."""
        call = Call(self, request, done)
        if self._is_closed:
            self.end(call, HttpError("shutting down", was_tried=False))
            return call
        if (
            len(self._under_way) >= self._limits.max_in_flight
            and len(self._waiting) >= self._limits.max_waiting
        ):
            self.end(call, HttpError("too many requests are waiting", was_tried=False))
            return call
        call.deadline = self._reactor.call_later(timeout_s, lambda: self._on_timeout(call))
        self._waiting.append(call)
        self._start_next()
        return call

    def end(self, call: Call, outcome: HttpResponse | HttpError | None) -> None:
        """Complete `call`, unless it is over or `outcome` is None; free what it holds; let the next go."""
        done, call.done = call.done, None
        if done is None:
            return
        for timer in (call.deadline, call.connecting):
            if timer is not None:
                self._reactor.cancel(timer)
        if call in self._under_way:
            self._under_way.discard(call)
        elif call in self._waiting:
            self._waiting.remove(call)
        if call.link is not None and self._busy.pop(call.link, None) is not None:
            call.link.close()
        self._start_next()
        if outcome is not None:
            try:
                done(outcome)
            except Exception:
                log.exception("what was to be done with an answer of %s raised", self._origin)

    def close(self) -> None:
        """Fail every call, now and from now on, and drop every connection."""
        self._is_closed = True
        for call in [*self._waiting, *self._under_way]:
            self.end(call, HttpError("shutting down", was_tried=False))
        for link in list(self._idle):
            self._let_go(link)

    def _on_timeout(self, call: Call) -> None:
        is_waiting = call not in self._under_way
        reason = "timed out while waiting for its turn" if is_waiting else "timed out"
        self._begin_elsewhere(call)
        self.end(call, HttpError(reason, was_tried=not is_waiting))

    # -- a call's way ----------------------------------------------------------------------

    def _start_next(self) -> None:
        """Start who waits. A call that fails at once ends in here: the loop goes on, not deeper."""
        if self._is_starting:
            return
        self._is_starting = True
        try:
            while self._waiting and len(self._under_way) < self._limits.max_in_flight:
                call = self._waiting.popleft()
                self._under_way.add(call)
                if self._idle:
                    self._ask_idle(call)
                else:
                    self._find_places(call)
        finally:
            self._is_starting = False

    def _ask_idle(self, call: Call) -> None:
        """Ask on the connection used last: the others may then grow old and close."""
        link = next(reversed(self._idle))
        self._reactor.cancel(self._idle.pop(link))
        self._busy[link] = call
        call.link = link
        link.ask(call.request)

    def _find_places(self, call: Call) -> None:
        address = self._origin.address
        if isinstance(address, UnixBind):
            self._dial_first(call, [address])
            return
        port = address.port

        def found(hosts: tuple[str, ...] | HttpError) -> None:
            if call.done is None:
                return
            if isinstance(hosts, HttpError):
                self.end(call, hosts)
            else:
                self._dial_first(call, [TcpBind(host, port) for host in hosts])

        self._names.resolve(address.host, found)

    def _dial_first(self, call: Call, places: list[TcpBind | UnixBind]) -> None:
        """Connect to the places in turn, beginning with the one that was good last time."""
        start = places.index(self._good) if self._good in places else 0
        call.places = places[start:] + places[:start]
        timeout_s = self._limits.connect_timeout_s
        call.connecting = self._reactor.call_later(timeout_s, lambda: self._on_connect_timeout(call))
        self._dial(call)

    def _on_connect_timeout(self, call: Call) -> None:
        self._begin_elsewhere(call)
        self.end(call, HttpError("timed out while connecting"))

    def _begin_elsewhere(self, call: Call) -> None:
        """Let the next call try another place first, if this one's says nothing at all.

        Such a place takes a call's whole time, so that no call would get to the others.
        """
        if call.link is not None and call.link.state is LinkState.CONNECTING and call.places:
            self._good = call.places[0]

    def _dial(self, call: Call) -> None:
        address = self._origin.address
        hostname = address.host if isinstance(address, TcpBind) else ""
        error = HttpError("no address")
        while call.places:
            call.place = call.places.pop(0)
            try:
                transport = open_transport(self._network, call.place, self._context, hostname)
            except TransportError as failure:
                error = HttpError(failure.errno_name)
                continue
            max_bytes = self._limits.max_response_bytes
            call.link = link = HttpLink(self._reactor, transport, self, call.request, max_bytes)
            self._busy[link] = call
            return
        self.end(call, error)

    # -- what connections tell (`LinkOwner`) -----------------------------------------------

    def on_connected(self, link: HttpLink) -> None:
        """See `LinkOwner.on_connected`."""
        call = self._busy[link]
        self._good = call.place
        if call.connecting is not None:
            self._reactor.cancel(call.connecting)

    def on_answered(self, link: HttpLink, response: HttpResponse) -> None:
        """See `LinkOwner.on_answered`."""
        call = self._busy.pop(link)
        if link.state is LinkState.IDLE:
            self._idle[link] = self._reactor.call_later(self._limits.idle_s, lambda: self._let_go(link))
        self.end(call, response)

    def on_failed(self, link: HttpLink, error: HttpError) -> None:
        """See `LinkOwner.on_failed`."""
        call = self._busy.pop(link, None)
        if call is None:
            self._let_go(link)
            return
        is_stale = link.is_reused and not link.has_begun and not call.has_retried
        if is_stale and (call.request.may_repeat or not link.was_sent):
            call.has_retried = True
            self._find_places(call)
        elif not link.is_reused and not link.was_sent and call.places:
            self._dial(call)
        else:
            self.end(call, error)

    def _let_go(self, link: HttpLink) -> None:
        """Forget an idle connection, and close it if it is open."""
        timer = self._idle.pop(link, None)
        if timer is not None:
            self._reactor.cancel(timer)
        link.close()
