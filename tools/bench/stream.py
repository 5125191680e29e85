"""What the generator in Python sends on one connection, and how it judges what returns.

Pure: no socket, no clock. `load/messages.h` does the same for `load/echo.c`.
"""

from __future__ import annotations

import hashlib
import os
import struct

FILLER = b"the quick brown fox jumps over the lazy dog. "


class EchoError(Exception):
    """What came back is not what was sent; `kind` is a field of `Errors`."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


def stamp(connection: int, number: int) -> bytes:
    """Return a message's id: 16 hexadecimal digits, the lowest first."""
    return f"{connection << 40 | number:016x}"[::-1].encode()


def payload(size: int, connection: int, number: int) -> bytes:
    """Return message `number` of `connection`: `size` bytes of ASCII that begin with both numbers."""
    return (stamp(connection, number) + FILLER * (size // len(FILLER) + 1))[:size]


def masked_frame(opcode: int, data: bytes, key: bytes) -> bytes:
    """Return a client's FIN frame (RFC 6455 section 5.2)."""
    size = len(data)
    if size < 126:
        header = struct.pack("!BB", 0x80 | opcode, 0x80 | size)
    elif size < 65536:
        header = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, size)
    else:
        header = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, size)
    wide = (key * (size // 4 + 1))[:size]
    mixed = int.from_bytes(data, "big") ^ int.from_bytes(wide, "big")
    return header + key + mixed.to_bytes(size, "big")


class Stream:
    """One connection's messages: makes those to send, checks those that return. No I/O.

    `pongs` are frames that answer pings; the caller sends and clears them.
    """

    def __init__(self, connection: int, size: int, *, binary: bool, raw: bool) -> None:
        self._connection = connection
        self._size = size
        self._opcode = 2 if binary else 1
        self._raw = raw
        self._buffer = bytearray()
        self._message = bytearray()
        self._in_message = False
        self.sent = self.received = 0
        self.pongs: list[bytes] = []
        self.close_seen = False

    def next_frame(self) -> bytes:
        """Return the next message's frame."""
        frame = self._frame(self.sent)
        self.sent += 1
        return frame

    def _frame(self, number: int) -> bytes:
        key = hashlib.blake2b(b"%d %d" % (self._connection, number), digest_size=4).digest()
        return masked_frame(self._opcode, payload(self._size, self._connection, number), key)

    def receive(self, data: bytes) -> int:
        """Take bytes; return how many messages they completed. Raises EchoError."""
        before = self.received
        self._buffer += data
        while not self.close_seen and (self._take_raw() if self._raw else self._take_frame()):
            pass
        return self.received - before

    def _take_raw(self) -> bool:
        if not self._buffer:
            return False
        expected = self._frame(self.received)
        if len(self._buffer) < len(expected):
            return False
        self._complete(bytes(self._buffer[: len(expected)]), expected)
        del self._buffer[: len(expected)]
        return True

    def _complete(self, data: bytes, expected: bytes) -> None:
        if self.received == self.sent:
            raise EchoError("wrong", "a message that was never sent")
        if data != expected:
            raise EchoError("wrong", f"message {self.received} came back changed")
        self.received += 1

    def _take_frame(self) -> bool:
        buffer = self._buffer
        if len(buffer) < 2:
            return False
        code = buffer[1] & 127
        extended = {126: 2, 127: 8}.get(code, 0)
        start = 2 + extended
        if len(buffer) < start:
            return False
        size = int.from_bytes(buffer[2:start], "big") if extended else code
        self._check_header(buffer[0], buffer[1], size, extended)
        if len(buffer) < start + size:
            return False
        data, first = bytes(buffer[start : start + size]), buffer[0]
        del buffer[: start + size]
        self._take_payload(first & 15, data, fin=bool(first & 0x80))
        return True

    def _check_header(self, first: int, second: int, size: int, extended: int) -> None:
        opcode = first & 15
        if first & 0x70 or second & 0x80:
            raise EchoError("protocol", "reserved bits or a mask")
        if (extended == 2 and size < 126) or (extended == 8 and size < 65536):
            raise EchoError("protocol", f"length {size} is not in its shortest form")
        if opcode >= 8:
            if opcode > 10 or not first & 0x80 or size > 125:
                raise EchoError("protocol", "bad control frame")
        elif opcode != (0 if self._in_message else self._opcode):
            raise EchoError("wrong", f"opcode {opcode}, sent {self._opcode}")
        elif len(self._message) + size > self._size:
            raise EchoError("wrong", f"message {self.received} is longer than {self._size} bytes")

    def _take_payload(self, opcode: int, data: bytes, *, fin: bool) -> None:
        if opcode == 9:
            self.pongs.append(masked_frame(10, data, os.urandom(4)))
        elif opcode == 8:
            self.close_seen = True
        elif opcode != 10:
            self._message += data
            self._in_message = not fin
            if fin:
                self._complete(bytes(self._message), payload(self._size, self._connection, self.received))
                self._message.clear()
