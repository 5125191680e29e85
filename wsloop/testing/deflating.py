"""Compressed messages as plain values, and the parameters of permessage-deflate (RFC 7692).

`DeflateParameters` are one offer or answer; `Deflated` is a message before it is compressed, so that a
failing example shows what was said, not what zlib made of it. Needs no hypothesis. See `wire.py`.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from wsloop.testing.wire import BINARY, CONTINUATION, PLAIN_MASK, RSV1, TEXT, Frame, Shown, as_bytes, shown

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "EMPTY_BLOCK",
    "BrokenOffer",
    "DeflateParameters",
    "Deflated",
    "Deflater",
    "deflated",
    "deflated_binary",
    "deflated_text",
    "final_block",
    "fragments",
]

EMPTY_BLOCK = b"\x00\x00\xff\xff"
"""What a flush ends with, and a sender leaves out (RFC 7692 section 7.2.1)."""


@dataclass(frozen=True)
class DeflateParameters:
    """One offer of permessage-deflate, or the answer to it (RFC 7692 section 7.1).

    `server_bits` and `client_bits` are windows, 8 to 15, None if not named; `client_limits` is
    `client_max_window_bits` without a value, which an offer may hold.
    """

    server_no_takeover: bool = False
    client_no_takeover: bool = False
    server_bits: int | None = None
    client_bits: int | None = None
    client_limits: bool = False

    def header(self) -> str:
        """Return it as an item of Sec-WebSocket-Extensions."""
        parts = ["permessage-deflate"]
        parts += ["server_no_context_takeover"] if self.server_no_takeover else []
        parts += ["client_no_context_takeover"] if self.client_no_takeover else []
        parts += [f"server_max_window_bits={self.server_bits}"] if self.server_bits else []
        if self.client_bits:
            parts.append(f"client_max_window_bits={self.client_bits}")
        elif self.client_limits:
            parts.append("client_max_window_bits")
        return "; ".join(parts)


@dataclass(frozen=True)
class BrokenOffer:
    """An offer that a server must decline (RFC 7692 section 7.1): its text, and what is `wrong` with it."""

    text: str
    wrong: str

    def header(self) -> str:
        """Return it as an item of Sec-WebSocket-Extensions."""
        return self.text


class Deflater:
    """A sender of compressed messages, on plain zlib.

    `bits` is its window; with `takeover` messages refer back to earlier ones; `level` and `mem_level` are
    zlib's.
    """

    def __init__(self, bits: int = 15, *, level: int = 6, mem_level: int = 8, takeover: bool = False) -> None:
        # zlib cannot make a window of 8 bits; one of 9 needs no more to be inflated (RFC 7692 section 7.1.2.1
        # leaves it to the sender to use less).
        self._arguments = (level, zlib.DEFLATED, -max(bits, 9), mem_level)
        self._takeover = takeover
        self._compressor = zlib.compressobj(*self._arguments)

    def message(self, data: bytes, *, is_final: bool = False) -> bytes:
        """Return the payload of a compressed message that says `data`.

        With `is_final` its last block has BFINAL set (RFC 7692 section 7.2.3.4), and the next message does
        not refer back.
        """
        if not self._takeover:
            self._compressor = zlib.compressobj(*self._arguments)
        if is_final:
            finished = self._compressor.compress(data) + self._compressor.flush(zlib.Z_FINISH) + b"\x00"
            self._compressor = zlib.compressobj(*self._arguments)
            return finished
        flushed = self._compressor.compress(data) + self._compressor.flush(zlib.Z_SYNC_FLUSH)
        return flushed.removesuffix(EMPTY_BLOCK)


def deflated(data: bytes, bits: int = 15) -> bytes:
    """Return the payload of a compressed message that says `data`."""
    return Deflater(bits).message(data)


def final_block(data: bytes) -> bytes:
    """Return `data` in deflate blocks of which the last has BFINAL set (RFC 7692 section 7.2.3.4)."""
    compressor = zlib.compressobj(6, zlib.DEFLATED, -15)
    return compressor.compress(data) + compressor.flush(zlib.Z_FINISH)


@dataclass(frozen=True, repr=False)
class Deflated(Shown):
    """A message to be sent compressed; its compressed bytes are cut into fragments at `cuts`.

    With `is_final` it ends with a final block. Made with `deflated_text` and `deflated_binary`.
    """

    opcode: int
    data: bytes
    cuts: tuple[int, ...] = ()
    is_final: bool = False

    def frames(self, deflater: Deflater) -> list[Frame]:
        """Return its frames, RSV1 on the first; `deflater` has sent what came before."""
        return fragments(self.opcode, deflater.message(self.data, is_final=self.is_final), self.cuts)

    def __repr__(self) -> str:
        name = "deflated_text" if self.opcode == TEXT else "deflated_binary"
        said = [shown(self.data.decode()) if self.opcode == TEXT else shown(self.data)]
        said += [f"cuts={self.cuts!r}"] if self.cuts else []
        said += ["is_final=True"] if self.is_final else []
        return f"{name}({', '.join(said)})"


def deflated_text(data: str, cuts: tuple[int, ...] = (), *, is_final: bool = False) -> Deflated:
    """Return a text message to be sent compressed."""
    return Deflated(TEXT, as_bytes(data), cuts, is_final)


def deflated_binary(data: bytes, cuts: tuple[int, ...] = (), *, is_final: bool = False) -> Deflated:
    """Return a binary message to be sent compressed."""
    return Deflated(BINARY, data, cuts, is_final)


def fragments(
    opcode: int,
    payload: bytes,
    cuts: Iterable[int] = (),
    *,
    rsv: int = RSV1,
    mask: bytes | None = PLAIN_MASK,
) -> list[Frame]:
    """Return a message's frames, its payload cut at `cuts` (modulo its length); `rsv` is set on the first.

    A cut at an end makes an empty frame.
    """
    points = sorted({cut % (len(payload) + 1) for cut in cuts})
    parts = [payload[start:stop] for start, stop in pairwise([0, *points, len(payload)])]
    last = len(parts) - 1
    return [
        Frame(CONTINUATION if i else opcode, part, fin=i == last, rsv=0 if i else rsv, mask=mask)
        for i, part in enumerate(parts)
    ]
