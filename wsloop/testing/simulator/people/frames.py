"""RFC 6455 as a client writes and reads it, in as few steps as a run of millions of messages can pay for.

Shares no code with `wsloop.protocol`. Servers' frames are strict here: unmasked, in the shortest length, and,
since ours never fragments what it sends, whole.
"""

from __future__ import annotations

import struct
import zlib

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA
FIN, RSV1 = 0x80, 0x40

NO_MASK = b"\0\0\0\0"
"""A legal mask, under which the bytes are what they were."""

MAX_SHORT, MAX_MIDDLE = 125, 65_535

TAIL = b"\x00\x00\xff\xff"
"""What RFC 7692 section 7.2.1 has taken off a message's end."""


class NotAFrameError(Exception):
    """Bytes that no server may send; the text says why."""


def masked(opcode: int, payload: bytes, mask: bytes = NO_MASK, *, flags: int = FIN) -> bytes:
    """Return a client's frame; `flags` are the bits above the opcode."""
    length = len(payload)
    if length <= MAX_SHORT:
        head = bytes((flags | opcode, FIN | length))
    elif length <= MAX_MIDDLE:
        head = struct.pack("!BBH", flags | opcode, FIN | 126, length)
    else:
        head = struct.pack("!BBQ", flags | opcode, FIN | 127, length)
    if mask == NO_MASK:
        return head + mask + payload
    key = int.from_bytes((mask * (length // 4 + 1))[:length], "big")
    return head + mask + (int.from_bytes(payload, "big") ^ key).to_bytes(length, "big")


def unmasked(opcode: int, payload: bytes, *, flags: int = FIN) -> bytes:
    """Return a server's frame."""
    length = len(payload)
    if length <= MAX_SHORT:
        return bytes((flags | opcode, length)) + payload
    if length <= MAX_MIDDLE:
        return struct.pack("!BBH", flags | opcode, 126, length) + payload
    return struct.pack("!BBQ", flags | opcode, 127, length) + payload


def extent(data: bytes, start: int) -> tuple[int, int] | None:
    """Return where the payload of the frame at `start` begins and ends; None if the header is not whole.

    Raises NotAFrameError for a masked frame, a fragment, or a length that has a shorter form.
    """
    left = len(data) - start
    if left < 2:
        return None
    length = data[start + 1]
    begin = start + 2
    if length > MAX_SHORT:
        if length & FIN:
            raise NotAFrameError("a server's frame is masked")
        if length == 126:
            begin = start + 4
            if left < 4:
                return None
            length = data[start + 2] << 8 | data[start + 3]
            if length <= MAX_SHORT:
                raise NotAFrameError(f"a length of {length} takes two bytes more than it must")
        else:
            begin = start + 10
            if left < 10:
                return None
            length = int.from_bytes(data[start + 2 : begin], "big")
            if length <= MAX_MIDDLE:
                raise NotAFrameError(f"a length of {length} takes eight bytes")
    if not data[start] & FIN:
        raise NotAFrameError("a server's frame is a fragment")
    return begin, begin + length


def inflated(payload: bytes) -> bytes:
    """Return a message that was compressed on its own. Raises NotAFrameError if it was not."""
    try:
        return zlib.decompressobj(-15).decompress(payload + TAIL)
    except zlib.error as error:
        raise NotAFrameError(f"a compressed message is broken: {error}") from None


def deflated(payload: bytes) -> bytes:
    """Return a message compressed on its own."""
    deflate = zlib.compressobj(1, zlib.DEFLATED, -15, 1)
    return (deflate.compress(payload) + deflate.flush(zlib.Z_SYNC_FLUSH)).removesuffix(TAIL)
