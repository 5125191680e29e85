"""The incoming half: RFC 7692's own examples, any client's messages, and any way to cut them."""

from __future__ import annotations

import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate as WebsocketsDeflate
from websockets.frames import Frame, Opcode
from wsproto.extensions import PerMessageDeflate as WsprotoDeflate
from wsproto.frame_protocol import FrameProtocol

from tests.protocol.deflate_kit import (
    JSON,
    drive,
    frame_streams,
    frames_of,
    payloads,
    streams_of_blocks,
)
from tests.protocol.kit import client_frame, cut_positions, cuts
from wsloop.errors import ProtocolError
from wsloop.protocol.deflate import EMPTY_BLOCK, Compressor, DeflateOptions
from wsloop.protocol.inflate import (
    INPUT_STEP_BYTES,
    MAX_FINAL_BLOCKS,
    OUTPUT_STEP_BYTES,
    Inflater,
    PerMessageDeflate,
    max_wire_bytes,
)
from wsloop.protocol.limits import Limits
from wsloop.testing.deflating import Deflater, deflated, final_block
from wsloop.testing.wire import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT

LIMIT = 1 << 20
HELLO = bytes.fromhex("f248cdc9c90700")


def in_pieces(inflater: Inflater, payload: bytes, size: int = 1) -> bytes | int:
    """The message, or the close code, of a payload that comes in pieces."""
    try:
        for at in range(0, len(payload), size):
            inflater.feed(payload[at : at + size])
        return inflater.take(final=True)
    except ProtocolError as error:
        return error.close_code


def in_one(inflater: Inflater, payload: bytes) -> bytes | int:
    try:
        return inflater.message(payload)
    except ProtocolError as error:
        return error.close_code


# -- RFC 7692 section 7.2.3: the examples ------------------------------------------------


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(HELLO, id="one block (7.2.3.1)"),
        pytest.param(bytes.fromhex("000500faff48656c6c6f00"), id="no compression (7.2.3.3)"),
        pytest.param(bytes.fromhex("f348cdc9c9070000"), id="BFINAL set (7.2.3.4)"),
        pytest.param(bytes.fromhex("f2480500 0000ffff cac9c90700"), id="two blocks (7.2.3.5)"),
    ],
)
def test_the_examples_of_the_rfc_say_hello(payload: bytes) -> None:
    assert in_one(Inflater(LIMIT), payload) == b"Hello"
    for size in range(1, len(payload)):
        assert in_pieces(Inflater(LIMIT), payload, size) == b"Hello"
    assert in_one(Inflater(5), payload) == b"Hello"
    assert in_one(Inflater(4), payload) == in_pieces(Inflater(4), payload) == 1009


def test_fragments_of_the_rfc_say_hello() -> None:
    # Section 7.2.3.1: RSV1 on the first of them only.
    stream = bytes.fromhex("41 83 00000000 f248cd 80 84 00000000 c9c90700")
    assert drive([stream], Inflater(LIMIT)) == (["Hello"], None)


def test_the_second_hello_of_the_rfc_refers_to_the_first() -> None:
    # Section 7.2.3.2.
    again = bytes.fromhex("f200110000")
    inflater = Inflater(LIMIT, 4096)
    assert [inflater.message(HELLO), inflater.message(again)] == [b"Hello", b"Hello"]
    assert in_one(Inflater(LIMIT, 4096), again) == 1007
    without = Inflater(LIMIT)
    assert [in_one(without, HELLO), in_one(without, again)] == [b"Hello", 1007]


def test_an_empty_message_is_empty() -> None:
    # Section 7.2.3.6; no payload at all is what zlib takes for the same.
    for payload in (b"\x00", b"", b"\x02\x00", b"\x03\x00"):
        assert in_one(Inflater(1), payload) == b""
        assert in_pieces(Inflater(1), payload) == b""


# -- any client ---------------------------------------------------------------------------

deflaters = st.builds(
    Deflater, st.integers(9, 15), level=st.integers(0, 9), mem_level=st.integers(1, 9), takeover=st.booleans()
)


@given(st.lists(payloads, max_size=5), deflaters, st.integers(1, 40))
def test_what_zlib_compresses_is_read_back(messages: list[bytes], client: Deflater, size: int) -> None:
    whole, pieces = Inflater(LIMIT, 1 << 15), Inflater(LIMIT, 1 << 15)
    for message in messages:
        payload = client.message(message)
        assert whole.message(payload) == message
        assert in_pieces(pieces, payload, size) == message
        assert whole.made_bytes == pieces.made_bytes
        assert len(payload) <= max_wire_bytes(Limits(message_bytes=max(1, len(message))))
    assert whole.made_bytes == sum(map(len, messages))


@given(st.lists(payloads, max_size=5), st.booleans(), st.integers(9, 15))
def test_what_websockets_compresses_is_read_back(messages: list[bytes], takeover: bool, bits: int) -> None:
    client = WebsocketsDeflate(True, not takeover, 15, bits)
    inflater = Inflater(LIMIT, 1 << bits if takeover else 0)
    for message in messages:
        assert inflater.message(bytes(client.encode(Frame(Opcode.BINARY, message)).data)) == message


@given(st.lists(st.lists(payloads, min_size=1, max_size=3), max_size=3), st.booleans(), cut_positions)
def test_what_wsprotos_client_sends_is_read_back(
    messages: list[list[bytes]], takeover: bool, positions: list[int]
) -> None:
    extension = WsprotoDeflate(client_no_context_takeover=not takeover, client_max_window_bits=12)
    extension._enabled = True
    client = FrameProtocol(client=True, extensions=[extension])
    stream = b""
    for parts in messages:
        for number, part in enumerate(parts, 1):
            stream += bytes(client.send_data(part, fin=number == len(parts)))
            stream += bytes(client.ping(b"in between"))
    inflater = Inflater(LIMIT, 4096 if takeover else 0)
    assert drive(cuts(stream, positions), inflater) == ([b"".join(parts) for parts in messages], None)


@given(st.lists(payloads, max_size=5), st.sampled_from((9, 12, 15)))
def test_our_own_two_halves_understand_each_other(messages: list[bytes], bits: int) -> None:
    compressor = Compressor(DeflateOptions(), bits)
    assert [Inflater(LIMIT).message(compressor.compress(message)) for message in messages] == messages


@pytest.mark.parametrize("kept_bytes", [512, 4096])
def test_with_takeover_a_message_refers_back_as_far_as_agreed_and_no_further(kept_bytes: int) -> None:
    bits = kept_bytes.bit_length() - 1
    chance = random.Random(bits).randbytes(3000)
    near, far = Deflater(bits, takeover=True), Deflater(15, takeover=True)
    inflater = Inflater(LIMIT, kept_bytes)
    for data in (chance, chance[-200:], b"x" * 50, chance[:100], b"x"):
        assert in_one(inflater, near.message(data)) == data
    inflater = Inflater(LIMIT, kept_bytes)
    first, second = far.message(chance * 2), far.message(chance[:100] + b"!")
    assert in_one(inflater, first) == chance * 2
    expected = 1007 if kept_bytes < 3000 else chance[:100] + b"!"
    assert in_one(inflater, second) == expected


def test_only_the_agreed_window_is_kept_between_messages() -> None:
    kept, forgetful = Inflater(LIMIT, 4096), Inflater(LIMIT)
    for inflater in (kept, forgetful):
        for size in (10, 5000, 4095, 100_000):
            inflater.message(deflated(b"z" * size))
    assert len(kept._window) == 4096
    assert forgetful._window == b""
    for inflater in (kept, forgetful):
        assert inflater._stream is None
        assert not inflater._output


# -- BFINAL, damage and limits ------------------------------------------------------------


@given(st.lists(payloads, min_size=1, max_size=6), st.booleans())
def test_blocks_behind_a_final_one_are_read_too(parts: list[bytes], trailing: bool) -> None:
    payload = b"".join(map(final_block, parts)) + (b"\x00" if trailing else b"")
    expected = b"".join(parts)
    assert in_one(Inflater(LIMIT), payload) == expected
    assert in_pieces(Inflater(LIMIT), payload) == expected


def test_a_message_behind_one_with_a_final_block_is_read_and_may_refer_to_it() -> None:
    client = Deflater(12, takeover=True)
    first = client.message(JSON)
    inflater = Inflater(LIMIT, 4096)
    assert inflater.message(final_block(JSON) + b"\x00") == JSON
    assert inflater.message(client.message(JSON)) == JSON
    assert Inflater(LIMIT, 4096).message(first) == JSON


def test_final_blocks_are_counted_for_each_message() -> None:
    inflater = Inflater(LIMIT)
    for _ in range(3):
        assert inflater.message(b"\x03\x00" * (MAX_FINAL_BLOCKS + 1)) == b""
    too_many = b"\x03\x00" * (MAX_FINAL_BLOCKS + 2)
    assert in_one(inflater, too_many) == in_pieces(inflater, too_many) == 1008
    assert in_one(inflater, HELLO) == b"Hello"


@given(payloads.filter(bool), st.data())
def test_a_message_that_was_cut_off_is_damaged(message: bytes, data: st.DataObject) -> None:
    payload = deflated(message)
    end = data.draw(st.integers(1, len(payload) - 1))
    outcome = in_one(Inflater(LIMIT), payload[:end])
    assert outcome == in_pieces(Inflater(LIMIT), payload[:end])
    # What was not sent can by chance be symbols that end the block.
    assert outcome == 1007 or isinstance(outcome, bytes)


def test_every_way_to_cut_off_an_ordinary_message_is_noticed() -> None:
    payload = deflated(JSON * 3)
    for end in range(1, len(payload)):
        assert in_one(Inflater(LIMIT), payload[:end]) == 1007


@pytest.mark.parametrize(
    "payload",
    [b"\x07", b"\xff" * 10, b"\x00\x01\x00\x00\x00", HELLO + EMPTY_BLOCK, HELLO + b"\x00\x00\xff\x00"],
    ids=["block type 3", "all ones", "lengths differ", "the tail was sent", "a wrong tail"],
)
def test_damaged_data_is_1007(payload: bytes) -> None:
    assert in_one(Inflater(LIMIT), payload) == in_pieces(Inflater(LIMIT), payload) == 1007
    assert drive(frames_of(TEXT, payload), Inflater(LIMIT)) == ([], 1007)


EDGES = sorted(
    {
        1,
        2,
        *(
            edge + d
            for edge in (INPUT_STEP_BYTES, OUTPUT_STEP_BYTES, 3 * OUTPUT_STEP_BYTES)
            for d in (-1, 0, 1)
        ),
    }
)


@pytest.mark.parametrize("limit", EDGES)
@pytest.mark.parametrize("level", [0, 6])
def test_a_message_may_be_exactly_as_long_as_its_limit(limit: int, level: int) -> None:
    data = bytes(i * i >> 3 & 0xFF for i in range(limit + 1))
    for client in (Deflater(level=level), Deflater(level=level, mem_level=1)):
        exact, over = client.message(data[:limit]), client.message(data)
        inflater = Inflater(limit)
        assert in_one(inflater, exact) == in_pieces(inflater, exact, 1000) == data[:limit]
        assert in_one(inflater, over) == in_pieces(inflater, over, 1000) == 1009
        assert in_one(inflater, exact) == data[:limit]


@given(
    payloads, st.sampled_from((b"\x07", b"\xff" * 8, bytes(70000), b"\x03\x00" * 99)), st.integers(0, 4096)
)
def test_after_a_failure_nothing_of_it_is_left(good: bytes, bad: bytes, kept_bytes: int) -> None:
    inflater = Inflater(60000, kept_bytes)
    bad = deflated(bad) if len(bad) > 60000 else bad
    with pytest.raises(ProtocolError):
        inflater.feed(deflated(good) + EMPTY_BLOCK + bad)
        inflater.take(final=True)
    assert inflater._window == b""
    assert in_one(inflater, deflated(good)) == good


@settings(max_examples=1500, deadline=None)
@given(streams_of_blocks, st.integers(1, 24), st.integers(1, 7), st.booleans())
@example(bytes.fromhex("4a040000"), 1, 1, False)
@example(bytes.fromhex("0228"), 5, 1, True)  # a symbol whose fault is in its second byte
@example(b"\x00" + EMPTY_BLOCK * 3, 1, 1, False)
def test_any_bytes_in_any_pieces_give_the_same_message_or_close_code(
    payload: bytes, limit: int, size: int, stored: bool
) -> None:
    if stored:
        payload = b"\x00\x05\x00\xfa\xffHello" + payload
    outcome = in_pieces(Inflater(limit), payload)
    assert in_one(Inflater(limit), payload) == outcome
    assert in_pieces(Inflater(limit), payload, size) == outcome
    assert not isinstance(outcome, bytes) or len(outcome) <= limit


def test_every_two_bytes_behind_a_full_message_give_one_code() -> None:
    full = b"\x00\x05\x00\xfa\xffHello"
    for number in range(0, 1 << 16, 7):
        payload = full + number.to_bytes(2, "little")
        assert in_one(Inflater(5), payload) == in_pieces(Inflater(5), payload)


# -- through wsproto ----------------------------------------------------------------------


FIXED_BLOCK, LITERAL_A, NO_SYMBOL = "010", "10010001", "11000110"
"""RFC 1951 section 3.2.6: how a block of fixed codes begins; the code of `a`; that of 286, no symbol."""


@pytest.mark.parametrize(("limit", "code"), [(3, 1009), (4, 1007), (5, 1007)])
def test_of_a_byte_too_many_and_damage_behind_it_the_first_is_told(limit: int, code: int) -> None:
    bits = FIXED_BLOCK + 4 * LITERAL_A + NO_SYMBOL
    payload = int(bits[::-1], 2).to_bytes((len(bits) + 7) // 8, "little")
    for size in range(1, len(payload) + 1):
        assert in_pieces(Inflater(limit), payload, size) == code
    assert in_one(Inflater(limit), payload) == code


def test_a_ping_between_fragments_leaves_the_message_compressed() -> None:
    payload = deflated(JSON)
    first, second, third = frames_of(TEXT, payload, (10, 20))
    ping, pong = client_frame(PING, b"?"), client_frame(PONG, b"!")
    stream = [first, ping, second, pong, ping, third, *frames_of(BINARY, payload), ping]
    assert drive(stream, Inflater(LIMIT)) == ([JSON.decode(), JSON], None)


def test_compressed_and_plain_messages_may_follow_each_other() -> None:
    stream = [
        *frames_of(TEXT, deflated(b"one"), (2,)),
        *frames_of(TEXT, b"two", (1, 2), rsv=0),
        client_frame(CONTINUATION + BINARY, b"three"),
        *frames_of(BINARY, deflated(b"four")),
    ]
    assert drive(stream, Inflater(LIMIT)) == (["one", "two", b"three", b"four"], None)


def test_fragments_may_be_empty_and_cut_anywhere() -> None:
    payload = deflated(JSON)
    for positions in ((0,), (0, 0, 0), (len(payload),), range(len(payload))):
        assert drive(frames_of(TEXT, payload, positions), Inflater(LIMIT)) == ([JSON.decode()], None)
    empty = [client_frame(TEXT, b"", fin=False, rsv=4), *frames_of(CONTINUATION, payload, rsv=0)]
    assert drive(empty, Inflater(LIMIT)) == ([JSON.decode()], None)
    assert drive([client_frame(BINARY, b"", rsv=4)], Inflater(LIMIT)) == ([b""], None)


@pytest.mark.parametrize(
    "frames",
    [
        [client_frame(PING, b"", rsv=4)],
        [client_frame(PONG, b"", rsv=4)],
        [client_frame(CLOSE, b"", rsv=4)],
        [client_frame(TEXT, HELLO[:3], fin=False, rsv=4), client_frame(CONTINUATION, HELLO[3:], rsv=4)],
        [client_frame(TEXT, b"a", fin=False), client_frame(CONTINUATION, b"b", rsv=4)],
        [client_frame(TEXT, HELLO[:3], fin=False, rsv=4), client_frame(PING, b"", rsv=4)],
        [client_frame(TEXT, HELLO, rsv=2)],
        [client_frame(TEXT, HELLO, rsv=5)],
        [client_frame(TEXT, HELLO, rsv=6)],
        [client_frame(CONTINUATION, HELLO)],
        [client_frame(CONTINUATION, HELLO, rsv=4)],
        [client_frame(TEXT, HELLO[:3], fin=False, rsv=4), client_frame(TEXT, b"\xff\xff", rsv=4)],
        [client_frame(TEXT, HELLO[:3], fin=False, rsv=4), client_frame(BINARY, b"\xff\xff")],
        [client_frame(TEXT, b"a", fin=False), client_frame(TEXT, b"\xff\xff", rsv=4)],
    ],
    ids=[
        "compressed ping",
        "compressed pong",
        "compressed close",
        "RSV1 on a continuation",
        "RSV1 on a plain continuation",
        "RSV1 on a ping between fragments",
        "RSV2",
        "RSV1 and RSV3",
        "RSV1 and RSV2",
        "continuation of nothing",
        "compressed continuation of nothing",
        "compressed message in a compressed one",
        "plain message in a compressed one",
        "compressed message in a plain one",
    ],
)
def test_a_frame_out_of_place_is_1002_whatever_it_holds(frames: list[bytes]) -> None:
    # RFC 7692 section 6, RFC 6455 sections 5.2 and 5.4.
    assert drive(frames, Inflater(LIMIT)) == ([], 1002)
    assert drive([byte.to_bytes(1, "big") for byte in b"".join(frames)], Inflater(LIMIT)) == ([], 1002)


def test_text_that_is_not_utf8_is_1007_and_binary_may_be_anything() -> None:
    for payload in (deflated(b"\xff"), deflated("é".encode()[:1])):
        assert drive(frames_of(TEXT, payload), Inflater(LIMIT)) == ([], 1007)
        assert drive(frames_of(BINARY, payload), Inflater(LIMIT))[1] is None
    split = frames_of(TEXT, deflated("éé".encode()), range(9))
    assert drive(split, Inflater(LIMIT)) == (["éé"], None)


def test_too_long_and_not_utf8_is_too_long_however_it_is_cut() -> None:
    [frame] = frames_of(TEXT, deflated(b"\xff" + bytes(2000)))
    assert drive([frame], Inflater(1000)) == ([], 1009)
    assert drive([bytes([byte]) for byte in frame], Inflater(1000)) == ([], 1009)


def test_a_failure_is_told_with_its_reason() -> None:
    for payload, reason in (
        (b"\x07", "compressed data is damaged"),
        (deflated(bytes(99)), "a message is larger than 9 bytes"),
    ):
        extension = PerMessageDeflate(Inflater(9))
        protocol = FrameProtocol(client=False, extensions=[extension])
        protocol.receive_bytes(client_frame(TEXT, payload, rsv=4))
        with pytest.raises(Exception, match="error in extension"):
            list(protocol.received_frames())
        assert extension.failure is not None
        assert extension.failure.reason == reason


def test_the_extension_is_on_declines_offers_and_leaves_what_is_sent_alone() -> None:
    extension = PerMessageDeflate(Inflater(9))
    assert extension.enabled()
    assert extension.accept("permessage-deflate") is None  # type: ignore[func-returns-value]
    protocol = FrameProtocol(client=False, extensions=[extension])
    assert protocol.send_data(b"x" * 50) == bytes([0x82, 50]) + b"x" * 50


@settings(max_examples=400, deadline=None)
@given(frame_streams(), cut_positions, st.sampled_from((10, 300, LIMIT)), st.sampled_from((0, 512)))
def test_any_way_of_cutting_the_bytes_gives_the_same_messages_and_close_code(
    stream: bytes, positions: list[int], limit: int, kept_bytes: int
) -> None:
    expected = drive([stream], Inflater(limit, kept_bytes))
    assert drive(cuts(stream, positions), Inflater(limit, kept_bytes)) == expected
    assert drive([stream[i : i + 1] for i in range(len(stream))], Inflater(limit, kept_bytes)) == expected
