"""Clients in memory: they speak from the other end of a `MemoryNetwork` connection.

Independent of `protocol/`: frames are built here by hand and decoded by wsproto, so a test
with these clients does not check the server's protocol code against itself. All chance (masks,
the handshake's key) comes from the random.Random they are given.
"""

from __future__ import annotations

import base64
import json
import struct
from typing import TYPE_CHECKING, Any

from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

from wsloop.loop.poller import READ, WRITE

if TYPE_CHECKING:
    import random

    from wsproto.events import Event

    from wsloop.loop.reactor import Reactor
    from wsloop.testing.memory_socket import MemorySocket

READ_BYTES = 65536

OPCODE_TEXT, OPCODE_BINARY, OPCODE_CLOSE, OPCODE_PING, OPCODE_PONG = 0x1, 0x2, 0x8, 0x9, 0xA


def masked_frame(opcode: int, payload: bytes, mask: bytes, *, fin: bool = True) -> bytes:
    """Return a client's frame (RFC 6455 section 5.2), masked with the four bytes `mask`."""
    length = len(payload)
    if length < 126:
        size = bytes([0x80 | length])
    elif length < 65536:
        size = b"\xfe" + struct.pack("!H", length)
    else:
        size = b"\xff" + struct.pack("!Q", length)
    key = int.from_bytes((mask * (length // 4 + 1))[:length], "big")
    masked = (int.from_bytes(payload, "big") ^ key).to_bytes(length, "big")
    return bytes([fin << 7 | opcode]) + size + mask + masked


class MemoryClient:
    """A WebSocket client whose socket is turned by the server's own reactor.

    What it received is in `received` (all messages, in order), `texts`, `binaries`, `pings`, `pongs` and
    `close_frame` ((code, reason), or None); before the upgrade, raw bytes are in `http`. `is_gone` is true
    once the server's end of the stream was seen, by FIN or by reset.
    """

    def __init__(self, reactor: Reactor, sock: MemorySocket, chance: random.Random) -> None:
        self.sock = sock
        self.http = b""
        self.is_open = False
        self.is_gone = False
        self.received: list[str | bytes] = []
        self.texts: list[str] = []
        self.binaries: list[bytes] = []
        self.pings: list[bytes] = []
        self.pongs: list[bytes] = []
        self.close_frame: tuple[int, str] | None = None
        self.reads = True
        self._reactor = reactor
        self._chance = chance
        self._pending = bytearray()
        self._parts: list[Any] = []
        self._protocol = Connection(ConnectionType.CLIENT)
        reactor.register(sock.fileno(), READ, self._on_ready)

    # -- sending -----------------------------------------------------------------------

    def send_bytes(self, data: bytes) -> None:
        """Send raw bytes; what the network does not take yet is sent when it does."""
        self._pending += data
        self._watch()

    def upgrade(
        self, path: str, headers: tuple[tuple[str, str], ...] = (), *, host: str = "wsloop.test"
    ) -> None:
        """Send an opening handshake for `path`."""
        key = base64.b64encode(self._chance.randbytes(16)).decode()
        lines = [
            f"GET {path} HTTP/1.1",
            f"Host: {host}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Version: 13",
            *(f"{name}: {value}" for name, value in headers),
        ]
        self.send_bytes("\r\n".join([*lines, "", ""]).encode("latin-1"))

    def send_frame(self, opcode: int, payload: bytes, *, fin: bool = True) -> None:
        """Send one frame with a fresh mask."""
        self.send_bytes(masked_frame(opcode, payload, self._chance.randbytes(4), fin=fin))

    def send_text(self, text: str) -> None:
        """Send a text message in one frame."""
        self.send_frame(OPCODE_TEXT, text.encode())

    def send_binary(self, data: bytes) -> None:
        """Send a binary message in one frame."""
        self.send_frame(OPCODE_BINARY, data)

    def send_ping(self, payload: bytes = b"") -> None:
        """Send a ping."""
        self.send_frame(OPCODE_PING, payload)

    def send_close(self, code: int = 1000, reason: str = "") -> None:
        """Send a close frame; the socket stays until the server's end is seen."""
        self.send_frame(OPCODE_CLOSE, struct.pack("!H", code) + reason.encode())

    # -- disasters ---------------------------------------------------------------------

    def reset(self) -> None:
        """Cut the connection as a router would: both ends find it reset."""
        self.sock.reset()

    def vanish(self) -> None:
        """Lose power: nothing is sent any more, not even a reset."""
        self._forget()
        self.sock.vanish()

    def has_sent_all(self) -> bool:
        """Tell whether the network has taken everything."""
        return not self._pending

    def stop_reading(self) -> None:
        """Leave what arrives in the network's buffers."""
        self.reads = False
        self._watch()

    def resume_reading(self) -> None:
        """Read again."""
        self.reads = True
        self._watch()

    def close(self) -> None:
        """Close the socket; idempotent."""
        self._forget()
        self.sock.close()

    # -- the loop calls ----------------------------------------------------------------

    def _watch(self) -> None:
        if not self.is_gone:
            wanted = (READ if self.reads else 0) | (WRITE if self._pending else 0)
            self._reactor.set_interest(self.sock.fileno(), wanted)

    def _on_ready(self, events: int) -> None:
        try:
            if events & WRITE:
                sent = self.sock.send(bytes(self._pending[:READ_BYTES]))
                del self._pending[:sent]
                self._watch()
            if events & READ:
                self._receive(self.sock.recv(READ_BYTES))
        except BlockingIOError:
            return
        except (ConnectionResetError, BrokenPipeError):
            self._end()

    def _receive(self, data: bytes) -> None:
        if not data:
            self._end()
            return
        if not self.is_open:
            self.http += data
            # Answers to plain requests may come before the 101.
            start = self.http.find(b"HTTP/1.1 101 ")
            end = self.http.find(b"\r\n\r\n", start) + 4
            if start < 0 or end < 4:
                return
            self.is_open, self.http, data = True, self.http[:end], self.http[end:]
        self._protocol.receive_data(data)
        for event in self._protocol.events():
            self._on_event(event)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, TextMessage | BytesMessage):
            self._parts.append(event.data)
            if event.message_finished:
                parts, self._parts = self._parts, []
                if isinstance(event, TextMessage):
                    self.received.append("".join(parts))
                    self._on_text("".join(parts))
                else:
                    self.received.append(b"".join(parts))
                    self.binaries.append(b"".join(parts))
        elif isinstance(event, Ping):
            self.pings.append(bytes(event.payload))
            self.send_frame(OPCODE_PONG, bytes(event.payload))
        elif isinstance(event, Pong):
            self.pongs.append(bytes(event.payload))
        elif isinstance(event, CloseConnection):
            self.close_frame = (int(event.code), event.reason or "")
            self.send_close(1000 if event.code == 1005 else event.code)

    def _on_text(self, text: str) -> None:
        self.texts.append(text)

    def _end(self) -> None:
        self.close()

    def _forget(self) -> None:
        if not self.is_gone:
            self.is_gone = True
            self._reactor.unregister(self.sock.fileno())


class MessagingMemoryClient(MemoryClient):
    """Speaks the messaging protocol's JSON: `replies` by command id, `pushes` in order.

    Answers the server's `{}` pings unless `answers_pings` is set to False.
    """

    def __init__(self, reactor: Reactor, sock: MemorySocket, chance: random.Random) -> None:
        super().__init__(reactor, sock, chance)
        self.replies: dict[int, dict[str, Any]] = {}
        self.pushes: list[dict[str, Any]] = []
        self.heartbeats = 0
        self.answers_pings = True
        self._last_id = 0

    def command(self, **command: object) -> int:
        """Send a command, such as `command(subscribe={"channel": "a"})`; return its id."""
        self._last_id += 1
        self.send_text(json.dumps({"id": self._last_id, **command}))
        return self._last_id

    def publications(self, channel: str) -> list[Any]:
        """Return the data of the publications pushed for `channel`, in order."""
        return [
            push["pub"]["data"] for push in self.pushes if push.get("channel") == channel and "pub" in push
        ]

    def _on_text(self, text: str) -> None:
        super()._on_text(text)
        for line in text.split("\n"):
            message = json.loads(line)
            if "push" in message:
                self.pushes.append(message["push"])
            elif "id" in message:
                self.replies[message["id"]] = message
            else:
                self.heartbeats += 1
                if self.answers_pings:
                    self.send_text("{}")
