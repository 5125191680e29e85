"""The server API over HTTP: `POST /api/METHOD` with JSON in, JSON out (Centrifugo's server API).

A request is judged by its head, in this order: the key (401), the method (404), POST (405), the
coding and the type of the body (415), its length (411, 413). Only then the body is read. What the
operations say is answered with 200, `{"result": ...}` or `{"error": {"code", "message"}}`; a caller who
sends `X-Centrifugo-Error-Mode: transport` is told errors by the HTTP status instead. Neither the key
nor a request's target or body is ever logged.
"""

from __future__ import annotations

import hmac
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import msgspec

from wsloop.errors import HandshakeError
from wsloop.hub import codes
from wsloop.hub.operations import table
from wsloop.hub.operations.results import BatchResult, Failure
from wsloop.protocol import trace
from wsloop.server.app import Response, Service

if TYPE_CHECKING:
    from wsloop.hub.operations.core import Operations
    from wsloop.hub.operations.results import Result
    from wsloop.protocol.events import Request
    from wsloop.server.app import Answered

log = logging.getLogger("wsloop.server")

PREFIX = "/api/"

BODY_BYTES = 1024 * 1024
"""A request's body. Breach: 413. Room for ten thousand channels of a broadcast, or the largest message."""

MEDIA_TYPES = frozenset({"application/json", "application/x-www-form-urlencoded", "application/octet-stream"})
"""What a body may be called, besides nothing; the second is what curl says unasked. Anything else: 415."""

HTTP_STATUS = {100: 500, 102: 404, 104: 404, 106: 400, 107: 400, 108: 400, 111: 429, 112: 416, 113: 409}
"""Status by error code in the error mode "transport"; other codes are 500. Centrifugo has the same, but
for 106 and 111, which it does not name."""

HEADERS = (
    (b"Content-Type", b"application/json"),
    (b"Cache-Control", b"no-store"),
    (b"X-Content-Type-Options", b"nosniff"),
)
_CHALLENGE = ((b"WWW-Authenticate", b'apikey realm="wsloop"'),)


class Api(Service):
    """The service below `/api/`. `key` is what callers must show; "" lets everybody in, None nobody."""

    def __init__(self, operations: Operations, key: str | None) -> None:
        self._operations = operations
        self.key = key
        """May be changed at any time; the next request is judged by it."""

    def admit(self, request: Request) -> int:
        """See `Service.admit`."""
        if self.key is None:
            raise HandshakeError(404, "the server API is off; the operator can set admin.api_key")
        if self.key and not hmac.compare_digest(_key_of(request), self.key.encode()):
            raise HandshakeError(401, "this needs the API key, in X-API-Key or in ?api_key=", _CHALLENGE)
        name = request.path.removeprefix(PREFIX)
        if name not in table.METHODS and name not in table.NOT_OFFERED:
            raise HandshakeError(404, "the API has no such method")
        if request.method != "POST":
            raise HandshakeError(405, "the API is called with POST", ((b"Allow", b"POST"),))
        _check_body(request)
        return BODY_BYTES

    def answer(self, request: Request, done: Answered) -> None:
        """See `Service.answer`."""
        by_status = (request.header(b"x-centrifugo-error-mode") or b"").lower() == b"transport"

        def finished(outcome: Result | codes.Code) -> None:
            done(_response(outcome, by_status=by_status))

        name = request.path.removeprefix(PREFIX)
        try:
            table.call(self._operations, name, request.body, finished)
        except table.NotJsonError as error:
            failure = codes.Code(codes.BAD_REQUEST.code, f"{codes.BAD_REQUEST.message}: {error}")
            done(Response(HTTPStatus.BAD_REQUEST, _error(failure, by_status=by_status), HEADERS))
        except Exception:
            given = trace.parse(request.header(trace.HEADER))
            log.exception(
                "internal error in the API's %s",
                name,
                extra={"trace_id": trace.trace_id(given)} if given else None,
            )
            finished(codes.INTERNAL_ERROR)


def _key_of(request: Request) -> bytes:
    """Return the key that a caller shows, b"" if none."""
    key = request.header(b"x-api-key")
    if key is None:
        scheme, _, value = (request.header(b"authorization") or b"").partition(b" ")
        key = value.strip() if scheme.lower() == b"apikey" else None
    if key is None:
        key = parse_qs(request.query).get("api_key", [""])[0].encode()
    return key


def _check_body(request: Request) -> None:
    """Raise HandshakeError 415 or 411 for a body that could not be understood, or whose end not be told.

    RFC 9110 sections 15.5.16 and 15.5.12.
    """
    coding = (request.header(b"content-encoding") or b"identity").strip().lower()
    if coding != b"identity":
        raise HandshakeError(415, "the body must not be encoded", ((b"Accept-Encoding", b"identity"),))
    kind = (request.header(b"content-type") or b"application/json").decode("latin-1")
    if kind.partition(";")[0].strip().lower() not in MEDIA_TYPES:
        raise HandshakeError(415, "the body must be application/json", ((b"Accept", b"application/json"),))
    if request.header(b"content-length") is None and request.header(b"transfer-encoding") is None:
        raise HandshakeError(411, "send a body of JSON, {} for no fields, and its Content-Length")


def _response(outcome: Result | codes.Code, *, by_status: bool) -> Response:
    if isinstance(outcome, codes.Code):
        status = HTTP_STATUS.get(outcome.code, HTTPStatus.INTERNAL_SERVER_ERROR) if by_status else 200
        return Response(status, _error(outcome, by_status=by_status), HEADERS)
    body = msgspec.json.encode(outcome)
    return Response(200, body if isinstance(outcome, BatchResult) else b'{"result":%b}' % body, HEADERS)


def _error(error: codes.Code, *, by_status: bool) -> bytes:
    body = msgspec.json.encode(Failure(error.code, error.message))
    return body if by_status else b'{"error":%b}' % body
