"""One connection of a client's: the handshake, the frames, the close. The subclasses know what is said in it.

Sans-IO but for `send`: what arrives is handed in by `take`. Whatever no WebSocket server may do is a
violation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from wsloop.testing.simulator.people import frames
from wsloop.testing.simulator.people.frames import BINARY, CLOSE, PING, PONG, RSV1, TEXT

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.testing.simulator.line import Line
    from wsloop.testing.simulator.model.scene import Scene
    from wsloop.testing.simulator.people.town import Town
    from wsloop.testing.simulator.process import Process

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""The key of RFC 6455 section 1.3, and its only right answer."""

OFFER = "permessage-deflate; client_no_context_takeover; server_no_context_takeover"

HALF_HEARD = b"400"
"""How a request is answered that was cut off."""

TOO_LONG = "a frame took too long"
"""The reason with which 1008 ends a connection whose bytes come too slowly."""

REFUSALS = frozenset({b"408", b"429", b"503"})
"""What a client that does everything right may be refused with: too slow, too many, not now."""

WHOLE_SHARE = 0.2
"""Of connections on which every write arrives whole."""

MOST_PIECES = 5
"""What is written arrives in so many pieces, about."""

PIECE_S = 0.002
"""Most time between two pieces."""

OWN_FAULTS = frozenset({1011, 3004})
"""Close codes by which a server says that the fault is its own."""

NO_PONG = "no pong"
"""The reason with which `/echo` uses 1011 for a peer that does not answer (RFC 6455 has no better code)."""


def _nowhere(data: bytes) -> None:
    """Send bytes before there is a line."""


class Socket:
    """A client's end; `who` names it in violations.

    `send(data)` gives bytes to the network, and `is_cut_off` tells whether that has ended what this end says
    (`call` sets both).
    `is_open`: the server has said 101. `close_code`: what its close frame said, 1005 for nothing, 0 before it
    came. `refused`: the status of the answer, if it was not 101. `has_closed`: this end has said close.
    """

    __slots__ = (
        "_rest",
        "close_code",
        "has_closed",
        "is_cut_off",
        "is_deflated",
        "is_open",
        "refused",
        "scene",
        "send",
        "who",
    )  # fmt: skip

    def __init__(self, scene: Scene, who: str) -> None:
        self.scene = scene
        self.who = who
        self.send: Callable[[bytes], object] = _nowhere
        self.is_cut_off: Callable[[], bool] = bool
        self.is_open = self.is_deflated = self.has_closed = False
        self.close_code = 0
        self.refused = b""
        self._rest = b""

    # -- saying ------------------------------------------------------------------------------

    def upgrade(self, path: str, *, offers: bool = False, more: str = "") -> None:
        """Ask for a WebSocket; `offers` compression; `more` are further header lines, each ended."""
        extension = f"Sec-WebSocket-Extensions: {OFFER}\r\n" if offers else ""
        self.send(
            f"GET {path} HTTP/1.1\r\nHost: wsloop.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n{extension}{more}\r\n".encode()
        )

    def say_close(self, code: int = 1000) -> None:
        """Begin the close handshake, or end it; once."""
        if not self.has_closed:
            self.has_closed = True
            self.send(frames.masked(CLOSE, code.to_bytes(2, "big")))

    # -- hearing -----------------------------------------------------------------------------

    def take(self, data: bytes) -> None:
        """Take what has arrived. Raises Violation."""
        if self._rest:
            data = self._rest + data
            self._rest = b""
        start = 0 if self.is_open else self._take_head(data)
        size = len(data)
        while start < size:
            if self.close_code:
                self.scene.broken(
                    "close", f"{self.who} was sent {data[start:][:40]!r} behind the close frame"
                )
            first, length = data[start], data[start + 1] if start + 1 < size else 255
            if length <= frames.MAX_SHORT and first & frames.FIN:
                begin = start + 2
                end = begin + length
            else:
                begin, end = self._extent(data, start)
            if end > size:
                self._rest = data[start:]
                return
            if first == 0x81:
                self.on_text(data[begin:end])
            else:
                self._on_other(first, data[begin:end])
            start = end

    def _take_head(self, data: bytes) -> int:
        """Take the answer to the handshake; return where the first frame begins."""
        end = data.find(b"\r\n\r\n") + 4
        if end < 4 or self.refused:
            self._rest = data if not self.refused else b""
            return len(data)
        head = data[:end]
        status = head[9:12]
        if status != b"101":
            self.refused = status
            self.on_refused(status)
            return len(data)
        if b"\r\nSec-WebSocket-Accept: " + ACCEPT + b"\r\n" not in head:
            self.scene.broken("speech", f"{self.who} was answered {head!r}, which does not accept its key")
        self.is_open = True
        self.is_deflated = b"permessage-deflate" in head
        self.on_open()
        return end

    def _extent(self, data: bytes, start: int) -> tuple[int, int]:
        try:
            found = frames.extent(data, start)
        except frames.NotAFrameError as error:
            self._say_broken("speech", data[start:], str(error))
        return found or (start, len(data) + 1)

    def _say_broken(self, name: str, data: bytes, why: str) -> NoReturn:
        self.scene.broken(name, f"{self.who} was sent {data[:40]!r}: {why}")

    def _on_other(self, first: int, payload: bytes) -> None:
        """Take a frame that is no plain text."""
        opcode = first & 0x0F
        if first & RSV1 and self.is_deflated and opcode in (TEXT, BINARY):
            try:
                payload = frames.inflated(payload)
            except frames.NotAFrameError as error:
                self.scene.broken("speech", f"{self.who}: {error}")
        elif first & 0x70:
            self.scene.broken("speech", f"{self.who} was sent a frame that begins with {first:#x}")
        if opcode == TEXT:
            self.on_text(payload)
        elif opcode == BINARY:
            self.on_binary(payload)
        elif opcode == PING:
            self.on_ping(payload)
        elif opcode == PONG:
            self.on_pong(payload)
        elif opcode == CLOSE:
            self._on_close(payload)
        else:
            self.scene.broken("speech", f"{self.who} was sent a frame with opcode {opcode}")

    def _on_close(self, payload: bytes) -> None:
        self.close_code = code = int.from_bytes(payload[:2], "big") if payload else 1005
        reason = payload[2:].decode(errors="replace")
        if len(payload) == 1 or len(payload) > frames.MAX_SHORT or "\ufffd" in reason:
            self.scene.broken("speech", f"{self.who} was sent the close frame {payload!r}")
        if code in OWN_FAULTS and reason != NO_PONG:
            self.scene.broken("faults", f"{self.who} was closed with {code} {reason!r}")
        self.on_close(code, reason)
        self.say_close(1000 if code == 1005 else code)

    # -- what the subclasses hear --------------------------------------------------------------

    def on_open(self) -> None:
        """Hear that the WebSocket is there."""

    def on_refused(self, status: bytes) -> None:
        """Hear that there will be none."""
        if status not in REFUSALS and not (status == HALF_HEARD and self.is_cut_off()):
            self.scene.broken("speech", f"{self.who} was refused with {status.decode()}")

    def on_text(self, payload: bytes) -> None:
        """Hear a text message."""
        self.scene.broken("speech", f"{self.who} was sent the text {payload[:60]!r}")

    def on_binary(self, payload: bytes) -> None:
        """Hear a binary message."""
        self.scene.broken("speech", f"{self.who} was sent the bytes {payload[:60]!r}")

    def on_ping(self, payload: bytes) -> None:
        """Hear a ping, and answer it."""
        if not self.has_closed:
            self.send(frames.masked(PONG, payload))

    def on_pong(self, payload: bytes) -> None:
        """Hear a pong."""
        self.scene.broken("speech", f"{self.who} was sent the pong {payload!r}, having sent no ping")

    def on_close(self, code: int, reason: str) -> None:
        """Hear that the server closes, or has been told; this end answers."""


def call(
    town: Town, door: Process, socket: Socket, on_end: Callable[[Socket], object], host: str
) -> Line | None:
    """Return a new line on which `socket` listens and speaks, None if it is refused at once.

    `on_end(socket)` is called when the server's direction has ended, or the line is gone.
    """

    def on_bytes(data: bytes) -> None:
        town.moment()
        socket.take(data)

    def ended(_how: str) -> None:
        town.moment()
        on_end(socket)

    def is_cut_off() -> bool:
        return line is None or line.has_ended_writing

    line = town.world.dial(door, on_bytes, ended, host, socket.who)
    if line is not None:
        socket.is_cut_off = is_cut_off
        socket.send = line.write if town.chance.random() < WHOLE_SHARE else Pieces(town, line).send
    return line


class Pieces:
    """Sends what it is given in a few pieces, each somewhat later than the one before, as TCP often does.

    The trace has the whole as well: of a masked frame the pieces say nothing to a reader.
    """

    __slots__ = ("_chance", "_free_s", "_line", "_under_way", "_world")

    def __init__(self, town: Town, line: Line) -> None:
        self._world = town.world
        self._chance = town.chance
        self._line = line
        self._free_s = 0.0
        self._under_way = 0

    def send(self, data: bytes) -> None:
        """Give bytes to the line, some of them later."""
        chance, world = self._chance, self._world
        due_s = max(world.clock.now(), self._free_s)
        begin, size = 0, len(data)
        step = max(1, size // chance.randint(1, MOST_PIECES))
        while begin < size:
            end = min(size, begin + chance.randint(1, 2 * step))
            if not begin and end < size:
                world.trace.note("say", self._line.number, self._line.way, data)
            if begin or self._under_way:
                self._under_way += 1
                world.agenda.at(due_s, self._write, (data[begin:end],))
            else:
                self._line.write(data[begin:end])
            begin = end
            due_s += chance.random() * PIECE_S
        self._free_s = due_s

    def _write(self, piece: bytes) -> None:
        self._under_way -= 1
        self._line.write(piece)


def look_away(town: Town, line: Line, duration_s: float) -> None:
    """Read nothing for a while."""

    def look_back() -> None:
        if not line.is_over:
            line.go_on()

    if line.reads:
        line.stall()
        town.world.agenda.at(town.world.clock.now() + duration_s, look_back)
