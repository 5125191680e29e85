"""Pieces of a message: the same message however it was cut, and little around it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsloop.protocol.pieces import RUN, Pieces

if TYPE_CHECKING:
    from collections.abc import Sequence


@given(st.lists(st.text(max_size=3), max_size=3 * RUN))
def test_text_is_what_was_appended(parts: Sequence[str]) -> None:
    pieces = Pieces("")
    for part in parts:
        pieces.append(part)
    assert pieces.join() == "".join(parts)


@given(st.lists(st.binary(max_size=3), max_size=3 * RUN))
def test_bytes_are_what_was_appended(parts: Sequence[bytes]) -> None:
    pieces = Pieces(b"")
    for part in parts:
        pieces.append(part)
    assert pieces.join() == b"".join(parts)


@pytest.mark.parametrize("count", [RUN - 1, RUN, RUN + 1, 40 * RUN])
def test_what_wraps_the_pieces_stays_small(count: int) -> None:
    pieces = Pieces(b"")
    for number in range(count):
        pieces.append(number.to_bytes(2, "big"))
    held = sum(map(sys.getsizeof, (*pieces._joined, *pieces._run)))
    assert held < 2 * 2 * count + RUN * sys.getsizeof(b"xx")
