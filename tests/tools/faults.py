"""Wrong echoes of one message, each with the kind of error it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.tools.scripted import frame

if TYPE_CHECKING:
    from collections.abc import Callable

TEXT = 0x81
FAULTS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "first byte changed": ("wrong", lambda data: frame(TEXT, bytes([data[0] ^ 1]) + data[1:])),
    "last byte changed": ("wrong", lambda data: frame(TEXT, data[:-1] + bytes([data[-1] ^ 1]))),
    "one byte short": ("wrong", lambda data: frame(TEXT, data[:-1])),
    "one byte long": ("wrong", lambda data: frame(TEXT, data + b"x")),
    "empty": ("wrong", lambda _: frame(TEXT, b"")),
    "as binary": ("wrong", lambda data: frame(0x82, data)),
    "twice": ("wrong", lambda data: frame(TEXT, data) * 2),
    "fragment too long": ("wrong", lambda data: frame(0x01, data) + frame(0x80, b"x")),
    "continuation first": ("wrong", lambda data: frame(0x80, data)),
    "masked": ("protocol", lambda data: bytes([TEXT, 0x80 | len(data)]) + bytes(4) + data),
    "reserved bit": ("protocol", lambda data: frame(TEXT | 0x40, data)),
    "length not shortest": ("protocol", lambda data: bytes([TEXT, 126, 0, len(data)]) + data),
    "reserved opcode": ("protocol", lambda data: frame(0x8B, data)),
    "fragmented ping": ("protocol", lambda data: frame(0x09, b"") + frame(TEXT, data)),
}
