from __future__ import annotations

from itertools import accumulate

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from wsproto.connection import SERVER, Connection
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage
from wsproto.frame_protocol import CloseReason, FrameProtocol, ParseFailed

from tests.protocol.kit import client_frame
from wsloop.protocol.close import encode_close
from wsloop.protocol.frames import (
    JOIN_MAX_BYTES,
    Opcode,
    encode_frame,
    encode_header,
    frame_ends,
    parse_header,
)
from wsloop.testing.wire import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT

BOUNDARIES = (0, 1, 125, 126, 127, 65535, 65536, 70000)
lengths = st.one_of(st.sampled_from(BOUNDARIES), st.integers(0, 300), st.integers(65500, 65600))


def by_wsproto(opcode: int, payload: bytes) -> bytes:
    connection = Connection(SERVER)
    if opcode == TEXT:
        return connection.send(TextMessage(payload.decode()))
    if opcode == BINARY:
        return connection.send(BytesMessage(payload))
    if opcode == PING:
        return connection.send(Ping(payload))
    assert opcode == PONG
    return connection.send(Pong(payload))


@given(st.sampled_from((TEXT, BINARY)), lengths)
def test_data_frames_are_byte_equal_to_wsprotos(opcode: int, length: int) -> None:
    payload = b"x" * length
    assert encode_frame(opcode, payload) == by_wsproto(opcode, payload)
    assert encode_header(opcode, length) + payload == by_wsproto(opcode, payload)


@given(st.binary(max_size=2000))
def test_any_binary_payload_is_byte_equal_to_wsprotos(payload: bytes) -> None:
    assert encode_frame(Opcode.BINARY, payload) == by_wsproto(BINARY, payload)


@given(st.sampled_from((PING, PONG)), st.binary(max_size=125))
def test_control_frames_are_byte_equal_to_wsprotos(opcode: int, payload: bytes) -> None:
    assert encode_frame(opcode, payload) == by_wsproto(opcode, payload)


@given(st.sampled_from((1000, 1001, 1002, 1007, 1009, 1011, 3000, 4999)), st.text(max_size=200))
def test_close_frames_are_byte_equal_to_wsprotos(code: int, reason: str) -> None:
    expected = Connection(SERVER).send(CloseConnection(code, reason))
    assert encode_frame(Opcode.CLOSE, encode_close(code, reason)) == expected


def test_a_close_frame_without_a_code_is_byte_equal_to_wsprotos() -> None:
    assert encode_frame(Opcode.CLOSE, encode_close(1005)) == Connection(SERVER).send(
        CloseConnection(CloseReason.NO_STATUS_RCVD)
    )


@given(st.lists(lengths, min_size=2, max_size=4), st.booleans())
def test_fragments_are_byte_equal_to_wsprotos(parts: list[int], text: bool) -> None:
    connection = Connection(SERVER)
    for index, length in enumerate(parts):
        last = index == len(parts) - 1
        opcode = CONTINUATION if index else TEXT if text else BINARY
        event: TextMessage | BytesMessage
        if text:
            event = TextMessage("x" * length, message_finished=last)
        else:
            event = BytesMessage(b"x" * length, message_finished=last)
        assert encode_header(opcode, length, fin=last) + b"x" * length == connection.send(event)


@given(st.integers(0, 2**63 - 1), st.booleans(), st.booleans())
def test_every_header_is_the_shortest_form_and_reads_back(length: int, fin: bool, rsv1: bool) -> None:
    header = encode_header(Opcode.BINARY, length, fin=fin, rsv1=rsv1)
    assert len(header) == (2 if length <= 125 else 4 if length <= 65535 else 10)
    masked = bytes((header[0], header[1] | 0x80)) + header[2:]
    assert parse_header(masked, 0) == (header[0], len(header) + 4, length, rsv1)


@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
def test_control_frames_are_neither_long_nor_fragmented(opcode: int) -> None:
    with pytest.raises(ValueError, match="125"):
        encode_header(opcode, 126)
    with pytest.raises(ValueError, match="125"):
        encode_frame(opcode, b"x" * 126)
    with pytest.raises(ValueError, match="fragmented"):
        encode_header(opcode, 1, fin=False)


@pytest.mark.parametrize("length", [-1, 2**63])
def test_impossible_lengths_are_refused(length: int) -> None:
    with pytest.raises(ValueError, match="cannot hold"):
        encode_header(BINARY, length)


def test_pieces_are_joined_up_to_16_kib() -> None:
    assert JOIN_MAX_BYTES == 16384


@given(st.binary(max_size=14), st.integers(0, 5))
@example(b"\x81", 0)
@example(b"\x81\xfe\x00", 0)
@example(b"\x81\xff" + bytes(7), 0)
def test_a_short_header_asks_for_more_bytes_at_any_offset(header: bytes, offset: int) -> None:
    buffer = bytes(offset) + header
    assert parse_header(buffer, offset) == parse_header(header, 0)
    assert parse_header(memoryview(buffer), offset) == parse_header(bytearray(header), 0)


@given(st.binary(min_size=2, max_size=14))
def test_what_is_doubtful_is_exactly_what_wsproto_refuses_in_a_header(header: bytes) -> None:
    parsed = parse_header(header, 0)
    protocol = FrameProtocol(client=False, extensions=[])
    protocol.receive_bytes(header[: parsed[1]] if parsed else header)
    try:
        # An empty CONTINUATION is refused as well, but for its place, not for its header.
        frames = list(protocol.received_frames())
        refused = False
    except ParseFailed as error:
        refused = "unexpected CONTINUATION" not in str(error)
        frames = []
    if parsed is None:
        assert not refused
        assert not frames
    else:
        assert refused == parsed[3]


@pytest.mark.parametrize(
    ("length", "width", "doubtful"),
    [
        (125, 16, True),
        (126, 16, False),
        (65535, 64, True),
        (65536, 64, False),
        (2**63 - 1, 64, False),
        (2**63, 64, True),
    ],
)
def test_a_length_must_be_in_its_shortest_form_and_under_2_to_the_63(
    length: int, width: int, doubtful: bool
) -> None:
    frame = client_frame(BINARY, length=length, width=width)
    assert parse_header(frame, 0) == (0x82, len(frame), length, doubtful)


@given(st.sampled_from((TEXT, BINARY, CONTINUATION)), lengths, st.booleans())
def test_a_plain_header_gives_the_frames_extent(opcode: int, length: int, fin: bool) -> None:
    frame = client_frame(opcode, b"x" * length, fin=fin)
    assert parse_header(frame, 0) == (frame[0], len(frame) - length, length, False)


@given(st.lists(st.binary(max_size=300), max_size=8), st.integers(0, 40))
def test_our_own_frames_are_found_by_their_ends(payloads: list[bytes], missing: int) -> None:
    frames = [encode_frame(Opcode.TEXT, payload) for payload in payloads]
    ends = list(accumulate(len(frame) for frame in frames))
    assert list(frame_ends(b"".join(frames))) == ends
    cut = b"".join(frames)[: max(0, sum(map(len, frames)) - missing)]
    found = list(frame_ends(cut))
    assert found == [end for end in ends if end <= len(cut)] or found[:-1] == [
        end for end in ends if end <= len(cut)
    ]


@pytest.mark.parametrize("length", [200, 70_000])
def test_the_end_of_a_bare_header_lies_beyond_it(length: int) -> None:
    header = encode_header(Opcode.BINARY, length)
    assert list(frame_ends(header)) == [len(header) + length]
