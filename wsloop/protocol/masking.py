"""Unmasking (RFC 6455 section 5.3): the best way there is for each size, in plain Python.

Every byte a client sends is XORed with a key of four bytes, so this is the one part of the
receive path whose cost grows with the payload. Three ways, each the fastest somewhere
(`python -m tools.bench.masking`):

- one XOR of two integers as long as the payload: no set-up to speak of, but some 2 ns a byte,
  for CPython converts bytes to integers and back one byte at a time;
- every fourth byte through `bytes.translate` with a table per key byte: 1 us to begin with,
  less per byte;
- numpy, if it is installed: 32 bits at a time, hardly more than a copy.

Pure. Next: `session.py`, which calls `unmask` for whole frames; `large.py`, which unmasks in place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

XOR_MAX_BYTES = 1280
"""Up to here the integers win over `translate`; the lines cross between 1 and 2 KiB."""

XOR_MAX_BYTES_BESIDE_NUMPY = 768
"""The same, where numpy is installed: from here its 2 us of set-up are the smaller part."""

_TABLES = tuple(bytes(byte ^ key for byte in range(256)) for key in range(256))
"""64 KiB: for each byte of a key, what it makes of every other byte."""

_from_bytes = int.from_bytes


def load_numpy() -> Any:  # noqa: ANN401 - numpy may be absent, and its types with it
    """Return numpy, or None if it is not installed."""
    try:
        import numpy  # noqa: PLC0415 - installed or not
    except ImportError:
        return None
    return numpy


_numpy = load_numpy()
_xor_max_bytes = XOR_MAX_BYTES if _numpy is None else XOR_MAX_BYTES_BESIDE_NUMPY


def unmask(payload: bytes, mask: bytes) -> bytes:
    """Return `payload` unmasked; `mask` is four bytes, of which the first meets the first byte."""
    length = len(payload)
    if length <= _xor_max_bytes:
        repeated = (mask * ((length + 3) >> 2))[:length]
        return (_from_bytes(payload, "little") ^ _from_bytes(repeated, "little")).to_bytes(length, "little")
    buffer = bytearray(payload)
    unmask_in_place(buffer, 0, length, mask)
    return bytes(buffer)


def _unmask_by_translate(buffer: bytearray, start: int, end: int, mask: bytes) -> None:
    """See `unmask_in_place`. Four lanes: every fourth byte meets the same byte of the mask."""
    for lane in range(min(4, end - start)):
        buffer[start + lane : end : 4] = buffer[start + lane : end : 4].translate(_TABLES[mask[lane]])


def _unmask_by_numpy(buffer: bytearray, start: int, end: int, mask: bytes) -> None:
    """See `unmask_in_place`. Words of four bytes; what is left over goes byte by byte."""
    words = (end - start) >> 2
    view = _numpy.frombuffer(buffer, _numpy.uint32, words, start)
    view ^= _numpy.frombuffer(mask, _numpy.uint32)[0]
    for index in range(start + 4 * words, end):
        buffer[index] ^= mask[(index - start) & 3]


unmask_in_place: Callable[[bytearray, int, int, bytes], None] = (
    _unmask_by_translate if _numpy is None else _unmask_by_numpy
)
"""Unmask `buffer[start:end]` where it lies; `mask[0]` meets `buffer[start]`.

Arguments: (buffer, start, end, mask of four bytes), 0 <= start <= end <= len(buffer). The buffer
keeps its size, so it may have exports. Chosen once, when this file is imported."""


def rotate(mask: bytes, count_bytes: int) -> bytes:
    """Return `mask` as it stands after `count_bytes` bytes: what meets the next one comes first."""
    shift = count_bytes & 3
    return mask[shift:] + mask[:shift]
