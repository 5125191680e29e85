"""RFC 6455, sections 5 to 8, as seen by the server, and the limits that it leaves open."""

from __future__ import annotations

import gc
import tracemalloc
import weakref

import pytest
from wsproto import frame_protocol

from tests.protocol.kit import client_frame, run_session, state_of
from wsloop.errors import StateError
from wsloop.protocol.deflate import DeflateOptions
from wsloop.protocol.deflate_offers import negotiate
from wsloop.protocol.events import BinaryMessage, CloseReceived, Event, Failed, Ping, Pong, TextMessage
from wsloop.protocol.fast_path import FastSession
from wsloop.protocol.frames import JOIN_MAX_BYTES, encode_frame
from wsloop.protocol.limits import Limits
from wsloop.protocol.session import Session
from wsloop.protocol.session_states import SESSION_TRANSITIONS, SessionState, SessionStep
from wsloop.testing.wire import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT


def outcome(*frames: bytes, limits: Limits | None = None) -> tuple[list[Event], bytes, SessionState]:
    session = FastSession(limits or Limits())
    events, output = run_session(session, [b"".join(frames)])
    return events, output, session.state


def close_frame(code: int, reason: str = "") -> bytes:
    return encode_frame(CLOSE, code.to_bytes(2, "big") + reason.encode())


def assert_fails(code: int, *frames: bytes, limits: Limits | None = None) -> str:
    events, output, state = outcome(*frames, limits=limits)
    assert state is SessionState.FAILED
    failure = events[-1]
    assert isinstance(failure, Failed)
    assert failure.code == code
    assert output.endswith(close_frame(code, failure.reason))
    assert failure.reason.isascii()
    assert failure.reason.isprintable()
    return failure.reason


# Messages


def test_text_and_binary_messages() -> None:
    events, output, state = outcome(client_frame(TEXT, "grün".encode()), client_frame(BINARY, b"\x00\xff"))
    assert events == [TextMessage("grün"), BinaryMessage(b"\x00\xff")]
    assert output == b""
    assert state is SessionState.OPEN


def test_fragments_are_joined_even_where_a_character_is_cut() -> None:
    frames = [
        client_frame(TEXT, b"a\xe2", fin=False),
        client_frame(CONTINUATION, b"", fin=False),
        client_frame(CONTINUATION, b"\x82\xac"),
    ]
    assert outcome(*frames)[0] == [TextMessage("a€")]


def test_control_frames_between_fragments_come_first_and_are_answered() -> None:
    events, output, _ = outcome(
        client_frame(BINARY, b"1", fin=False), client_frame(PING, b"p"), client_frame(PONG, b"q"),
        client_frame(CONTINUATION, b"2"),
    )  # fmt: skip
    assert events == [Ping(b"p"), Pong(b"q"), BinaryMessage(b"12")]
    assert output == encode_frame(PONG, b"p")


def test_every_ping_is_answered_in_order_with_its_own_payload() -> None:
    _, output, _ = outcome(client_frame(PING, b"1"), client_frame(PING), client_frame(PING, b"x" * 125))
    assert output == encode_frame(PONG, b"1") + encode_frame(PONG, b"") + encode_frame(PONG, b"x" * 125)


def test_a_long_message_in_64_kib_pieces_is_never_left_in_the_callers_buffer() -> None:
    payload = bytes(range(256)) * 4096
    stream = client_frame(BINARY, payload)
    session = FastSession(Limits())
    for start in range(0, len(stream), 65536):
        piece = stream[start : start + 65536]
        assert session.receive(piece) == len(piece)
    assert session.take_events() == [BinaryMessage(payload)]


def test_a_long_message_costs_memory_in_proportion_to_its_size() -> None:
    payload = b"x" * (4 << 20)
    header = client_frame(BINARY, length=len(payload), key=bytes(4))
    session = FastSession(Limits(message_bytes=len(payload)))
    session.receive(header)
    piece = payload[:65536]
    tracemalloc.start()
    try:
        for _ in range(len(payload) // len(piece)):
            session.receive(piece)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert session.take_events() == [BinaryMessage(payload)]
    # The parts and the joined message, and what one piece needs while it is unmasked.
    assert peak < 2 * len(payload) + 16 * len(piece)


def test_no_more_events_than_asked_for_and_the_rest_at_the_next_call() -> None:
    stream = client_frame(TEXT, b"1") * 5
    session = FastSession(Limits())
    consumed = session.receive(stream, 2)
    assert session.take_events() == [TextMessage("1")] * 2
    assert consumed == len(stream) // 5 * 2
    assert session.receive(stream[consumed:], 256) == len(stream) - consumed
    assert session.take_events() == [TextMessage("1")] * 3


def test_events_that_nobody_took_do_not_count_against_the_next_call() -> None:
    session = FastSession(Limits())
    frame = client_frame(TEXT, b"1")
    assert session.receive(frame, 1) == len(frame)
    assert session.receive(frame, 1) == len(frame)
    assert len(session.take_events()) == 2


def test_wsproto_is_made_only_when_it_is_needed_and_let_go_at_the_next_boundary() -> None:
    session = FastSession(Limits())
    owned = []
    for frame in (
        client_frame(TEXT, b"plain"), client_frame(PING), client_frame(CLOSE)[:3],
        client_frame(TEXT, b"fragment", fin=False), client_frame(PING), client_frame(CONTINUATION),
        client_frame(TEXT, b"plain"), client_frame(CLOSE),
    ):  # fmt: skip
        session.receive(frame)
        owned.append(session._wsproto is not None)
    assert owned == [False, False, False, True, True, False, False, False]


# Limits


def test_a_message_of_the_limit_passes_and_one_byte_more_fails_with_1009() -> None:
    limits = Limits(message_bytes=10)
    assert outcome(client_frame(TEXT, b"x" * 10), limits=limits)[0] == [TextMessage("x" * 10)]
    assert "larger than 10 bytes" in assert_fails(1009, client_frame(TEXT, b"x" * 11), limits=limits)


@pytest.mark.parametrize("length", [(1 << 20) + 1, 2**62, 2**63 - 1])
def test_a_declared_length_over_the_limit_fails_from_the_header_alone(length: int) -> None:
    """Fact: wsproto has no size limit; it accepts the header of a 2**62-byte frame."""
    header = client_frame(BINARY, length=length, key=bytes(4))[:10]
    assert_fails(1009, header)


def test_the_length_counts_over_all_fragments_and_starts_anew_with_each_message() -> None:
    limits = Limits(message_bytes=10)
    part = client_frame(BINARY, b"x" * 6, fin=False)
    assert_fails(1009, part, client_frame(CONTINUATION, b"x" * 5), limits=limits)
    end = client_frame(CONTINUATION, b"x" * 4)
    assert outcome(part, end, part, end, limits=limits)[0] == [BinaryMessage(b"x" * 10)] * 2


def test_control_frames_count_neither_as_bytes_nor_as_fragments_of_a_message() -> None:
    limits = Limits(message_bytes=2, fragments=2)
    frames = [
        client_frame(TEXT, b"1", fin=False),
        client_frame(PING, b"x" * 100),
        client_frame(CONTINUATION, b"2"),
    ]
    assert outcome(*frames, limits=limits)[0][-1] == TextMessage("12")


def test_too_many_fragments_fail_with_1008_empty_ones_count() -> None:
    limits = Limits(fragments=3)
    empty = client_frame(CONTINUATION, fin=False)
    start = client_frame(TEXT, b"a", fin=False)
    assert outcome(start, empty, client_frame(CONTINUATION, b"b"), limits=limits)[0] == [TextMessage("ab")]
    assert "more than 3 fragments" in assert_fails(1008, start, empty, empty, empty, limits=limits)


def test_fragments_are_counted_anew_with_each_message() -> None:
    message = client_frame(TEXT, b"a", fin=False) + client_frame(CONTINUATION, b"b")
    events, _, state = outcome(message * 3, client_frame(TEXT, b"c") * 3, limits=Limits(fragments=2))
    assert events == [TextMessage("ab")] * 3 + [TextMessage("c")] * 3
    assert state is SessionState.OPEN


def test_a_message_of_32_mib_can_be_allowed() -> None:
    header = client_frame(BINARY, length=32 << 20, key=bytes(4))
    session = FastSession(Limits(message_bytes=32 << 20))
    assert session.receive(header) == len(header)
    assert state_of(session) is SessionState.OPEN


# Failures: section 7.1.7, and which code they carry


def test_text_that_is_not_utf8_fails_with_1007() -> None:
    assert assert_fails(1007, client_frame(TEXT, b"\xff")) == "text is not valid UTF-8"
    assert_fails(1007, client_frame(TEXT, b"a\xe2\x82"))
    assert_fails(1007, client_frame(TEXT, b"\xed\xa0\x80"))


def test_text_that_is_not_utf8_fails_before_a_long_frame_is_complete() -> None:
    payload = b"\xff" * 40_000
    assert_fails(1007, client_frame(TEXT, payload)[:20_000])


@pytest.mark.parametrize(
    "frame",
    [
        client_frame(TEXT, b"unmasked", key=None),
        client_frame(TEXT, b"", key=None),
        client_frame(PING, b"unmasked", key=None),
        client_frame(TEXT, rsv=4),
        client_frame(TEXT, rsv=2),
        client_frame(PING, rsv=1),
        *(client_frame(opcode) for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)),
        client_frame(TEXT, b"x" * 125, width=16),
        client_frame(TEXT, b"x" * 200, width=64),
        client_frame(TEXT, length=2**63),
        client_frame(PING, b"x" * 126),
        client_frame(PING, fin=False),
        client_frame(CLOSE, fin=False),
        client_frame(CONTINUATION, b"of nothing"),
        client_frame(TEXT, fin=False) + client_frame(TEXT, b"in the midst"),
        client_frame(CLOSE, b"1"),
        *(
            client_frame(CLOSE, code.to_bytes(2, "big"))
            for code in (0, 999, 1004, 1005, 1006, 1015, 2999, 5000)
        ),
    ],
)
def test_a_broken_rule_fails_with_1002(frame: bytes) -> None:
    assert_fails(1002, frame)


def test_a_close_reason_that_is_not_utf8_fails_with_1007() -> None:
    assert_fails(1007, client_frame(CLOSE, b"\x03\xe8\xff"))


def test_what_stands_before_a_failure_is_delivered() -> None:
    events, output, _ = outcome(
        client_frame(TEXT, b"ok"), client_frame(PING), client_frame(3), client_frame(TEXT)
    )
    assert events[:2] == [TextMessage("ok"), Ping(b"")]
    assert isinstance(events[2], Failed)
    assert len(events) == 3
    assert output.startswith(encode_frame(PONG, b"") + b"\x88")


def test_a_failure_is_latched_where_wsproto_goes_on() -> None:
    """Fact: after a parse error wsproto's state stays OPEN and later bytes pile up unparsed."""
    protocol = frame_protocol.FrameProtocol(client=False, extensions=[])
    protocol.receive_bytes(client_frame(3))
    with pytest.raises(frame_protocol.ParseFailed):
        list(protocol.received_frames())
    protocol.receive_bytes(client_frame(TEXT, b"1"))
    assert list(protocol.received_frames()) == []

    session = FastSession(Limits())
    session.receive(client_frame(3))
    assert [type(event) for event in session.take_events()] == [Failed]
    session.answer_close()
    assert session.take_output() != []
    for _ in range(3):
        assert session.receive(client_frame(TEXT, b"1") * 100) > 0
    assert session.take_events() == []
    assert session._wsproto is None


def test_every_send_after_a_failure_raises() -> None:
    session = FastSession(Limits())
    session.receive(client_frame(3))
    session.answer_close()
    with pytest.raises(StateError, match="send is illegal while failed"):
        session.send_text("x")
    with pytest.raises(StateError):
        session.send_close()


# The closing handshake: sections 5.5.1 and 7.1


@pytest.mark.parametrize("code", [1000, 1001, 1011, 3000, 4999])
def test_a_close_is_answered_with_its_own_code(code: int) -> None:
    events, output, state = outcome(client_frame(CLOSE, code.to_bytes(2, "big") + b"bye"))
    assert events == [CloseReceived(code, "bye")]
    assert output == close_frame(code)
    assert state is SessionState.CLOSED


def test_a_close_without_a_code_is_1005_and_answered_without_one() -> None:
    events, output, _ = outcome(client_frame(CLOSE))
    assert events == [CloseReceived(1005, "")]
    assert output == b"\x88\x00"


def test_between_a_received_close_and_its_answer_earlier_messages_are_answered() -> None:
    session = FastSession(Limits())
    session.receive(client_frame(TEXT, b"ask") + client_frame(CLOSE, b"\x0f\xa0"))
    assert state_of(session) is SessionState.CLOSE_RECEIVED
    session.send_text("answer")
    session.answer_close()
    assert b"".join(session.take_output()) == encode_frame(TEXT, b"answer") + close_frame(4000)
    session.answer_close()
    assert session.take_output() == []
    assert state_of(session) is SessionState.CLOSED


def test_between_a_fault_and_its_close_frame_earlier_messages_are_answered() -> None:
    session = FastSession(Limits())
    session.receive(client_frame(TEXT, b"ask") + client_frame(3))
    session.send_text("answer")
    session.answer_close()
    assert b"".join(session.take_output()).startswith(encode_frame(TEXT, b"answer") + b"\x88")
    assert state_of(session) is SessionState.FAILED


def test_a_close_of_our_own_may_stand_in_for_the_answer() -> None:
    session = FastSession(Limits())
    session.receive(client_frame(CLOSE))
    session.send_close(4001, "ours")
    session.answer_close()
    assert session.take_output() == [close_frame(4001, "ours")]


def test_frames_behind_a_close_are_ignored() -> None:
    stream = client_frame(CLOSE) + client_frame(TEXT, b"late") + client_frame(3)
    session = FastSession(Limits())
    assert session.receive(stream) == len(stream)
    assert session.take_events() == [CloseReceived(1005, "")]


def test_our_close_is_answered_by_the_peer_and_not_again_by_us() -> None:
    session = FastSession(Limits())
    session.send_close(1001, "going")
    assert state_of(session) is SessionState.CLOSE_SENT
    assert session.take_output() == [close_frame(1001, "going")]
    session.receive(client_frame(CLOSE, b"\x03\xe9"))
    assert session.take_events() == [CloseReceived(1001, "")]
    assert session.take_output() == []
    assert state_of(session) is SessionState.CLOSED


def test_after_our_close_messages_and_pings_are_dropped_until_the_peers() -> None:
    session = FastSession(Limits(whole_frame_bytes=131))
    session.receive(client_frame(TEXT, b"begun", fin=False))
    session.send_close()
    session.take_output()
    late = [
        client_frame(CONTINUATION, b"x" * 200, fin=False),
        client_frame(PING, b"?"),
        client_frame(PONG),
        client_frame(CONTINUATION, b"done"),
        client_frame(BINARY, b"more"),
    ]
    events, output = run_session(session, [*late, client_frame(CLOSE)])
    assert events == [CloseReceived(1005, "")]
    assert output == b""


def test_a_failure_after_our_close_sends_no_second_one() -> None:
    session = FastSession(Limits())
    session.send_close()
    session.take_output()
    session.receive(client_frame(3))
    assert [type(event) for event in session.take_events()] == [Failed]
    assert session.take_output() == []
    assert state_of(session) is SessionState.FAILED


def test_nothing_can_be_sent_after_a_close() -> None:
    session = FastSession(Limits())
    session.send_close()
    refused = "send is illegal while close sent"
    with pytest.raises(StateError, match=refused):
        session.send_text("x")
    with pytest.raises(StateError, match=refused):
        session.send_binary(b"x")
    with pytest.raises(StateError, match=refused):
        session.send_ping()
    with pytest.raises(StateError, match=refused):
        session.send_frames(encode_frame(TEXT, b"x"))
    with pytest.raises(StateError, match="send close is illegal while close sent"):
        session.send_close()
    assert len(session.take_output()) == 1


def test_a_code_that_may_not_be_sent_leaves_the_session_open() -> None:
    session = FastSession(Limits())
    with pytest.raises(ValueError, match="1006"):
        session.send_close(1006)
    assert state_of(session) is SessionState.OPEN
    assert session.take_output() == []


def test_the_end_of_input_closes_in_every_state_and_twice() -> None:
    for prepare in (b"", client_frame(3), client_frame(CLOSE), client_frame(TEXT, b"half", fin=False)):
        session = FastSession(Limits())
        session.receive(prepare)
        session.take_events()
        session.receive_eof()
        session.receive_eof()
        assert state_of(session) is SessionState.CLOSED
        assert session.receive(b"anything") == 8
        assert session.take_events() == []


# Sending


def test_small_messages_are_one_piece_and_large_ones_are_not_copied() -> None:
    session = FastSession(Limits())
    small, large = b"x" * JOIN_MAX_BYTES, b"x" * (JOIN_MAX_BYTES + 1)
    session.send_binary(small)
    session.send_binary(large)
    session.send_text("x" * (JOIN_MAX_BYTES + 1))
    pieces = session.take_output()
    assert [len(piece) for piece in pieces] == [len(small) + 4, 4, len(large), 4, len(large)]
    assert pieces[2] is large
    assert b"".join(pieces[1:3]) == encode_frame(BINARY, large)


def test_what_is_sent_and_what_is_answered_keep_their_order() -> None:
    session = FastSession(Limits())
    session.send_text("ä")
    session.answer_ping(b"p")
    session.send_ping(b"q")
    session.send_frames(encode_frame(TEXT, b"1") * 2)
    session.send_close()
    expected = [
        (TEXT, "ä".encode()),
        (PONG, b"p"),
        (PING, b"q"),
        (TEXT, b"1"),
        (TEXT, b"1"),
        (CLOSE, b"\x03\xe8"),
    ]
    assert b"".join(session.take_output()) == b"".join(encode_frame(*frame) for frame in expected)


def test_text_that_utf8_cannot_hold_queues_nothing() -> None:
    session = FastSession(Limits())
    with pytest.raises(UnicodeEncodeError):
        session.send_text("\ud800")
    assert session.take_output() == []


def test_a_ping_of_126_bytes_is_refused() -> None:
    session = FastSession(Limits())
    with pytest.raises(ValueError, match="125"):
        session.send_ping(b"x" * 126)


# The table and the house


def test_the_table_names_every_state_and_only_ends_are_final() -> None:
    assert set(SESSION_TRANSITIONS) == set(SessionState)
    reached = {after for row in SESSION_TRANSITIONS.values() for after in row.values()}
    assert reached == set(SessionState)
    for due in (SessionState.CLOSE_RECEIVED, SessionState.FAILING):
        assert SESSION_TRANSITIONS[due][SessionStep.SEND] is due
    for state in (SessionState.FAILED, SessionState.CLOSED):
        assert set(SESSION_TRANSITIONS[state].values()) == {SessionState.CLOSED}


def test_every_step_is_used() -> None:
    assert {step for row in SESSION_TRANSITIONS.values() for step in row} == set(SessionStep)


class _Watched(Session):
    __slots__ = ("__weakref__",)


def test_a_session_is_in_no_reference_cycle() -> None:
    gc.disable()
    try:
        session = _Watched(Limits())
        session.receive(client_frame(TEXT, b"1"))
        watch = weakref.ref(session)
        del session
        assert watch() is None
    finally:
        gc.enable()


def test_an_idle_session_is_small_and_has_no_dict() -> None:
    session = FastSession(Limits())
    assert not hasattr(session, "__dict__")


def test_wsprotos_parser_leaves_no_cycle_behind() -> None:
    """It is a generator that holds its owner: nobody would find it once the heap is frozen."""
    made: list[weakref.ref[object]] = []
    gc.collect()
    gc.disable()
    try:
        for last in (client_frame(CONTINUATION, b"b"), client_frame(CLOSE), client_frame(3)):
            session = FastSession(Limits())
            session.receive(client_frame(TEXT, b"a", fin=False))
            made.append(weakref.ref(session._wsproto))
            session.receive(last)
        assert [reference() for reference in made] == [None, None, None]
    finally:
        gc.enable()


def test_whoever_has_lost_bytes_gives_up_reading() -> None:
    session = FastSession(Limits())
    with pytest.raises(StateError):
        session.lose_track()
    session = FastSession(Limits())
    session.send_close(1013)
    session.lose_track()
    assert state_of(session) is SessionState.FAILED
    assert session.receive(client_frame(TEXT, b"x")) == 7
    assert session.take_events() == []
    session = FastSession(Limits())
    session.receive(client_frame(CLOSE))
    session.send_close(1008)
    session.lose_track()
    assert state_of(session) is SessionState.CLOSED


def test_a_ping_that_is_answered_too_late_gets_no_pong() -> None:
    session = FastSession(Limits())
    session.receive(client_frame(PING, b"!"))
    session.send_close(1001)
    before = len(session.take_output())
    session.answer_ping(b"!")
    assert (before, session.take_output()) == (1, [])


@pytest.mark.parametrize("verb", ["writable", "commit"])
def test_there_is_room_only_while_a_long_frame_arrives(verb: str) -> None:
    session = FastSession(Limits())
    for data in (b"", client_frame(TEXT, b"x")):
        session.receive(data)
        with pytest.raises(StateError):
            session.writable() if verb == "writable" else session.commit(0)


def test_a_long_text_that_is_not_utf8_fails_where_it_is_read_in_place() -> None:
    session = FastSession(Limits(whole_frame_bytes=1024))
    frame = client_frame(TEXT, b"a" * 2000 + b"\xff" * 2000)
    session.receive(frame[:100])
    done = 100
    while session.is_filling:
        space = session.writable()
        part = frame[done : done + min(len(space), 512)]
        space[: len(part)] = part
        session.commit(len(part))
        done += len(part)
    (failure,) = session.take_events()
    assert isinstance(failure, Failed)
    assert failure.code == 1007
    assert 100 < done < 3000


def test_a_session_is_between_messages_until_something_else_than_plain_frames_comes() -> None:
    session = FastSession(Limits())
    for data, expected in (
        (client_frame(TEXT, b"x"), True),
        (client_frame(TEXT, b"a", fin=False), False),
        (client_frame(CONTINUATION, b"b"), True),
        (client_frame(CLOSE), False),
    ):
        session.receive(data)
        assert session.is_between_messages is expected


def test_what_was_agreed_on_is_known() -> None:
    agreement = negotiate(["permessage-deflate"], DeflateOptions())
    assert agreement is not None
    assert FastSession(Limits(), agreement).agreement is agreement
    assert FastSession(Limits()).agreement is None
