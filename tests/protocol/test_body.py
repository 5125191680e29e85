"""Request bodies that are wanted: whole, the same in every cut, and bounded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.protocol.kit import cut_positions, cuts, get, state_of
from wsloop.errors import HandshakeError
from wsloop.protocol.handshake import Handshake, HandshakeState
from wsloop.protocol.limits import Limits

if TYPE_CHECKING:
    from wsloop.protocol.events import Request

LIMIT = 400
HEAD = b"POST /api/x HTTP/1.1\r\nHost: h\r\n"


def wanted(request: Request) -> int:
    """As an application would: bodies below /api/, one path is refused."""
    if request.path == "/refused":
        raise HandshakeError(401, "no")
    return LIMIT if request.path.startswith("/api/") else 0


def make(*, limits: Limits | None = None) -> Handshake:
    return Handshake(limits or Limits(), wanted=wanted)


def declared(content: bytes) -> bytes:
    return HEAD + b"Content-Length: %d\r\n\r\n" % len(content) + content


def chunked(pieces: list[bytes]) -> bytes:
    chunks = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece]
    return HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(chunks) + b"0\r\n\r\n"


def feed(handshake: Handshake, stream: bytes, positions: list[int]) -> list[Request]:
    """Give the bytes in pieces, answer everything with 200, and return the requests."""
    found = []
    for piece in cuts(stream, positions):
        request = handshake.receive(piece)
        while request is not None:
            found.append(request)
            handshake.respond(200)
            request = handshake.next_request()
    return found


@given(st.lists(st.binary(max_size=30), max_size=8), cut_positions, cut_positions)
def test_a_body_is_the_same_in_every_cut_declared_or_chunked(
    pieces: list[bytes], first: list[int], second: list[int]
) -> None:
    content = b"".join(pieces)
    behind = get("/next")
    for stream, positions in ((declared(content), first), (chunked(pieces), second)):
        requests = feed(make(), stream + behind, positions)
        assert [(request.path, request.body) for request in requests] == [("/api/x", content), ("/next", b"")]


@pytest.mark.parametrize("size", [LIMIT, LIMIT + 1])
def test_the_limit_is_the_one_that_the_application_names(size: int) -> None:
    handshake = make()
    if size <= LIMIT:
        request = handshake.receive(declared(b"x" * size))
        assert request is not None
        assert len(request.body) == size
    else:
        with pytest.raises(HandshakeError) as caught:
            handshake.receive(declared(b"x" * size))
        assert (caught.value.status, caught.value.reason) == (413, f"the body is larger than {LIMIT} bytes")


@given(cut_positions)
def test_a_chunked_body_over_the_limit_is_413_in_every_cut(positions: list[int]) -> None:
    with pytest.raises(HandshakeError) as caught:
        feed(make(), chunked([b"x" * 50] * 10), positions)
    assert caught.value.status == 413


def test_a_request_is_refused_before_its_body_has_come() -> None:
    handshake = make()
    with pytest.raises(HandshakeError) as caught:
        handshake.receive(b"POST /refused HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n")
    assert caught.value.status == 401
    assert b"Connection: close" in handshake.refuse(caught.value)


def test_a_client_that_waits_for_100_gets_it_once_if_its_body_is_wanted() -> None:
    handshake = make()
    assert handshake.take_interim() == b""
    assert handshake.receive(HEAD + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n") is None
    assert handshake.request is not None
    assert handshake.request.path == "/api/x"
    assert handshake.take_interim().startswith(b"HTTP/1.1 100 ")
    assert handshake.take_interim() == b""
    assert handshake.receive(b"o") is None
    assert handshake.take_interim() == b""
    request = handshake.receive(b"k")
    assert request is not None
    assert request.body == b"ok"
    handshake.respond(200)
    assert handshake.keep_alive


def test_a_body_that_came_unasked_needs_no_100() -> None:
    handshake = make()
    request = handshake.receive(HEAD + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\nok")
    assert request is not None
    assert request.body == b"ok"
    assert handshake.take_interim() == b""


@pytest.mark.parametrize("chunk", [b"zz\r\n", b"3\r\nabcd\r\n", b"-1\r\n", b"3;" + b"x" * LIMIT])
def test_a_malformed_chunk_is_refused(chunk: bytes) -> None:
    handshake = make()
    with pytest.raises(HandshakeError) as caught:
        handshake.receive(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk)
    assert caught.value.status in (400, 413)
    assert state_of(handshake) is HandshakeState.FAILED


def test_a_body_cut_short_is_400() -> None:
    handshake = make()
    handshake.receive(declared(b"whole")[:-1])
    with pytest.raises(HandshakeError, match="400"):
        handshake.receive_eof()
