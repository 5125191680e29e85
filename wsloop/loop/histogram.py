"""Durations by size: how many were how long, for less than what it takes to note one.

The workload: a duration a turn, a message or a question, noted on the loop's thread, and read a few times
a minute. So a histogram is a list of counters and a sum. The bounds are fixed, in steps of two to
two and a half: what they are asked is whether a tail has grown from 2 ms to 30, and that
fourteen counters of one metric tell better than a hundred. Sums of histograms are those of their
counters, which is what makes the numbers of several processes one (Prometheus: the same).
"""

from __future__ import annotations

from bisect import bisect_left

BOUNDS_S = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
)  # fmt: skip
"""Upper ends of the buckets, in seconds, each inclusive; one more bucket has what is above. A short turn
takes 0.05 ms; after 10 s every deadline of the server's has passed."""


class Histogram:
    """Counts durations by BOUNDS_S. `counts` has one more element than these; `sum_s` is of all durations."""

    __slots__ = ("counts", "sum_s")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_S) + 1)
        self.sum_s = 0.0

    def observe(self, duration_s: float) -> None:
        """Note a duration, which is not negative."""
        self.counts[bisect_left(BOUNDS_S, duration_s)] += 1
        self.sum_s += duration_s
