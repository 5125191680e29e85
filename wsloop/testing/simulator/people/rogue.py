"""Somebody who means harm, or knows no better: noise, broken frames, floods, half of everything.

What becomes of them is the server's affair; but even to them it speaks whole frames, and nothing behind a
close.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsloop.server.assembly import CONNECTION_PATH
from wsloop.testing.simulator.checkers import deadlines
from wsloop.testing.simulator.people import frames
from wsloop.testing.simulator.people.frames import BINARY, CLOSE, FIN, PING, PONG, TEXT
from wsloop.testing.simulator.people.socket import Socket, call

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from wsloop.testing.simulator.line import Line
    from wsloop.testing.simulator.people.town import Town
    from wsloop.testing.simulator.world import World

LIFETIME_S = 20.0
"""After which a rogue has enough of a connection."""

TRICKLE_SHARE = 0.4
"""Of connections, on which one frame is said, byte by byte: who is heard is not taken for dead."""

TRICKLED_BYTES = 4000
"""Of that frame: less than the server may let take its time, since it holds memory for it."""

TRICKLE_S = 0.5
"""Most time between two bytes."""


class RogueSocket(Socket):
    """A connection whose owner does not listen."""

    __slots__ = ()

    def on_refused(self, status: bytes) -> None:
        """See `Socket.on_refused`: no wonder."""

    def on_text(self, payload: bytes) -> None:
        """See `Socket.on_text`."""

    def on_binary(self, payload: bytes) -> None:
        """See `Socket.on_binary`."""

    def on_pong(self, payload: bytes) -> None:
        """See `Socket.on_pong`."""


class Rogue:
    """One of `town`'s."""

    def __init__(self, town: Town, name: str) -> None:
        self.town = town
        self.name = name
        self.chance: Random = town.world.choices.stream(f"person {name}")
        self.line: Line | None = None
        self.socket: RogueSocket | None = None
        self._pause_s = self.chance.choice((0.05, 0.3))
        self._dialled_s = self._trickles_since_s = 0.0
        self._trickles = self._is_last = False

    def act(self, world: World) -> None:
        """See `Actor.act`."""
        town = self.town
        if town.is_over:
            return
        town.moment()
        pause_s = town.pause_s(self.chance, self._pause_s)
        world.wake(self, min(pause_s, TRICKLE_S) if self._trickles or world.is_calm else pause_s)
        if world.is_calm and not self._trickles_last():
            self.hang_up()
        elif self.line is None or self.socket is None:
            self._dial()
        elif self._trickles and self.socket.is_open and not self.socket.close_code:
            self._trickle(self.line)
        elif town.scene.now_s > self._dialled_s + LIFETIME_S or self.chance.random() < 0.02:
            self.hang_up()
        elif self.socket.is_open:
            self.chance.choice(TRICKS)(self, self.socket)
        elif self.chance.random() < 0.1:
            self.line.write(self.chance.randbytes(self.chance.randrange(1, 60)))

    def hang_up(self) -> None:
        """Close the socket, without a word."""
        if self.line is not None:
            self.line.leave()
        self.line = self.socket = None

    def _dial(self) -> None:
        town, chance = self.town, self.chance
        self._dialled_s = town.scene.now_s
        self._is_last = town.world.is_calm
        self._trickles, self._trickles_since_s = self._is_last or chance.random() < TRICKLE_SHARE, 0.0
        socket = RogueSocket(town.scene, self.name)
        self.line = line = call(town, chance.choice(town.world.doors), socket, self._on_end, "10.0.2.1")
        if line is None:
            return
        self.socket = socket
        draw = chance.random()
        if self._trickles:
            socket.upgrade("/echo")
            socket.send = _nowhere  # not even a pong: it would stand in the middle of the frame
        elif draw < 0.15:
            line.write(chance.randbytes(chance.randrange(1, 400)))
        elif draw < 0.3:
            line.write(_half_a_handshake(chance))
        elif draw < 0.4:
            socket.upgrade("/echo", more=chance.choice(BAD_LINES))
        else:
            socket.upgrade(chance.choice((CONNECTION_PATH, "/echo")))

    def _trickles_last(self) -> bool:
        """Whether, in the calm, there is one more frame to trickle, and time to see what becomes of it."""
        if self._is_last:
            return self.line is not None and self.town.scene.now_s < self._dialled_s + LIFETIME_S
        if self.line is not None:
            self.hang_up()
        return True

    def _trickle(self, line: Line) -> None:
        """Send a byte more of a frame that takes too long: the server must see to it that it ends."""
        now_s = self.town.scene.now_s
        if not self._trickles_since_s:
            self._trickles_since_s = now_s
            head = bytes((FIN | BINARY, 0x80 | 126)) + TRICKLED_BYTES.to_bytes(2, "big") + b"mask"
            line.write(head)
        elif line.is_sound:
            line.write(b"x")
            deadlines.check_frame(self.town.scene, self.name, self._healthy_since_s())
        else:
            self.hang_up()

    def _healthy_since_s(self) -> float:
        """Return since when the frame takes, and nothing has kept the server from ending it."""
        world = self.town.world
        stopped_s = max(each.stopped_until_s for each in world.processes)
        return max(self._trickles_since_s, world.weather.troubled_s, stopped_s)

    def _on_end(self, socket: Socket) -> None:
        if socket is self.socket:
            self.hang_up()


def _nowhere(_data: bytes) -> None:
    """Say nothing."""


BAD_LINES = (
    "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=99\r\n",
    "Sec-WebSocket-Protocol: \xff\r\n",
    "Content-Length: 5\r\n",
    "Sec-WebSocket-Version: 12\r\n",
    " folded\r\n",
    f"X: {'y' * 9000}\r\n",
)
"""Header lines that a handshake must not have."""


def _half_a_handshake(chance: Random) -> bytes:
    whole = b"GET /echo HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    return whole[: chance.randrange(1, len(whole))]


# -- tricks: what one does on an open WebSocket ----------------------------------------------------


def noise(rogue: Rogue, socket: RogueSocket) -> None:
    """Send bytes that mean nothing."""
    socket.send(rogue.chance.randbytes(rogue.chance.randrange(1, 300)))


def flood(rogue: Rogue, socket: RogueSocket) -> None:
    """Send pings, or pongs, more than anybody may."""
    opcode = rogue.chance.choice((PING, PONG))
    socket.send(frames.masked(opcode, b"flood") * rogue.chance.choice((5, 60, 60, 600)))


def drip(rogue: Rogue, socket: RogueSocket) -> None:
    """Begin a frame, and leave it at that."""
    whole = frames.masked(TEXT, b"x" * rogue.chance.choice((10, 300, 50_000)), b"abcd")
    socket.send(whole[: rogue.chance.randrange(1, len(whole))])


def shred(rogue: Rogue, socket: RogueSocket) -> None:
    """Send a message in more fragments than anybody may, or empty ones."""
    count = rogue.chance.choice((3, 3, 3, 3, 1100))
    socket.send(
        frames.masked(BINARY, b"", flags=0)
        + frames.masked(0, b"z"[: rogue.chance.randrange(2)], flags=0) * count
    )


def boast(rogue: Rogue, socket: RogueSocket) -> None:
    """Announce more than anybody may send."""
    length = rogue.chance.choice((2 * 1024 * 1024, 2**62))
    socket.send(bytes((FIN | BINARY, 255)) + length.to_bytes(8, "big") + b"mask")


def break_a_rule(rogue: Rogue, socket: RogueSocket) -> None:
    """Send one frame that RFC 6455 forbids."""
    socket.send(
        rogue.chance.choice((
            frames.unmasked(TEXT, b"not masked"),
            frames.masked(TEXT, b"\xff\xfe"),
            frames.masked(3, b""),
            frames.masked(PING, b"", flags=0),
            frames.masked(0, b"no beginning"),
            frames.masked(CLOSE, b"\x03"),
            frames.masked(CLOSE, b"\x03\xed"),
            frames.masked(TEXT, b"reserved", flags=FIN | 0x20),
        ))
    )  # fmt: skip


def talk_nonsense(rogue: Rogue, socket: RogueSocket) -> None:
    """Say what is no command, or not now."""
    socket.send(frames.masked(TEXT, rogue.chance.choice(NONSENSE)))


def chatter(rogue: Rogue, socket: RogueSocket) -> None:
    """Connect, and ask far more than there is time for in a turn."""
    lines = [b'{"id":1,"connect":{}}']
    lines += [b'{"id":%d}' % number for number in range(2, rogue.chance.choice((5, 5, 700)))]
    socket.send(frames.masked(TEXT, b"\n".join(lines)))


def go(_rogue: Rogue, socket: RogueSocket) -> None:
    """Close, and talk on."""
    socket.say_close()
    socket.send(frames.masked(TEXT, b"one more thing"))


NONSENSE = (
    b"",
    b"{",
    b"[]",
    b"{}\n\n{}",
    b'{"id":0,"connect":{}}',
    b'{"id":1,"subscribe":{"channel":"s:a"}}',
    b'{"id":1,"connect":{"token":"broken"}}',
    b'{"id":-1,"connect":{}}',
    b'{"id":1}',
    b'{"connect":{}}\n' * 40,
    b'{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":""}}',
    b'{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"x:y"}}\n{"id":3,"publish":{"channel":"s:a"}}',
    b'{"id":1,"connect":{}}\n{"id":2,"rpc":{}}\n{"id":3,"nothing":{}}\n{"send":{}}',
    b'{"id":1,"connect":{}}\n{"id":2,"history":{"channel":"s:a","limit":-1,"reverse":true,"since":{"offset":0}}}',
)

TRICKS: tuple[Callable[[Rogue, RogueSocket], None], ...] = (
    noise, flood, drip, shred, boast, break_a_rule, talk_nonsense, chatter, go,
)  # fmt: skip
