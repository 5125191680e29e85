"""Three opinions on the same bytes: the oracle's, wsproto's, and ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.protocol.kit import cut_positions, cuts, run_session
from tests.protocol.test_session_properties import by_wsproto_alone, streams, valid_streams, without_reasons
from wsloop.protocol import events
from wsloop.protocol.deflate import DeflateOptions
from wsloop.protocol.deflate_offers import negotiate
from wsloop.protocol.fast_path import FastSession
from wsloop.protocol.limits import Limits
from wsloop.testing import oracle
from wsloop.testing.deflating import Deflated, Deflater, deflated, fragments
from wsloop.testing.oracle import Binary, Close, Deflate, Ping, Pong, Reading, Said, Text, read
from wsloop.testing.strategies import compressed_messages, damaged_deflate, masks, repetitive_payloads
from wsloop.testing.wire import BINARY, TEXT, Frame, close, encode_frames, masking, more, ping, text

if TYPE_CHECKING:
    from wsloop.protocol.deflate_offers import Agreement

BAD_GATEWAY = 1014
"""A close code that the oracle knows from the registry; wsproto does not, and neither do we."""

LIMITS = Limits(message_bytes=2**63 - 1)


def as_events(reading: Reading) -> list[events.Event]:
    """What a session reports for this reading; without the reason of a failure."""
    told: list[events.Event] = [as_event(said) for said in reading.said]
    if reading.fault is not None:
        told.append(events.Failed(reading.fault.code, ""))
    return told


def as_event(said: Said) -> events.Event:
    match said:
        case Text(data):
            return events.TextMessage(data)
        case Binary(data):
            return events.BinaryMessage(data)
        case Ping(data):
            return events.Ping(data)
        case Pong(data):
            return events.Pong(data)
        case Close(code, reason):
            return events.CloseReceived(code, reason)


def agrees(reading: Reading, session: list[events.Event]) -> bool:
    """Whether events are those of the reading; a fault in an unfinished frame may be found later."""
    if any(isinstance(said, Close) and said.code == BAD_GATEWAY for said in reading.said):
        return True
    expected = as_events(reading)
    found = without_reasons(session)
    return found == expected or (
        reading.fault is not None and reading.fault.is_cut and found == expected[:-1]
    )


HEADER_ENDS = (b"\x7f" * 14, b"\xff" + b"\x7f" * 13, b"\x80" + b"\x7f" * 13)
"""What may follow a header that is cut: with one of them it is right, if it can be at all."""


def ends_in_header(stream: bytes) -> bool:
    """Whether the last header was begun and its length is not known yet."""
    rest = stream
    while rest:
        length = rest[1] & 0x7F if len(rest) > 1 else 0
        extra_bytes = {126: 2, 127: 8}.get(length, 0)
        if len(rest) < 2 + extra_bytes:
            return True
        if extra_bytes:
            length = int.from_bytes(rest[2 : 2 + extra_bytes], "big")
        rest = rest[2 + extra_bytes + 4 * (rest[1] >> 7) + length :]
    return False


def is_early(stream: bytes, session: list[events.Event]) -> bool:
    """Whether a failure that the oracle waits for the whole header to see is there however it goes on."""
    found = without_reasons(session)
    return ends_in_header(stream) and all(found == as_events(read(stream + end)) for end in HEADER_ENDS)


@settings(max_examples=200, deadline=None)
@given(streams, cut_positions)
@example(b"\x03~", [])
@example(b"\x03", [])
@example(b"\x81\xfe", [])
@example(b"\x01", [])
def test_ours_and_wsproto_read_any_stream_as_the_oracle_does(stream: bytes, positions: list[int]) -> None:
    reading = read(stream)
    ours, _ = run_session(FastSession(LIMITS), cuts(stream, positions))
    for found in (ours, by_wsproto_alone(stream)):
        assert agrees(reading, found) or is_early(stream, found), found


@pytest.mark.parametrize(
    "begun", [b"\x81", b"\x81\xfe", b"\x81\xff", b"\x81\xff\x00", b"\x89", b"\x89\x85", b"\x02\xfe\x01"]
)
def test_a_failure_is_early_for_no_header_that_may_be_right_yet(begun: bytes) -> None:
    assert not is_early(begun, [events.Failed(1002, "too hasty")])


@pytest.mark.parametrize(
    ("stream", "told"),
    [
        (b"", [events.Failed(1002, "")]),
        (b"\x82\x80\0\0\0\0", [events.BinaryMessage(b""), events.Failed(1002, "")]),
        (b"\x81\x82\0\0\0\0\xc3", [events.Failed(1007, "")]),
    ],
)
def test_a_failure_is_early_in_a_header_only(stream: bytes, told: list[events.Event]) -> None:
    assert not is_early(stream, told)


@settings(deadline=None)
@given(valid_streams)
def test_a_valid_stream_has_no_fault_and_an_end(stream: bytes) -> None:
    reading = read(stream)
    assert reading.fault is None
    assert reading.is_finished


def agreement(*, takeover: bool) -> Agreement:
    options = DeflateOptions(client_context_takeover=takeover, window_bits=15)
    agreed = negotiate(["permessage-deflate; client_max_window_bits"], options)
    assert agreed is not None
    return agreed


@settings(max_examples=150, deadline=None)
@given(st.lists(compressed_messages(), max_size=4), st.booleans(), cut_positions)
def test_compressed_messages_are_read_as_they_were_said(
    messages: list[Deflated], takeover: bool, positions: list[int]
) -> None:
    deflater = Deflater(15, takeover=takeover)
    stream = b"".join(each.encode() for message in messages for each in message.frames(deflater))
    reading = read(stream, deflate=Deflate(15, takeover))
    assert reading.said == tuple(
        Text(each.data.decode()) if each.opcode == TEXT else Binary(each.data) for each in messages
    )
    ours, _ = run_session(FastSession(LIMITS, agreement(takeover=takeover)), cuts(stream, positions))
    assert ours == as_events(reading)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.builds(
            fragments,
            st.sampled_from((TEXT, BINARY)),
            damaged_deflate() | repetitive_payloads().map(deflated),
            st.lists(st.integers(0, 60), max_size=3),
            rsv=st.sampled_from((4, 4, 4, 0)),
            mask=masks(),
        ),
        max_size=4,
    ),
    cut_positions,
)
def test_damaged_compression_is_judged_alike(messages: list[list[Frame]], positions: list[int]) -> None:
    stream = encode_frames(each for message in messages for each in message)
    reading = read(stream, deflate=Deflate(15, takeover=False))
    ours, _ = run_session(FastSession(LIMITS, agreement(takeover=False)), cuts(stream, positions))
    assert agrees(reading, ours), (reading, ours)


def test_each_fault_names_its_rule() -> None:
    for frames, code, rule in [
        ([Frame(3)], 1002, "an opcode is reserved"),
        ([text("", rsv=1)], 1002, "a reserved bit is set"),
        ([text("", rsv=4)], 1002, "RSV1 is set where it has no meaning"),
        ([text("", mask=None)], 1002, "a client's frame is not masked"),
        ([ping(fin=False)], 1002, "a control frame is fragmented"),
        ([ping(b"x" * 126)], 1002, "a control frame is too long"),
        ([more("")], 1002, "nothing to continue"),
        ([text("", fin=False), text("")], 1002, "a message begins inside another"),
        ([text("a", width=16)], 1002, "a length is not in its shortest form"),
        ([text("", length=2**63, width=64)], 1002, "a length has its highest bit set"),
        ([text(b"\xff")], 1007, "a text message is not UTF-8"),
        ([text(b"\xc3")], 1007, "a text message is not UTF-8"),
        ([close(payload=b"\x03")], 1002, "a close frame has half a code"),
        ([close(1005)], 1002, "a close code must not be sent"),
        ([close(1000, b"\xff")], 1007, "a close reason is not UTF-8"),
    ]:
        fault = read(encode_frames(frames)).fault
        assert fault is not None
        assert (fault.code, fault.rule) == (code, rule)


def test_a_server_must_not_mask_and_a_message_can_be_too_large() -> None:
    fault = read(text("").encode(), by_client=False).fault
    assert fault is not None
    assert fault.rule == "a server's frame is masked"
    fault = read(text("abc").encode(), max_message_bytes=2).fault
    assert fault is not None
    assert fault.code == oracle.TOO_BIG


@pytest.mark.parametrize(
    "payload",
    ["f248cdc9c90700", "000500faff48656c6c6f00", "f348cdc9c9070000", "f248050000 00ffffcac9c90700"],
    ids=["one block", "not compressed", "BFINAL", "two blocks"],
)
def test_the_examples_of_rfc_7692_section_7_2_3(payload: str) -> None:
    frame = Frame(TEXT, bytes.fromhex(payload), rsv=4)
    assert read(frame.encode(), deflate=Deflate()).said == (Text("Hello"),)


@pytest.mark.parametrize(("bits", "is_far"), [(9, False), (10, True), (15, True)])
def test_a_message_that_refers_back_beyond_the_window_is_told_to_the_strict(bits: int, is_far: bool) -> None:
    [frame] = Deflated(BINARY, b"said before" + b"-" * 700 + b"said before").frames(Deflater(bits))
    assert read(frame.encode(), deflate=Deflate(9)).fault is None
    assert read(frame.encode(), deflate=Deflate(9, is_strict=True)).fault == (
        oracle.TOO_FAR if is_far else None
    )
    assert read(frame.encode(), deflate=Deflate(10, is_strict=True)).fault is None


def test_context_takeover_refers_to_the_message_before() -> None:
    first, second = (Frame(TEXT, bytes.fromhex(said), rsv=4) for said in ("f248cdc9c90700", "f200110000"))
    assert read(encode_frames([first, second]), deflate=Deflate()).said == (Text("Hello"), Text("Hello"))
    assert read(encode_frames([first, second]), deflate=Deflate(takeover=False)).fault is not None


@given(st.binary(max_size=40), masks())
def test_masking_twice_is_nothing(data: bytes, mask: bytes) -> None:
    assert masking(masking(data, mask), mask) == data
