"""Histograms: every duration is in exactly one bucket, the first that is long enough."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from wsloop.loop.histogram import BOUNDS_S, Histogram


@given(st.lists(st.floats(0, 1000) | st.sampled_from(BOUNDS_S)))
def test_each_duration_is_counted_in_the_bucket_that_holds_it(durations_s: list[float]) -> None:
    histogram = Histogram()
    for duration_s in durations_s:
        histogram.observe(duration_s)
    ends = [*BOUNDS_S, float("inf")]
    expected = [
        sum(below < duration_s <= end for duration_s in durations_s) for below, end in pairwise([-1.0, *ends])
    ]
    assert histogram.counts == expected
    assert histogram.sum_s == sum(durations_s, 0.0)


def test_the_bounds_rise() -> None:
    assert list(BOUNDS_S) == sorted(set(BOUNDS_S))
