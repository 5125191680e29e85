from __future__ import annotations

import sys
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from wsloop.buffers.outbox import Outbox

HIGH, LOW = 40, 10


class OutboxModel(RuleBasedStateMachine):
    """The outbox against a bytearray: appends, partial sends and EAGAIN in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.outbox = Outbox(HIGH, LOW)
        self.model = bytearray()
        # The pieces that were queued since the outbox was last empty, and how much of them has left.
        self.queued: list[bytes] = []
        self.is_begun_known = True
        self.left = 0
        self.sent = bytearray()
        self.appended = bytearray()
        self.was_high = False

    @rule(data=st.binary(max_size=20), as_view=st.booleans())
    def append(self, data: bytes, as_view: bool) -> None:
        self.outbox.append(memoryview(data) if as_view else data)
        if data:
            self.queued.append(data)
        self.model += data
        self.appended += data

    @rule(taken=st.integers(0, 30))
    def send_the_first_piece(self, taken: int) -> None:
        first = self.outbox.peek()
        assert (first is None) == (not self.model)
        if first is not None:
            self.take(bytes(first), min(taken, len(first)))

    @rule(views=st.integers(1, 4), room=st.integers(1, 60), taken=st.integers(0, 60))
    def send_a_batch(self, views: int, room: int, taken: int) -> None:
        batch = self.outbox.gather(views, room)
        joined = b"".join(batch)
        assert len(batch) <= views
        assert len(joined) <= room
        if len(batch) < min(views, self.outbox.pieces):
            assert len(joined) == room
        self.take(joined, min(taken, len(joined)))

    @rule()
    def eagain(self) -> None:
        self.outbox.advance(0)

    @rule()
    def clear(self) -> None:
        assert self.outbox.clear() == len(self.model)
        self.sent += self.model
        self.model.clear()
        self.forget()

    def take(self, offered: bytes, taken: int) -> None:
        assert self.model.startswith(offered)
        self.sent += offered[:taken]
        self.outbox.advance(taken)
        del self.model[:taken]
        self.left += taken
        if not self.model:
            self.forget()

    def forget(self) -> None:
        self.queued.clear()
        self.left = 0
        self.is_begun_known = True

    @rule(count=st.integers(0, 60))
    def keep(self, count: int) -> None:
        self.outbox.keep(count)
        self.model = self.model[:count]
        self.appended = self.sent + self.model
        self.was_high = len(self.model) >= HIGH
        if self.model:
            self.is_begun_known = False
        else:
            self.forget()

    @invariant()
    def what_has_begun_is_known(self) -> None:
        before, whole, left = self.outbox.begun()
        ends, end = [0], 0
        for piece in self.queued:
            end += len(piece)
            ends.append(end)
        if not self.model:
            assert (before, whole, left) == (None, None, 0)
        if not self.model or not self.is_begun_known:
            return
        index = max(number for number, at in enumerate(ends) if at <= self.left)
        assert left == self.left - ends[index]
        assert whole == self.queued[index]
        assert before == (self.queued[index - 1] if index else None)

    @invariant()
    def exactly_the_bytes_that_went_in_in_order(self) -> None:
        assert self.sent + self.model == self.appended
        assert b"".join(self.outbox.gather(1000, 100_000)) == self.model

    @invariant()
    def size_is_bytes(self) -> None:
        assert self.outbox.size == len(self.model)
        assert bool(self.outbox) == bool(self.model)
        assert (self.outbox.pieces == 0) == (not self.model)

    @invariant()
    def the_watermark_has_hysteresis(self) -> None:
        if len(self.model) >= HIGH:
            self.was_high = True
        elif len(self.model) <= LOW:
            self.was_high = False
        assert self.outbox.is_high == self.was_high


TestOutboxModel = OutboxModel.TestCase
TestOutboxModel.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)


@given(st.lists(st.binary(min_size=1, max_size=9), max_size=12), st.data())
@settings(max_examples=100, deadline=None)
def test_any_way_of_taking_the_bytes_gives_the_same_stream(pieces: list[bytes], data: st.DataObject) -> None:
    outbox = Outbox()
    for piece in pieces:
        outbox.append(piece)
    out = bytearray()
    while outbox:
        joined = b"".join(outbox.gather(data.draw(st.integers(1, 5)), data.draw(st.integers(1, 30))))
        taken = data.draw(st.integers(0, len(joined)))
        out += joined[:taken]
        outbox.advance(taken)
    assert out == b"".join(pieces)


@pytest.mark.parametrize(("high", "low"), [(10, 10), (10, 11), (0, 0), (5, -1)])
def test_marks_that_are_not_low_below_high_are_refused(high: int, low: int) -> None:
    with pytest.raises(ValueError, match="watermarks"):
        Outbox(high, low)


@pytest.mark.parametrize("count", [-1, 4])
def test_advance_by_more_than_queued_is_refused(count: int) -> None:
    outbox = Outbox()
    outbox.append(b"abc")
    with pytest.raises(ValueError, match="of 3"):
        outbox.advance(count)
    assert outbox.peek() == b"abc"


def test_nothing_is_popped_that_the_kernel_has_not_taken() -> None:
    outbox = Outbox()
    outbox.append(b"abc")
    outbox.append(b"def")
    assert outbox.peek() == outbox.peek() == b"abc"
    outbox.advance(2)
    assert outbox.peek() == b"c"
    outbox.advance(2)
    assert outbox.peek() == b"ef"


def test_high_begins_at_the_high_mark_and_ends_at_the_low_one() -> None:
    outbox = Outbox(high_bytes=10, low_bytes=4)
    seen = []
    for size_bytes in (9, 10, 5, 4, 9):
        if size_bytes > outbox.size:
            outbox.append(bytes(size_bytes - outbox.size))
        else:
            outbox.advance(outbox.size - size_bytes)
        seen.append((size_bytes, outbox.is_high))
    assert seen == [(9, False), (10, True), (5, True), (4, False), (9, False)]


def test_one_frame_in_many_outboxes_is_one_object() -> None:
    frame = bytes(100)
    outboxes = [Outbox() for _ in range(10)]
    before = sys.getrefcount(frame)
    for outbox in outboxes:
        outbox.append(frame)
    assert all(outbox.peek() is frame for outbox in outboxes)
    assert sys.getrefcount(frame) == before + 10


def test_an_idle_outbox_owns_no_container() -> None:
    outboxes = [Outbox() for _ in range(1000)]
    tracemalloc.start()
    try:
        for outbox in outboxes:
            for _ in range(3):
                outbox.append(b"frame")
            outbox.advance(15)
            outbox.append(b"single")
            outbox.advance(6)
        kept_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept_bytes < 20_000  # an empty deque each would be 760,000


def test_a_queue_that_shrank_to_one_piece_owns_no_container() -> None:
    outboxes = [Outbox() for _ in range(1000)]
    tracemalloc.start()
    try:
        for outbox in outboxes:
            outbox.append(b"first")
            outbox.append(b"second")
            outbox.advance(5)
        kept_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert all(outbox.peek() == b"second" for outbox in outboxes)
    assert kept_bytes < 20_000


def test_a_single_frame_allocates_nothing() -> None:
    outbox = Outbox()
    frame = bytes(128)
    tracemalloc.start()
    try:
        outbox.append(frame)
        outbox.advance(128)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 600  # a deque alone is 760


def test_a_long_payload_leaves_in_partial_writes_without_a_copy() -> None:
    payload = bytes(4 << 20)
    outbox = Outbox()
    tracemalloc.start()
    try:
        outbox.append(b"header")
        outbox.append(payload)
        while outbox:
            views = outbox.gather(64, 100_000)
            outbox.advance(min(sum(map(len, views)), 70_001))
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 8192
