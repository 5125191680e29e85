"""A snapshot as text in Prometheus' format, version 0.0.4.

The library that writes it takes 50 to 150 ms and 4 MB to load. So only a process that is scraped loads it,
and does so before its loop turns (`load`): the first scrape would hold up all clients for that long.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

from wsloop.loop.histogram import BOUNDS_S
from wsloop.observe.metrics import METRICS, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import Metric as Family

    from wsloop.observe.metrics import Metric
    from wsloop.observe.snapshot import Snapshot

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"


def load() -> None:
    """Load what `exposition` needs, so that it takes no longer the first time."""
    from prometheus_client import core  # noqa: F401, PLC0415 - see above


def exposition(snapshot: Snapshot) -> bytes:
    """Return all metrics of the table; those that the snapshot has no number for by name and help only."""
    from prometheus_client.exposition import generate_latest  # noqa: PLC0415 - see above
    from prometheus_client.registry import Collector  # noqa: PLC0415

    class SnapshotCollector(Collector):
        """The one collector: there is no registry that anything is counted in."""

        def collect(self) -> Iterator[Family]:
            """Return the families, in the order of the table."""
            for metric in METRICS.values():
                yield _family(metric, snapshot.values.get(metric.name, {}))

    return generate_latest(SnapshotCollector())


def _family(metric: Metric, values: dict[str, list[float]]) -> Family:
    from prometheus_client import core  # noqa: PLC0415

    labels = (metric.label,) if metric.label else ()
    family: core.CounterMetricFamily | core.GaugeMetricFamily | core.HistogramMetricFamily
    if metric.kind is Kind.HISTOGRAM:
        family = core.HistogramMetricFamily(metric.name, metric.help, labels=labels)
        for label, numbers in values.items():
            family.add_metric((label,) if labels else (), _buckets(numbers), numbers[-1])
        return family
    make = core.CounterMetricFamily if metric.kind is Kind.COUNTER else core.GaugeMetricFamily
    family = make(metric.name, metric.help, labels=labels)
    for label, numbers in values.items():
        family.add_metric((label,) if labels else (), numbers[0])
    return family


def _buckets(numbers: list[float]) -> list[tuple[str, float]]:
    """Return the buckets as Prometheus wants them: each with all that is below it."""
    ends = [*map(str, BOUNDS_S), "+Inf"]
    return list(zip(ends, accumulate(numbers[:-1]), strict=True))
