"""Frames and cuts as plain values: what a test sends, written as one would say it.

`text("hello")`, `ping(b"?")`, `close(1000, "bye")` are frames; so is what no client should send:
`frame(3, b"", rsv=2)`. Their repr is the call that makes them, so that a failing example reads like a
conversation and can be pasted into a test. Independent of `wsloop.protocol`, and needs no hypothesis.
Next: `deflating.py` for compressed messages, and `strategies/`, which draws all of these.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from struct import pack
from typing import TYPE_CHECKING, AnyStr, Protocol, TypedDict, Unpack

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "BINARY",
    "CLOSE",
    "CONTINUATION",
    "PING",
    "PLAIN_MASK",
    "PONG",
    "RSV1",
    "TEXT",
    "WHOLE",
    "Cutting",
    "Frame",
    "Schedule",
    "Stream",
    "as_bytes",
    "binary",
    "close",
    "cut_at",
    "cut_every",
    "encode_frames",
    "frame",
    "masking",
    "more",
    "ping",
    "pong",
    "shown",
    "text",
]

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
"""RFC 6455 section 5.2; all other opcodes are reserved."""

RSV1 = 4
"""The reserved bit of a compressed message's first frame (RFC 7692 section 6), as in `Frame.rsv`."""

PLAIN_MASK = b"\0\0\0\0"
"""A legal mask that changes nothing, so that bytes printed are bytes sent: what examples shrink to."""

_NAMES = {CONTINUATION: "more", TEXT: "text", BINARY: "binary", CLOSE: "close", PING: "ping", PONG: "pong"}
_LONGEST_PERIOD = 16
_FEWEST_TIMES = 8


class Printer(Protocol):
    """What a value is pretty-printed to: hypothesis's, or IPython's."""

    def text(self, obj: str, /) -> object:
        """Print `obj` as it is."""


class Shown:
    """A value whose repr is the call that makes it, wherever it is printed."""

    def _repr_pretty_(self, printer: Printer, _cycle: bool) -> None:
        printer.text(repr(self))


@dataclass(frozen=True, repr=False)
class Frame(Shown):
    """One frame, right or wrong (RFC 6455 section 5.2).

    `rsv` are the three reserved bits, RSV1 the highest (4). `mask` is None for a frame without one, as
    a server sends it. `length` and `width` make the header lie: another payload length than the payload
    has, and 7, 16 or 64 bits to write it in, though fewer would do (or too few: then it is cut off).
    """

    opcode: int
    payload: bytes = b""
    fin: bool = True
    rsv: int = 0
    mask: bytes | None = PLAIN_MASK
    length: int | None = None
    width: int | None = None

    @property
    def is_control(self) -> bool:
        """Whether it is a close, a ping, a pong, or has a control frame's reserved opcode."""
        return self.opcode >= CLOSE

    def encode(self) -> bytes:
        """Return its bytes on the wire."""
        declared = len(self.payload) if self.length is None else self.length
        width = self.width or (7 if declared < 126 else 16 if declared < 65536 else 64)
        first = self.opcode | self.fin << 7 | self.rsv << 4
        masked = 0 if self.mask is None else 0x80
        if width == 7:
            header = bytes((first, masked | declared & 0x7F))
        elif width == 16:
            header = pack("!BBH", first, masked | 126, declared & 0xFFFF)
        else:
            header = pack("!BBQ", first, masked | 127, declared)
        if self.mask is None:
            return header + self.payload
        return header + self.mask + masking(self.payload, self.mask)

    def __repr__(self) -> str:
        name = _NAMES.get(self.opcode, "frame")
        told = [str(self.opcode)] if name == "frame" else []
        told += self._told_payload()
        told += ["fin=False"] if not self.fin else []
        told += [f"rsv={self.rsv}"] if self.rsv else []
        told += [f"mask={self.mask!r}"] if self.mask != PLAIN_MASK else []
        told += [f"length={self.length}"] if self.length is not None else []
        told += [f"width={self.width}"] if self.width is not None else []
        return f"{name}({', '.join(told)})"

    def _told_payload(self) -> list[str]:
        data = self.payload
        if self.opcode == CLOSE:
            if len(data) == 1:
                return [f"payload={data!r}"]
            reason = [_readable(data[2:])] if len(data) > 2 else []
            return [str(int.from_bytes(data[:2], "big")), *reason] if data else []
        if not data:
            return []
        return [_readable(data) if self.opcode in (TEXT, CONTINUATION) else shown(data)]


class How(TypedDict, total=False):
    """What is unusual about a frame: the fields of `Frame`, by name."""

    fin: bool
    rsv: int
    mask: bytes | None
    length: int | None
    width: int | None


def frame(opcode: int, payload: bytes = b"", **how: Unpack[How]) -> Frame:
    """Return a frame with any opcode."""
    return Frame(opcode, payload, **how)


def text(data: str | bytes = b"", **how: Unpack[How]) -> Frame:
    """Return a text frame; bytes need not be UTF-8."""
    return Frame(TEXT, as_bytes(data), **how)


def binary(data: bytes = b"", **how: Unpack[How]) -> Frame:
    """Return a binary frame."""
    return Frame(BINARY, data, **how)


def more(data: str | bytes = b"", **how: Unpack[How]) -> Frame:
    """Return a continuation frame: what a message goes on with."""
    return Frame(CONTINUATION, as_bytes(data), **how)


def ping(data: bytes = b"", **how: Unpack[How]) -> Frame:
    """Return a ping."""
    return Frame(PING, data, **how)


def pong(data: bytes = b"", **how: Unpack[How]) -> Frame:
    """Return a pong."""
    return Frame(PONG, data, **how)


def close(
    code: int | None = None, reason: str | bytes = b"", *, payload: bytes | None = None, **how: Unpack[How]
) -> Frame:
    """Return a close frame; without a `code` it is empty, and `payload` says it all in bytes."""
    if payload is None:
        payload = b"" if code is None else code.to_bytes(2, "big") + as_bytes(reason)
    return Frame(CLOSE, payload, **how)


class Stream(bytes):
    """The bytes of `frames`, one behind the other, which remember what they say when they are printed."""

    frames: tuple[Frame, ...]

    def __repr__(self) -> str:
        return f"encode_frames({self.frames!r})"


def encode_frames(frames: Iterable[Frame]) -> Stream:
    """Return the bytes of frames, one behind the other."""
    said = tuple(frames)
    stream = Stream(b"".join(each.encode() for each in said))
    stream.frames = said
    return stream


@dataclass(frozen=True, repr=False)
class Cutting(Shown):
    """Where a stream is cut: at `positions` (taken modulo its length), and after every `every` bytes.

    0 for `every` means never. Make them with `cut_at` and `cut_every`.
    """

    positions: tuple[int, ...] = ()
    every: int = 0

    def pieces(self, data: bytes) -> list[bytes]:
        """Return the pieces of `data`, none of them empty; together they are `data`."""
        points = {0, len(data), *(position % (len(data) + 1) for position in self.positions)}
        if self.every:
            points.update(range(0, len(data), self.every))
        return [data[start:stop] for start, stop in pairwise(sorted(points))]

    def __repr__(self) -> str:
        if self.every:
            return f"cut_every({self.every})"
        return f"cut_at({', '.join(map(str, self.positions))})"


def cut_at(*positions: int) -> Cutting:
    """Return the cutting at these positions; without one it leaves a stream whole."""
    return Cutting(positions)


def cut_every(count_bytes: int) -> Cutting:
    """Return the cutting into pieces of `count_bytes` (1 or more)."""
    return Cutting(every=count_bytes)


WHOLE = Cutting()


@dataclass(frozen=True)
class Schedule:
    """When the pieces of a stream leave: before the n-th, `pauses_s[n]` seconds pass, or 0."""

    cutting: Cutting = WHOLE
    pauses_s: tuple[float, ...] = ()

    def sends(self, data: bytes) -> list[tuple[float, bytes]]:
        """Return (pause in seconds, piece) for each piece of `data`, in order."""
        pieces = self.cutting.pieces(data)
        pauses_s = [*self.pauses_s[: len(pieces)], *[0.0] * (len(pieces) - len(self.pauses_s))]
        return list(zip(pauses_s, pieces, strict=True))


def masking(data: bytes, mask: bytes) -> bytes:
    """Return `data` masked, or unmasked, by the four bytes of `mask` (RFC 6455 section 5.3)."""
    key = (mask * (len(data) // 4 + 1))[: len(data)]
    return (int.from_bytes(data, "big") ^ int.from_bytes(key, "big")).to_bytes(len(data), "big")


def as_bytes(data: str | bytes) -> bytes:
    """Return text in UTF-8, and bytes as they are."""
    return data.encode() if isinstance(data, str) else data


def shown(data: AnyStr) -> str:
    """Return the repr of `data`, in the form `'ab' * 100` where that says it shorter."""
    for period in range(1, _LONGEST_PERIOD + 1):
        times, rest = divmod(len(data), period)
        unit, behind = data[:period], data[len(data) - rest :]
        if times >= _FEWEST_TIMES and data == unit * times + behind:
            return f"{unit!r} * {times}" + (f" + {behind!r}" if rest else "")
    return repr(data)


def _readable(data: bytes) -> str:
    """Return the repr as text if it is text that can be read, else as bytes."""
    try:
        said = data.decode()
    except UnicodeDecodeError:
        return shown(data)
    return shown(said) if said.isprintable() else shown(data)
