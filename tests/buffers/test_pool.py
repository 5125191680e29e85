from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from wsloop.buffers.pool import RingPool
from wsloop.errors import PoolExhaustedError, StateError

if TYPE_CHECKING:
    from wsloop.buffers.ring import Ring

LIMIT = 5


class PoolModel(RuleBasedStateMachine):
    """Each borrower fills its ring with its own bytes; nobody ever sees another's."""

    rings = Bundle("rings")

    def __init__(self) -> None:
        super().__init__()
        self.pool = RingPool(ring_bytes=16, limit_bytes=16 * LIMIT, keep_idle=2)
        self.held: dict[Ring, bytes] = {}
        self.borrowed = 0
        self.refused = 0

    @rule(target=rings, data=st.binary(max_size=16))
    def borrow(self, data: bytes) -> Ring | None:
        if len(self.held) == LIMIT:
            with pytest.raises(PoolExhaustedError):
                self.pool.borrow()
            self.refused += 1
            return None
        ring = self.pool.borrow()
        assert ring not in self.held
        assert len(ring) == 0
        assert len(ring.writable()) == 16
        ring.writable()[: len(data)] = data
        ring.commit(len(data))
        self.held[ring] = data
        self.borrowed += 1
        return ring

    @rule(ring=consumes(rings))
    def give_back(self, ring: Ring | None) -> None:
        if ring is not None:
            del self.held[ring]
            self.pool.give_back(ring)
            with pytest.raises(StateError):
                self.pool.give_back(ring)

    @invariant()
    def every_borrower_has_its_own_bytes(self) -> None:
        for ring, data in self.held.items():
            assert ring.readable() == data

    @invariant()
    def counts_are_right(self) -> None:
        statistics = self.pool.statistics()
        assert self.pool.lent == statistics.lent == len(self.held) <= statistics.peak_lent <= LIMIT
        assert statistics.idle <= 2
        assert statistics.borrowed_total == self.borrowed
        assert statistics.exhausted_total == self.refused


TestPoolModel = PoolModel.TestCase
TestPoolModel.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)


def test_a_ring_of_another_pool_is_refused() -> None:
    pool = RingPool(16, 64)
    with pytest.raises(StateError, match="not lent"):
        pool.give_back(RingPool(16, 64).borrow())


def test_a_limit_below_one_ring_is_refused() -> None:
    with pytest.raises(ValueError, match="allows no ring"):
        RingPool(16, 15)


def test_the_last_ring_returned_is_the_first_lent_again() -> None:
    pool = RingPool(16, 64)
    first, second = pool.borrow(), pool.borrow()
    pool.give_back(first)
    pool.give_back(second)
    assert pool.borrow() is second
    assert pool.borrow() is first


def test_an_idle_connection_owns_no_buffer_and_a_burst_gives_its_memory_back() -> None:
    pool = RingPool(ring_bytes=65_536, limit_bytes=64 * 65_536, keep_idle=4)
    tracemalloc.start()
    try:
        rings = [pool.borrow() for _ in range(64)]
        during_bytes, _ = tracemalloc.get_traced_memory()
        while rings:
            pool.give_back(rings.pop())
        after_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert during_bytes > 64 * 65_536
    assert after_bytes < 5 * 65_536
