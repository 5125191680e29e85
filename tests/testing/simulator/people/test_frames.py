"""The people's own frames, compared with the oracle, which shares no code with them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsloop.testing.simulator.people import frames
from wsloop.testing.simulator.people.frames import BINARY, FIN, TEXT

SIZES = st.sampled_from([0, 1, 125, 126, 127, 65_535, 65_536])
MASKS = st.binary(min_size=4, max_size=4)


def unmask(data: bytes, mask: bytes) -> bytes:
    return bytes(byte ^ mask[index % 4] for index, byte in enumerate(data))


@given(SIZES, MASKS, st.integers(0, 255))
def test_a_client_s_frame_has_the_shortest_length_and_the_mask(size: int, mask: bytes, byte: int) -> None:
    payload = bytes([byte]) * size
    made = frames.masked(BINARY, payload, mask)
    assert made[0] == 0x82
    head = 2 + (0 if size < 126 else 2 if size < 65_536 else 8)
    assert made[1] == 0x80 | (size if size < 126 else 126 if size < 65_536 else 127)
    assert size < 126 or int.from_bytes(made[2:head], "big") == size
    assert made[head : head + 4] == mask
    assert unmask(made[head + 4 :][:200], mask) == payload[:200]
    assert len(made) == head + 4 + size


@given(SIZES)
def test_the_extent_of_a_server_s_frame(size: int) -> None:
    made = frames.unmasked(TEXT, b"x" * size)
    assert frames.extent(b"before" + made + b"behind", 6) == (len(made) - size + 6, len(made) + 6)
    for whole in range(min(10, len(made) - size)):
        assert frames.extent(made[:whole], 0) is None


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (frames.masked(TEXT, b"hello"), "masked"),
        (frames.unmasked(TEXT, b"hello", flags=0), "fragment"),
        (b"\x81\x7e\x00\x05hello", "two bytes more"),
        (b"\x81\x7f" + (65_535).to_bytes(8, "big"), "eight bytes"),
    ],
)
def test_what_no_server_may_send(data: bytes, why: str) -> None:
    with pytest.raises(frames.NotAFrameError, match=why):
        frames.extent(data, 0)


@given(st.binary(max_size=500))
def test_messages_are_inflated_as_they_were_deflated(payload: bytes) -> None:
    assert frames.inflated(frames.deflated(payload)) == payload


def test_what_is_not_deflated_is_found() -> None:
    with pytest.raises(frames.NotAFrameError, match="broken"):
        frames.inflated(b"\xff\xff\xff\xff")


def test_flags_go_above_the_opcode() -> None:
    assert frames.masked(TEXT, b"", flags=FIN | frames.RSV1)[0] == 0xC1
    assert frames.masked(TEXT, b"", flags=0)[0] == 0x01
