"""Where connections of listed proxies wait until the proxy has said whom it brings (the PROXY protocol).

Only where the operator says that listed proxies speak it (`server.forwarded_header`). Everybody else passes
at once. What the header says takes the place of the peer's address before there is a connection, and before
TLS: so limits, logs and handlers know the client alone. A proxy sends the header with the first packet, so
hardly anybody waits; whoever does counts as a connection, and has the handshake's deadline.

Next: `protocol/proxy_header.py`, which reads; `server.py`, which lets in.
"""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING

from wsloop.errors import TransportError
from wsloop.loop.poller import READ
from wsloop.protocol.proxy_header import ProxyHeader, ProxyHeaderError
from wsloop.transport.tcp import TcpTransport

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.loop.wheel import Timer
    from wsloop.server.server import Server
    from wsloop.transport.base import SocketAddress, SocketLike, Transport

    Make = Callable[[SocketLike, SocketAddress], Transport]
    """Makes the transport that the client is served over: TLS, or plain."""

log = logging.getLogger("wsloop.server")


class _Visitor:
    """A proxy's connection whose header is not complete. `timer` runs while it waits."""

    __slots__ = ("header", "make", "timer", "transport")

    def __init__(self, transport: TcpTransport, make: Make) -> None:
        self.header = ProxyHeader()
        self.transport = transport
        self.make = make
        self.timer: Timer | None = None


class Vestibule:
    """In front of the listeners of `server`; `admit` is given the transports of those who are let in."""

    def __init__(self, server: Server, admit: Callable[[Transport], object]) -> None:
        self._server = server
        self._admit = admit
        self._waiting: set[_Visitor] = set()

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._waiting)

    def receive(self, make: Make, transport: Transport) -> None:
        """Take an accepted connection, which is over TCP or a Unix socket; `make` is how it goes on."""
        assert isinstance(transport, TcpTransport)
        if self._server.proxies.lists(transport.peer_host):
            self._read(_Visitor(transport, make))
        else:
            self._admit(make(*transport.release()))

    def close(self) -> None:
        """Drop all who wait."""
        for visitor in list(self._waiting):
            self._drop(visitor)

    def _on_ready(self, visitor: _Visitor, _events: int) -> None:
        try:
            self._read(visitor)
        except Exception:
            log.exception("a new connection from %s was dropped", visitor.transport.peer)
            self._drop(visitor)

    def _read(self, visitor: _Visitor) -> None:
        """Read the header and not a byte more; then let the client in, or wait for the rest."""
        header, transport = visitor.header, visitor.transport
        try:
            while not header.is_done:
                data = transport.read(header.wanted)
                if data is None:
                    self._wait(visitor)
                    return
                if not data:
                    self._drop(visitor)
                    return
                header.receive(data)
        except TransportError:
            self._drop(visitor)
            return
        except ProxyHeaderError as error:
            log.warning("%s is a listed proxy and its PROXY header is wrong: %s", transport.peer, error)
            self._drop(visitor)
            return
        self._forget(visitor)
        sock, address = transport.release()
        self._admit(visitor.make(sock, header.source or address))

    def _wait(self, visitor: _Visitor) -> None:
        """Be called when more has come, or it took too long."""
        if visitor in self._waiting:
            return
        server, transport = self._server, visitor.transport
        if not server.has_room():
            server.turn_away(visitor.make(*transport.release()))
            return
        server.reactor.register(transport.fileno(), READ, functools.partial(self._on_ready, visitor))
        visitor.timer = server.reactor.call_later(
            server.deadlines.handshake_s, functools.partial(self._drop, visitor)
        )
        self._waiting.add(visitor)

    def _drop(self, visitor: _Visitor) -> None:
        self._forget(visitor)
        visitor.transport.abort()

    def _forget(self, visitor: _Visitor) -> None:
        if visitor.timer is not None and visitor in self._waiting:
            self._waiting.remove(visitor)
            self._server.reactor.cancel(visitor.timer)
            self._server.reactor.unregister(visitor.transport.fileno())
