"""HTTP/1.1 from the asking side: a request becomes bytes, bytes become its response. No I/O.

h11 judges the syntax (RFC 9112); what it does not bound is bounded here: the body's size, counted
as it arrives or refused by its Content-Length, and the number of interim responses. A response
is handed over whole, since all who ask want small answers. Redirects are responses like any
other: nobody is sent to a place that the operator did not name.

Read `client/connection.py` for the bytes' way, and `handshake.py` for the answering side.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

import h11

from wsloop.errors import HttpError, StateError

MAX_RESPONSE_BYTES = 1024 * 1024
"""Default limit of a response's body: a decision is a few hundred bytes, a set of keys a few thousand."""

MAX_INTERIM_RESPONSES = 8
"""Responses 1xx before the real one (RFC 9110 section 15.2); more is a peer that never answers."""

IDEMPOTENT_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})
"""RFC 9110 section 9.2.2: sent twice, they mean what they mean sent once."""


class HttpRequest(NamedTuple):
    """What is asked. Header values are Latin-1; Host and Content-Length are added by the exchange.

    `is_idempotent` says that asking twice does no harm, whatever the method.
    """

    method: str
    target: str
    host: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    is_idempotent: bool = False

    @property
    def may_repeat(self) -> bool:
        """Whether it may be sent again although the peer may have seen it."""
        return self.is_idempotent or self.method in IDEMPOTENT_METHODS


class HttpResponse(NamedTuple):
    """What was answered: header names in lower case, the body whole."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


class ExchangeState(enum.Enum):
    """Where the conversation stands."""

    READY = "ready"
    AWAITING = "awaiting the response"
    ENDED = "ended"


class HttpExchange:
    """One connection's conversation: a request, its response, and again for as long as both sides may.

    `max_body_bytes` bounds each response's body. After an error, or a response that was the
    last one, `state` is ENDED and the connection is of no use any more.
    """

    __slots__ = ("_body", "_body_bytes", "_h11", "_head", "_interim", "_max_body_bytes", "has_begun", "state")

    def __init__(self, max_body_bytes: int = MAX_RESPONSE_BYTES) -> None:
        self.state = ExchangeState.READY
        self.has_begun = False  # whether a byte of the present response has come
        self._h11 = h11.Connection(h11.CLIENT)
        self._max_body_bytes = max_body_bytes
        self._reset()

    def _reset(self) -> None:
        self.has_begun = False
        self._head: h11.Response | None = None
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._interim = 0

    def send_request(self, request: HttpRequest) -> bytes:
        """Return the bytes of `request`. Raises StateError unless READY.

        Raises HttpError if a header or the target is not HTTP; nothing has been sent then.
        """
        if self.state is not ExchangeState.READY:
            raise StateError(f"a request is illegal while {self.state.value}")
        headers = [("Host", request.host), *request.headers]
        if request.body or request.method not in ("GET", "HEAD"):
            headers.append(("Content-Length", str(len(request.body))))
        self._reset()
        self.state = ExchangeState.AWAITING
        try:
            head = h11.Request(method=request.method, target=request.target, headers=_latin(headers))
            pieces = [self._h11.send(head)]
            if request.body:
                pieces.append(self._h11.send(h11.Data(data=request.body)))
            pieces.append(self._h11.send(h11.EndOfMessage()))
        except (h11.LocalProtocolError, UnicodeEncodeError) as error:
            self.state = ExchangeState.ENDED
            raise HttpError("the request is not valid HTTP") from error
        return b"".join(piece for piece in pieces if piece)

    def receive(self, data: bytes) -> HttpResponse | None:
        """Take what arrived, b"" for the end of the stream; return the response once it is whole.

        Raises HttpError if it is not HTTP, breaks a limit, was not asked for, or ends too soon.
        """
        if self.state is not ExchangeState.AWAITING:
            self.state = ExchangeState.ENDED
            raise HttpError("bytes that nobody asked for" if data else "the connection was closed")
        self.has_begun = self.has_begun or bool(data)
        try:
            self._h11.receive_data(data)
            return self._next_response()
        except h11.RemoteProtocolError as error:
            self.state = ExchangeState.ENDED
            if data:
                raise HttpError("the answer is not valid HTTP") from error
            reason = "closed in the middle of the answer" if self.has_begun else "closed without an answer"
            raise HttpError(reason) from error
        except HttpError:
            self.state = ExchangeState.ENDED
            raise

    def _next_response(self) -> HttpResponse | None:
        while True:
            event = self._h11.next_event()
            if event is h11.NEED_DATA:
                return None
            if isinstance(event, h11.InformationalResponse):
                self._interim += 1
                if self._interim > MAX_INTERIM_RESPONSES:
                    raise HttpError("too many interim responses")
            elif isinstance(event, h11.Response):
                self._head = event
                self._check_length(event)
            elif isinstance(event, h11.Data):
                self._body_bytes += len(event.data)
                self._check_size(self._body_bytes)
                self._body.append(bytes(event.data))
            else:
                assert isinstance(event, h11.EndOfMessage), "h11 raises for an end that comes too soon"
                return self._finish()

    def _check_length(self, head: h11.Response) -> None:
        """Refuse by its Content-Length what would be too long; h11 has checked that it is a number."""
        for name, value in head.headers:
            if name == b"content-length":
                # A number of more digits than the limit has is not worth converting.
                self._check_size(int(value) if len(value) < 20 else self._max_body_bytes + 1)

    def _check_size(self, size_bytes: int) -> None:
        if size_bytes > self._max_body_bytes:
            raise HttpError("the answer is too large")

    def _finish(self) -> HttpResponse:
        assert self._head is not None
        response = HttpResponse(
            self._head.status_code,
            tuple((bytes(name), bytes(value)) for name, value in self._head.headers),
            b"".join(self._body),
        )
        self._body = []
        is_done = self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE
        # A body may end with the stream (RFC 9112 section 6.3); h11 would go on all the same.
        more, is_closed = self._h11.trailing_data
        if is_done and not more and not is_closed:
            self._h11.start_next_cycle()
            self.state = ExchangeState.READY
        else:
            self.state = ExchangeState.ENDED
        return response


def _latin(headers: list[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers]
