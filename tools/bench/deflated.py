"""Judges what a subscriber of a deflated broadcast received. Pure.

The generator in C compares compressed bytes among subscribers and writes those of the first to a
file; whether they inflate to what was published is found out here, outside the measured interval.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

from tools.bench.stream import stamp

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

RSV1 = 0x40
FLUSHED = b"\x00\x00\xff\xff"
"""What a sender cuts off a message's end, and a receiver appends (RFC 7692 section 7.2.2)."""

_HEADER = struct.Struct("=II")


def frames(dump: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (first byte, payload) of the frames in a generator's dump; raises ValueError if one is cut."""
    at = 0
    while at < len(dump):
        if at + _HEADER.size > len(dump):
            raise ValueError("the dump ends within a header")
        first, length = _HEADER.unpack_from(dump, at)
        at += _HEADER.size
        if at + length > len(dump):
            raise ValueError("the dump ends within a frame")
        yield first, dump[at : at + length]
        at += length


def first_fault(dump: bytes, documents: Sequence[bytes], stamp_at: int, *, fresh_context: bool) -> str:
    """Return what is wrong with the first frame that is not the message published, or "".

    Messages are `documents` in turns, each with its id over the 16 bytes at `stamp_at`. `fresh_context`:
    the server agreed to compress each message by itself (server_no_context_takeover).
    """
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    for number, (first, payload) in enumerate(frames(dump)):
        if fresh_context:
            inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        document = documents[number % len(documents)]
        expected = document[:stamp_at] + stamp(0, number) + document[stamp_at + 16 :]
        try:
            data = inflate.decompress(payload + FLUSHED, len(expected) + 1) if first & RSV1 else payload
        except zlib.error as error:
            return f"message {number} does not inflate: {error}"
        if data != expected:
            return f"message {number} inflates to something else"
    return ""
