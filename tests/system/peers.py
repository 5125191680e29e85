"""Plain clients for system tests: a polite one of the `websockets` library, and one of bare bytes."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

from websockets.sync.client import ClientConnection, connect

from tests.system.daemon import PATIENCE_S
from wsloop.testing.client import masked_frame

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    from tests.system.daemon import Daemon

MESSAGING = "/connection/websocket"
MASK = b"\x01\x02\x03\x04"


@contextlib.contextmanager
def open_echo(daemon: Daemon) -> Iterator[ClientConnection]:
    """Open an `/echo` connection of the `websockets` library."""
    with connect(
        daemon.url(), proxy=None, open_timeout=PATIENCE_S, ping_interval=None, max_size=None
    ) as peer:
        yield peer


@contextlib.contextmanager
def open_messaging(daemon: Daemon, channel: str = "chat:lobby") -> Iterator[ClientConnection]:
    """Open a messaging connection that has connected and subscribed."""
    with connect(daemon.url(MESSAGING), proxy=None, open_timeout=PATIENCE_S, ping_interval=None) as peer:
        for command in ({"id": 1, "connect": {}}, {"id": 2, "subscribe": {"channel": channel}}):
            peer.send(json.dumps(command))
        hear(peer, '"id":2')
        yield peer


def hear(peer: ClientConnection, text: str) -> str:
    """Answer the messaging server's pings until a frame with `text` in it comes; return that frame."""
    while text not in (frame := str(peer.recv(PATIENCE_S))):
        if "{}" in frame.split("\n"):
            peer.send("{}")
    return frame


def close_of(peer: ClientConnection) -> tuple[int, str]:
    """Read a connection to its end; return the code and reason of the server's close frame."""
    with contextlib.suppress(Exception):
        while True:
            peer.recv(PATIENCE_S)
    assert peer.protocol.close_rcvd is not None
    return peer.protocol.close_rcvd.code, peer.protocol.close_rcvd.reason


class Raw:
    """A WebSocket made of a bare socket: does nothing that the test does not do."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def send(self, opcode: int, payload: bytes = b"", *, fin: bool = True) -> None:
        """Send one masked frame."""
        self.sock.sendall(masked_frame(opcode, payload, MASK, fin=fin))

    def read_frame(self) -> tuple[int, bytes]:
        """Return opcode and payload of the next frame; both of its length's short forms."""
        head = self._read(2)
        size = head[1]
        if size == 126:
            size = int.from_bytes(self._read(2), "big")
        return head[0] & 0x0F, self._read(size)

    def read_to_end(self) -> bytes:
        """Return all bytes until the server has ended the stream, by FIN or by reset."""
        data = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := self.sock.recv(65536):
                data += piece
        return data

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self.sock.recv(size - len(data))
            assert piece, f"the stream ended behind {data!r}"
            data += piece
        return data


def upgrade_request(path: str, *headers: str) -> bytes:
    """Return a good opening handshake."""
    lines = [
        f"GET {path} HTTP/1.1",
        "Host: localhost",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


@contextlib.contextmanager
def raw(daemon: Daemon, path: str = "/echo") -> Iterator[Raw]:
    """Open a bare WebSocket at `path`."""
    with daemon.connect() as sock:
        sock.sendall(upgrade_request(path))
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            piece = sock.recv(1)
            assert piece, head
            head += piece
        assert head.startswith(b"HTTP/1.1 101 "), head
        yield Raw(sock)


def http(daemon: Daemon, request: bytes) -> tuple[int, dict[str, str], str]:
    """Send raw bytes; return status, headers (in lower case) and body of the answer that ends the stream."""
    with daemon.connect() as sock:
        sock.sendall(request)
        head, _, body = Raw(sock).read_to_end().decode("latin-1").partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return int(first.split(" ", 2)[1]), headers, body


def says(peer: ClientConnection, text: str) -> Any:
    """Send a text to /echo and return the reply."""
    peer.send(text)
    return peer.recv(PATIENCE_S)


def turn_until(peer: ClientConnection, is_so: Callable[[], bool]) -> None:
    """Let the daemon turn, an echo at a time, until it is so."""
    for _ in range(10_000):
        if is_so():
            return
        says(peer, "turn")
    raise AssertionError("it never came to be so")
