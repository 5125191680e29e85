"""Properties first: how the bytes are cut changes nothing, and wsproto alone says the same."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st
from wsproto import events as w
from wsproto.connection import SERVER, Connection, ConnectionState

from tests.protocol.kit import client_frame, cut_positions, cuts, run_session, run_session_on
from wsloop.protocol.events import BinaryMessage, CloseReceived, Event, Failed, Ping, Pong, TextMessage
from wsloop.protocol.fast_path import FastSession
from wsloop.protocol.limits import Limits
from wsloop.protocol.session import Session
from wsloop.protocol.session_states import SessionState
from wsloop.testing.strategies import (
    broken_sequences,
    damaged_streams,
    encoded,
    hostile_frames,
    huge_frames,
    messages,
    valid_sequences,
)
from wsloop.testing.wire import BINARY, TEXT

LIMITS = st.sampled_from(
    [
        Limits(),
        Limits(whole_frame_bytes=131),
        Limits(whole_frame_bytes=131, message_bytes=150, fragments=3),
        Limits(message_bytes=20, fragments=1),
    ]
)


valid_streams = encoded(valid_sequences(garbage=True))

streams = st.one_of(
    valid_streams,
    damaged_streams(),
    encoded(broken_sequences()),
    encoded(st.lists(hostile_frames() | huge_frames(), max_size=5).map(tuple)),
    encoded(
        st.tuples(messages(), st.lists(hostile_frames(), max_size=4)).map(lambda pair: (*pair[0], *pair[1]))
    ),
    st.binary(max_size=200),
)


def by_wsproto_alone(stream: bytes) -> list[Event]:
    """The whole stream through wsproto, its partial messages joined, ended at the first close."""
    connection = Connection(SERVER)
    connection.receive_data(stream)
    events: list[Event] = []
    texts: list[str] = []
    binaries: list[bytes] = []
    for event in connection.events():
        if isinstance(event, w.TextMessage):
            texts.append(event.data)
            if event.message_finished:
                events.append(TextMessage("".join(texts)))
                texts = []
        elif isinstance(event, w.BytesMessage):
            binaries.append(bytes(event.data))
            if event.message_finished:
                events.append(BinaryMessage(b"".join(binaries)))
                binaries = []
        elif isinstance(event, w.Ping):
            events.append(Ping(bytes(event.payload)))
        elif isinstance(event, w.Pong):
            events.append(Pong(bytes(event.payload)))
        else:
            assert isinstance(event, w.CloseConnection)
            failed = connection.state is ConnectionState.OPEN
            events.append((Failed if failed else CloseReceived)(int(event.code), event.reason or ""))
            break
    return events


def without_reasons(events: list[Event]) -> list[Event]:
    return [Failed(event.code, "") if isinstance(event, Failed) else event for event in events]


@settings(max_examples=300, deadline=None)
@given(streams, cut_positions, LIMITS, st.sampled_from((1, 2, 256)), st.booleans())
@example(client_frame(TEXT, b"\xff" * 200), [140], Limits(whole_frame_bytes=131), 1, False)
def test_any_way_of_cutting_the_bytes_gives_the_same_events_output_and_state(
    stream: bytes, positions: list[int], limits: Limits, max_events: int, close_first: bool
) -> None:
    outcomes: list[tuple[list[Event], bytes, SessionState]] = []
    for pieces in ([stream], list(cuts(stream, positions)), [stream[i : i + 1] for i in range(len(stream))]):
        session = FastSession(limits)
        if close_first:
            session.send_close(1001)
        events, output = run_session(session, pieces, 256 if not outcomes else max_events)
        outcomes.append((events, output, session.state))
    assert outcomes[1] == outcomes[0]
    assert outcomes[2] == outcomes[0]


class Driver:
    """One session, its bytes presented as a connection would present them."""

    def __init__(self, limits: Limits, *, is_fast: bool, into_place: bool = False) -> None:
        self.session = (FastSession if is_fast else Session)(limits)
        self._into_place = into_place
        self._tail = b""

    def step(self, piece: bytes, budget: int) -> tuple[list[Event], bytes, SessionState]:
        """What comes out after this piece."""
        if self._into_place and not self._tail:
            while piece and self.session.is_filling:
                space = self.session.writable()
                count = min(len(space), len(piece))
                space[:count] = piece[:count]
                self.session.commit(count)
                piece = piece[count:]
        self._tail += piece
        events, output, self._tail = run_session_on(self.session, self._tail, budget)
        return events, output, self.session.state


@settings(max_examples=500, deadline=None)
@given(streams, cut_positions, LIMITS, st.sampled_from((1, 9, 256)), st.integers(-1, 8), st.booleans())
@example(client_frame(TEXT, b"\xff" * 200), [140], Limits(whole_frame_bytes=131), 256, -1, True)
@example(client_frame(TEXT, b"a" * 200), [140], Limits(whole_frame_bytes=131), 256, 1, True)
@example(client_frame(BINARY, b"a" * 700, width=64), [], Limits(whole_frame_bytes=131), 256, -1, True)
@example(client_frame(BINARY, b"a" * 700), [], Limits(), 256, -1, False)
def test_the_fast_path_changes_nothing(
    stream: bytes, positions: list[int], limits: Limits, budget: int, close_at: int, into_place: bool
) -> None:
    """Property number one: on and off, and read into place, the same after every piece."""
    drivers = [
        Driver(limits, is_fast=True),
        Driver(limits, is_fast=False),
        Driver(limits, is_fast=True, into_place=into_place),
    ]
    for number, piece in enumerate(cuts(stream, positions)):
        if number == close_at:
            for driver in drivers:
                if driver.session.state is SessionState.OPEN:
                    driver.session.send_close(1001)
        fast, slow, placed = (driver.step(piece, budget) for driver in drivers)
        assert fast == slow
        assert placed == slow


@settings(max_examples=200, deadline=None)
@given(valid_streams, cut_positions, st.sampled_from((131, 300, 65535)))
def test_valid_streams_give_wsprotos_own_events(stream: bytes, positions: list[int], whole: int) -> None:
    events, _ = run_session(FastSession(Limits(whole_frame_bytes=whole)), cuts(stream, positions))
    assert events == by_wsproto_alone(stream)


@settings(max_examples=300, deadline=None)
@given(streams, cut_positions)
def test_any_stream_gives_wsprotos_own_verdict(stream: bytes, positions: list[int]) -> None:
    session = FastSession(Limits(message_bytes=2**63 - 1))
    events, output = run_session(session, cuts(stream, positions))
    expected = by_wsproto_alone(stream)
    if session.state is SessionState.OPEN and expected and isinstance(expected[-1], Failed):
        # Ours waits for the rest of the frame before it looks into its payload.
        expected.pop()
    assert without_reasons(events) == without_reasons(expected)
    if session.state is SessionState.FAILED:
        failure = events[-1]
        assert isinstance(failure, Failed)
        assert output.endswith(failure.code.to_bytes(2, "big") + failure.reason.encode())


@given(streams, st.binary(max_size=50))
def test_after_a_failure_or_a_close_everything_is_consumed_and_nothing_happens(
    stream: bytes, more: bytes
) -> None:
    session = FastSession(Limits())
    run_session(session, [stream])
    if session.state is not SessionState.OPEN:
        assert session.receive(more) == len(more)
        assert session.receive(stream) == len(stream)
        assert session.take_events() == []
        assert session.take_output() == []


@given(streams)
def test_only_an_unfinished_header_or_small_frame_is_left(stream: bytes) -> None:
    limits = Limits(whole_frame_bytes=131)
    session = FastSession(limits)
    left = len(stream) - session.receive(stream, 10_000)
    assert left < limits.whole_frame_bytes


@given(streams, st.sampled_from((bytes, bytearray, memoryview)))
def test_any_kind_of_buffer_is_read_and_never_kept(stream: bytes, kind: type) -> None:
    expected = FastSession(Limits())
    session = FastSession(Limits())
    buffer = bytearray(stream)
    assert session.receive(memoryview(buffer) if kind is memoryview else kind(stream)) == expected.receive(
        stream
    )
    buffer[:] = b""
    assert session.take_events() == expected.take_events()
    assert session.take_output() == expected.take_output()
