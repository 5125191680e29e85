"""Back-pressure: a peer must take a mark's worth in every window."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wsloop.server.pressure import Pressure


def test_inside_the_window_nobody_is_stalled() -> None:
    pressure = Pressure(100.0)
    assert pressure.window_ends_s(10.0) == 110.0
    assert not pressure.is_stalled(109.9, 10.0, 1000)


def test_a_peer_that_took_nothing_is_stalled_at_the_end() -> None:
    assert Pressure(100.0).is_stalled(110.0, 10.0, 1000)


def test_a_peer_that_took_enough_gets_another_window() -> None:
    pressure = Pressure(100.0)
    pressure.note_taken(1000)
    assert not pressure.is_stalled(110.0, 10.0, 1000)
    assert pressure.window_ends_s(10.0) == 120.0
    assert pressure.is_stalled(120.0, 10.0, 1000)


@given(st.lists(st.integers(0, 300), max_size=50))
def test_stalled_is_exactly_less_than_the_mark_per_window(per_window: list[int]) -> None:
    pressure, now_s = Pressure(0.0), 0.0
    for taken in per_window:
        for _ in range(taken):
            pressure.note_taken(1)
        now_s += 10.0
        assert pressure.is_stalled(now_s, 10.0, 100) is (taken < 100)
