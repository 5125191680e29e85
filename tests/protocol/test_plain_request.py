"""Property first: with the plain request recognised and without, everything is the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import h11
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from wsproto.extensions import Extension

from tests.protocol.kit import cut_positions, cuts, get, request_bytes, run_handshake
from wsloop.errors import HandshakeError
from wsloop.protocol import plain_request
from wsloop.protocol.handshake import Handshake
from wsloop.protocol.limits import Limits
from wsloop.testing.heads import CLIENTS, DEFECTS, damaged
from wsloop.testing.strategies import request_heads

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.protocol.events import Request

SMALL = Limits(head_bytes=300, line_bytes=260, headers=6, body_bytes=40)
CHROMIUM = CLIENTS["Chromium"]


def refuse(handshake: Handshake, _request: Request) -> bytes:
    return handshake.refuse(HandshakeError(404, "no such path", ((b"X", b"y"),)))


def respond(handshake: Handshake, _request: Request) -> bytes:
    return handshake.respond(200, ((b"Content-Type", b"text/plain"),), b"no WebSocket today")


def respond_and_close(handshake: Handshake, _request: Request) -> bytes:
    return handshake.respond(503, ((b"Connection", b"close"),))


def accept_the_first(handshake: Handshake, request: Request) -> bytes:
    return handshake.accept(request.subprotocols[0] if request.subprotocols else None)


def accept_with_a_header(handshake: Handshake, _request: Request) -> bytes:
    return handshake.accept(headers=[(b"Server", b"a \t b")])


ANSWERS = (accept_the_first, accept_with_a_header, refuse, respond, respond_and_close)


def assert_same(
    pieces: list[bytes],
    limits: Limits,
    on_upgrade: Callable[[Handshake, Request], bytes],
    *,
    eof: bool = False,
) -> None:
    """Compare requests, refusals, bytes answered, the state, and the bytes left for the session."""
    plain = run_handshake(pieces, limits, eof=eof, on_upgrade=on_upgrade)
    assert plain == run_handshake(pieces, limits, eof=eof, on_upgrade=on_upgrade, is_plain=False)


@settings(max_examples=2000)
@given(
    request_heads(),
    cut_positions,
    st.sampled_from((Limits(), SMALL)),
    st.sampled_from(ANSWERS),
    st.booleans(),
)
@example(CHROMIUM + CHROMIUM, [len(CHROMIUM)], Limits(), respond, False)
@example(get() + CHROMIUM, [len(get())], Limits(), accept_the_first, False)
@example(request_bytes(headers={"Content-Length": "3"}), [], Limits(), refuse, True)
@example(
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 400\r\n\r\n" + CHROMIUM, [48], Limits(), refuse, True
)
def test_every_head_in_every_cut_gives_the_same_with_and_without(
    stream: bytes,
    positions: list[int],
    limits: Limits,
    on_upgrade: Callable[[Handshake, Request], bytes],
    eof: bool,
) -> None:
    assert_same([stream], limits, on_upgrade, eof=eof)
    assert_same([*cuts(stream, positions)], limits, on_upgrade, eof=eof)


@pytest.mark.parametrize("limits", [Limits(), SMALL])
@pytest.mark.parametrize("defect", dict.fromkeys(DEFECTS))
def test_every_single_defect_gives_the_same_with_and_without(
    defect: tuple[str, bytes, bytes], limits: Limits
) -> None:
    for place in range(6):
        assert_same([damaged([(defect, place)], [])], limits, accept_the_first, eof=True)


@settings(max_examples=500)
@given(
    st.sampled_from(list(CLIENTS.values())),
    st.integers(0, 700),
    st.integers(0, 3),
    st.binary(max_size=3),
    st.sampled_from(ANSWERS),
)
def test_a_real_head_with_any_damage_gives_the_same_with_and_without(
    stream: bytes, at: int, removed: int, added: bytes, on_upgrade: Callable[[Handshake, Request], bytes]
) -> None:
    at %= len(stream) + 1
    assert_same([stream[:at] + added + stream[at + removed :]], Limits(), on_upgrade)


@pytest.mark.parametrize("limits", [Limits(), SMALL])
@pytest.mark.parametrize("byte", range(256))
def test_any_byte_in_any_part_of_a_head_gives_the_same_with_and_without(byte: int, limits: Limits) -> None:
    stream = request_bytes(target="/a?b", headers={"X": "a b"})
    for place in (b"GET", b"/a", b"?b", b" HTTP", b"1.1", b"X", b": ", b"a b", b"\r\n\r\n", b"dGhl", b"chat"):
        at = stream.index(place)
        assert_same([stream[:at] + bytes([byte]) + stream[at:]], limits, accept_the_first)
        assert_same([stream[:at] + bytes([byte]) + stream[at + 1 :]], limits, accept_the_first)


@pytest.mark.parametrize("room", range(-2, 3))
def test_a_head_that_just_fits_a_limit_gives_the_same_with_and_without(room: int) -> None:
    size, lines = len(CHROMIUM), CHROMIUM.count(b"\n") - 2
    for limits in (
        Limits(line_bytes=size + room, head_bytes=size + 100),
        Limits(line_bytes=200, head_bytes=size + room),
        Limits(headers=lines + room),
    ):
        assert_same([CHROMIUM], limits, accept_the_first)


class Agreeable(Extension):
    """An extension that agrees with a text of the test's choice."""

    name = "x"

    def __init__(self, agreed: str | bool | None) -> None:
        self._agreed = agreed

    def offer(self) -> bool:
        return False

    def accept(self, _offer: str) -> str | bool | None:
        return self._agreed


@settings(max_examples=300)
@given(
    st.sampled_from(["x", "x; y=1", "y", "x, y"]),
    st.sampled_from(["", "y", 'y; z="1"', "a\r\nb", " a", "a\tb", "\x7f", "\xe9", "a  b"])
    | st.text(st.characters(max_codepoint=300), max_size=6)
    | st.sampled_from([True, False, None]),
    st.sampled_from([None, "a", "b"]),
)
def test_any_agreement_is_written_as_h11_writes_it(
    offer: str, agreed: str | bool | None, subprotocol: str | None
) -> None:
    request = request_bytes(headers={"Sec-WebSocket-Extensions": offer, "Sec-WebSocket-Protocol": "a, b"})

    def answer(*, is_plain: bool) -> bytes | str:
        handshake = Handshake(Limits(), is_plain=is_plain)
        assert handshake.receive(request) is not None
        try:
            return handshake.accept(subprotocol, extensions=[Agreeable(agreed)])
        except (ValueError, HandshakeError) as error:
            return f"{type(error).__name__}: {error}"

    assert answer(is_plain=True) == answer(is_plain=False)


@pytest.fixture
def no_h11(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse_to_be_made(*_arguments: object, **_options: object) -> None:
        raise AssertionError("an h11 object was made")

    monkeypatch.setattr(h11, "Connection", refuse_to_be_made)


@pytest.mark.usefixtures("no_h11")
@pytest.mark.parametrize("client", CLIENTS)
def test_what_clients_send_is_accepted_without_h11(client: str) -> None:
    handshake = Handshake(Limits())
    request = handshake.receive(CLIENTS[client] + b"\x81\x80abcd")
    assert request is not None
    subprotocol = request.subprotocols[-1] if request.subprotocols else None
    assert handshake.accept(subprotocol).startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    assert handshake.trailing == b"\x81\x80abcd"


@pytest.mark.usefixtures("no_h11")
def test_an_upgrade_behind_an_empty_read_is_still_plain() -> None:
    handshake = Handshake(Limits())
    assert handshake.receive(b"") is None
    assert handshake.receive(CHROMIUM) is not None


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_kind_of_buffer_is_read_and_never_kept(kind: Callable[[bytearray], bytes]) -> None:
    buffer = bytearray(CHROMIUM + b"tail")
    handshake = Handshake(Limits())
    request = handshake.receive(kind(buffer))
    buffer[:] = bytes(len(buffer))
    assert request == Handshake(Limits(), is_plain=False).receive(CHROMIUM)
    assert handshake.refuse(HandshakeError(404, "no")).startswith(b"HTTP/1.1 404 ")


def test_what_is_plain_is_found_at_the_start_and_measured() -> None:
    found = plain_request.parse(CHROMIUM + CHROMIUM, Limits())
    assert found is not None
    request, length = found
    assert length == len(CHROMIUM)
    assert request.headers[0] == (b"host", b"127.0.0.1:8765")
    assert plain_request.parse(CHROMIUM[:-1], Limits()) is None
