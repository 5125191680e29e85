"""Many messaging clients at once, in one thread: bare non-blocking sockets turned by a reactor.

They parse just enough of what a server sends to know that it sent the right thing.
"""

from __future__ import annotations

import json
import socket
import time
from typing import TYPE_CHECKING, Any

from tests.system.daemon import PATIENCE_S
from tests.system.peers import MESSAGING, upgrade_request
from wsloop.loop.poller import READ, WRITE
from wsloop.testing.client import OPCODE_CLOSE, OPCODE_TEXT, masked_frame

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wsloop.loop.reactor import Reactor

MASK = b"\x21\x43\x65\x87"
MESSAGES = 10
"""What each guest publishes."""

PARTY_S = 10 * PATIENCE_S
"""How long a thousand guests may take for 200,000 messages, on what a busy machine leaves them."""


class Guest:
    """One client through its life; `offsets` are the publications it saw, `is_gone` tells of the end."""

    __slots__ = (
        "_buffer",
        "_reactor",
        "_room",
        "_sock",
        "close_code",
        "is_closing",
        "is_gone",
        "is_subscribed",
        "is_upgraded",
        "offsets",
        "replies",
    )

    def __init__(self, reactor: Reactor, address: tuple[str, int], room: str) -> None:
        self._reactor = reactor
        self._room = room
        self._buffer = b""
        self.is_upgraded = self.is_subscribed = self.is_closing = self.is_gone = False
        self.replies = 0
        self.offsets: list[int] = []
        self.close_code = 0
        self._sock = socket.socket()
        self._sock.setblocking(False)
        self._sock.connect_ex(address)  # EINPROGRESS: writable once it is through
        reactor.register(self._sock.fileno(), WRITE, self._on_ready)

    def publish(self) -> None:
        """Publish all messages, each in a frame of its own."""
        frames = []
        for number in range(MESSAGES):
            publish = {"channel": self._room, "data": {"text": f"message {number}"}}
            frames.append(_command({"id": number + 3, "publish": publish}))
        self._sock.sendall(b"".join(frames))

    def say_goodbye(self) -> None:
        """Begin the close handshake; nothing is sent behind it, which would reset the connection."""
        self.is_closing = True
        self._sock.sendall(masked_frame(OPCODE_CLOSE, b"\x03\xe8", MASK))

    def vanish(self) -> None:
        """Reset the connection."""
        linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.leave()

    def leave(self) -> None:
        """Close the socket; idempotent."""
        if not self.is_gone:
            self.is_gone = True
            self._reactor.unregister(self._sock.fileno())
            self._sock.close()

    def _on_ready(self, events: int) -> None:
        if events & WRITE:
            self._reactor.set_interest(self._sock.fileno(), READ)
            self._sock.sendall(upgrade_request(MESSAGING))
            return
        try:
            data = self._sock.recv(65536)
        except ConnectionResetError:
            data = b""  # gone without a close frame, which whoever wants one sees by the code
        if not data:
            self.leave()
            return
        self._buffer += data
        if not self.is_upgraded:
            head, separator, rest = self._buffer.partition(b"\r\n\r\n")
            if not separator:
                return
            assert head.startswith(b"HTTP/1.1 101 "), head
            self.is_upgraded = True
            self._buffer = rest
            subscribe = {"id": 2, "subscribe": {"channel": self._room}}
            self._sock.sendall(_command({"id": 1, "connect": {}}) + _command(subscribe))
        self._take_frames()

    def _take_frames(self) -> None:
        buffer, offset = self._buffer, 0
        while len(buffer) >= offset + 4:
            opcode, size, start = buffer[offset] & 0x0F, buffer[offset + 1], offset + 2
            if size == 126:
                size, start = int.from_bytes(buffer[start : start + 2], "big"), start + 2
            if len(buffer) < start + size:
                break
            self._on_frame(opcode, buffer[start : start + size])
            offset = start + size
        self._buffer = buffer[offset:]

    def _on_frame(self, opcode: int, payload: bytes) -> None:
        if opcode == OPCODE_CLOSE:
            self.close_code = int.from_bytes(payload[:2], "big")
            return
        assert opcode == OPCODE_TEXT
        for line in payload.split(b"\n"):
            self._on_message(json.loads(line))

    def _on_message(self, message: dict[str, Any]) -> None:
        assert "error" not in message, message
        if "push" in message:
            if "pub" in message["push"]:
                self.offsets.append(message["push"]["pub"]["offset"])
        elif message.get("id") == 2:
            self.is_subscribed = True
        elif "id" in message:
            self.replies += 1
        elif not self.is_closing:
            self._sock.sendall(_command({}))


def _command(command: dict[str, Any]) -> bytes:
    return masked_frame(OPCODE_TEXT, json.dumps(command).encode(), MASK)


class Party:
    """So many guests, in rooms of `room_size`; the same rooms each time."""

    def __init__(self, reactor: Reactor, address: tuple[str, int], count: int, room_size: int) -> None:
        self._reactor = reactor
        self._room_size = room_size
        rooms = [f"chat:room-{number // room_size}" for number in range(count)]
        self.guests = [Guest(reactor, address, room) for room in rooms]

    def arrive(self) -> None:
        """Wait until all are subscribed, all at the same time."""
        self._turn_until(lambda guest: guest.is_subscribed)

    def talk(self) -> None:
        """Let all publish; wait until each has seen every message of its room once, in order."""
        for guest in self.guests:
            guest.publish()
        heard = self._room_size * MESSAGES
        self._turn_until(lambda guest: guest.replies >= MESSAGES + 1 and len(guest.offsets) >= heard)
        for guest in self.guests:
            assert guest.offsets == list(range(guest.offsets[0], guest.offsets[0] + heard))

    def say_goodbye(self) -> None:
        """Let all close, and wait until the server has ended each connection."""
        for guest in self.guests:
            guest.say_goodbye()
        self._turn_until(lambda guest: guest.is_gone)
        assert {guest.close_code for guest in self.guests} == {1000}

    def vanish(self) -> None:
        """Let all be gone at once, without a word."""
        for guest in self.guests:
            guest.vanish()

    def close(self) -> None:
        """Close what a party that failed half-way has left open, so that it fails nobody else."""
        for guest in self.guests:
            guest.leave()

    def _turn_until(self, is_so: Callable[[Guest], bool]) -> None:
        waiting: Sequence[Guest] = self.guests

        def is_over() -> bool:
            nonlocal waiting
            waiting = [guest for guest in waiting if not is_so(guest)]
            return not waiting

        turn_until(self._reactor, is_over)


def turn_until(reactor: Reactor, is_over: Callable[[], bool]) -> None:
    """Turn the loop until `is_over()`; AssertionError if that takes too long."""
    deadline_s = time.monotonic() + PARTY_S
    alarm = reactor.call_later(PARTY_S, lambda: None)  # a loop that has nothing to do sleeps until then
    while not is_over():
        assert time.monotonic() < deadline_s, "nothing more happens"
        reactor.run_once()
    reactor.cancel(alarm)
