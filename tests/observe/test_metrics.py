"""The table of metrics against the rules of Prometheus ("Metric and label naming")."""

from __future__ import annotations

import re

import pytest

from wsloop.observe.metrics import GROUPS, METRICS, Kind, Merge, Metric

UNITS = ("_seconds", "_bytes", "_ratio")
ABBREVIATED = re.compile(r"_(ms|us|ns|msec|sec|secs|minutes|mb|kb|kib|mib|percent)(_|$)")

LABELS = {"reason", "class", "code", "operation", "question", "process", "version"}
"""Each has few values: never a channel's, a user's or an address's name."""


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_a_name_keeps_to_the_rules(metric: Metric) -> None:
    assert re.fullmatch(r"wsloop_[a-z]+(_[a-z]+)*", metric.name)
    assert not ABBREVIATED.search(metric.name)
    assert metric.name.endswith("_total") is (metric.kind is Kind.COUNTER)
    assert not re.search(r"_(count|sum|bucket|info_total)$", metric.name)
    if metric.kind is Kind.HISTOGRAM:
        assert metric.name.endswith("_seconds")


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_a_metric_says_what_it_is(metric: Metric) -> None:
    assert metric.help[0].isupper() or metric.help[0].isdigit()
    assert not metric.help.endswith(".")
    assert "\n" not in metric.help
    assert not metric.label or metric.label in LABELS


def test_no_name_is_there_twice() -> None:
    assert len(METRICS) == sum(len(group) for _, group in GROUPS)


def test_only_gauges_are_merged_by_the_largest() -> None:
    assert all(metric.kind is Kind.GAUGE for metric in METRICS.values() if metric.merge is Merge.MAX)
