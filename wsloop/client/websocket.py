"""An outbound WebSocket, from name to close frame: where session, transport and reactor meet.

    CONNECTING --TAKEN--> HANDSHAKING --UPGRADED--> OPEN --CLOSE--> CLOSING --END--> CLOSED

A `Dialer` holds what all of one process share; `dial` makes a `WebSocket`, which tells its owner of
everything that happens to it, and of its end exactly once. What is sent in one turn leaves in one
`send`. It does not reconnect: `messaging.py` does, the user of all this.
"""

from __future__ import annotations

import enum
import functools
import logging
from typing import TYPE_CHECKING, NamedTuple, Protocol

from wsloop.buffers.outbox import Outbox
from wsloop.errors import HttpError, StateError, TransportError
from wsloop.loop.poller import READ, WRITE
from wsloop.protocol.client_handshake import NONCE_BYTES, ClientHandshake, RefusedError
from wsloop.protocol.client_session import ClientSession
from wsloop.protocol.close import CloseCode
from wsloop.protocol.events import BinaryMessage, CloseReceived, Failed, Ping, TextMessage
from wsloop.transport.bind import TcpBind, UnixBind
from wsloop.transport.connecting import open_transport

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from wsloop.client.names import Names
    from wsloop.client.urls import Url
    from wsloop.loop.reactor import Reactor
    from wsloop.loop.wheel import Timer
    from wsloop.protocol.client_handshake import Headers
    from wsloop.protocol.events import Event
    from wsloop.transport.base import Transport
    from wsloop.transport.bind import Network

log = logging.getLogger("wsloop.client")

READ_BYTES = 65_536
"""Per turn and connection."""

OPEN_TIMEOUT_S = 10.0
"""For everything until the 101: what a server gives its side of the handshake (design.md, section 5)."""

CLOSE_TIMEOUT_S = 5.0
"""For the peer's close frame, once ours was sent."""


class WsState(enum.Enum):
    """Where an outbound WebSocket stands."""

    CONNECTING = "connecting"
    HANDSHAKING = "handshaking"
    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"

    __hash__ = object.__hash__


class WsStep(enum.Enum):
    """What moves it on."""

    TAKEN = "request taken"
    UPGRADED = "upgraded"
    CLOSE = "close"
    END = "end"

    __hash__ = object.__hash__


WS_TRANSITIONS: dict[WsState, dict[WsStep, WsState]] = {
    WsState.CONNECTING: {WsStep.TAKEN: WsState.HANDSHAKING, WsStep.END: WsState.CLOSED},
    WsState.HANDSHAKING: {WsStep.UPGRADED: WsState.OPEN, WsStep.END: WsState.CLOSED},
    WsState.OPEN: {WsStep.CLOSE: WsState.CLOSING, WsStep.END: WsState.CLOSED},
    WsState.CLOSING: {WsStep.END: WsState.CLOSED},
    WsState.CLOSED: {},
}
"""TAKEN: the kernel, or TLS after its handshake, took the first bytes: it is connected."""


class Ending(NamedTuple):
    """Why a WebSocket is closed.

    `code`: of the close frame, 1006 where there was none; `reason`: the peer's text (escape it before it
    is printed), or our own words. `status`: of the HTTP answer that refused the upgrade, else 0;
    `retry_after_s`: what that asked to wait. `is_peers`: whether the peer's close frame says so.
    """

    code: int
    reason: str
    status: int = 0
    retry_after_s: float = 0.0
    is_peers: bool = False


class WsOwner(Protocol):
    """Who is told. May call every method of the WebSocket from here."""

    def on_open(self, ws: WebSocket) -> None:
        """Hear that messages may be sent."""
        ...

    def on_message(self, ws: WebSocket, message: str | bytes | bytearray) -> None:
        """Get a whole message."""
        ...

    def on_closed(self, ws: WebSocket, ending: Ending) -> None:
        """Hear, once, that it is CLOSED; not after `abort`."""
        ...


class Dialer:
    """Opens WebSockets on one reactor. `ca_file`: what wss servers are checked with, "" for the system's.

    `entropy` yields keys and masks.
    """

    def __init__(
        self,
        reactor: Reactor,
        network: Network,
        names: Names,
        entropy: Callable[[int], bytes],
        *,
        ca_file: str = "",
        open_timeout_s: float = OPEN_TIMEOUT_S,
    ) -> None:
        self.reactor = reactor
        self.network = network
        self.names = names
        self.entropy = entropy
        self.open_timeout_s = open_timeout_s
        self._ca_file = ca_file
        self._context: ssl.SSLContext | None = None

    def dial(self, url: Url, owner: WsOwner, headers: Headers = ()) -> WebSocket:
        """Return a WebSocket that is connecting to `url`; nothing is told before this returns.

        Raises ConfigError if `ca_file` cannot be used.
        """
        context = self._trust() if url.origin.is_secure else None
        return WebSocket(self, url, owner, headers, context)

    def _trust(self) -> ssl.SSLContext:
        if self._context is None:
            # Imported here: who asks plain servers only need not load OpenSSL.
            from wsloop.transport.tls_side import client_context  # noqa: PLC0415

            self._context = client_context(self._ca_file)
        return self._context


class WebSocket:
    """One connection; `state` is for reading. Made by `Dialer.dial`."""

    __slots__ = (
        "_context", "_dialer", "_handshake", "_headers", "_interest", "_is_flush_due", "_is_read_due",
        "_outbox", "_owner", "_places", "_session", "_timer", "_transport", "_url", "state",
    )  # fmt: skip

    def __init__(
        self, dialer: Dialer, url: Url, owner: WsOwner, headers: Headers, context: ssl.SSLContext | None
    ) -> None:
        self.state = WsState.CONNECTING
        self._dialer = dialer
        self._url = url
        self._owner = owner
        self._headers = headers
        self._context = context
        self._handshake: ClientHandshake | None = None
        self._session: ClientSession | None = None
        self._transport: Transport | None = None
        self._places: list[TcpBind | UnixBind] = []
        self._outbox = Outbox()
        self._interest = 0
        self._is_flush_due = self._is_read_due = False
        reactor = dialer.reactor
        self._timer: Timer | None = reactor.call_later(dialer.open_timeout_s, self._on_timeout)
        reactor.call_soon(self._resolve)

    # -- for the owner -----------------------------------------------------------------------

    def send_text(self, text: str) -> None:
        """Send a text message; raises StateError unless OPEN."""
        self._queue(self._open_session().send_text(text))

    def send_binary(self, data: bytes) -> None:
        """Send a binary message; raises StateError unless OPEN."""
        self._queue(self._open_session().send_binary(data))

    def ping(self, payload: bytes = b"") -> None:
        """Send a ping of at most 125 bytes; raises StateError unless OPEN."""
        self._queue(self._open_session().send_ping(payload))

    @property
    def waiting_bytes(self) -> int:
        """How much was sent and not taken by the kernel yet."""
        return self._outbox.size

    def close(self, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        """Begin the closing handshake; the owner is told when it is over, after 5 s at most.

        Before it is OPEN this drops the connection, and the owner is told of code 1006, later. Does
        nothing once it closes. Raises ValueError for a code that may not be sent.
        """
        if self.state is WsState.OPEN:
            self._queue(self._open_session().send_close(code, reason))
            self._step(WsStep.CLOSE)
            self._timer = self._dialer.reactor.call_later(CLOSE_TIMEOUT_S, self._on_timeout)
        elif self.state in (WsState.CONNECTING, WsState.HANDSHAKING):
            self._end_soon(Ending(CloseCode.ABNORMAL, "given up before it was open"))

    def abort(self) -> None:
        """Drop the connection and tell nobody. Idempotent."""
        if self.state is not WsState.CLOSED:
            self._step(WsStep.END)
            self._drop_transport(is_clean=False)

    # -- connecting ----------------------------------------------------------------------------

    def _resolve(self) -> None:
        address = self._url.origin.address
        if self.state is not WsState.CONNECTING:
            return
        if isinstance(address, UnixBind):
            self._places = [address]
            self._dial_next(Ending(CloseCode.ABNORMAL, "no address"))
        else:
            self._dialer.names.resolve(address.host, self._on_places)

    def _on_places(self, found: tuple[str, ...] | HttpError) -> None:
        address = self._url.origin.address
        if self.state is not WsState.CONNECTING or not isinstance(address, TcpBind):
            return
        if isinstance(found, HttpError):
            self._end(Ending(CloseCode.ABNORMAL, found.reason))
            return
        self._places = [TcpBind(host, address.port) for host in found]
        self._dial_next(Ending(CloseCode.ABNORMAL, "no address"))

    def _dial_next(self, failure: Ending) -> None:
        """Connect to the next address there is; end with `failure` if there is none."""
        address = self._url.origin.address
        hostname = address.host if isinstance(address, TcpBind) else ""
        while self._places:
            place = self._places.pop(0)
            try:
                transport = open_transport(self._dialer.network, place, self._context, hostname)
            except TransportError as error:
                failure = Ending(CloseCode.ABNORMAL, error.errno_name)
                continue
            self._transport = transport
            self._begin(transport)
            return
        self._end(failure)

    def _begin(self, transport: Transport) -> None:
        """Queue the request on a transport that is connecting."""
        nonce = self._dialer.entropy(NONCE_BYTES)
        try:
            self._handshake = ClientHandshake(self._url.host, self._url.target, nonce, self._headers)
        except ValueError as error:
            transport.abort()
            self._transport = None
            self._end(Ending(CloseCode.ABNORMAL, str(error)))
            return
        self._outbox.clear()
        self._outbox.append(self._handshake.request)
        self._interest = WRITE
        self._dialer.reactor.register(transport.fileno(), WRITE, self._on_ready)

    # -- the loop calls ------------------------------------------------------------------------

    def _on_ready(self, events: int) -> None:
        transport = self._transport
        if transport is None:
            return
        try:
            if events & WRITE or transport.has_output:
                self._flush(transport)
            if events & READ and self.state is not WsState.CLOSED:
                self._read(transport)
        except TransportError as error:
            self._on_lost(Ending(CloseCode.ABNORMAL, error.errno_name))
        except RefusedError as error:
            self._end(Ending(CloseCode.ABNORMAL, error.reason, error.status, error.retry_after_s))
        except Exception:
            log.exception("internal error on a connection to %s", self._url)
            self._end(Ending(CloseCode.INTERNAL_ERROR, "internal error"))

    def _on_lost(self, ending: Ending) -> None:
        """Try the next address if this one never took a byte."""
        if self.state is WsState.CONNECTING and self._places:
            self._drop_transport(is_clean=False, keep_timer=True)
            self._dial_next(ending)
        else:
            self._end(ending)

    def _read(self, transport: Transport) -> None:
        data = transport.read(READ_BYTES)
        if data is not None:
            self._receive(data)
            if self.state is WsState.CLOSED:
                return
        if self._outbox.size or transport.has_output:
            self._flush(transport)
        if transport.has_input and not self._is_read_due:
            self._is_read_due = True
            self._dialer.reactor.call_soon(self._read_more)

    def _read_more(self) -> None:
        self._is_read_due = False
        if self.state is not WsState.CLOSED:
            self._on_ready(READ)

    def _receive(self, data: bytes) -> None:
        if self._session is None:
            if self._handshake is None or self.state is WsState.CONNECTING:
                raise TransportError("answered before it was asked" if data else "closed")
            first = self._handshake.receive(data)
            if first is None:
                return
            self._open()
            data = first
        elif not data:
            self._session.receive_eof()
            self._end(Ending(CloseCode.ABNORMAL, "the connection was closed"))
            return
        if data and self._session is not None:
            self._deal_with(self._session.receive(data))

    def _open(self) -> None:
        self._step(WsStep.UPGRADED)
        self._handshake = None
        self._session = ClientSession(self._dialer.entropy)
        self._stop_timer()
        self._owner.on_open(self)

    def _deal_with(self, events: list[Event]) -> None:
        for event in events:
            if self.state is WsState.CLOSED:  # the owner may have aborted
                return
            if isinstance(event, TextMessage | BinaryMessage):
                self._owner.on_message(self, event.data)
            elif isinstance(event, Ping) and self._session is not None:
                pong = self._session.answer_ping(event.payload)
                if pong:
                    self._queue(pong)
            elif isinstance(event, CloseReceived | Failed):
                self._answer_close(event)

    def _answer_close(self, event: CloseReceived | Failed) -> None:
        """Send the close frame that is due, as far as the kernel takes it, and end."""
        if self.state is WsState.OPEN and self._session is not None:
            self._outbox.append(self._session.send_close(event.code))
            if self._transport is not None:
                self._flush(self._transport)
        is_peers = isinstance(event, CloseReceived)
        self._end(Ending(event.code, event.reason, is_peers=is_peers), is_clean=is_peers)

    # -- sending -------------------------------------------------------------------------------

    def _open_session(self) -> ClientSession:
        if self.state is not WsState.OPEN or self._session is None:
            raise StateError(f"to send is illegal while {self.state.value}")
        return self._session

    def _queue(self, data: bytes) -> None:
        """Send with all that this turn brings: from phase 7, so that what fails is not told from here."""
        self._outbox.append(data)
        if not self._is_flush_due and not self._interest & WRITE:
            self._is_flush_due = True
            self._dialer.reactor.call_soon(self._flush_soon)

    def _flush_soon(self) -> None:
        self._is_flush_due = False
        if self.state is not WsState.CLOSED:
            self._on_ready(WRITE)

    def _flush(self, transport: Transport) -> None:
        """Send; then watch for what is still to come."""
        before = self._outbox.size
        is_empty = transport.flush(self._outbox)
        progressed = self._outbox.size < before
        if progressed and self.state is WsState.CONNECTING:
            self._step(WsStep.TAKEN)
            self._places = []
        if is_empty:
            self._watch(READ)
        elif transport.has_output or progressed or not transport.is_secure:
            self._watch(READ | WRITE)
        else:
            # TLS waits for the peer's part of the handshake; writability would be reported for ever.
            self._watch(READ)

    def _watch(self, interest: int) -> None:
        if interest != self._interest and self._transport is not None:
            self._interest = interest
            self._dialer.reactor.set_interest(self._transport.fileno(), interest)

    # -- the end -------------------------------------------------------------------------------

    def _on_timeout(self) -> None:
        self._timer = None
        what = "no close frame came" if self.state is WsState.CLOSING else "timed out while connecting"
        self._end(Ending(CloseCode.ABNORMAL, what))

    def _end_soon(self, ending: Ending) -> None:
        self._dialer.reactor.call_soon(functools.partial(self._end, ending))

    def _end(self, ending: Ending, *, is_clean: bool = False) -> None:
        if self.state is WsState.CLOSED:
            return
        self._step(WsStep.END)
        self._drop_transport(is_clean=is_clean)
        self._owner.on_closed(self, ending)

    def _drop_transport(self, *, is_clean: bool, keep_timer: bool = False) -> None:
        if not keep_timer:
            self._stop_timer()
        transport, self._transport = self._transport, None
        self._outbox.clear()
        if transport is not None:
            self._dialer.reactor.unregister(transport.fileno())
            (transport.close if is_clean else transport.abort)()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._dialer.reactor.cancel(self._timer)
            self._timer = None

    def _step(self, step: WsStep) -> None:
        try:
            self.state = WS_TRANSITIONS[self.state][step]
        except KeyError:
            raise StateError(f"{step.value} is illegal while {self.state.value}") from None
