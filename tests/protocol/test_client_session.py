"""The asking side of an open connection, held to wsproto's client."""

from __future__ import annotations

import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from wsproto.frame_protocol import FrameProtocol, Opcode, ParseFailed

from tests.protocol.kit import client_frame, cuts
from wsloop.errors import StateError
from wsloop.protocol.client_session import ClientSession
from wsloop.protocol.events import BinaryMessage, CloseReceived, Event, Failed, Ping, Pong, TextMessage
from wsloop.protocol.fast_path import FastSession
from wsloop.protocol.limits import Limits
from wsloop.protocol.session_states import SessionState
from wsloop.testing.wire import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT

SMALL = Limits(message_bytes=1000, fragments=3)


def session(limits: Limits | None = None) -> ClientSession:
    return ClientSession(random.Random(1).randbytes, *([limits] if limits else []))


def server_frame(opcode: int, payload: bytes = b"", *, fin: bool = True) -> bytes:
    return client_frame(opcode, payload, fin=fin, key=None)


def run(machine: ClientSession, pieces: list[bytes]) -> list[Event]:
    return [event for piece in pieces for event in machine.receive(piece)]


def judged(data: bytes) -> list[Event]:
    """What wsproto makes of the same bytes."""
    parser = FrameProtocol(client=True, extensions=[])
    events: list[Event] = []
    parts: list[bytes | str] = []
    parser.receive_bytes(data)
    try:
        for frame in parser.received_frames():
            payload = frame.payload
            if isinstance(payload, tuple):
                events.append(CloseReceived(int(payload[0]), payload[1]))
                break
            if frame.opcode in (Opcode.PING, Opcode.PONG):
                assert isinstance(payload, bytes | bytearray)
                events.append((Ping if frame.opcode is Opcode.PING else Pong)(bytes(payload)))
                continue
            parts.append(payload if isinstance(payload, str) else bytes(payload))
            if frame.message_finished and frame.frame_finished:
                whole = parts[0][:0].join(parts)  # type: ignore[arg-type] # all of one kind
                events.append(TextMessage(whole) if isinstance(whole, str) else BinaryMessage(whole))
                parts = []
    except ParseFailed as error:
        events.append(Failed(int(error.code), ""))
    return events


def plain(events: list[Event]) -> list[Event]:
    """The events without our words for a failure."""
    return [Failed(event.code, "") if isinstance(event, Failed) else event for event in events]


FRAMES = st.lists(
    st.builds(
        lambda opcode, payload, fin: server_frame(opcode, payload, fin=fin),
        st.sampled_from([TEXT, BINARY, CONTINUATION, PING, PONG, CLOSE, 3]),
        st.one_of(
            st.text(max_size=40).map(str.encode),
            st.binary(max_size=200),
            st.sampled_from([b"", b"\x03\xe8", b"\x03\xe8bye", b"\x00\x01", b"x" * 126, b"x" * 66_000]),
        ),
        st.booleans(),
    ),
    max_size=6,
)


BEGUN = server_frame(TEXT, b"a", fin=False)


@given(FRAMES, st.lists(st.integers(0, 400), max_size=8))
@example([BEGUN, server_frame(PING, b"!"), server_frame(PONG), server_frame(CONTINUATION, b"b")], [])
@example([BEGUN, server_frame(CLOSE, b"\x03\xe8bye")], [1])
@example([BEGUN, server_frame(CLOSE)], [])
@example([server_frame(PING, b"?"), server_frame(PONG, b"!"), server_frame(CLOSE)], [])
@example([server_frame(CLOSE)], [])
@example([server_frame(3)], [])
@example([server_frame(BINARY, b"x" * 66_000)], [1, 5, 300])
@example([server_frame(CLOSE, b"\x03\xe8\xff")], [])
@example([server_frame(CLOSE, b"\x00\x01")], [])
@example([b"\x82\x7e\x00\x7d" + b"x" * 125], [])
@example([server_frame(BINARY, b"x" * 66_000), server_frame(BINARY, b"x" * 126)], [])
def test_any_cut_of_any_frames_makes_the_events_wsproto_makes(frames: list[bytes], where: list[int]) -> None:
    data = b"".join(frames)
    assert plain(run(session(), list(cuts(data, where)))) == judged(data)


@given(st.binary(max_size=300), st.integers(0, 300))
def test_any_bytes_make_events_and_never_raise(data: bytes, where: int) -> None:
    whole = session().receive(data)
    assert run(session(), list(cuts(data, [where]))) == whole


@given(st.text(max_size=300), st.binary(max_size=70_000), st.binary(max_size=125))
def test_what_is_sent_is_what_a_server_receives(text: str, data: bytes, payload: bytes) -> None:
    client, server = session(), FastSession(Limits())
    server_bytes = client.send_text(text) + client.send_binary(data) + client.send_ping(payload)
    server_bytes += client.answer_ping(payload) + client.send_close(1000, "bye")
    rest = server_bytes
    while rest and server.state is SessionState.OPEN:
        rest = rest[server.receive(rest) :]
    assert server.take_events() == [
        TextMessage(text),
        BinaryMessage(data),
        Ping(payload),
        Pong(payload),
        CloseReceived(1000, "bye"),
    ]


def test_each_frame_has_a_mask_of_its_own() -> None:
    machine = session()
    assert machine.send_text("a")[2:6] != machine.send_text("a")[2:6]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (server_frame(BINARY, b"x" * 1001), 1009),
        (client_frame(BINARY, b"", key=None, length=2**62)[:10], 1009),
        (server_frame(TEXT, b"x" * 600, fin=False) + server_frame(CONTINUATION, b"x" * 600), 1009),
        (server_frame(TEXT, b"a", fin=False) + server_frame(CONTINUATION, b"", fin=False) * 3, 1008),
        (client_frame(TEXT, b"masked"), 1002),
        (server_frame(TEXT, b"\xff"), 1007),
        (server_frame(TEXT, b"a", fin=False) + server_frame(TEXT, b"b"), 1002),
    ],
)
def test_a_server_that_breaks_a_rule_or_a_limit_fails_the_connection(data: bytes, code: int) -> None:
    machine = session(SMALL)
    events = machine.receive(data)
    assert [event.code for event in events if isinstance(event, Failed)] == [code]
    assert machine.receive(server_frame(TEXT, b"more")) == []
    assert machine.send_close(code)
    assert machine.state is SessionState.FAILED


def test_after_our_close_frame_messages_are_dropped_until_the_servers() -> None:
    machine = session()
    machine.send_close(1000)
    with pytest.raises(StateError):
        machine.send_text("more")
    assert machine.answer_ping(b"") == b""
    late = (
        server_frame(TEXT, b"late")
        + server_frame(TEXT, b"a", fin=False)
        + server_frame(PING, b"late")
        + server_frame(CONTINUATION, b"b")
    )
    late += server_frame(PING, b"late") + server_frame(CLOSE, b"\x03\xe8")
    assert machine.receive(late) == [CloseReceived(1000, "")]
    assert machine.state is SessionState.CLOSED


def test_the_end_of_the_stream_ends_it() -> None:
    machine = session()
    machine.receive(server_frame(TEXT, b"a", fin=False))
    machine.receive_eof()
    assert machine.receive(server_frame(TEXT, b"b")) == []
