"""The numbers of a process at one moment, fit to be sent, and to be made one with those of others.

A value is a list of numbers: one, or a histogram's counters followed by its sum. So two snapshots are added
list by list, and a histogram's buckets add up like everything else. What is not a sum, the table says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from wsloop.loop.histogram import Histogram
from wsloop.observe.metrics import METRICS, Kind, Merge

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Number = float | Histogram
    Numbers = Mapping[str, Number | Mapping[str, Number]]
    """What a contributor tells: by the metric's name the number, or for one with a label the number by the
    label's value. A missing metric has no number in this process."""

Values = dict[str, dict[str, list[float]]]


class Snapshot(msgspec.Struct, frozen=True):
    """`values`: metric -> label's value ("" without a label) -> numbers. Goes over a link as MessagePack.

    `process` is the name of the one that tells them, "" for several; `life` tells it from another that
    had the name before.
    """

    values: Values = {}
    process: str = ""
    life: str = ""


def snapshot_of(contributions: Iterable[Numbers], process: str = "", life: str = "") -> Snapshot:
    """Return the numbers of all contributors; raises ValueError for one that the table does not know."""
    values: Values = {}
    for numbers in contributions:
        for name, given in numbers.items():
            metric = METRICS.get(name)
            if metric is None:
                raise ValueError(f"{name} is not in the table of metrics")
            is_plain = isinstance(given, Histogram | int | float)
            if is_plain is bool(metric.label):
                raise ValueError(f"{name} has {'the' if metric.label else 'no'} label {metric.label}")
            labelled = {"": given} if isinstance(given, Histogram | int | float) else given
            for label, number in labelled.items():
                _add(values, name, label, _listed(metric.kind, number))
    return Snapshot(values, process, life)


def total(snapshots: Iterable[Snapshot]) -> Snapshot:
    """Return the numbers of several processes as one; in any order and grouping it is the same."""
    values: Values = {}
    for snapshot in snapshots:
        for name, labelled in snapshot.values.items():
            for label, numbers in labelled.items():
                _add(values, name, label, numbers)
    return Snapshot(values)


def _listed(kind: Kind, number: Number) -> list[float]:
    if isinstance(number, Histogram):
        return [*number.counts, number.sum_s]
    if kind is Kind.HISTOGRAM:
        raise ValueError("a histogram is told as a Histogram")
    return [float(number)]


def _add(values: Values, name: str, label: str, numbers: list[float]) -> None:
    """Add `numbers` to what is in `values`; another version may have other metrics or buckets."""
    labelled = values.setdefault(name, {})
    known = labelled.get(label)
    if known is None or len(known) != len(numbers):
        labelled[label] = list(numbers)
    elif name in METRICS and METRICS[name].merge is Merge.MAX:
        labelled[label] = list(map(max, known, numbers))
    else:
        labelled[label] = [mine + yours for mine, yours in zip(known, numbers, strict=True)]
