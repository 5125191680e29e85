"""A client's end of a connection: what a server says, right and wrong."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.testing.simulator.checkers.by_hand import broken, scene
from wsloop.testing.simulator.people import frames
from wsloop.testing.simulator.people.frames import BINARY, CLOSE, FIN, PING, PONG, RSV1, TEXT
from wsloop.testing.simulator.people.socket import ACCEPT, NO_PONG, Socket

HEAD = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %b\r\n\r\n" % ACCEPT
DEFLATING = HEAD.replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n")


class Hearing(Socket):
    """Remembers what it hears."""

    def __init__(self) -> None:
        super().__init__(scene(), "ann")
        self.heard: list[tuple[str, Any]] = []
        self.said: list[bytes] = []
        self.send = self.said.append

    def on_open(self) -> None:
        self.heard.append(("open", None))

    def on_text(self, payload: bytes) -> None:
        self.heard.append(("text", payload))

    def on_binary(self, payload: bytes) -> None:
        self.heard.append(("binary", payload))

    def on_close(self, code: int, reason: str) -> None:
        self.heard.append(("close", (code, reason)))


def opened(head: bytes = HEAD) -> Hearing:
    socket = Hearing()
    socket.take(head)
    return socket


STREAM = HEAD + b"".join((
    frames.unmasked(TEXT, b"hello"),
    frames.unmasked(BINARY, b"x" * 300),
    frames.unmasked(PING, b"?"),
    frames.unmasked(TEXT, b""),
    frames.unmasked(CLOSE, b"\x0b\xb9bye"),
))  # fmt: skip


@given(st.lists(st.integers(0, len(STREAM)), max_size=6))
def test_bytes_mean_the_same_however_they_are_cut(cuts: list[int]) -> None:
    socket = Hearing()
    ends = [*sorted(cuts), len(STREAM)]
    for begin, end in zip([0, *ends], ends, strict=False):
        socket.take(STREAM[begin:end])
    heard = [("open", None), ("text", b"hello"), ("binary", b"x" * 300), ("text", b"")]
    assert socket.heard == [*heard, ("close", (3001, "bye"))]
    assert socket.said == [frames.masked(PONG, b"?"), frames.masked(CLOSE, b"\x0b\xb9")]


def test_what_is_compressed_is_inflated() -> None:
    socket = opened(DEFLATING)
    socket.take(frames.unmasked(TEXT, frames.deflated(b"hello"), flags=FIN | RSV1))
    assert socket.heard[1:] == [("text", b"hello")]
    with broken("speech", "ann", "a compressed message is broken"):
        socket.take(frames.unmasked(TEXT, b"\xff\xff\xff", flags=FIN | RSV1))


def test_nothing_follows_a_close() -> None:
    socket = opened()
    with broken("close", "ann was sent", "behind the close frame"):
        socket.take(frames.unmasked(CLOSE, b"") + frames.unmasked(TEXT, b"and"))
    assert socket.close_code == 1005


@pytest.mark.parametrize(
    "frame",
    [
        frames.masked(TEXT, b"hello"),
        frames.unmasked(TEXT, b"hello", flags=FIN | RSV1),
        frames.unmasked(3, b"hello"),
        frames.unmasked(CLOSE, b"\x03"),
        frames.unmasked(CLOSE, b"\x0b\xb9\xff"),
        frames.unmasked(PONG, b"unasked"),
    ],
)
def test_what_no_server_says_is_found(frame: bytes) -> None:
    with broken("speech", "ann was sent"):
        opened().take(frame)


def test_a_fault_of_the_server_s_own_is_found() -> None:
    with broken("faults", "ann was closed with 1011"):
        opened().take(frames.unmasked(CLOSE, b"\x03\xf3oops"))
    opened().take(frames.unmasked(CLOSE, b"\x03\xf3" + NO_PONG.encode()))


def test_an_answer_to_another_key_is_found() -> None:
    with broken("speech", "ann was answered"):
        opened(HEAD.replace(ACCEPT, b"another"))


def test_refusals() -> None:
    for status in (b"408", b"429", b"503"):
        socket = opened(b"HTTP/1.1 " + status + b" No\r\n\r\nbody")
        assert socket.refused == status
        socket.take(b"more of the body")
    with broken("speech", "ann was refused with 400"):
        opened(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    cut_off = Hearing()
    cut_off.is_cut_off = lambda: True
    cut_off.take(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def test_the_handshake_as_it_is_sent() -> None:
    socket = Hearing()
    socket.upgrade("/echo", offers=True, more="X: y\r\n")
    (said,) = socket.said
    assert said.startswith(b"GET /echo HTTP/1.1\r\n")
    assert b"permessage-deflate" in said
    assert said.endswith(b"\r\nX: y\r\n\r\n")
