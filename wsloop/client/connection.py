"""One outbound connection that asks one question at a time. Where exchange, transport and reactor meet.

    CONNECTING --REQUEST_TAKEN--> AWAITING --ANSWERED--> IDLE --REQUEST--> AWAITING ...

It begins with a request to send; everything that can go wrong ends in CLOSED and tells the owner,
once, by `on_failed`. Time is the owner's: it calls `close`. So is what an idle connection's end means:
nothing, a server may close what is idle, and it is told by `on_failed` like all else.

An idle connection is watched for reading: bytes or an end that come then close it at once, so that
a stale connection is seldom chosen. Read `http.py` next.
"""

from __future__ import annotations

import enum
import functools
from typing import TYPE_CHECKING, Protocol

from wsloop.buffers.outbox import Outbox
from wsloop.errors import HttpError, StateError, TransportError
from wsloop.loop.poller import READ, WRITE
from wsloop.protocol.http_client import ExchangeState, HttpExchange

if TYPE_CHECKING:
    from wsloop.loop.reactor import Reactor
    from wsloop.protocol.http_client import HttpRequest, HttpResponse
    from wsloop.transport.base import Transport

READ_BYTES = 16_384
"""Per turn. A peer that sends its answer in chunks of one byte makes h11 work for each: 16 KiB of them
are some 20 ms."""


class LinkState(enum.Enum):
    """Where an outbound connection stands."""

    CONNECTING = "connecting"
    AWAITING = "awaiting the answer"
    IDLE = "idle"
    CLOSED = "closed"


class LinkStep(enum.Enum):
    """What moves it on."""

    REQUEST_TAKEN = "request taken"
    ANSWERED = "answered"
    REQUEST = "request"
    CLOSE = "close"


LINK_TRANSITIONS: dict[LinkState, dict[LinkStep, LinkState]] = {
    LinkState.CONNECTING: {
        LinkStep.REQUEST_TAKEN: LinkState.AWAITING,
        LinkStep.CLOSE: LinkState.CLOSED,
    },
    LinkState.AWAITING: {
        LinkStep.ANSWERED: LinkState.IDLE,
        LinkStep.CLOSE: LinkState.CLOSED,
    },
    LinkState.IDLE: {
        LinkStep.REQUEST: LinkState.AWAITING,
        LinkStep.CLOSE: LinkState.CLOSED,
    },
    LinkState.CLOSED: {},
}
"""REQUEST_TAKEN: the kernel, or TLS after its handshake, took the first bytes: it is connected."""


class LinkOwner(Protocol):
    """Who made a connection and is told what becomes of it. May call `ask` and `close` from here."""

    def on_connected(self, link: HttpLink) -> None:
        """Hear that the peer takes bytes, so that this address is a good one."""
        ...

    def on_answered(self, link: HttpLink, response: HttpResponse) -> None:
        """Get the response; the link is IDLE, or CLOSED if it was the last one."""
        ...

    def on_failed(self, link: HttpLink, error: HttpError) -> None:
        """Hear that it is CLOSED, whether it was asked something or idle."""
        ...


class HttpLink:
    """A connection made for `request`, on `transport`, which it owns from here on.

    `was_sent` tells whether a byte of the present request may have reached the peer, `has_begun`
    whether one of its answer has come, `is_reused` whether it is not the first request here.
    """

    __slots__ = (
        "_exchange", "_interest", "_outbox", "_owner", "_reactor", "_transport", "_wants_more",
        "is_reused", "state", "was_sent",
    )  # fmt: skip

    def __init__(
        self,
        reactor: Reactor,
        transport: Transport,
        owner: LinkOwner,
        request: HttpRequest,
        max_body_bytes: int,
    ) -> None:
        self.state = LinkState.CONNECTING
        self.is_reused = False
        self.was_sent = False
        self._reactor = reactor
        self._transport = transport
        self._owner = owner
        self._exchange = HttpExchange(max_body_bytes)
        self._outbox = Outbox()
        self._wants_more = False  # a read of what TLS holds is due
        self._interest = WRITE
        reactor.register(transport.fileno(), WRITE, self._on_ready)
        self._queue(request)

    @property
    def has_begun(self) -> bool:
        """Whether a byte of the present answer has come."""
        return self._exchange.has_begun

    def ask(self, request: HttpRequest) -> None:
        """Send another request; raises StateError unless IDLE. The answer comes to the owner."""
        self._step(LinkStep.REQUEST)
        self.is_reused = True
        self.was_sent = False
        self._queue(request)
        # Sent when the loop finds it writable, so that what fails is told from the loop, not from here.
        self._watch(READ | WRITE)

    def close(self) -> None:
        """Drop the connection and tell nobody. Idempotent."""
        if self.state is LinkState.CLOSED:
            return
        is_clean = self.state is LinkState.IDLE
        self._step(LinkStep.CLOSE)
        self._reactor.unregister(self._transport.fileno())
        self._outbox.clear()
        if is_clean:
            self._transport.close()
        else:
            self._transport.abort()

    def _queue(self, request: HttpRequest) -> None:
        try:
            self._outbox.append(self._exchange.send_request(request))
        except HttpError as error:
            # Told from the loop: whoever asks must have its link in hand first.
            self._reactor.call_soon(functools.partial(self._fail, error))

    # -- the loop calls ----------------------------------------------------------------------

    def _on_ready(self, events: int) -> None:
        try:
            if events & WRITE or self._transport.has_output:
                self._flush()
            if events & READ:
                self._read()
        except TransportError as error:
            self._fail(HttpError(error.errno_name))
        except HttpError as error:
            self._fail(error)

    def _read(self) -> None:
        data = self._transport.read(READ_BYTES)
        if data is not None:
            response = self._exchange.receive(data)
            if response is not None:
                if self.state is LinkState.CONNECTING:
                    raise HttpError("answered before it was asked")
                self._answer(response)
                return
        if self._outbox.size or self._transport.has_output:
            # A TLS handshake that has gone on, or a key update that wants an answer.
            self._flush()
        if self._transport.has_input and not self._wants_more:
            self._wants_more = True
            self._reactor.call_soon(self._read_more)

    def _read_more(self) -> None:
        self._wants_more = False
        if self.state is not LinkState.CLOSED:
            self._on_ready(READ)

    def _flush(self) -> None:
        """Send; then watch for what is still to come."""
        before = self._outbox.size
        is_empty = self._transport.flush(self._outbox)
        progressed = self._outbox.size < before
        if progressed:
            self.was_sent = True
            if self.state is LinkState.CONNECTING:
                self._step(LinkStep.REQUEST_TAKEN)
                self._owner.on_connected(self)
        if self.state is LinkState.CLOSED:
            return
        if is_empty:
            self._watch(READ)
        elif self._transport.has_output or progressed or not self._transport.is_secure:
            self._watch(READ | WRITE)
        else:
            # TLS waits for the peer's part of the handshake; writability would be reported for ever.
            self._watch(READ)

    def _answer(self, response: HttpResponse) -> None:
        """Hand the response over; keep the connection only if both sides are done with it."""
        self._step(LinkStep.ANSWERED)
        if self._exchange.state is not ExchangeState.READY or self._outbox.size or self._transport.has_input:
            self.close()
        else:
            self._watch(READ)
        self._owner.on_answered(self, response)

    def _fail(self, error: HttpError) -> None:
        if self.state is not LinkState.CLOSED:
            self.close()
            self._owner.on_failed(self, error)

    def _watch(self, interest: int) -> None:
        if interest != self._interest:
            self._interest = interest
            self._reactor.set_interest(self._transport.fileno(), interest)

    def _step(self, taken: LinkStep) -> None:
        try:
            self.state = LINK_TRANSITIONS[self.state][taken]
        except KeyError:
            raise StateError(f"{taken.value} is illegal while {self.state.value}") from None
