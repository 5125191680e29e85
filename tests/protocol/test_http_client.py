"""HTTP/1.1 from the asking side (RFC 9112)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.protocol.kit import cuts
from wsloop.errors import HttpError, StateError
from wsloop.protocol.http_client import (
    MAX_INTERIM_RESPONSES,
    ExchangeState,
    HttpExchange,
    HttpRequest,
    HttpResponse,
)

GET = HttpRequest("GET", "/keys", "app:80")
POST = HttpRequest("POST", "/ask", "app", (("Content-Type", "application/json"),), b"{}")

POSITIONS = st.lists(st.integers(0, 300), max_size=12)
GOOD = [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", 200, b"hi", ExchangeState.READY),
    (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", ExchangeState.READY),
    (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n1;x=y\r\ni\r\n0\r\n\r\n",
        200,
        b"hi",
        ExchangeState.READY,
    ),
    (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 ?\r\nContent-Length: 0\r\n\r\n",
        404,
        b"",
        ExchangeState.READY,
    ),
    (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi", 200, b"hi", ExchangeState.ENDED),
    (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", 200, b"hi", ExchangeState.ENDED),
]
BAD = [
    b"SSH-2.0-OpenSSH_9\r\n",
    b"HTTP/2 200\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nBad Header: 1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n" * (MAX_INTERIM_RESPONSES + 1),
]


def asked(request: HttpRequest = POST, max_body_bytes: int = 1000) -> HttpExchange:
    exchange = HttpExchange(max_body_bytes)
    exchange.send_request(request)
    return exchange


def test_a_request_is_its_head_and_body() -> None:
    assert HttpExchange().send_request(POST) == (
        b"POST /ask HTTP/1.1\r\nHost: app\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
    )
    assert HttpExchange().send_request(GET) == b"GET /keys HTTP/1.1\r\nHost: app:80\r\n\r\n"


@pytest.mark.parametrize(
    "request_",
    [
        GET._replace(headers=(("X", "a\r\nEvil: 1"),)),
        GET._replace(headers=(("X Y", "1"),)),
        GET._replace(headers=(("X", "\u20ac"),)),
        GET._replace(target="/a b"),
    ],
)
def test_what_is_no_http_is_not_sent(request_: HttpRequest) -> None:
    exchange = HttpExchange()
    with pytest.raises(HttpError):
        exchange.send_request(request_)
    assert exchange.state is ExchangeState.ENDED


@given(st.sampled_from(GOOD), POSITIONS)
def test_a_response_is_the_same_however_it_is_cut(
    good: tuple[bytes, int, bytes, ExchangeState], positions: list[int]
) -> None:
    wire, status, body, state = good
    exchange = asked()
    found: list[HttpResponse] = []
    for piece in cuts(wire, positions):
        response = exchange.receive(piece)
        if response is not None:
            found.append(response)
    assert [(response.status, response.body) for response in found] == [(status, body)]
    assert exchange.state is state


def test_a_body_without_length_ends_with_the_stream() -> None:
    exchange = asked()
    assert exchange.receive(b"HTTP/1.1 200 OK\r\n\r\nhi") is None
    response = exchange.receive(b"")
    assert response is not None
    assert response.body == b"hi"
    assert exchange.state is ExchangeState.ENDED


@given(st.sampled_from(BAD), POSITIONS)
def test_what_is_no_response_is_an_error_however_it_is_cut(wire: bytes, positions: list[int]) -> None:
    exchange = asked()
    with pytest.raises(HttpError):
        for piece in [*cuts(wire, positions), b""]:
            assert exchange.receive(piece) is None
    assert exchange.state is ExchangeState.ENDED


@given(st.binary(max_size=300))
def test_any_bytes_are_a_response_or_an_error(wire: bytes) -> None:
    exchange = asked()
    try:
        exchange.receive(wire)
    except HttpError:
        assert exchange.state is ExchangeState.ENDED


def test_an_end_says_whether_an_answer_had_begun() -> None:
    exchange = asked()
    with pytest.raises(HttpError, match="closed without an answer"):
        exchange.receive(b"")
    exchange = asked()
    exchange.receive(b"HTTP/1.1 2")
    assert exchange.has_begun
    with pytest.raises(HttpError, match="closed in the middle of the answer"):
        exchange.receive(b"")


def test_bytes_before_a_question_are_an_error() -> None:
    with pytest.raises(HttpError, match="nobody asked for"):
        HttpExchange().receive(b"HTTP/1.1 200 OK\r\n\r\n")
    with pytest.raises(HttpError, match="was closed"):
        HttpExchange().receive(b"")


def test_bytes_behind_an_answer_end_the_conversation() -> None:
    exchange = asked()
    assert exchange.receive(b"HTTP/1.1 204 OK\r\n\r\nHTTP/1.1 204 OK\r\n\r\n") is not None
    assert exchange.state is ExchangeState.ENDED


def test_one_question_at_a_time() -> None:
    exchange = asked()
    with pytest.raises(StateError):
        exchange.send_request(GET)


def test_one_exchange_carries_many_questions() -> None:
    exchange = HttpExchange()
    for _ in range(3):
        exchange.send_request(POST)
        assert not exchange.has_begun
        assert exchange.receive(b"HTTP/1.1 204 OK\r\n\r\n") is not None


@given(st.integers(0, 30), st.integers(1, 30), st.booleans())
def test_a_body_over_the_limit_is_refused_by_its_length_or_as_it_comes(
    limit: int, length: int, chunked: bool
) -> None:
    exchange = asked(max_body_bytes=limit)
    body = b"x" * length
    if chunked:
        wire = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (length, body)
    else:
        wire = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (length, body)
    if length > limit:
        with pytest.raises(HttpError, match="too large"):
            exchange.receive(wire)
    else:
        response = exchange.receive(wire)
        assert response is not None
        assert response.body == body


def test_what_may_be_asked_twice() -> None:
    assert GET.may_repeat
    assert not POST.may_repeat
    assert POST._replace(is_idempotent=True).may_repeat
