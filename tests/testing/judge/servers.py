"""An echo server behind a socket that needs no kernel, and its planted faults."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from wsloop.errors import HandshakeError
from wsloop.protocol.deflate import DeflateOptions
from wsloop.protocol.deflate_offers import negotiate
from wsloop.protocol.events import BinaryMessage, CloseReceived, Event, Failed, Ping, TextMessage
from wsloop.protocol.fast_path import FastSession
from wsloop.protocol.handshake import Handshake
from wsloop.protocol.limits import Limits
from wsloop.testing.deflating import Deflated, Deflater
from wsloop.testing.requests import accept_for
from wsloop.testing.wire import BINARY, PLAIN_MASK, TEXT, Frame, close

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from wsloop.protocol.deflate_offers import Agreement

HEAD = (
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: {accept}\r\n{more}\r\n"
)

LARGE_BYTES = 65536
"""The first length that a header must say in 64 bits."""


class EchoSocket:
    """A client's socket with a server at its other end; a receive that would wait times out at once."""

    def __init__(self, faults: tuple[str, ...] = (), *, deflates: bool = True) -> None:
        self._faults = faults
        self._deflates = deflates
        self._handshake = Handshake(Limits())
        self._session: FastSession | None = None
        self._tail = b""
        self._output = b""
        self._is_ended = self._is_deflating = False
        self._messages = 0
        self._timeout_s = 1.0

    # -- what a player uses of a socket --------------------------------------------------------

    def settimeout(self, seconds: float) -> None:
        self._timeout_s = seconds

    def sendall(self, data: bytes) -> None:
        if self._is_ended:
            raise BrokenPipeError
        if self._session is None:
            self._open(data)
        else:
            self._talk(data)

    def recv(self, _count: int) -> bytes:
        if not self._output and not self._is_ended:
            raise TimeoutError if self._timeout_s else BlockingIOError
        output, self._output = self._output, b""
        return output

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        pass

    # -- the server ----------------------------------------------------------------------------

    def _open(self, data: bytes) -> None:
        if "any handshake" in self._faults:
            self._tail += data
            if b"\r\n\r\n" in self._tail:
                self._tail = b""
                self._upgrade("", None)
            return
        try:
            request = self._handshake.receive(data)
        except HandshakeError as error:
            self._output += self._handshake.refuse(error)
            self._is_ended = True
            return
        if request is None:
            return
        if not request.is_upgrade or "no handshake" in self._faults:
            self._output += self._handshake.respond(400, (), b"no")
            self._is_ended = True
            return
        options = DeflateOptions(client_context_takeover=True)
        offers = ("permessage-deflate",) if "any offer" in self._faults else request.extensions
        agreed = negotiate(offers, options) if self._deflates else None
        key = request.header(b"sec-websocket-key") or b""
        self._upgrade(key.decode(), agreed)

    def _upgrade(self, key: str, agreed: Agreement | None) -> None:
        more = "" if agreed is None else f"Sec-WebSocket-Extensions: {agreed.header.decode()}\r\n"
        if "other accept" in self._faults:
            key += "x"
        if "unasked extension" in self._faults:
            more = "Sec-WebSocket-Extensions: x-unasked\r\n"
        if "unasked protocol" in self._faults:
            more += "Sec-WebSocket-Protocol: chat\r\n"
        self._output += HEAD.format(accept=accept_for(key), more=more).encode()
        self._session = FastSession(Limits(), agreed)
        self._is_deflating = agreed is not None

    def _talk(self, data: bytes) -> None:
        session = self._session
        assert session is not None
        self._tail += data
        while True:
            self._tail = self._tail[session.receive(self._tail) :]
            for event in session.take_events():
                self._answer(session, event)
                self._output += b"".join(session.take_output())
            if not session.is_spent:
                return

    def _answer(self, session: FastSession, event: Event) -> None:
        faults = self._faults
        match event:
            case TextMessage(data):
                self._echo(TEXT, data.encode())
            case BinaryMessage(data):
                self._echo(BINARY, bytes(data))
            case Ping(payload) if "no pong" not in faults:
                session.answer_ping(payload)
            case CloseReceived():
                if "no close frame" not in faults:
                    session.answer_close()
                self._is_ended = "stays open" not in faults
            case Failed():
                self._fail(session)

    def _echo(self, opcode: int, data: bytes) -> None:
        self._messages += 1
        if "loses the second" in self._faults and self._messages == 2:
            return
        if "loses a byte" in self._faults:
            data = data[1:]
        if "cuts large ones" in self._faults and len(data) >= LARGE_BYTES:
            data = data[:10]
        if "larger window" in self._faults and self._is_deflating:
            packed = Deflated(opcode, data).frames(Deflater(15))
            self._output += b"".join(replace(each, mask=None).encode() for each in packed)
            return
        mask = PLAIN_MASK if "masks" in self._faults else None
        self._output += Frame(opcode, data, mask=mask).encode()

    def _fail(self, session: FastSession) -> None:
        if "never fails" in self._faults:
            return
        if "takes it for a message" in self._faults:
            self._echo(TEXT, b"")
        if "fails silently" in self._faults:
            pass
        elif "other code" in self._faults:
            self._output += close(1011, mask=None).encode()
        else:
            session.answer_close()
        self._is_ended = True


def dialer(*faults: str, deflates: bool = True) -> Callable[[], EchoSocket]:
    """Return what dials a server with these faults."""
    return lambda: EchoSocket(faults, deflates=deflates)
