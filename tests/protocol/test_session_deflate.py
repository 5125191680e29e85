"""Sessions that have agreed to compress: cuts, the fast path, limits and budget."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.protocol.deflate_kit import JSON, frame_streams, frames_of, payloads
from tests.protocol.kit import client_frame, cut_positions, cuts, run_session
from wsloop.protocol.deflate import DeflateOptions
from wsloop.protocol.deflate_offers import Agreement, negotiate
from wsloop.protocol.events import BinaryMessage, Event, Failed, Ping, TextMessage
from wsloop.protocol.fast_path import FastSession
from wsloop.protocol.limits import Limits
from wsloop.protocol.session import Session
from wsloop.testing.deflating import Deflater, deflated
from wsloop.testing.wire import BINARY, PING, TEXT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wsloop.protocol.session_states import SessionState


def agreement(*, takeover: bool = False) -> Agreement:
    options = DeflateOptions(client_context_takeover=takeover)
    agreed = negotiate(["permessage-deflate; client_max_window_bits"], options)
    assert agreed is not None
    return agreed


PLAIN, TAKEOVER = agreement(), agreement(takeover=True)
LIMITS = st.sampled_from(
    [
        Limits(),
        Limits(whole_frame_bytes=131),
        Limits(whole_frame_bytes=131, message_bytes=200, fragments=3),
        Limits(message_bytes=20, fragments=2),
    ]
)


@settings(max_examples=400, deadline=None)
@given(
    frame_streams(), cut_positions, LIMITS, st.sampled_from((1, 9, 256)), st.sampled_from((PLAIN, TAKEOVER))
)
def test_cuts_and_the_fast_path_change_nothing(
    stream: bytes, positions: list[int], limits: Limits, budget: int, agreed: Agreement
) -> None:
    outcomes: list[tuple[list[Event], bytes, SessionState]] = []
    for kind in (Session, FastSession):
        for pieces in ([stream], cuts(stream, positions), [stream[i : i + 1] for i in range(len(stream))]):
            session = kind(limits, agreed)
            events, output = run_session(session, pieces, budget)
            outcomes.append((events, output, session.state))
    for outcome in outcomes[1:]:
        assert outcome == outcomes[0]


fragment_cuts = st.lists(st.integers(0, 500), max_size=3)


@given(st.lists(payloads, max_size=5), st.booleans(), cut_positions, fragment_cuts)
def test_messages_arrive_as_they_were_sent(
    messages: list[bytes], takeover: bool, positions: list[int], fragments: list[int]
) -> None:
    client = Deflater(12, takeover=takeover)
    frames = [frame for each in messages for frame in frames_of(BINARY, client.message(each), fragments)]
    session = FastSession(Limits(), TAKEOVER if takeover else PLAIN)
    events, _ = run_session(session, cuts(b"".join(frames), positions))
    assert events == [BinaryMessage(each) for each in messages]
    assert session._wsproto is None
    assert session._extension is None
    assert (session._inflater is None) or takeover


def test_without_an_agreement_a_compressed_frame_is_1002() -> None:
    for kind in (Session, FastSession):
        events, _ = run_session(kind(Limits()), frames_of(TEXT, deflated(b"x")))
        assert events == [Failed(1002, "Reserved bit set unexpectedly")]


@pytest.mark.parametrize(
    ("payload", "failure"),
    [
        (b"\x07", Failed(1007, "compressed data is damaged")),
        (deflated(b"\xff"), Failed(1007, "text is not valid UTF-8")),
        (deflated(bytes(1001)), Failed(1009, "a message is larger than 1000 bytes")),
        (bytes(20_000), Failed(1009, "a message is larger than 1000 bytes")),
        (b"\x03\x00" * 70, Failed(1008, "a message has too many final blocks")),
    ],
    ids=["damaged", "not UTF-8", "too long inside", "too long outside", "final blocks"],
)
def test_a_fault_has_one_code_and_reason_on_every_way(payload: bytes, failure: Failed) -> None:
    for kind in (Session, FastSession):
        for whole_frame_bytes in (131, 32_768):
            limits = Limits(message_bytes=1000, whole_frame_bytes=whole_frame_bytes)
            [frame] = frames_of(TEXT, payload)
            for pieces in ([frame], [frame[i : i + 1] for i in range(len(frame))]):
                events, _ = run_session(kind(limits, PLAIN), pieces)
                assert events == [failure]


def test_a_message_of_exactly_its_limit_that_does_not_compress_is_taken() -> None:
    message = bytes(i * i * i >> 7 & 0xFF for i in range(65_536))
    for mem_level in (1, 9):
        payload = Deflater(9, level=1, mem_level=mem_level).message(message)
        session = FastSession(Limits(message_bytes=65_536), PLAIN)
        events, _ = run_session(session, frames_of(BINARY, payload))
        assert events == [BinaryMessage(message)]


@pytest.mark.parametrize("fragments", [(), (30,)])
def test_one_call_inflates_no_more_than_its_budget(fragments: Iterable[int]) -> None:
    bomb = b"".join(frames_of(BINARY, deflated(bytes(65_536)), fragments))
    session = FastSession(Limits(message_bytes=65_536), PLAIN)
    stream, most = bomb * 100, 0
    while stream:
        stream = stream[session.receive(stream) :]
        events = session.take_events()
        assert session.is_spent == bool(stream)
        most = max(most, len(events))
    assert most <= 16


def test_pings_and_plain_messages_keep_the_fast_path() -> None:
    session = FastSession(Limits(), PLAIN)
    stream = [client_frame(PING, b"?"), client_frame(TEXT, b"plain"), *frames_of(TEXT, deflated(JSON))]
    events, _ = run_session(session, [b"".join(stream)])
    assert events == [Ping(b"?"), TextMessage("plain"), TextMessage(JSON.decode())]


def test_what_a_message_inflated_to_is_not_charged_to_the_next_frame() -> None:
    session = FastSession(Limits(), PLAIN)
    session.receive(frames_of(BINARY, deflated(bytes(1 << 20)))[0])
    session.take_events()
    long = client_frame(BINARY, bytes(100_000))[:60_000]
    assert session.receive(long) == len(long)
    assert not session.is_spent


def test_a_whole_compressed_message_needs_no_wsproto(monkeypatch: pytest.MonkeyPatch) -> None:
    def unneeded(_session: Session) -> None:
        raise AssertionError

    monkeypatch.setattr(Session, "_make_wsproto", unneeded)
    for agreed in (PLAIN, TAKEOVER):
        session = FastSession(Limits(), agreed)
        stream = [*frames_of(TEXT, deflated(JSON)), *frames_of(BINARY, deflated(JSON))]
        assert run_session(session, stream)[0] == [TextMessage(JSON.decode()), BinaryMessage(JSON)]
