"""A request's bytes, however they are cut, with and without the short way: requests, 101, or a refusal.

First byte: bits 0 to 2 how the rest is cut, bit 3 small limits, bit 4 the peer ends, bit 5 bodies are
wanted.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from tools.fuzz.shaping import agree, cutting, promise
from wsloop.errors import HandshakeError
from wsloop.protocol.deflate import DeflateOptions
from wsloop.protocol.deflate_offers import negotiate
from wsloop.protocol.handshake import Handshake, HandshakeState
from wsloop.protocol.limits import Limits
from wsloop.testing.strategies import broken_handshakes, deflate_offers, handshakes, request_heads

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wsloop.protocol.events import Request

SMALL = Limits(head_bytes=600, line_bytes=200, headers=10, body_bytes=60)
USUAL = Limits()
OPTIONS = DeflateOptions()
WANTED_BYTES = 100

Outcome = tuple[list["Request | tuple[int, str]"], bytes, HandshakeState, bytes]


def one_input(data: bytes) -> None:
    """See the module."""
    if not data:
        return
    how, stream = data[0], data[1:]
    limits, eof, is_wanted = SMALL if how & 8 else USUAL, bool(how & 16), bool(how & 32)
    whole = converse([stream], limits, eof=eof, is_plain=False, is_wanted=is_wanted)
    cut = converse(cutting(how, stream).pieces(stream), limits, eof=eof, is_plain=True, is_wanted=is_wanted)
    agree(cut, whole, "cuts or the short way change what comes out")


def converse(
    pieces: Iterable[bytes], limits: Limits, *, eof: bool, is_plain: bool, is_wanted: bool
) -> Outcome:
    """Answer all requests; return them, what was sent, the last state, and the bytes of the session."""
    handshake = Handshake(limits, is_plain=is_plain, wanted=_wanted if is_wanted else None)
    seen: list[Request | tuple[int, str]] = []
    output: list[bytes] = []
    behind = b""
    try:
        for piece in pieces:
            if _is_over(handshake):
                behind += piece
                continue
            request = handshake.receive(piece)
            while request is not None:
                seen.append(request)
                output.append(_answer(handshake, request))
                behind = handshake.trailing
                request = None if _is_over(handshake) else handshake.next_request()
            handshake.take_interim()
        if eof and not _is_over(handshake):
            handshake.receive_eof()
    except HandshakeError as error:
        promise(HTTPStatus.BAD_REQUEST <= error.status < 600, f"a refusal with {error.status}")
        promise(error.reason.isascii() and error.reason.isprintable(), "a reason that is no plain text")
        seen.append((error.status, error.reason))
        output.append(handshake.refuse(error))
    promise(all(each.startswith(b"HTTP/1.1 ") for each in output), "an answer that is none of HTTP's")
    return seen, b"".join(output), handshake.state, behind


def _is_over(handshake: Handshake) -> bool:
    """Tell whether what comes belongs to the session."""
    return handshake.state is HandshakeState.UPGRADED


def _wanted(request: Request) -> int:
    """Keep the bodies of POST; refuse one path before its body."""
    if request.path == "/no":
        raise HandshakeError(404, "nothing is here")
    return WANTED_BYTES if request.method == "POST" else 0


def _answer(handshake: Handshake, request: Request) -> bytes:
    if not request.is_upgrade:
        return handshake.respond(200, (), b"fine")
    agreement = negotiate(request.extensions, OPTIONS)
    headers = [(b"Sec-WebSocket-Extensions", agreement.header)] if agreement else []
    return handshake.accept(request.subprotocols[0] if request.subprotocols else None, headers)


PLAIN = (
    b"GET /a?b=c HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.0\r\n\r\n",
    b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /no HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello",
    b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;e=1\r\nhello\r\n0\r\nT: x\r\n\r\n",
    b"HEAD / HTTP/1.1\nHost: h\n\nOPTIONS * HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    b"\r\nGET http://u@[::1]:8/ HTTP/1.1\r\nHost: [::1]:8\r\nCookie: a=b\r\nOrigin: null\r\n\r\n",
)


def inputs() -> st.SearchStrategy[bytes]:
    """Draw requests right and wrong, behind any choice."""
    asked = handshakes() | broken_handshakes()
    offered = st.builds(
        lambda request, offer: request.offering(offer.header()), handshakes(), deflate_offers()
    )
    heads = (asked | offered).map(lambda request: request.encode())
    plain = st.sampled_from(PLAIN)
    streams = st.one_of(heads, request_heads(), plain, st.tuples(plain, heads).map(b"".join))
    return st.builds(lambda how, stream: bytes([64 + how]) + stream, st.integers(0, 63), streams)
