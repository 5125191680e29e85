"""A message in one long frame: in its final buffer, and no memory on a peer's word."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.protocol.kit import cut_positions, cuts
from wsloop.protocol.large import FIRST_STEP_BYTES, MAX_STEP_BYTES, LargePayload
from wsloop.protocol.masking import unmask

MASK = b"\x01\x80\xfe\x3c"


def feed(large: LargePayload, data: bytes) -> None:
    assert large.feed(data, 0) == len(data)


@given(st.binary(min_size=1, max_size=300), cut_positions, st.lists(st.booleans(), min_size=13, max_size=13))
def test_any_cut_and_either_way_in_give_the_payload(
    payload: bytes, positions: list[int], into: list[bool]
) -> None:
    large = LargePayload(len(payload), MASK, is_text=False)
    for index, piece in enumerate(cuts(unmask(payload, MASK), positions)):
        if into[index % 13]:
            space = large.writable()
            space[: len(piece)] = piece
            large.commit(len(piece))
        else:
            feed(large, piece)
    assert large.left == 0
    message = large.finish()
    assert isinstance(message, bytearray)
    assert message == payload


@given(st.text(min_size=1, max_size=300), cut_positions)
def test_text_is_decoded_across_cuts(text: str, positions: list[int]) -> None:
    payload = text.encode()
    large = LargePayload(len(payload), MASK, is_text=True)
    for piece in cuts(unmask(payload, MASK), positions):
        feed(large, piece)
    assert large.finish() == text


@given(st.binary(min_size=1, max_size=80), st.integers(0, 80))
def test_bad_utf8_raises_with_the_piece_that_makes_it_bad(payload: bytes, cut: int) -> None:
    def fault_at(pieces: list[bytes]) -> int | None:
        large = LargePayload(len(payload), MASK, is_text=True)
        done = 0
        for piece in pieces:
            done += len(piece)
            try:
                large.feed(piece, 0)
            except UnicodeDecodeError:
                return done
        return None

    masked = unmask(payload, MASK)
    try:
        payload.decode()
        bad = False
    except UnicodeDecodeError:
        bad = True
    first = fault_at([masked[i : i + 1] for i in range(len(masked))])
    assert (first is not None) is bad
    second = fault_at([masked[:cut], masked[cut:]])
    assert (second is not None) is bad
    if first is not None and second is not None:
        assert second >= first


def test_the_buffer_grows_with_what_has_arrived_and_never_on_a_peers_word() -> None:
    length = 64 * 1024 * 1024
    tracemalloc.start()
    try:
        large = LargePayload(length, MASK, is_text=False)
        assert len(large.writable()) == FIRST_STEP_BYTES
        large.commit(0)
        sizes = []
        arrived = 0
        while arrived < 8 * MAX_STEP_BYTES:
            space = large.writable()
            sizes.append(len(space))
            arrived += len(space)
            large.commit(len(space))
            held, _ = tracemalloc.get_traced_memory()
            # CPython keeps an eighth in reserve when a bytearray grows.
            assert held <= (2 * arrived + FIRST_STEP_BYTES) * 9 // 8 + 8192
    finally:
        tracemalloc.stop()
    assert max(sizes) == MAX_STEP_BYTES
    assert len(sizes) < 8 + 8


def test_text_uses_its_buffer_again() -> None:
    length = 4 * MAX_STEP_BYTES
    large = LargePayload(length, bytes(4), is_text=True)
    while large.left:
        space = large.writable()
        space[:] = b"a" * len(space)
        large.commit(len(space))
    assert len(large._buffer) <= MAX_STEP_BYTES * 2
    assert large.finish() == "a" * length


def test_the_handed_out_buffer_is_free_of_exports() -> None:
    large = LargePayload(3, bytes(4), is_text=False)
    large.writable()[:] = b"abc"
    large.commit(3)
    message = large.finish()
    assert isinstance(message, bytearray)
    message += b"d"
    with pytest.raises(TypeError):
        hash(message)
