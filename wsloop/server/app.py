"""The handler API: what an application sees of a connection, and how paths find their handlers.

An application implements `Handler`; the server calls it, always on the loop's thread, never
re-entrantly for one connection. To answer, a handler uses the `Connection` it was made with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from wsloop.protocol.limits import Limits

if TYPE_CHECKING:
    from wsloop.hub.fan_out import Lane
    from wsloop.protocol.deflate import DeflateOptions
    from wsloop.protocol.events import Request
    from wsloop.server.auth import Gate
    from wsloop.server.connection import Connection


class Handler(Protocol):
    """One per open WebSocket connection.

    `stale_after_s` is how long the peer may take to send what the handler needs first (None:
    it needs nothing); then `on_stale` is called. `on_ping_due` sends a sign-of-life request
    in the handler's own way. The two codes are what the peer is closed with.
    """

    stale_after_s: float | None
    no_pong_code: int
    slow_code: int
    shutdown_code: int

    def on_open(self) -> None:
        """Take note that the 101 is on its way; messages may be sent from here on.

        A handler whose peer can answer pings calls `connection.start_beating` here, or later.
        """
        ...

    def on_text(self, data: str) -> bool | None:
        """Receive one whole text message.

        Return True if there is more to do about it than one turn has time for: then `on_turn` is
        called in the turns that follow until it returns False, and the peer is not read meanwhile.
        """
        ...

    def on_binary(self, data: bytes | bytearray) -> bool | None:
        """Receive one whole binary message, which is the handler's to keep; returns as `on_text` does."""
        ...

    def on_turn(self) -> bool | None:
        """Go on with what `on_text` or `on_binary` has begun; return True if more is left."""
        ...

    def on_ping_due(self) -> None:
        """Ask the peer for a sign of life."""
        ...

    def on_stale(self) -> None:
        """Deal with a peer that did not say in time what it had to say first."""
        ...

    def on_closed(self, code: int, reason: str) -> None:
        """Clean up; called exactly once, after the transport is closed (RFC 6455 section 7.1.5)."""
        ...


class Member(Protocol):
    """Who a connection is to the hub, for connections that are given lanes (`hub/fan_out.py`).

    Without one nothing is dropped: a slow peer is closed.
    """

    @property
    def identity(self) -> tuple[str, str]:
        """The client's id and its user, for an operator's eyes."""
        ...

    def must_be_whole(self, lane: Lane) -> bool:
        """Tell whether the peer must miss nothing of the lane; changes nothing."""
        ...

    def on_cut(self, lane: Lane) -> None:
        """Hear that messages of such a lane were dropped, and no others are taken in until this returns.

        Called in phase 7. What tells the peer of it is to be sent now.
        """
        ...


@dataclass(frozen=True, slots=True)
class Route:
    """A WebSocket path: how its handlers are made and what its messages may cost.

    `deflate`: how messages are compressed for clients that offer it (RFC 7692); None: never.
    `gate`: judges who may pass by the upgrade request; None: anybody.
    """

    make_handler: Callable[[Connection, Request], Handler]
    limits: Limits = field(default_factory=Limits)
    subprotocols: frozenset[str] = frozenset()
    deflate: DeflateOptions | None = None
    gate: Gate | None = None


@dataclass(frozen=True, slots=True)
class Response:
    """A plain HTTP answer; `headers` besides Content-Length and Connection, which are added."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ((b"Content-Type", b"text/plain; charset=utf-8"),)


Page = Callable[[], Response]

Answered = Callable[[Response], object]
"""A completion: called exactly once, now or later."""


class Service(Protocol):
    """Answers the requests at one path, or at all below a prefix; bodies are possible, and later answers.

    Each connection has one request at a service at most: what it pipelines behind waits.
    """

    def admit(self, request: Request) -> int:
        """Judge a request by its head; return how many bytes its body may have, 0 if it is to be dropped.

        Raises HandshakeError to refuse it, the body unread.
        """
        ...

    def answer(self, request: Request, done: Answered) -> None:
        """Answer a request that was admitted; raises HandshakeError to refuse it.

        An answer that does not come within `Deadlines.handshake_s` becomes a 504.
        """
        ...


@dataclass(frozen=True, slots=True)
class App:
    """What is served: WebSocket routes and plain pages, each by its exact path, and services.

    `services` are keyed by what their paths begin with, from slash to slash ("/api/"), or by the one path
    that is theirs ("/metrics"), which goes before a page's.

    `allowed_origins` are the browser origins that may open a WebSocket here, each exactly as a browser
    sends it ("https://example.org"). `lets_own_origin` adds that of the page itself, whatever name leads
    here: right where pages are served, or no name but this machine's own is answered. `loopback_only`
    refuses requests whose Host is not this machine's own name or address: a page whose name was
    made to lead here (DNS rebinding) must not pass for the page's own origin.
    """

    routes: Mapping[str, Route]
    pages: Mapping[str, Page]
    allowed_origins: frozenset[str] = frozenset()
    loopback_only: bool = False
    services: Mapping[str, Service] = field(default_factory=dict)
    lets_own_origin: bool = True
