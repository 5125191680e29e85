"""The part of a connection's life in which it speaks HTTP; dropped with the upgrade.

Answers plain requests one after the other (keep-alive, pipelined), refuses what is wrong, and
hands the connection over when a request becomes a WebSocket. Decides nothing about HTTP itself:
`protocol/handshake.py` judges the bytes, `pages.py` the paths.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from wsloop.errors import HandshakeError
from wsloop.protocol.deflate_offers import negotiate
from wsloop.protocol.handshake import Handshake
from wsloop.server import pages

if TYPE_CHECKING:
    from wsloop.protocol.events import Request
    from wsloop.server.app import Response
    from wsloop.server.connection import Connection
    from wsloop.server.server import Server

log = logging.getLogger("wsloop.server")

REQUESTS_PER_TURN = 16
"""Most pipelined plain requests answered per connection and turn; the rest in the next."""


class HttpPhase:
    """One connection's requests. Refers to its connection, which drops it to end the cycle."""

    __slots__ = ("_connection", "_handshake", "_has_begun", "_server")

    def __init__(self, server: Server, connection: Connection) -> None:
        self._server = server
        self._connection = connection
        self._handshake = Handshake(server.http_limits)
        self._has_begun = False

    def receive(self, data: bytes) -> None:
        """Take bytes of the peer's; answer every request that they complete."""
        self._has_begun = True
        try:
            self._serve(self._handshake.receive(data))
        except HandshakeError as error:
            self._refuse(error)

    def go_on(self) -> None:
        """Answer the pipelined requests that were over the last turn's budget."""
        try:
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
        """End a head that dribbles with 408; say nothing to a peer that said, or reads, nothing.

        RFC 9110 section 15.5.9; browsers open connections ahead of need and would show the text.
        """
        if self._has_begun and is_reading:
            self._refuse(HandshakeError(408, "the request took too long"))
        else:
            self._connection.lose("idle before a request", abort=not is_reading)

    def _serve(self, request: Request | None) -> None:
        """Answer requests until one upgrades, one ends the connection, or none is complete."""
        budget = REQUESTS_PER_TURN
        while request is not None:
            if request.is_upgrade:
                self._upgrade(request)
                return
            if not self._respond(pages.answer(self._server.app, request, self._connection.peer_host)):
                return
            budget -= 1
            if not budget:
                self._connection.go_on_later()
                return
            request = self._handshake.next_request()

    def _respond(self, response: Response) -> bool:
        """Send a plain answer; return whether another request may follow on this connection."""
        handshake = self._handshake
        self._connection.enqueue((handshake.respond(response.status, response.headers, response.body),))
        if not handshake.keep_alive:
            self._connection.finish()
            return False
        self._has_begun = False
        self._connection.restart_deadline()
        return True

    def _refuse(self, error: HandshakeError) -> None:
        log.info("connection %d: %s refused: %s", self._connection.id, self._connection.peer, str(error))
        self._connection.enqueue((self._handshake.refuse(error),))
        self._connection.finish()

    def _upgrade(self, request: Request) -> None:
        """Turn the connection into a WebSocket; raises HandshakeError to refuse."""
        connection = self._connection
        route = pages.route(self._server.app, request, connection.peer_host, is_secure=connection.is_secure)
        self._server.check_draining()
        offered = request.subprotocols
        subprotocol = (
            next((name for name in offered if name in route.subprotocols), None) if offered else None
        )
        agreed = negotiate(request.extensions, route.deflate) if route.deflate else None
        headers = ((b"Sec-WebSocket-Extensions", agreed.header),) if agreed else ()
        self._connection.enqueue((self._handshake.accept(subprotocol, headers),))
        self._connection.open(route, request, self._handshake.trailing, agreed)
