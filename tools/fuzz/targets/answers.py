"""What servers answer to our own clients: a response, an open connection, events, or an error with a name.

First byte: bits 0 to 2 how the rest is cut, 3 and 4 who reads it: an HTTP client (GET or POST), a WebSocket
client's handshake, or its session; there the oracle reads along. Cuts change nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st

from tools.fuzz.shaping import agree, cutting, promise
from wsloop.errors import HttpError
from wsloop.protocol.client_handshake import ClientHandshake, RefusedError
from wsloop.protocol.client_session import ClientSession
from wsloop.protocol.events import BinaryMessage, CloseReceived, Failed, TextMessage
from wsloop.protocol.http_client import HttpExchange, HttpRequest, HttpResponse
from wsloop.protocol.limits import Limits
from wsloop.testing import oracle
from wsloop.testing.requests import accept_for
from wsloop.testing.strategies import damaged_streams, encoded, valid_sequences
from wsloop.testing.wire import Frame

if TYPE_CHECKING:
    from wsloop.protocol.events import Event

NONCE = bytes(range(16))
KEY = "AAECAwQFBgcICQoLDA0ODw=="
MOST_BYTES = 300
LIMITS = Limits(message_bytes=500, fragments=4)


def one_input(data: bytes) -> None:
    """See the module."""
    if not data:
        return
    how, stream = data[0], data[1:]
    read = (_http_get, _http_post, _handshake, _session)[how >> 3 & 3]
    agree(read(cutting(how, stream).pieces(stream)), read([stream]), "cuts change what comes out")


def _http_get(pieces: list[bytes]) -> HttpResponse | str:
    return _http(pieces, "GET", b"")


def _http_post(pieces: list[bytes]) -> HttpResponse | str:
    return _http(pieces, "POST", b"{}")


def _http(pieces: list[bytes], method: str, body: bytes) -> HttpResponse | str:
    exchange = HttpExchange(MOST_BYTES)
    exchange.send_request(HttpRequest(method, "/", "h", (), body))
    try:
        for piece in (*filter(None, pieces), b""):
            response = exchange.receive(piece)
            if response is not None:
                promise(len(response.body) <= MOST_BYTES, "more than the limit")
                promise(response.status >= 200, f"an answer with {response.status}")
                return response
    except HttpError as error:
        return error.reason
    raise AssertionError("the end of the stream is no end")


def _handshake(pieces: list[bytes]) -> tuple[bytes, str] | tuple[int, str]:
    handshake = ClientHandshake("h", "/", NONCE, (), ("a", "b"))
    opened: bytes | None = None
    try:
        for piece in (*filter(None, pieces), b""):
            if opened is not None:
                opened += piece
            else:
                opened = handshake.receive(piece)
    except RefusedError as error:
        promise(error.retry_after_s >= 0, "to come again in the past")
        return error.status, error.reason
    promise(opened is not None, "the end of the stream is no end")
    return opened or b"", handshake.subprotocol


def _session(pieces: list[bytes]) -> list[Event]:
    session = ClientSession(lambda count: b"\1\2\3\4"[:count], LIMITS)
    events = [event for piece in pieces for event in session.receive(piece)]
    reading = oracle.read(b"".join(pieces), by_client=False, max_message_bytes=LIMITS.message_bytes)
    heard = [event for event in events if isinstance(event, TextMessage | BinaryMessage | CloseReceived)]
    said = [each for each in reading.said if isinstance(each, oracle.Text | oracle.Binary | oracle.Close)]
    promise(len(heard) <= len(said), "more is heard than was said")
    for event, each in zip(heard, said, strict=False):
        if isinstance(event, CloseReceived):
            agree(
                (event.code, event.reason),
                (getattr(each, "code", 0), getattr(each, "reason", 0)),
                "another close",
            )
        else:
            agree(event.data, getattr(each, "data", None), "another message")
    failed = any(isinstance(event, Failed) for event in events)
    promise(failed or reading.fault is not None or len(heard) == len(said), "something said is not heard")
    return events


OPEN = (
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
    + accept_for(KEY)
)
ANSWERS = (
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "HTTP/1.1 200 OK\r\n\r\n{} to the end",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "HTTP/1.0 302 Found\r\nLocation: /x\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
    "HTTP/1.1 503 \r\nRetry-After: 12\r\nContent-Length: 0\r\n\r\n", OPEN + "\r\n\r\n",
    OPEN + "\r\nSec-WebSocket-Protocol: b\r\n\r\n\u0081\u0002hi",
    OPEN + "\r\nSec-WebSocket-Protocol: c\r\n\r\n",
    OPEN + "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n", "HTTP/1.1 101 No\r\n\r\n",
    "GET / HTTP/1.1\r\n\r\n",
)  # fmt: skip


def inputs() -> st.SearchStrategy[bytes]:
    """Draw answers of HTTP's, cut off or doubled, and frames as a server sends them."""
    answer = st.sampled_from(ANSWERS).map(lambda text: text.encode("latin-1"))
    http = st.lists(
        st.builds(lambda data, size: data[:size], answer, st.integers(0, 400)), min_size=1, max_size=2
    ).map(b"".join)
    frames = valid_sequences(garbage=True).map(
        lambda said: b"".join(_unmasked(each).encode() for each in said)
    )
    choice = st.integers(0, 23)
    return st.one_of(
        st.builds(lambda how, data: bytes([64 + how]) + data, choice, http | answer),
        st.builds(
            lambda how, data: bytes([88 + how]) + data,
            st.integers(0, 7),
            frames | damaged_streams() | encoded(valid_sequences()),
        ),
    )


def _unmasked(frame: Frame) -> Frame:
    return Frame(frame.opcode, frame.payload, frame.fin, frame.rsv, None, frame.length, frame.width)
