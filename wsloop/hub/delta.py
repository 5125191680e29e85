"""Differences between two publications, in Fossil's delta format.

The format is that of https://fossil-scm.org/home/doc/trunk/www/delta_format.wiki: the length of
the target, then segments that copy from the base or bring bytes of their own, then a checksum of
the target. The text travels inside a JSON string, so every cut lies between two characters.

How a difference is found, cheapest first. What both texts begin and end with is found by comparing
slices, which is one memory comparison per step of a bisection. What lies between is searched for
moved and repeated parts: the base is indexed by what follows its commas (or spaces, in prose), at
most one in ANCHOR_DISTANCE bytes, and every comma of the target is looked up. Anchors that lie in
the text's own structure do what a rolling hash does, survive insertions, without touching each byte
in Python: 64 KiB cost one to two milliseconds, where a hash rolled over each byte would cost twenty.
Beyond SEARCH_LIMIT_BYTES only the common ends are used.

`python -m tools.bench.tailored` measures it.
"""

from __future__ import annotations

import struct

import msgspec

DIGITS = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~"
"""Base 64 as Fossil writes it; the most significant digit first."""

OVERHEAD_BYTES = len(b',"delta":true')
"""What a publication that is a difference has to say besides."""

SEARCH_LIMIT_BYTES = 256 * 1024
"""Of base and target together. What is searched is bounded below, but so little of a longer text is
covered then that it is not worth the time; a message of a client is 64 KiB at most."""

ANCHOR_BYTES = 16
"""Length of what is indexed behind an anchor. A copy costs about 8 bytes, so shorter ones gain little."""

LARGE_BYTES = 16 * 1024
"""Above it only long copies are looked for: the budget below is for those that gain most."""

LARGE_ANCHOR_BYTES = 32
"""ANCHOR_BYTES for a large text."""

ANCHORS = 1024
"""Most anchors of the base that are indexed, evenly spread: 0.2 us each."""

LEAST_COPY_BYTES = 12
"""A shorter copy is not worth its `count@offset,` and the literal that it splits."""

LOOKUPS = 2048
"""Most anchors of a target that are looked up, 0.2 us each; the rest is taken as it is."""

COPIES = 128
"""Most copies that are looked for, about 4 us each with writing them."""

SPARSE = 256
"""Bytes per comma above which a text is taken for prose, whose anchors are spaces."""

Copy = tuple[int, int, int]
"""Where in the target, where in the base, and how many bytes are the same there."""

_CHUNK_BYTES = 2048

_EVERY_OTHER_WORD = int.from_bytes(b"\0\0\0\0\xff\xff\xff\xff" * (_CHUNK_BYTES // 8), "big")

_encode = msgspec.json.encode


def json_string(data: bytes) -> bytes:
    """Return text in UTF-8 as a JSON string; how a publication's data looks to who asked for deltas."""
    return _encode(data.decode())


def delta(base: bytes, target: bytes) -> bytes | None:
    """Return the difference that makes `target` out of `base`, both text in UTF-8.

    None unless it is shorter than the target itself, both written as JSON strings.
    """
    copies = _on_characters(_copies(base, target), target)
    if not copies:
        return None
    difference = _write(copies, target)
    # Quoting only lengthens, so a difference without gain is seldom quoted.
    if len(difference) + OVERHEAD_BYTES >= len(target) + target.count(b'"') + target.count(b"\\"):
        return None
    shorter = len(json_string(difference)) + OVERHEAD_BYTES < len(json_string(target))
    return difference if shorter else None


def checksum(target: bytes) -> int:
    """Return the sum of the 32-bit big-endian words of `target`, padded with zeros, modulo 2^32."""
    lanes = 0
    for at in range(0, len(target), _CHUNK_BYTES):
        chunk = int.from_bytes(target[at : at + _CHUNK_BYTES].ljust(_CHUNK_BYTES, b"\0"), "big")
        # All words of a chunk at once: each has a lane of 64 bits, which cannot overflow into the next.
        lanes += (chunk & _EVERY_OTHER_WORD) + (chunk >> 32 & _EVERY_OTHER_WORD)
    total: int = sum(struct.unpack(f">{_CHUNK_BYTES // 8}Q", lanes.to_bytes(_CHUNK_BYTES, "big")))
    return total & 0xFFFFFFFF


def number(value: int) -> bytes:
    """Return a number >= 0 in Fossil's digits."""
    digits = bytearray()
    while True:
        digits.append(DIGITS[value & 63])
        value >>= 6
        if not value:
            digits.reverse()
            return bytes(digits)


def _write(copies: list[Copy], target: bytes) -> bytes:
    """Return the delta text for copies in the order of the target; what lies between is literal."""
    parts = [number(len(target)), b"\n"]
    done = 0
    for start, source, length in copies:
        if start > done:
            parts += (number(start - done), b":", target[done:start])
        parts += (number(length), b"@", number(source), b",")
        done = start + length
    if done < len(target):
        parts += (number(len(target) - done), b":", target[done:])
    parts += (number(checksum(target)), b";")
    return b"".join(parts)


def _on_characters(copies: list[Copy], target: bytes) -> list[Copy]:
    """Shrink copies until each begins and ends between two characters, and drop what is too short."""
    whole = []
    for start, source, length in copies:
        end = start + length
        while end > start and _is_inside(target, end):
            end -= 1
        first = start
        while first < end and _is_inside(target, first):
            first += 1
        if end - first >= LEAST_COPY_BYTES:
            whole.append((first, source + first - start, end - first))
    return whole


def _is_inside(text: bytes, index: int) -> bool:
    """Tell whether `index` is within a character: at a continuation byte (RFC 3629 section 3)."""
    return index < len(text) and text[index] & 0xC0 == 0x80


def _copies(base: bytes, target: bytes) -> list[Copy]:
    """Return parts of the target that are in the base, in order and without overlap."""
    most = min(len(base), len(target))
    prefix = _same_forward(base, 0, target, 0, most)
    suffix = _same_backward(base, len(base), target, len(target), most - prefix)
    copies = [(0, 0, prefix)]
    if len(base) + len(target) <= SEARCH_LIMIT_BYTES and len(target) - prefix - suffix > ANCHOR_BYTES:
        copies += _search(base, target, prefix, len(target) - suffix)
    copies.append((len(target) - suffix, len(base) - suffix, suffix))
    return copies


def _search(base: bytes, target: bytes, begin: int, end: int) -> list[Copy]:
    """Return the parts of target[begin:end] that stand anywhere in the base."""
    separator = b"," if target.count(b",", begin, end) * SPARSE > end - begin else b" "
    width = LARGE_ANCHOR_BYTES if len(base) > LARGE_BYTES else ANCHOR_BYTES
    index = _index(base, separator, width)
    copies: list[Copy] = []
    done, at = begin, begin
    for _ in range(LOOKUPS):
        source = index.get(target[at : at + width])
        if source is None:
            at = target.find(separator, at + 1, end)
        else:
            length = _same_forward(base, source, target, at, min(len(base) - source, end - at))
            before = _same_backward(base, source, target, at, min(source, at - done))
            copies.append((at - before, source - before, length + before))
            done = at + length
            at = target.find(separator, done, end)
        if at < 0 or len(copies) == COPIES:
            break
    return copies


def _index(base: bytes, separator: bytes, width: int) -> dict[bytes, int]:
    """Return where in the base stands what begins at its anchors, `width` bytes of each."""
    index: dict[bytes, int] = {}
    distance = max(width, len(base) // ANCHORS)
    at = 0
    while 0 <= at <= len(base) - width:
        index.setdefault(base[at : at + width], at)
        at = base.find(separator, at + distance)
    return index


def _same_forward(base: bytes, base_at: int, target: bytes, target_at: int, most: int) -> int:
    """Return how many bytes, `most` at most, are the same from the two places on."""
    low, step = 0, 64
    while low < most:
        high = min(low + step, most)
        left = base[base_at + low : base_at + high]
        right = target[target_at + low : target_at + high]
        if left != right:
            # The first different byte is where the highest bit of the difference lies.
            different = int.from_bytes(left, "big") ^ int.from_bytes(right, "big")
            return high - (different.bit_length() + 7) // 8
        low, step = high, step * 2
    return most


def _same_backward(base: bytes, base_end: int, target: bytes, target_end: int, most: int) -> int:
    """Return how many bytes, `most` at most, are the same before the two places."""
    low, step = 0, 64
    while low < most:
        high = min(low + step, most)
        left = base[base_end - high : base_end - low]
        right = target[target_end - high : target_end - low]
        if left != right:
            different = int.from_bytes(left, "little") ^ int.from_bytes(right, "little")
            return high - (different.bit_length() + 7) // 8
        low, step = high, step * 2
    return most
