"""A TLS transport of a server's on a socket that does as it is told, and the peer's engine beside it."""

from __future__ import annotations

import errno
import socket
import ssl
from typing import TYPE_CHECKING, cast

from tests.transport.tls_kit import HOST, certificates, client_context
from wsloop.transport.tls_engine import RECORD_BYTES, TlsEngine
from wsloop.transport.tls_side import ClientSide
from wsloop.transport.tls_state import TlsState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wsloop.buffers.outbox import Piece
    from wsloop.transport.base import SocketLike
    from wsloop.transport.certificates import Certificates

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


class ToldSocket:
    """Receives `arriving`, piece by piece, then EAGAIN, or `end`: b"" or an errno; sends what it may."""

    family = socket.AF_UNIX

    def __init__(self) -> None:
        self.arriving: list[bytes] = []
        self.end: bytes | int | None = None
        self.sent = bytearray()
        self.room: int | None = None
        self.calls: list[str] = []

    def fileno(self) -> int:
        return 7

    def recv(self, max_bytes: int) -> bytes:
        self.calls.append("recv")
        if not self.arriving:
            if isinstance(self.end, bytes):
                return self.end
            raise OSError(self.end or errno.EAGAIN, "told so")
        piece = self.arriving.pop(0)
        if len(piece) > max_bytes:
            self.arriving.insert(0, piece[max_bytes:])
        return piece[:max_bytes]

    def send(self, data: Piece) -> int:
        self.calls.append("send")
        return self._take(bytes(data))

    def sendmsg(self, views: Sequence[Piece]) -> int:
        self.calls.append("sendmsg")
        return self._take(b"".join(views))

    def _take(self, data: bytes) -> int:
        count = len(data) if self.room is None else min(self.room, len(data))
        if not count:
            raise BlockingIOError(errno.EAGAIN, "again")
        if self.room is not None:
            self.room -= count
        self.sent += data[:count]
        return count

    def shutdown(self, _how: int) -> None:
        self.calls.append("fin")

    def close(self) -> None:
        self.calls.append("close")

    def setsockopt(self, *_: object) -> None:
        self.calls.append("linger")


class Told:
    """A transport of the server's on a `ToldSocket`, open unless told otherwise, and its peer's engine."""

    def __init__(
        self, version: ssl.TLSVersion = V13, *, side: Certificates | None = None, is_open: bool = True
    ) -> None:
        self.sock = ToldSocket()
        self.transport = (side or certificates()).wrap(cast("SocketLike", self.sock))
        self.peer = TlsEngine(ClientSide(client_context("http/1.1", highest=version), HOST).engine)
        if is_open:
            while not self.peer.shake() or self.transport.state is not TlsState.OPEN:
                self.carry()
            self.carry()
            assert self.peer.open_record() is None

    def carry(self) -> None:
        """Take the peer's handshake to the transport, and the transport's to the peer."""
        self.arrive(self.peer.take_output())
        assert self.transport.read(1) is None
        sent = bytes(self.sock.sent)
        self.sock.sent.clear()
        while sent:
            sent = sent[self.peer.feed(sent, 1)[0] :]
            self.peer.shake()

    def arrive(self, data: bytes, sizes: Sequence[int] = ()) -> None:
        """Let `data` arrive in pieces of these sizes, and one of the rest."""
        for size in [*sizes, len(data)]:
            if data:
                self.sock.arriving.append(data[:size])
            data = data[size:]

    def heard(self) -> bytes:
        """Return the plaintext of all that was sent since."""
        sent = memoryview(bytes(self.sock.sent))
        self.sock.sent.clear()
        plain = bytearray()
        while sent:
            sent = sent[self.peer.feed(sent, 1)[0] :]
            plain += self.peer.open_record() or b""
        return bytes(plain)

    def sealed(self, *payloads: bytes) -> bytes:
        """Return payloads as the peer's records."""
        return b"".join(
            self.peer.seal(payload[start : start + RECORD_BYTES]) or b""
            for payload in payloads
            for start in range(0, len(payload), RECORD_BYTES)
        )

    def read_all(self, sizes: Sequence[int] = ()) -> bytes:
        """Read until nothing is there any more, first by these sizes; raises TransportError."""
        told = list(sizes)
        data = bytearray()
        while True:
            piece = self.transport.read(told.pop(0) if told else 65_536)
            if piece:
                data += piece
            elif piece == b"" or not (self.transport.has_input or self.sock.arriving):
                return bytes(data)
