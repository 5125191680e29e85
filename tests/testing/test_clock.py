"""The clock that a test moves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsloop.testing.clock import FakeClock

STEPS = st.lists(st.floats(0, 1e6), max_size=10)


@given(STEPS, st.floats(-1e6, 0, exclude_max=True))
def test_time_goes_forward_by_what_it_is_told_and_never_back(steps: list[float], back_s: float) -> None:
    clock, expected = FakeClock(), 0.0
    begin_s, begin_unix_s = clock.now(), clock.unix_s()
    for step_s in steps:
        clock.advance(step_s)
        expected += step_s
    with pytest.raises(ValueError, match="time cannot go back"):
        clock.advance(back_s)
    assert clock.now() - begin_s == pytest.approx(expected, abs=1e-6)
    assert clock.unix_s() - begin_unix_s == pytest.approx(expected, abs=1e-6)


def test_the_wall_clock_may_be_set_and_time_goes_on_as_before() -> None:
    clock = FakeClock()
    before_s, before_unix_s = clock.now(), clock.unix_s()
    clock.set_wall_clock(-3600.0)
    clock.advance(1.0)
    assert clock.now() - before_s == 1.0
    assert clock.unix_s() - before_unix_s == -3599.0
