"""The part of a connection's life in which it speaks HTTP; dropped with the upgrade.

Answers plain requests one after the other (keep-alive, pipelined), refuses what is wrong, and
hands the connection over when a request becomes a WebSocket. While a service has yet to answer, the
peer is not read. Decides nothing about HTTP itself: `protocol/handshake.py` judges the bytes,
`pages.py` the paths.
"""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING

from wsloop.errors import HandshakeError
from wsloop.protocol.deflate_offers import negotiate
from wsloop.protocol.handshake import Handshake
from wsloop.server import access, pages
from wsloop.server.forwarded import Sender
from wsloop.server.story import fields, of_request

if TYPE_CHECKING:
    from wsloop.protocol.events import Request
    from wsloop.server.app import App, Response, Service
    from wsloop.server.connection import Connection
    from wsloop.server.forwarded import Proxies
    from wsloop.server.server import Server

log = logging.getLogger("wsloop.server")

REQUESTS_PER_TURN = 16
"""Most pipelined plain requests answered per connection and turn; the rest in the next."""


class _Owed:
    """An answer that a service owes: `response` once it is there; `waiting` stopped to wait for it."""

    __slots__ = ("response", "waiting")

    def __init__(self) -> None:
        self.response: Response | None = None
        self.waiting: Connection | None = None

    def complete(self, response: Response) -> None:
        """Take the answer; it is sent in a later turn if somebody waits."""
        self.response = response
        waiting, self.waiting = self.waiting, None
        if waiting is not None:
            waiting.resume()


class HttpPhase:
    """One connection's requests. Refers to its connection, which drops it to end the cycle."""

    __slots__ = (
        "_app", "_asked_s", "_connection", "_handshake", "_has_begun", "_is_last", "_owed", "_request",
        "_sender", "_server",
    )  # fmt: skip

    def __init__(self, server: Server, connection: Connection, app: App) -> None:
        self._server = server
        self._connection = connection
        self._app = app
        wanted = None
        if app.services:
            wanted = functools.partial(
                _wanted_bytes, server.proxies, app, connection.peer_host, connection.is_secure
            )
        self._handshake = Handshake(server.http_limits, wanted=wanted)
        self._has_begun = self._is_last = False
        self._owed: _Owed | None = None
        # The one that is being answered, whom it came from, and since when.
        self._request: Request | None = None
        self._sender = Sender("", is_secure=False)
        self._asked_s = 0.0

    def receive(self, data: bytes) -> None:
        """Take bytes of the peer's; answer every request that they complete."""
        self._has_begun = True
        try:
            self._serve(self._handshake.receive(data))
        except HandshakeError as error:
            self._refuse(error)

    def go_on(self) -> None:
        """Send the answer that was waited for; answer what was over the last turn's budget."""
        try:
            if self._owed is not None and not self._pay(self._owed):
                return
            self._serve(self._handshake.next_request())
        except HandshakeError as error:
            self._refuse(error)

    def receive_eof(self) -> None:
        """Take note that no more requests come; a peer that stopped inside one is told 400."""
        try:
            self._handshake.receive_eof()
        except HandshakeError as error:
            self._refuse(error)

    def time_out(self, *, is_reading: bool) -> None:
        """End a request that dribbles with 408; say nothing to a peer that said, or reads, nothing.

        RFC 9110 section 15.5.9; browsers open connections ahead of need and would show the text. A
        service that does not answer in time is a 504.
        """
        if self._owed is not None:
            self._owed.waiting = None
            self._refuse(HandshakeError(504, "there was no answer in time"))
        elif self._has_begun and is_reading:
            self._refuse(HandshakeError(408, "the request took too long"))
        else:
            self._connection.lose("idle before a request", abort=not is_reading)

    def end_after_answer(self) -> bool:
        """Have the connection end behind the answer that is waited for; False if there is none."""
        self._is_last = True
        return self._owed is not None

    def _serve(self, request: Request | None) -> None:
        """Answer requests until one upgrades, one ends the connection, or none is complete."""
        budget = REQUESTS_PER_TURN
        while request is not None:
            self._begin(request)
            if request.is_upgrade:
                self._upgrade(request)
                return
            service = pages.service_of(self._app, request)
            if service is not None:
                goes_on = self._ask(service, request)
            else:
                goes_on = self._respond(pages.answer(self._app, request, self._connection.peer_host))
            if not goes_on:
                return
            budget -= 1
            if not budget:
                self._connection.go_on_later()
                return
            request = self._handshake.next_request()
        interim = self._handshake.take_interim()
        if interim:
            self._connection.enqueue((interim,))

    def _begin(self, request: Request) -> None:
        """Take note of a request, and whom it came from."""
        connection = self._connection
        self._request = request
        self._sender = self._server.proxies.sender(
            request, connection.peer_host, is_secure=connection.is_secure
        )
        self._asked_s = self._server.reactor.now
        self._connection.story = of_request(request, is_logged=access.is_on())

    def _note(self, status: int, size_bytes: int) -> None:
        """Have the answer in the access log; what comes next belongs to another request."""
        peer = self._peer()
        request, self._request = self._request, None
        duration_s = self._server.reactor.now - self._asked_s if request is not None else 0.0
        access.answered(self._connection, peer, request, status, size_bytes, duration_s)

    def _peer(self) -> str:
        """Return whom the present request came from, for logs: the peer, or who is behind it."""
        connection = self._connection
        peer, host = connection.peer, self._sender.host
        is_behind = self._request is not None and host != connection.peer_host
        return f"{host} via {peer}" if is_behind else peer

    def _ask(self, service: Service, request: Request) -> bool:
        """Have a service answer; return whether the next request may be looked at now."""
        owed = _Owed()
        service.answer(request, owed.complete)
        if owed.response is not None:
            return self._respond(owed.response)
        self._owed = owed
        owed.waiting = self._connection
        self._connection.hold()
        self._connection.restart_deadline()
        return False

    def _pay(self, owed: _Owed) -> bool:
        """Send an answer if it has come; return whether another request may follow."""
        if owed.response is None:
            return False
        self._owed = None
        return self._respond(owed.response)

    def _respond(self, response: Response) -> bool:
        """Send a plain answer; return whether another request may follow on this connection."""
        handshake = self._handshake
        self._server.tally.responses[response.status // 100] += 1
        headers = (*response.headers, (b"Connection", b"close")) if self._is_last else response.headers
        self._connection.enqueue((handshake.respond(response.status, headers, response.body),))
        self._note(response.status, len(response.body))
        self._connection.story = None
        if not handshake.keep_alive:
            self._connection.finish()
            return False
        self._has_begun = False
        self._connection.restart_deadline()
        return True

    def _refuse(self, error: HandshakeError) -> None:
        connection = self._connection
        self._server.tally.responses[error.status // 100] += 1
        if self._request is None and self._handshake.request is not None:
            self._begin(self._handshake.request)  # refused for its head, or in its body
        log.info("%s refused: %s", self._peer(), str(error), extra=fields(connection))
        connection.enqueue((self._handshake.refuse(error),))
        self._note(error.status, len(error.reason) + 1)
        self._connection.finish()

    def _upgrade(self, request: Request) -> None:
        """Turn the connection into a WebSocket; raises HandshakeError to refuse."""
        connection = self._connection
        server, peer_host, sender = self._server, connection.peer_host, self._sender
        route = pages.route(self._app, request, peer_host, is_secure=sender.is_secure)
        server.check_draining()
        if server.proxies.hides(peer_host):
            server.admit_behind(connection, sender.host)
        if route.gate is not None:
            route = route.gate.open(route, request, sender.host)
        subprotocol = pages.agree(route, request)
        agreed = negotiate(request.extensions, route.deflate) if route.deflate else None
        headers = ((b"Sec-WebSocket-Extensions", agreed.header),) if agreed else ()
        self._server.tally.responses[1] += 1
        self._connection.enqueue((self._handshake.accept(subprotocol, headers),))
        self._note(101, 0)
        self._connection.open(route, request, self._handshake.trailing, agreed)


def _wanted_bytes(proxies: Proxies, app: App, peer_host: str, is_secure: bool, request: Request) -> int:
    """See `pages.wanted_bytes`; no method, which would close a cycle."""
    sender = proxies.sender(request, peer_host, is_secure=is_secure)
    return pages.wanted_bytes(app, peer_host, sender.is_secure, request)
