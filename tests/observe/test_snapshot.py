"""Snapshots: the sum of the parts is the part of the sum, in any order, and across a link."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsloop.loop.histogram import BOUNDS_S, Histogram
from wsloop.observe.metrics import METRICS, Kind, Merge
from wsloop.observe.snapshot import Snapshot, snapshot_of, total

if TYPE_CHECKING:
    from wsloop.observe.snapshot import Numbers

NAMES = sorted(METRICS)
WHOLE = st.integers(0, 2**40)
"""Whole numbers, so that the order of additions leaves no trace."""


@st.composite
def histograms(draw: st.DrawFn) -> Histogram:
    made = Histogram()
    for _ in range(draw(st.integers(0, 5))):
        made.observe(draw(st.integers(0, 30)))
    return made


@st.composite
def contributions(draw: st.DrawFn) -> Numbers:
    """What a process could tell: any metrics of the table, with any labels."""
    told: dict[str, object] = {}
    for name in draw(st.sets(st.sampled_from(NAMES), max_size=6)):
        metric = METRICS[name]
        number: st.SearchStrategy[object] = histograms() if metric.kind is Kind.HISTOGRAM else WHOLE
        if metric.label:
            told[name] = draw(st.dictionaries(st.sampled_from("abc"), number, max_size=3))
        else:
            told[name] = draw(number)
    return told  # type: ignore[return-value]


snapshots = contributions().map(lambda told: snapshot_of([told]))


@given(st.lists(contributions(), max_size=5))
def test_the_sum_of_snapshots_is_the_snapshot_of_the_sum(told: list[Numbers]) -> None:
    assert total(snapshot_of([each]) for each in told) == snapshot_of(told)


@given(snapshots, snapshots, snapshots)
def test_the_sum_is_the_same_in_any_order_and_grouping(a: Snapshot, b: Snapshot, c: Snapshot) -> None:
    assert total((a, b, c)) == total((c, a, b)) == total((total((b, a)), c))
    assert total((a, Snapshot())) == total((a,)) == Snapshot(a.values)


@given(snapshots)
def test_a_snapshot_survives_the_link(snapshot: Snapshot) -> None:
    packed = msgspec.msgpack.encode(snapshot)
    assert msgspec.msgpack.decode(packed, type=Snapshot) == snapshot


@given(st.lists(WHOLE, min_size=1), st.lists(WHOLE, min_size=1))
def test_histograms_add_up_bucket_by_bucket(left: list[int], right: list[int]) -> None:
    first, second, both = Histogram(), Histogram(), Histogram()
    for histogram, values in ((first, left), (second, right), (both, left + right)):
        for value in values:
            histogram.observe(value)
    name = "wsloop_loop_turn_seconds"
    summed = total(snapshot_of([{name: each}]) for each in (first, second))
    assert summed == snapshot_of([{name: both}])
    assert sum(summed.values[name][""][:-1]) == len(left) + len(right)
    assert len(summed.values[name][""]) == len(BOUNDS_S) + 2


def test_what_is_no_sum_is_the_largest() -> None:
    name = "wsloop_overload"
    assert METRICS[name].merge is Merge.MAX
    assert total(snapshot_of([{name: each}]) for each in (0, 2, 1)).values[name] == {"": [2]}


@pytest.mark.parametrize(
    ("told", "fault"),
    [
        ({"wsloop_of_nobody": 1}, "not in the table"),
        ({"wsloop_clients": {"a": 1}}, "label"),
        ({"wsloop_process_resident_memory_bytes": 1}, "label"),
        ({"wsloop_loop_turn_seconds": 1}, "Histogram"),
    ],
)
def test_who_tells_what_is_not_in_the_table_is_wrong(told: Numbers, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        snapshot_of([told])


def test_another_version_with_other_buckets_does_no_harm() -> None:
    name = "wsloop_loop_turn_seconds"
    old = Snapshot({name: {"": [1, 2, 3]}, "wsloop_gone_by_now": {"": [1]}})
    new = snapshot_of([{name: Histogram()}])
    assert total((old, new)).values[name] == new.values[name]
