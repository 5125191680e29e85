"""RFC 6455 section 4.1 as a client keeps it, held to our own server's side."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.utilities import generate_accept_token

from tests.protocol.kit import cuts
from wsloop.errors import HandshakeError
from wsloop.protocol.client_handshake import ClientHandshake, RefusedError
from wsloop.protocol.events import Request
from wsloop.protocol.handshake import Handshake
from wsloop.protocol.limits import Limits

NONCE = b"0123456789abcdef"


def handshake() -> ClientHandshake:
    return ClientHandshake("example.test:8765", "/connection/websocket", NONCE)


def answer(**changes: str | None) -> bytes:
    """A flawless 101 but for `changes`; None leaves a header out."""
    headers: dict[str, str | None] = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Accept": handshake_accept(),
    }
    headers |= {name.replace("_", "-"): value for name, value in changes.items()}
    lines = [f"{name}: {value}" for name, value in headers.items() if value is not None]
    return "\r\n".join(["HTTP/1.1 101 Switching Protocols", *lines, "", ""]).encode()


def handshake_accept() -> str:
    return generate_accept_token(base64.b64encode(NONCE)).decode()


def test_our_own_server_accepts_the_request_and_is_accepted() -> None:
    client = ClientHandshake(
        "example.test", "/x?y=1", NONCE, (("X-Trace", "7"),), subprotocols=("json", "wsloop-msgpack")
    )
    server = Handshake(Limits())
    request = server.receive(client.request)
    assert isinstance(request, Request)
    assert request.is_upgrade
    assert request.header(b"x-trace") == b"7"
    assert request.subprotocols == ("json", "wsloop-msgpack")
    reply = server.accept(subprotocol="json")
    assert client.receive(reply + b"\x81\x00") == b"\x81\x00"
    assert client.subprotocol == "json"


@given(st.lists(st.integers(0, 300), max_size=6))
def test_any_cut_of_the_answer_opens_it_and_keeps_what_follows(where: list[int]) -> None:
    client, rest = handshake(), b""
    is_open = False
    for piece in cuts(answer() + b"\x81\x01a", where):
        if is_open:
            rest += piece
        elif (first := client.receive(piece)) is not None:
            is_open, rest = True, first
    assert (is_open, rest) == (True, b"\x81\x01a")


@pytest.mark.parametrize(
    "changes",
    [
        {"Upgrade": "h2c"},
        {"Upgrade": None},
        {"Connection": "keep-alive"},
        {"Sec_WebSocket_Accept": "AAAAAAAAAAAAAAAAAAAAAAAAAAA="},
        {"Sec_WebSocket_Accept": None},
        {"Sec_WebSocket_Extensions": "permessage-deflate"},
        {"Sec_WebSocket_Protocol": "chat"},
    ],
)
def test_a_101_that_does_not_answer_this_request_is_refused(changes: dict[str, str | None]) -> None:
    with pytest.raises(RefusedError):
        handshake().receive(answer(**changes))


@pytest.mark.parametrize(
    ("data", "status", "retry_s"),
    [
        (b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", 503, 7.0),
        (b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", 403, 0.0),
        (b"HTTP/1.1 599 Strange\r\nRetry-After: soon\r\nContent-Length: 0\r\n\r\n", 599, 0.0),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, 0.0),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", 0, 0.0),
        (b"", 0, 0.0),
        (b"HTTP/1.1 101 X\r\nA: " + b"b" * 20_000, 0, 0.0),
    ],
)
def test_any_other_answer_is_a_refusal_with_its_status(data: bytes, status: int, retry_s: float) -> None:
    with pytest.raises(RefusedError) as caught:
        handshake().receive(data)
    assert (caught.value.status, caught.value.retry_after_s) == (status, retry_s)
    assert isinstance(caught.value, HandshakeError)


def test_interim_answers_are_passed_over() -> None:
    assert handshake().receive(b"HTTP/1.1 100 Continue\r\n\r\n" + answer()) == b""


@pytest.mark.parametrize("value", ["a\r\nb: c", "☃"])
def test_a_header_that_http_cannot_carry_is_the_callers_mistake(value: str) -> None:
    with pytest.raises(ValueError, match="not valid HTTP"):
        ClientHandshake("h", "/", NONCE, (("X-A", value),))
