"""A client's frames through three sessions at once: with the fast path, without it, and read into place.

After every piece all three say the same; and at the end what the oracle reads, which shares no code with
them. First byte: bits 0 to 2 how the rest is cut, 3 and 4 which limits, bit 5 compression, bit 6 reading
into place. Second byte: bits 0 and 1 the budget, 2 to 4 before which piece the server closes, 0 for never.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st

from tools.fuzz.shaping import agree, cutting, promise
from wsloop.protocol.deflate import DeflateOptions
from wsloop.protocol.deflate_offers import negotiate
from wsloop.protocol.events import BinaryMessage, CloseReceived, Failed, Ping, Pong, TextMessage
from wsloop.protocol.fast_path import FastSession
from wsloop.protocol.limits import Limits
from wsloop.protocol.session import Session
from wsloop.protocol.session_states import SessionState
from wsloop.testing import oracle
from wsloop.testing.deflating import Deflater
from wsloop.testing.strategies import (
    broken_sequences,
    compressed_messages,
    damaged_streams,
    encoded,
    hostile_frames,
    huge_frames,
    valid_sequences,
)
from wsloop.testing.wire import BINARY, TEXT, Frame, encode_frames

if TYPE_CHECKING:
    from wsloop.protocol.deflate_offers import Agreement
    from wsloop.protocol.events import Event

LIMITS = (
    Limits(),
    Limits(whole_frame_bytes=131),
    Limits(whole_frame_bytes=131, message_bytes=150, fragments=3),
    Limits(message_bytes=20, fragments=1),
)
BUDGETS = (1, 9, 64, 256)
AGREED = negotiate(
    ["permessage-deflate; client_max_window_bits"], DeflateOptions(client_context_takeover=True)
)
ON_TOP = 1
"""An event more than the budget, if `commit` has just completed a long frame."""

Step = tuple[list["Event"], bytes, SessionState]


class Way:
    """One session, its bytes presented as a connection would present them."""

    def __init__(self, session: Session, *, into_place: bool = False) -> None:
        self.session = session
        self._into_place = into_place
        self._tail = b""

    def step(self, piece: bytes, budget: int) -> Step:
        """Return what comes out after this piece."""
        if self._into_place and not self._tail:
            piece = self._fill(piece)
        self._tail += piece
        events: list[Event] = []
        output: list[bytes | bytearray] = []
        while True:
            consumed = self.session.receive(self._tail, budget)
            promise(0 <= consumed <= len(self._tail), "more consumed than there was")
            self._tail = self._tail[consumed:]
            new = self.session.take_events()
            promise(len(new) <= budget + ON_TOP, "more events than the budget")
            events += new
            self._answer(new)
            output += self.session.take_output()
            if not self.session.is_spent:
                return events, b"".join(output), self.session.state

    def _fill(self, piece: bytes) -> bytes:
        """Put the bytes of a long frame where they belong; return the rest."""
        while piece and self.session.is_filling:
            space = self.session.writable()
            count = min(len(space), len(piece))
            space[:count] = piece[:count]
            self.session.commit(count)
            piece = piece[count:]
        return piece

    def _answer(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Ping):
                self.session.answer_ping(event.payload)
            elif isinstance(event, CloseReceived | Failed):
                self.session.answer_close()


def one_input(data: bytes) -> None:
    """See the module."""
    if len(data) < 2:
        return
    how, more, stream = data[0], data[1], data[2:]
    limits, agreed = LIMITS[how >> 3 & 3], AGREED if how & 32 else None
    budget, close_at = BUDGETS[more & 3], (more >> 2 & 7) - 1
    ways = [
        Way(FastSession(limits, agreed)),
        Way(Session(limits, agreed)),
        Way(FastSession(limits, agreed), into_place=bool(how & 64)),
    ]
    events: list[Event] = []
    for number, piece in enumerate(cutting(how, stream).pieces(stream)):
        if number == close_at:
            for way in ways:
                if way.session.state is SessionState.OPEN:
                    way.session.send_close(1001)
        fast, slow, placed = (way.step(piece, budget) for way in ways)
        agree(fast, slow, "the fast path changes what comes out")
        agree(placed, slow, "reading into place changes what comes out")
        events += slow[0]
    if close_at < 0 and limits is LIMITS[0]:
        _ask_oracle(stream, events, agreed)


def _ask_oracle(stream: bytes, events: list[Event], agreed: Agreement | None) -> None:
    """Compare with what the oracle reads, up to where it sees a fault, or the session does."""
    deflate = oracle.Deflate() if agreed else None
    reading = oracle.read(stream, deflate=deflate, max_message_bytes=LIMITS[0].message_bytes)
    said = [_in_its_words(event) for event in events if not isinstance(event, Failed)]
    agree(said, list(reading.said[: len(said)]), "the oracle reads something else")
    failed = bool(events) and isinstance(events[-1], Failed)
    if not failed:
        may_wait = reading.fault is not None and (reading.fault.is_cut or not reading.fault.must_fail)
        promise(reading.fault is None or may_wait, f"the oracle sees a fault: {reading.fault}")
        if reading.fault is None:
            agree(len(said), len(reading.said), "the oracle reads more")


def _in_its_words(event: Event) -> oracle.Said:
    match event:
        case TextMessage():
            return oracle.Text(event.data)
        case BinaryMessage():
            return oracle.Binary(bytes(event.data))
        case Ping():
            return oracle.Ping(event.payload)
        case Pong():
            return oracle.Pong(event.payload)
        case CloseReceived():
            return oracle.Close(event.code, event.reason)
        case _:
            raise AssertionError(event)


def inputs() -> st.SearchStrategy[bytes]:
    """Draw sequences of frames, right and wrong, behind any choices."""
    long = st.builds(
        Frame, st.sampled_from((TEXT, BINARY)), st.integers(130, 600).map(lambda size: b"\xc3\xa4" * size)
    )
    streams = st.one_of(
        st.tuples(long, long).map(encode_frames),
        encoded(valid_sequences(garbage=True)),
        damaged_streams(),
        encoded(broken_sequences()),
        encoded(st.lists(hostile_frames() | huge_frames(), max_size=4).map(tuple)),
        st.lists(compressed_messages(500), min_size=1, max_size=3).map(
            lambda said: b"".join(frame.encode() for each in said for frame in each.frames(Deflater()))
        ),
    )
    return st.builds(
        lambda how, more, stream: bytes([how, more]) + stream, choices(127), choices(31), streams
    )


def choices(most: int) -> st.SearchStrategy[int]:
    """Draw a byte of choices."""
    return st.integers(0, most)
