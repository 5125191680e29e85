from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from wsloop.buffers.ring import Ring

CAPACITY = 13


class RingModel(RuleBasedStateMachine):
    """The ring against a bytearray: what goes in comes out, in order, whatever the calls."""

    def __init__(self) -> None:
        super().__init__()
        self.ring = Ring(CAPACITY)
        self.model = bytearray()
        self.next_byte = 0

    @rule(count=st.integers(0, CAPACITY))
    def write(self, count: int) -> None:
        room = self.ring.writable()
        count = min(count, len(room))
        for index in range(count):
            room[index] = self.next_byte
            self.model.append(self.next_byte)
            self.next_byte = (self.next_byte + 1) % 256
        self.ring.commit(count)

    @rule(count=st.integers(0, CAPACITY))
    def consume(self, count: int) -> None:
        count = min(count, len(self.ring))
        self.ring.consume(count)
        del self.model[:count]

    @precondition(lambda self: len(self.model) > 0)
    @rule()
    def consume_all_that_is_readable(self) -> None:
        count = len(self.ring.readable())
        assert count > 0
        self.ring.consume(count)
        del self.model[:count]

    @rule()
    def straighten(self) -> None:
        wrapped = len(self.ring.readable()) < len(self.ring)
        assert self.ring.straighten() == (len(self.model) if wrapped else 0)
        assert self.ring.readable() == self.model

    @rule()
    def clear(self) -> None:
        self.ring.clear()
        self.model.clear()

    @invariant()
    def shows_the_oldest_bytes(self) -> None:
        readable = self.ring.readable()
        assert readable == self.model[: len(readable)]
        assert bool(readable) == bool(self.model)

    @invariant()
    def accounts_for_every_byte(self) -> None:
        assert len(self.ring) == len(self.model)
        assert self.ring.free == CAPACITY - len(self.model)
        assert bool(self.ring.writable()) == (self.ring.free > 0)
        assert len(self.ring.writable()) <= self.ring.free

    @invariant()
    def an_empty_ring_offers_all_its_room_at_once(self) -> None:
        if not self.model:
            assert len(self.ring.writable()) == CAPACITY


TestRingModel = RingModel.TestCase
TestRingModel.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def fill(ring: Ring, data: bytes) -> None:
    while data:
        room = ring.writable()
        part, data = data[: len(room)], data[len(room) :]
        room[: len(part)] = part
        ring.commit(len(part))


@pytest.mark.parametrize("head", range(9))
@pytest.mark.parametrize("size", range(1, 10))
def test_straighten_from_every_position_and_size(head: int, size: int) -> None:
    ring = Ring(9)
    content = bytes(range(1, size + 1))
    fill(ring, bytes(head) + content[:1])
    ring.consume(head)
    fill(ring, content[1:])
    assert ring.straighten() == (size if head + size > 9 else 0)
    assert ring.readable() == content
    assert ring.free == 9 - size


def test_a_wrapped_ring_shows_its_first_part_then_the_rest() -> None:
    ring = Ring(8)
    fill(ring, b"abcdef")
    ring.consume(4)
    fill(ring, b"ghij")
    assert bytes(ring.readable()) == b"efgh"
    ring.consume(4)
    assert bytes(ring.readable()) == b"ij"


def test_consume_may_go_past_the_wrap() -> None:
    ring = Ring(8)
    fill(ring, b"abcdef")
    ring.consume(4)
    fill(ring, b"ghij")
    ring.consume(5)
    assert bytes(ring.readable()) == b"j"


def test_a_capacity_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="holds nothing"):
        Ring(0)


@pytest.mark.parametrize("count", [-1, 9])
def test_commit_of_more_than_offered_is_refused(count: int) -> None:
    ring = Ring(8)
    with pytest.raises(ValueError, match="8 were offered"):
        ring.commit(count)


def test_commit_is_bounded_by_the_contiguous_part_not_by_what_is_free() -> None:
    ring = Ring(8)
    fill(ring, b"abcdef")
    ring.consume(4)
    assert ring.free == 6
    with pytest.raises(ValueError, match="2 were offered"):
        ring.commit(3)


@pytest.mark.parametrize("count", [-1, 4])
def test_consume_of_more_than_held_is_refused(count: int) -> None:
    ring = Ring(8)
    fill(ring, b"abc")
    with pytest.raises(ValueError, match="of 3"):
        ring.consume(count)


def test_a_parser_cannot_write_into_what_was_received() -> None:
    ring = Ring(8)
    fill(ring, b"abc")
    view = ring.readable()
    with pytest.raises(TypeError):
        view[0] = 0


def test_views_outlive_the_ring_as_safe_memory() -> None:
    ring = Ring(4)
    fill(ring, b"abcd")
    view = ring.readable()
    ring.clear()
    fill(ring, b"wxyz")
    assert bytes(view) == b"wxyz"  # the same memory: who keeps bytes copies them
    del ring
    assert len(view) == 4


def test_writing_and_reading_copies_nothing() -> None:
    ring = Ring(1 << 20)
    payload = bytes(1 << 20)
    tracemalloc.start()
    try:
        for _ in range(4):
            room = ring.writable()
            room[:] = payload
            ring.commit(len(room))
            assert len(ring.readable()) == len(payload)
            ring.consume(len(payload))
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 4096


@pytest.mark.parametrize(("first", "wrapped"), [(100_000, 500_000), (500_000, 100_000)])
def test_straighten_is_the_one_copy_and_takes_only_the_smaller_part_twice(first: int, wrapped: int) -> None:
    ring = Ring(1 << 20)
    fill(ring, bytes(1 << 20))
    ring.consume((1 << 20) - first)
    fill(ring, bytes(wrapped))
    tracemalloc.start()
    try:
        assert ring.straighten() == 600_000
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 100_000 <= peak_bytes < 104_096
