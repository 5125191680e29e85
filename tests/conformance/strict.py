"""A client that takes a server at its word: what kosoku does not look at, it refuses.

Kosoku accepts any `Sec-WebSocket-Accept`, masked frames from a server, lengths in too long a form
and reserved bits, and does not wait to see who closes the TCP connection, and how. This client
checks each of these, by assertion, in every frame it receives. Independent of wsloop and wsproto.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import socket

KEY = base64.b64encode(bytes(range(16))).decode()
ACCEPT = base64.b64encode(
    hashlib.sha1(KEY.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
).decode()
"""RFC 6455 section 4.2.2."""

MASK = b"\x0f\xf0\x5a\xa5"

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


class Frame(NamedTuple):
    """One frame of the server's."""

    opcode: int
    payload: bytes
    fin: bool


class StrictClient:
    """A WebSocket on `sock`, which is connected; `path` is asked for at once.

    Attributes: `head`, the server's answer.
    """

    def __init__(self, sock: socket.socket, path: str = "/echo") -> None:
        self._sock = sock
        self._received = b""
        self._sock.sendall(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        while b"\r\n\r\n" not in self._received:
            self._fill()
        head, _, self._received = self._received.partition(b"\r\n\r\n")
        self.head = head.decode("ascii")
        self._check_head()

    def _check_head(self) -> None:
        """RFC 6455 section 4.1: what a client must check in the answer."""
        first, *lines = self.head.split("\r\n")
        assert first.startswith("HTTP/1.1 101 ")
        fields = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        assert [value.lower() for name, value in fields if name == "upgrade"] == ["websocket"]
        assert [value.lower() for name, value in fields if name == "connection"] == ["upgrade"]
        assert [value for name, value in fields if name == "sec-websocket-accept"] == [ACCEPT]
        assert not [value for name, value in fields if name == "sec-websocket-extensions"]
        assert not [value for name, value in fields if name == "sec-websocket-protocol"]

    # -- sending -----------------------------------------------------------------------------

    def send(self, opcode: int, payload: bytes, *, fin: bool = True, first_bits: int = 0) -> None:
        """Send one masked frame; `first_bits` are added to its first byte."""
        length = len(payload)
        if length < 126:
            size = bytes([0x80 | length])
        elif length < 65536:
            size = b"\xfe" + struct.pack("!H", length)
        else:
            size = b"\xff" + struct.pack("!Q", length)
        masked = bytes(byte ^ MASK[at % 4] for at, byte in enumerate(payload))
        self._sock.sendall(bytes([fin << 7 | first_bits | opcode]) + size + MASK + masked)

    # -- receiving ---------------------------------------------------------------------------

    def frame(self) -> Frame:
        """Receive one frame, whole, and check all that RFC 6455 section 5.2 asks of a server's."""
        first, second = self._take(2)
        assert not first & 0x70, "a reserved bit is set"
        assert not second & 0x80, "a server must not mask"
        opcode = first & 0x0F
        assert opcode in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG)
        length = second
        if second == 126:
            (length,) = struct.unpack("!H", self._take(2))
            assert length > 125, "the length is not in its shortest form"
        elif second == 127:
            (length,) = struct.unpack("!Q", self._take(8))
            assert 65535 < length < 2**63, "the length is not in its shortest form"
        fin = bool(first & 0x80)
        if opcode >= CLOSE:
            assert fin, "a control frame is fragmented"
            assert length <= 125, "a control frame is too long"
        payload = self._take(length)
        if opcode == TEXT and fin:
            payload.decode()  # strictly
        return Frame(opcode, payload, fin)

    def close_code(self) -> int:
        """Receive a close frame, and nothing else; return its code, 1005 if it has none."""
        opcode, payload, _ = self.frame()
        assert opcode == CLOSE
        if not payload:
            return 1005
        assert len(payload) >= 2
        payload[2:].decode()
        (code,) = struct.unpack("!H", payload[:2])
        return int(code)

    def expect_fin(self) -> None:
        """Receive the end: the server closes first (RFC 6455 section 7.1.1), and by FIN, not by reset."""
        assert self._received == b"", "something came behind the close frame"
        assert self._sock.recv(1) == b""

    def _take(self, count: int) -> bytes:
        while len(self._received) < count:
            self._fill()
        taken, self._received = self._received[:count], self._received[count:]
        return taken

    def _fill(self) -> None:
        data = self._sock.recv(65536)
        assert data, "the server closed too early"
        self._received += data
