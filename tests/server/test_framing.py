"""Messages into frames, and how much of a frame is still to come."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wsloop.buffers.outbox import Outbox
from wsloop.hub.codec import JSON
from wsloop.protocol.frames import Opcode, encode_frame, encode_header, frame_ends
from wsloop.server.framing import FRAME_BYTES, frame_of, grouped, rest_of_frame


@given(st.lists(st.binary(max_size=FRAME_BYTES + 10).map(lambda data: data or b"x")), st.integers(1, 5))
def test_all_messages_in_order_no_more_than_allowed_and_short_where_there_are_several(
    messages: list[bytes], most: int
) -> None:
    parts = list(grouped(messages, most))
    assert [message for part in parts for message in part] == messages
    for part in parts:
        assert 1 <= len(part) <= most
        assert len(part) == 1 or sum(map(len, part)) <= FRAME_BYTES


def test_one_message_is_the_frame_and_several_are_joined_as_the_codec_does() -> None:
    assert frame_of((b"{}",), JSON) == encode_frame(Opcode.TEXT, b"{}")
    assert frame_of((b"1", b"2"), JSON) == encode_frame(Opcode.TEXT, b"1\n2")


pieces = st.lists(
    st.one_of(
        st.lists(st.integers(0, 200), min_size=1, max_size=3).map(
            lambda sizes: (b"".join(encode_frame(Opcode.TEXT, bytes(size)) for size in sizes),)
        ),
        st.integers(17_000, 17_010).map(lambda size: (encode_header(Opcode.BINARY, size), bytes(size))),
    ),
    min_size=1,
    max_size=5,
)


@given(pieces, st.integers(0, 1000), st.booleans())
def test_what_is_kept_ends_the_frame_that_is_partly_out(
    queued: list[tuple[bytes, ...]], taken: int, long: bool
) -> None:
    outbox, stream = Outbox(), b"".join(piece for pair in queued for piece in pair)
    for pair in queued:
        for piece in pair:
            outbox.append(piece)
    taken = min(taken + 16_900 * long, len(stream))
    outbox.advance(taken)
    outbox.keep(rest_of_frame(*outbox.begun()))
    out = stream[:taken] + b"".join(outbox.gather(100, 10**6))
    borders = [0, *frame_ends(stream)]
    assert len(out) == min(border for border in borders if border >= taken)
    assert stream.startswith(out)
