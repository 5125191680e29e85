"""permessage-deflate (RFC 7692), the outgoing half: payloads in, compressed frames out.

A compressor keeps nothing between two messages (`server_no_context_takeover`), so the same
compressed frame is right for every connection with the same window: a broadcast is compressed
once. Knows neither connections nor negotiation. Next: `deflate_offers.py` for what is agreed on,
`inflate.py` for the other direction.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from wsloop.protocol.frames import FIN, MAX_CONTROL_BYTES, Opcode, encode_frame, encode_header

if TYPE_CHECKING:
    from collections.abc import Callable

EMPTY_BLOCK = b"\x00\x00\xff\xff"
"""How every flushed message would end; not sent (RFC 7692 section 7.2.1)."""

SHARED_BROADCASTS = 4
"""Broadcasts whose compressed form is remembered: one is being sent to all, and a fan-out that is
spread over several turns may overlap with the next few."""

_PLAIN_DATA = (FIN | Opcode.TEXT, FIN | Opcode.BINARY)


@dataclass(frozen=True, slots=True)
class Backend:
    """Who compresses: zlib, or a library that does the same faster."""

    name: str
    compressobj: Callable[..., Any]
    """Called like `zlib.compressobj`; what it makes has `compress` and `flush`."""
    levels_per_step: int
    """How many of zlib's levels 1 to 9 are one of its own."""


ZLIB = Backend("zlib", zlib.compressobj, 1)


def choose_backend(import_: Callable[[str], Any] = import_module) -> Backend:
    """Return isal where it is installed (extra `fast`), else zlib.

    For compression only: isal's inflater reads ahead of the output that it hands out, so a bomb
    with a fault behind it would get 1007 instead of 1009.
    """
    try:
        isal = import_("isal.isal_zlib")
    except ImportError:
        return ZLIB
    return Backend("isal", isal.compressobj, 3)


BACKEND = choose_backend()


@dataclass(frozen=True, slots=True)
class DeflateOptions:
    """What an operator decides, and who compresses.

    Raises ValueError, naming the setting, for one that is out of range.

    The measurements behind the defaults are in `docs/internals/deflate.md`.
    """

    window_bits: int = 12
    """Base-two logarithm of the window, 9 to 15 (zlib has no raw deflate with 8). A message of
    JSON repeats itself within 4 KiB; 15 costs 180 KB while a message is compressed, not 40."""

    mem_level: int = 5
    """zlib's memLevel, 1 to 9: how much room the search for repetitions gets."""

    level: int = 3
    """1 (fast) to 9 (small). 3 costs what 1 does up to 4 KiB; 6 takes twice the time for 4 % less."""

    min_bytes: int = 512
    """A shorter payload is not compressed. From here on JSON shrinks to less than half; below,
    some 15 us of both sides' time buy under 250 bytes of a packet that is sent anyway."""

    client_context_takeover: bool = False
    """Whether a client may refer to its earlier messages: then up to 2**window_bits of them are
    kept for each connection. Otherwise an idle connection keeps nothing."""

    backend: Backend = BACKEND
    """Who compresses. isal does not make the same bytes of the same payload each time: where they must
    be, take `ZLIB`."""

    def __post_init__(self) -> None:
        """Check every setting; see the class."""
        for name, least, most in (
            ("window_bits", 9, 15),
            ("mem_level", 1, 9),
            ("level", 1, 9),
            ("min_bytes", 0, 2**31 - 1),
        ):
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= most:
                raise ValueError(f"{name} must be a whole number from {least} to {most}, not {value!r}")
        if type(self.client_context_takeover) is not bool:
            raise ValueError("client_context_takeover must be True or False")


class Compressor:
    """Makes frames for connections whose agreed server window is `window_bits`.

    Stateless but for a memory of the last broadcasts; get one from `compressor_for`.
    """

    __slots__ = ("_arguments", "_compressobj", "_min_bytes", "_shared")

    def __init__(self, options: DeflateOptions, window_bits: int) -> None:
        level = -(-options.level // options.backend.levels_per_step)
        self._compressobj = options.backend.compressobj
        self._arguments = (level, zlib.DEFLATED, -window_bits, options.mem_level)
        self._min_bytes = options.min_bytes
        self._shared: dict[int, tuple[bytes, bytes]] = {}

    def compress(self, payload: bytes | bytearray) -> bytes:
        """Return the payload of a compressed message, however large that is (RFC 7692 section 7.2.1)."""
        # A new object each time: copying a pristine one, 40 KB, takes 1 us longer (measured).
        compressor = self._compressobj(*self._arguments)
        compressed: bytes = compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)
        return compressed[: -len(EMPTY_BLOCK)]

    def compressed_frame(self, opcode: int, payload: bytes | bytearray) -> bytes | None:
        """Return one final, unmasked, compressed frame; None if `payload` is better sent as it is."""
        if len(payload) < self._min_bytes:
            return None
        compressed = self.compress(payload)
        if len(compressed) >= len(payload):
            return None
        return encode_header(opcode, len(compressed), rsv1=True) + compressed

    def encode_frame(self, opcode: int, payload: bytes | bytearray) -> bytes:
        """Return one final, unmasked frame around `payload`: compressed, or plain if that is no gain."""
        return self.compressed_frame(opcode, payload) or encode_frame(opcode, payload)

    def recode(self, frames: bytes) -> bytes:
        """Return whole, unmasked frames of ours with each message compressed that gains by it.

        Control frames, fragments and what is compressed already stay as they are.
        """
        if len(frames) < self._min_bytes:
            return frames
        pieces: list[bytes] = []
        offset, size = 0, len(frames)
        while offset < size:
            start, length = offset + 2, frames[offset + 1]
            if length > MAX_CONTROL_BYTES:
                start += 2 if length == 126 else 8
                length = int.from_bytes(frames[offset + 2 : start], "big")
            end = start + length
            compressed = None
            if frames[offset] in _PLAIN_DATA:
                compressed = self.compressed_frame(frames[offset] & 0x0F, frames[start:end])
            pieces.append(compressed or frames[offset:end])
            offset = end
        return b"".join(pieces)

    def shared_frames(self, frames: bytes) -> bytes:
        """Return the same as `recode`, remembered: for broadcasts.

        Called with the very same object for one receiver after the other, it compresses once
        and returns the very same object.
        """
        if len(frames) < self._min_bytes:
            return frames
        known = self._shared.get(id(frames))
        if known is None:
            known = (frames, self.recode(frames))  # with the key's object, so that its id stays taken
            if len(self._shared) >= SHARED_BROADCASTS:
                del self._shared[next(iter(self._shared))]
            self._shared[id(frames)] = known
        return known[1]


@cache
def compressor_for(options: DeflateOptions, window_bits: int) -> Compressor:
    """Return the one compressor for these options and this window, 9 to 15."""
    return Compressor(options, window_bits)
