"""Somebody who talks to `/echo` and wants every byte back: fragmented, compressed, pings between."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from wsloop.testing.simulator.checkers import p8_liveness
from wsloop.testing.simulator.people import frames
from wsloop.testing.simulator.people.frames import BINARY, FIN, PING, RSV1, TEXT
from wsloop.testing.simulator.people.socket import NO_PONG, TOO_LONG, Socket, call, look_away

if TYPE_CHECKING:
    from random import Random

    from wsloop.testing.simulator.line import Line
    from wsloop.testing.simulator.model.scene import Scene
    from wsloop.testing.simulator.people.town import Town
    from wsloop.testing.simulator.world import World

SIZES = (0, 1, 5, 60, 125, 126, 300, 1500, 5000, 16_384, 40_000, 70_000)
"""Of messages, in bytes: around each boundary of the format, and above what a read or a flush takes."""

WAITING = 20
"""Messages without an echo, with which one waits."""

PING_EVERY_S = 0.25
"""Slower than the server allows."""

PATIENCE_S = 40.0

LEAVE_S = 12.0
"""In the calm nobody waits longer for an echo: what was late has come, and who looked away has looked back.
Only a line that was made slow may need minutes for what is under way."""

KNOWN_ENDS = frozenset({1000, 1001, 1005, 1012, 1013})

REASONS = (NO_PONG, TOO_LONG, "slow q=")
"""With which it may be closed as well."""


class EchoSocket(Socket):
    """A connection to `/echo`.

    `expected`: what was said and has not come back, opcode and payload, and how many pings were said before.
    `pinged`: the pings that were said, from the first on that may still be answered; `pings`: how many in
    all.
    """

    __slots__ = ("expected", "pinged", "pings")

    def __init__(self, scene: Scene, who: str) -> None:
        super().__init__(scene, who)
        self.expected: deque[tuple[int, bytes, int]] = deque()
        self.pinged: deque[bytes] = deque()
        self.pings = 0

    def on_text(self, payload: bytes) -> None:
        """See `Socket.on_text`."""
        self._compare(TEXT, payload)

    def on_binary(self, payload: bytes) -> None:
        """See `Socket.on_binary`."""
        self._compare(BINARY, payload)

    @property
    def owed(self) -> str:
        """What the server has not answered, for a sentence; "" if it has answered everything."""
        if not self.is_open:
            return "" if self.refused else "the handshake"
        if self.expected:
            opcode, said, _ = self.expected[0]
            return (
                f"{'text' if opcode == TEXT else 'binary'} {said[:40]!r}, nor {len(self.expected) - 1} more"
            )
        return f"the ping {self.pinged[-1]!r}" if self.pinged else ""

    def _compare(self, opcode: int, payload: bytes) -> None:
        if not self.expected:
            self.scene.broken(
                "speech", f"{self.who} was echoed {payload[:40]!r} without having said anything"
            )
        said_opcode, said, pings = self.expected.popleft()
        if (opcode, payload) != (said_opcode, said):
            self.scene.broken(
                "speech",
                f"{self.who} said {len(said)} bytes {said[:40]!r} and was echoed {payload[:40]!r}",
            )
        if self.pinged and pings == self.pings:
            # Of several pings the last is answered at least, before what is said behind it.
            self.scene.broken(
                "speech", f"{self.who} was echoed {payload[:40]!r} before its ping was answered"
            )

    def on_pong(self, payload: bytes) -> None:
        """See `Socket.on_pong`: pongs may be left out, but not come out of turn."""
        while self.pinged:
            if self.pinged.popleft() == payload:
                return
        super().on_pong(payload)

    def on_close(self, code: int, reason: str) -> None:
        """See `Socket.on_close`."""
        if not self.has_closed and code not in KNOWN_ENDS and not reason.startswith(REASONS):
            self.scene.broken(
                "speech", f"{self.who}, who did nothing wrong, was closed with {code} {reason!r}"
            )


class Echoer:
    """One of `town`'s who talks to the echo."""

    def __init__(self, town: Town, name: str) -> None:
        self.town = town
        self.name = name
        self.chance: Random = town.world.choices.stream(f"person {name}")
        self.line: Line | None = None
        self.socket: EchoSocket | None = None
        self._pause_s = self.chance.choice((0.02, 0.1, 0.5))
        self._deflates = self.chance.random() < 0.3
        self._dialled_s = self._pinged_s = 0.0
        self._said = 0

    def act(self, world: World) -> None:
        """See `Actor.act`."""
        town = self.town
        if town.is_over:
            return
        town.moment()
        world.wake(self, town.pause_s(self.chance, self._pause_s))
        now_s = town.scene.now_s
        socket = self.socket
        if socket is None:
            if not town.is_quiet:
                self._dial()
        elif town.is_quiet and now_s > max(town.calm_since_s, self._dialled_s) + LEAVE_S:
            self._check_answered(socket)
            self.hang_up()
        elif socket.has_closed or not socket.is_open:
            if now_s > self._dialled_s + PATIENCE_S:
                self.hang_up()
        elif not town.is_quiet:
            self._talk(socket)
        elif not socket.owed:
            self.hang_up()

    def _check_answered(self, socket: EchoSocket) -> None:
        """P8 of the echo: on a line that nothing has spoilt all that was said is answered by now."""
        line = self.line
        if line is None or socket.has_closed or socket.close_code or not line.is_sound:
            return
        p8_liveness.check_answered(socket.scene, self.name, socket.owed)

    def hang_up(self) -> None:
        """Close the socket, without a word."""
        if self.line is not None:
            self.line.leave()
        self.line = self.socket = None

    def _dial(self) -> None:
        town, chance = self.town, self.chance
        self._dialled_s = town.scene.now_s
        socket = EchoSocket(town.scene, self.name)
        self.line = call(town, chance.choice(town.world.doors), socket, self._on_end, "10.0.1.1")
        if self.line is not None:
            self.socket = socket
            self.line.capacity_bytes = town.capacity_bytes
            socket.upgrade("/echo", offers=self._deflates)

    def _on_end(self, socket: Socket) -> None:
        if socket is self.socket:
            self.hang_up()

    def _talk(self, socket: EchoSocket) -> None:
        draw = self.chance.random()
        if draw < 0.8:
            if len(socket.expected) < WAITING:
                self._say(socket)
        elif draw < 0.9:
            self._ping(socket)
        elif draw < 0.93 and self.line is not None:
            look_away(self.town, self.line, self.chance.uniform(0, 3))
        elif draw < 0.94:
            socket.say_close(self.chance.choice((1000, 1001, 3000, 4999)))

    def _say(self, socket: EchoSocket) -> None:
        """Say one message, whole or in pieces."""
        chance = self.chance
        self._said += 1
        opcode = chance.choice((TEXT, TEXT, BINARY))
        size = chance.choice(SIZES[: chance.choice((6, 8, len(SIZES)))])
        payload = (b"%d " % self._said * (size // 3 + 1))[:size]
        socket.expected.append((opcode, payload, socket.pings))
        flags = 0
        if socket.is_deflated and chance.random() < 0.7:
            payload, flags = frames.deflated(payload), RSV1
        mask = chance.randbytes(4)
        if chance.random() < 0.7:
            socket.send(frames.masked(opcode, payload, mask, flags=FIN | flags))
            return
        cuts = sorted(chance.randrange(len(payload) + 1) for _ in range(chance.randrange(1, 4)))
        pieces = [payload[begin:end] for begin, end in zip((0, *cuts), (*cuts, len(payload)), strict=True)]
        for index, piece in enumerate(pieces):
            is_last = index == len(pieces) - 1
            socket.send(frames.masked(opcode, piece, mask, flags=flags | (FIN if is_last else 0)))
            opcode, flags = 0, 0
            if not is_last:
                self._ping(socket)

    def _ping(self, socket: EchoSocket) -> None:
        now_s = self.town.scene.now_s
        if now_s >= self._pinged_s + PING_EVERY_S:
            self._pinged_s = now_s
            payload = b"%d " % socket.pings + self.chance.randbytes(self.chance.choice((0, 4, 120)))
            socket.pinged.append(payload)
            socket.pings += 1
            socket.send(frames.masked(PING, payload, self.chance.randbytes(4)))
