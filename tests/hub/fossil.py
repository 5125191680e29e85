"""A decoder of Fossil's delta format, written from its specification alone."""

from __future__ import annotations

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~"


def read_number(text: bytes, at: int) -> tuple[int, int]:
    """Return the number at `at` and where it ends."""
    value = 0
    while (digit := DIGITS.find(chr(text[at]))) >= 0:
        value, at = value * 64 + digit, at + 1
    return value, at


def apply(base: bytes, delta: bytes) -> bytes:
    """Return the target; asserts all that the format promises."""
    size, at = read_number(delta, 0)
    assert delta[at : at + 1] == b"\n"
    at += 1
    target = bytearray()
    while True:
        count, at = read_number(delta, at)
        operator, at = delta[at : at + 1], at + 1
        if operator == b":":
            delta[at : at + count].decode()
            target += delta[at : at + count]
            at += count
        elif operator == b"@":
            source, at = read_number(delta, at)
            assert delta[at : at + 1] == b","
            assert source + count <= len(base)
            target += base[source : source + count]
            at += 1
        else:
            assert operator == b";"
            break
    assert at == len(delta)
    assert len(target) == size
    padded = bytes(target) + bytes(-size % 4)
    words = [int.from_bytes(padded[index : index + 4], "big") for index in range(0, len(padded), 4)]
    assert sum(words) % 2**32 == count
    return bytes(target)
