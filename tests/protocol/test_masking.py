"""Unmasking: every way gives what RFC 6455 section 5.3 says, byte by byte."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsloop.protocol import masking

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    InPlace = Callable[[bytearray, int, int, bytes], None]

masks = st.binary(min_size=4, max_size=4)
payloads = st.binary(max_size=70) | st.integers(700, 1400).map(lambda n: bytes(range(256)) * 6 + bytes(n))


def one_by_one(payload: bytes, mask: bytes) -> bytes:
    return bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


def ways() -> list[InPlace]:
    found: list[InPlace] = [masking._unmask_by_translate]
    if masking.load_numpy() is not None:
        found.append(masking._unmask_by_numpy)
    return found


@given(payloads, masks)
def test_unmask(payload: bytes, mask: bytes) -> None:
    unmasked = masking.unmask(payload, mask)
    assert type(unmasked) is bytes
    assert unmasked == one_by_one(payload, mask)


@pytest.mark.parametrize("way", ways())
@given(payload=payloads, mask=masks, start=st.integers(0, 80), length=st.integers(0, 2000))
def test_in_place_and_nothing_else_is_touched(
    way: InPlace, payload: bytes, mask: bytes, start: int, length: int
) -> None:
    start = min(start, len(payload))
    end = min(start + length, len(payload))
    buffer = bytearray(payload)
    with memoryview(buffer):  # exported, as while it is read into
        way(buffer, start, end, mask)
    assert buffer == payload[:start] + one_by_one(payload[start:end], mask) + payload[end:]


@given(payloads, masks, st.integers(0, 300))
def test_a_rotated_mask_goes_on_where_the_last_piece_ended(payload: bytes, mask: bytes, cut: int) -> None:
    first, second = payload[:cut], payload[cut:]
    rotated = masking.rotate(mask, len(first))
    assert masking.unmask(first, mask) + masking.unmask(second, rotated) == one_by_one(payload, mask)


def test_without_numpy_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    absent: dict[str, ModuleType | None] = {"numpy": None}
    for name, module in absent.items():
        monkeypatch.setitem(sys.modules, name, module)
    assert masking.load_numpy() is None
