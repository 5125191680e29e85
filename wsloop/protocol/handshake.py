"""The HTTP side of one connection: requests in, answers out, until a WebSocket begins.

h11 judges all HTTP on the port, plain requests included; wsproto supplies the accept token and
the agreement on extensions. Neither is ever handed bytes that could take it by surprise:
`http_head.py` bounds the head before h11 sees it, `upgrade.py` checks what h11 parsed. So one
exception can come out of received bytes, `HandshakeError`, and which one it is never depends on
how the network cut them. The upgrade that nearly every client sends leaves nothing to judge:
`plain_request.py` recognises it, and no h11 is made. Knows no clock (the deadline is the server's)
and no socket. What is answered when is told in `docs/reference/handshake.md`. Next: `session.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from http import HTTPStatus
from typing import TYPE_CHECKING

import h11
import msgspec
from wsproto.handshake import server_extensions_handshake
from wsproto.utilities import generate_accept_token

from wsloop.errors import HandshakeError, StateError
from wsloop.protocol import plain_request
from wsloop.protocol.body import Body
from wsloop.protocol.http_head import HeadScanner, skip_empty_lines
from wsloop.protocol.limits import MAX_LENGTH
from wsloop.protocol.upgrade import examine

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wsproto.extensions import Extension

    from wsloop.protocol.events import Request
    from wsloop.protocol.frames import Buffer
    from wsloop.protocol.limits import Limits

Header = tuple[bytes, bytes]
"""A (name, value) pair of an answer."""

Wanted = Callable[["Request"], int]
"""Asked once the head of a plain request has arrived: how many bytes of its body are kept at most, 0
for none. Raises HandshakeError to refuse the request before its body is read."""


class HandshakeState(Enum):
    """Whose turn it is."""

    READING = "reading"
    """A request is awaited or is arriving."""
    ANSWERING = "answering"
    """A request was returned; the caller owes accept, respond or refuse."""
    FAILED = "failed"
    """Received bytes were refused; the caller owes refuse."""
    UPGRADED = "upgraded"
    """The 101 was produced; bytes go to a `Session` from here on."""
    CLOSED = "closed"
    """The last answer was produced, or nothing will be; received bytes are dropped."""

    __hash__ = object.__hash__  # Enum's own is Python code: three times the cost of a table's look-up


class HandshakeStep(Enum):
    """What can happen to a handshake."""

    REQUEST = "request"
    """A whole request has arrived and kept the rules."""
    FAILURE = "failure"
    """The bytes that arrived broke a rule; HandshakeError is on its way to the caller."""
    ACCEPT = "accept"
    RESPOND_KEEP = "respond, keep alive"
    RESPOND_CLOSE = "respond, close"
    """Which of the two it is, h11 says: it knows both sides' wishes and what was left unread."""
    REFUSE = "refuse"
    END = "end of input"
    """The peer ended between two requests, as it may."""

    __hash__ = object.__hash__


HANDSHAKE_TRANSITIONS: dict[HandshakeState, dict[HandshakeStep, HandshakeState]] = {
    HandshakeState.READING: {
        HandshakeStep.REQUEST: HandshakeState.ANSWERING,
        HandshakeStep.FAILURE: HandshakeState.FAILED,
        HandshakeStep.REFUSE: HandshakeState.CLOSED,
        HandshakeStep.END: HandshakeState.CLOSED,
    },
    HandshakeState.ANSWERING: {
        HandshakeStep.ACCEPT: HandshakeState.UPGRADED,
        HandshakeStep.RESPOND_KEEP: HandshakeState.READING,
        HandshakeStep.RESPOND_CLOSE: HandshakeState.CLOSED,
        HandshakeStep.REFUSE: HandshakeState.CLOSED,
    },
    HandshakeState.FAILED: {HandshakeStep.REFUSE: HandshakeState.CLOSED},
    HandshakeState.UPGRADED: {},
    HandshakeState.CLOSED: {},
}
"""Anything not in the table raises StateError: it is a bug in the caller."""

# h11's own messages quote the request, so they are matched, never repeated.
_H11_REASONS = (
    ("illegal request line", "the request line is malformed"),
    ("illegal header line", "a header line is malformed"),
    ("continuation line", "a header line is malformed"),
    ("Missing mandatory Host", "the Host header is missing"),
    ("Found multiple Host", "there is more than one Host header"),
    ("bad Content-Length", "the Content-Length is malformed"),
    ("conflicting Content-Length", "the Content-Length headers contradict each other"),
    ("multiple Transfer-Encoding", "the only transfer coding known here is chunked, once"),
    ("Only Transfer-Encoding", "the only transfer coding known here is chunked, once"),
    ("illegal chunk", "the chunked body is malformed"),
    ("malformed chunk", "the chunked body is malformed"),
)
# RFC 9110 sections 15.3.5 and 15.4.5.
_BODILESS = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)


class Handshake:
    """One connection's HTTP, from its first byte to its upgrade or its end.

    Four verbs: `receive` bytes, get a `Request`; `accept`, `respond` or `refuse` it, get bytes
    to send. While a request is unanswered further bytes are only kept, without a bound: the
    caller should not read meanwhile. `is_plain` False leaves every request to h11: what comes
    out is the same, later. `wanted` tells which bodies are kept; None: none. Not thread-safe.
    """

    __slots__ = (
        "_body",
        "_buffer",
        "_eof",
        "_head",
        "_http",
        "_is_plain",
        "_limits",
        "_method",
        "_request",
        "_scanner",
        "_wanted",
        "keep_alive",
        "state",
        "trailing",
    )

    def __init__(self, limits: Limits, *, is_plain: bool = True, wanted: Wanted | None = None) -> None:
        self.state = HandshakeState.READING
        self.keep_alive = False
        """After `respond`: True if another request may follow on this connection."""
        self.trailing = b""
        """After `accept`: the bytes that came behind the request; they belong to the session."""
        self._limits = limits
        self._buffer = bytearray()
        self._scanner: HeadScanner | None = None
        self._http: h11.Connection | None = None
        # Of a plain request, which h11 has not seen: it is shown to it if the answer is not plain.
        self._head = b""
        self._is_plain = is_plain
        self._request: Request | None = None
        self._method = ""
        self._wanted = wanted
        self._body: Body | None = None
        self._eof = False

    @property
    def request(self) -> Request | None:
        """The request whose head has been read and which is not answered yet, its body complete or not."""
        return self._request

    def receive(self, data: Buffer) -> Request | None:
        """Take received bytes (copied); return the request they complete, else None.

        Raises HandshakeError if they are refused: send what `refuse` makes of it, then close.
        After that, and after the last answer, bytes are dropped. Raises StateError after `accept`.
        """
        if self.state is HandshakeState.UPGRADED:
            raise StateError("bytes behind the upgrade belong to the session")
        if self.state in (HandshakeState.FAILED, HandshakeState.CLOSED):
            return None
        if self._is_plain and not self._buffer and self.state is HandshakeState.READING:
            request = self._recognise(data)
            if request is not None:
                return request
        self._buffer += data
        return self.next_request()

    def _recognise(self, data: Buffer) -> Request | None:
        """Take a plain upgrade at the start of `data`; None, and nothing taken, if it is not sure."""
        # A request that still misses its body has left an empty buffer, too.
        plain = plain_request.parse(data, self._limits) if self._request is None else None
        if plain is None:
            return None
        self._request, length = plain
        self._head = bytes(data[:length])
        self._buffer += data[length:]
        self._move(HandshakeStep.REQUEST)
        return self._request

    def next_request(self) -> Request | None:
        """Go on with bytes already here: the next pipelined request, or None.

        To be called after a `respond` that left `keep_alive` True. Raises as `receive` does.
        """
        if self.state is not HandshakeState.READING:
            return None
        try:
            complete = self._read_head() and self._read_body()
            if not complete and self._eof:
                self._end()
        except HandshakeError:
            self._move(HandshakeStep.FAILURE)
            self._buffer.clear()
            raise
        if not complete:
            return None
        self._move(HandshakeStep.REQUEST)
        return self._request

    def receive_eof(self) -> None:
        """Take note that the peer will send no more (it may still read).

        Raises HandshakeError 400 if it stopped inside a request. A request that waits for its
        answer, or lies behind it in the buffer, is still answered.
        """
        self._eof = True
        if self.state is HandshakeState.READING:
            self.next_request()

    def accept(
        self,
        subprotocol: str | None = None,
        headers: Iterable[Header] = (),
        extensions: Iterable[Extension] = (),
    ) -> bytes:
        """Return the 101 and let go of h11; `trailing` then holds what came behind the request.

        `subprotocol` must be one that was offered, else ValueError. `headers` are added as they
        are. `extensions` are what the server can do; none are agreed on by default. Raises
        HandshakeError 400 if an offer of one of them is malformed, StateError if there is no
        upgrade to accept.
        """
        request = self._request
        if self.state is not HandshakeState.ANSWERING or request is None or not request.is_upgrade:
            raise StateError("there is no upgrade to accept")
        if subprotocol is not None and subprotocol not in request.subprotocols:
            raise ValueError(f"the subprotocol {subprotocol!r} was not offered")
        token = generate_accept_token(request.header(b"sec-websocket-key") or b"")
        extra = []
        if subprotocol is not None:
            extra.append((b"Sec-WebSocket-Protocol", subprotocol.encode("ascii")))
        agreed = _agree_on_extensions(request, list(extensions))
        if agreed:
            extra.append((b"Sec-WebSocket-Extensions", agreed))
        extra += headers
        output = plain_request.switching_protocols(token, extra) if self._head else b""
        if not output:
            usual = (
                (b"Upgrade", b"websocket"),
                (b"Connection", b"Upgrade"),
                (b"Sec-WebSocket-Accept", token),
            )
            output = _produce(self._connection(), 101, [*usual, *extra])
        self._move(HandshakeStep.ACCEPT)
        self.trailing = bytes(self._buffer)
        self._let_go()
        return output

    def respond(self, status: int, headers: Iterable[Header] = (), body: bytes = b"") -> bytes:
        """Return a plain answer (RFC 9112), its Content-Length added, and set `keep_alive`.

        The body is left out for HEAD, and for 204 and 304, which have none. `headers` must not
        hold Content-Length or Transfer-Encoding; `Connection: close` among them is obeyed.
        Raises StateError if no request waits, ValueError if status or headers are illegal.
        """
        if self.state is not HandshakeState.ANSWERING:
            raise StateError("there is no request to answer")
        if status < HTTPStatus.OK:
            raise ValueError(f"{status} is no final answer")
        output, reusable = self._respond(status, list(headers), body)
        self.keep_alive = reusable and not (self._eof and not self._buffer)
        self._request = self._body = None
        self._head = b""
        # A later refusal may come before h11 has parsed a method: it is not an answer to HEAD.
        self._method = ""
        if self.keep_alive:
            self._move(HandshakeStep.RESPOND_KEEP)
            self._http = None
        else:
            self._move(HandshakeStep.RESPOND_CLOSE)
            self._let_go()
        return output

    def refuse(self, error: HandshakeError) -> bytes:
        """Return the answer to a request that is refused, complete or not; then close.

        Text in plain ASCII: control characters in the reason are escaped. Raises StateError
        after the last answer.
        """
        self._move(HandshakeStep.REFUSE)
        # One Connection header: whoever reads only the first must not miss the close.
        connection = [b"close"]
        headers = [(b"Content-Type", b"text/plain; charset=utf-8"), (b"X-Content-Type-Options", b"nosniff")]
        for name, value in error.headers:
            if name.lower() == b"connection":
                connection.append(value)
            else:
                headers.append((name, value))
        headers.append((b"Connection", b", ".join(connection)))
        output, _ = self._respond(error.status, headers, _printable(error.reason) + b"\n")
        self.keep_alive = False
        self._request = None
        self._let_go()
        return output

    def _read_head(self) -> bool:
        """Hand h11 the head once it is whole; True if a head has been judged."""
        if self._request is not None:
            return True
        if self._scanner is None:
            if not skip_empty_lines(self._buffer):
                return False
            self._scanner = HeadScanner(self._limits)
        head_bytes = self._scanner.find_end(self._buffer)
        if not head_bytes:
            return False
        self._scanner = None
        # One h11 per request, since bytes behind a request stay here, where the scanner sees them.
        # The size is more than h11 is ever fed: its limit would depend on the cut of the bytes.
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_LENGTH)
        self._http.receive_data(bytes(self._buffer[:head_bytes]))
        del self._buffer[:head_bytes]
        self._request = request = self._judge(self._http)
        self._body = self._expect_body(self._http, request)
        return True

    def _judge(self, http: h11.Connection) -> Request:
        """Parse the head that `http` was fed, and check it by the rules of `upgrade.py`."""
        try:
            parsed = http.next_event()
        except h11.RemoteProtocolError as error:
            raise _translate(error) from None
        if type(parsed) is not h11.Request:
            raise AssertionError("h11 was fed a whole head and returned no request")
        self._method = parsed.method.decode("ascii")
        headers = tuple((name, value) for name, value in parsed.headers)
        return examine(
            self._method, parsed.target.decode("ascii"), parsed.http_version.decode("ascii"), headers
        )

    def _expect_body(self, http: h11.Connection, request: Request) -> Body:
        """Decide what becomes of the body behind a head; raises HandshakeError to refuse the request."""
        wanted_bytes = self._wanted(request) if self._wanted and not request.is_upgrade else 0
        body = Body(http, wanted_bytes or self._limits.body_bytes, is_kept=wanted_bytes > 0)
        body.check_length(int(request.header(b"content-length") or 0))
        return body

    def _read_body(self) -> bool:
        """Take the body, or what there is of it; True once the request is complete."""
        request, body = self._request, self._body
        assert request is not None
        assert body is not None
        try:
            complete = body.read(self._buffer)
        except h11.RemoteProtocolError as error:
            raise _translate(error) from None
        if complete and body.is_kept:
            self._request = msgspec.structs.replace(request, body=body.content)
        return complete

    def take_interim(self) -> bytes:
        """Return what must be sent at once for the peer to go on with its body: a 100, or b""."""
        if self._body is None:
            return b""
        interim, self._body.interim = self._body.interim, b""
        return interim

    def _end(self) -> None:
        """End the input: cleanly between requests, else with a 400 (RFC 9112 section 8)."""
        if self._request is not None or self._buffer:
            raise HandshakeError(400, "the request ended early")
        self._move(HandshakeStep.END)
        self._let_go()

    def _respond(self, status: int, headers: list[Header], body: bytes) -> tuple[bytes, bool]:
        """Return the bytes of an answer, and whether h11 finds the connection reusable."""
        http = self._connection()
        if status not in _BODILESS:
            headers.append((b"Content-Length", b"%d" % len(body)))
        if http.their_state is h11.SEND_BODY:
            headers.append((b"Connection", b"close"))
        has_body = self._method != "HEAD" and status not in _BODILESS
        output = _produce(http, status, headers, body if has_body else b"")
        return output, http.our_state is h11.DONE and http.their_state is h11.DONE

    def _connection(self) -> h11.Connection:
        """Return this request's h11; made late, so that a silent or a plain client costs none."""
        if self._http is None:
            self._http = h11.Connection(h11.SERVER)
            if self._head:
                self._http.receive_data(self._head)
                self._judge(self._http)
                Body(self._http, 0, is_kept=False).read(bytearray())
        return self._http

    def _move(self, step: HandshakeStep) -> None:
        """Take a step of the table; StateError if it is not there."""
        try:
            self.state = HANDSHAKE_TRANSITIONS[self.state][step]
        except KeyError:
            raise StateError(f"{step.value} is illegal while {self.state.value}") from None

    def _let_go(self) -> None:
        """Free what only a further request would need."""
        self._http = self._body = None
        self._head = b""
        self._scanner = None
        self._buffer = bytearray()


def _produce(http: h11.Connection, status: int, headers: list[Header], body: bytes = b"") -> bytes:
    """Return the bytes of a whole response, checked by h11; ValueError if h11 finds it illegal."""
    try:
        phrase = HTTPStatus(status).phrase.encode("ascii")
        if status == HTTPStatus.SWITCHING_PROTOCOLS:
            return http.send(h11.InformationalResponse(status_code=status, headers=headers, reason=phrase))
        pieces = [http.send(h11.Response(status_code=status, headers=headers, reason=phrase))]
        if body:
            pieces.append(http.send(h11.Data(data=body)))
        pieces.append(http.send(h11.EndOfMessage()))
        return b"".join(pieces)
    except h11.LocalProtocolError as error:
        raise ValueError(f"illegal answer: {error}") from error


def _agree_on_extensions(request: Request, extensions: list[Extension]) -> bytes | None:
    """Return the header value to agree with; wsproto lets ValueError out of malformed offers."""
    if not extensions:
        return None
    try:
        return server_extensions_handshake(request.extensions, extensions)
    except ValueError:
        raise HandshakeError(400, "Sec-WebSocket-Extensions holds an illegal value") from None


def _translate(error: h11.RemoteProtocolError) -> HandshakeError:
    """Turn h11's verdict into a refusal whose text repeats nothing of the request."""
    message = str(error)
    for beginning, reason in _H11_REASONS:
        if message.startswith(beginning):
            return HandshakeError(error.error_status_hint, reason)
    return HandshakeError(error.error_status_hint, "this is not valid HTTP/1.1")


def _printable(text: str) -> bytes:
    """Return `text` in ASCII, with everything else and all control characters escaped."""
    return "".join(char if " " <= char <= "~" else ascii(char)[1:-1] for char in text).encode("ascii")
