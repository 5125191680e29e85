"""Medians and ratios. Pure arithmetic on measurements."""

from __future__ import annotations

import math
from statistics import median
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tools.bench.model import Cell, Measurement

BUSY_SHARE = 0.9
NOISY_SHARE = 0.1


class Summary(msgspec.Struct, frozen=True):
    """One server's medians over the rounds of one cell.

    `cost` is the figure by which the cell's kind compares servers; smaller is better.
    `throughput_ratio` and `cost_ratio` tell how far the reference is ahead of this server, in
    operations per second and in cost: 2.0 means twice as good as this one. They are medians of the
    ratios within each round, which a machine that drifts between rounds does not move. None
    without a reference, or where one of the two costs is 0.
    """

    cell: str
    peer: str
    rounds: int
    per_second: float
    cost: float
    cost_least: float
    cost_most: float
    server_share: float
    generator_share: float
    p50_us: float
    p99_us: float
    max_us: float
    others_share: float
    errors: int
    unclean_closes: int
    first_error: str
    saturates: bool
    throughput_ratio: float | None
    cost_ratio: float | None
    figures: dict[str, float]

    @property
    def starved(self) -> bool:
        """Neither side was busy though one must be: the throughput tells of the machine alone."""
        return self.saturates and max(self.generator_share, self.server_share) < BUSY_SHARE

    @property
    def generator_bound(self) -> bool:
        """The generator was the bottleneck: the throughput is a lower bound; the CPU figure holds."""
        return self.generator_share > BUSY_SHARE and self.server_share < BUSY_SHARE

    @property
    def noisy(self) -> bool:
        """Other processes had over a tenth of one of the two cores in some round."""
        return self.others_share > NOISY_SHARE

    def flags(self) -> list[str]:
        """Return what a reader must know before trusting the row."""
        conditions = {
            "errors": self.errors > 0,
            "unclean_close": self.unclean_closes > 0,
            "generator_bound": self.generator_bound,
            "starved": self.starved,
            "noisy": self.noisy,
        }
        return [name for name, holds in conditions.items() if holds]


def summarize(cell: Cell, measurements: Sequence[Measurement], reference: str) -> list[Summary]:
    """Return a summary per server of the measurements in `cell`, in the order in which they first occur."""
    here = [one for one in measurements if one.cell == cell.name]
    names = list(dict.fromkeys(one.peer for one in here))
    by_round = {one.round: one for one in here if one.peer == reference}
    return [_summarize(cell, [one for one in here if one.peer == name], by_round) for name in names]


def _summarize(cell: Cell, rounds: list[Measurement], reference: dict[int, Measurement]) -> Summary:
    results = [one.result for one in rounds]
    pairs = [(one.result, reference[one.round].result) for one in rounds if one.round in reference]
    costs = [result.cost(cell.kind.cost) for result in results]
    return Summary(
        cell=cell.name,
        peer=rounds[0].peer,
        rounds=len(rounds),
        per_second=median(result.per_second for result in results),
        cost=median(costs),
        cost_least=min(costs),
        cost_most=max(costs),
        server_share=median(result.server_share for result in results),
        generator_share=median(result.generator_share for result in results),
        p50_us=median(result.latency_us.p50 for result in results),
        p99_us=median(result.latency_us.p99 for result in results),
        max_us=median(result.latency_us.max for result in results),
        others_share=max(one.others_share for one in rounds),
        errors=sum(result.errors.total for result in results),
        unclean_closes=sum(result.unclean_closes for result in results),
        first_error=next((result.first_error for result in results if result.first_error), ""),
        saturates=cell.kind.saturates,
        throughput_ratio=_median_ratio((ours.per_second, theirs.per_second) for theirs, ours in pairs),
        cost_ratio=_median_ratio(
            (theirs.cost(cell.kind.cost), ours.cost(cell.kind.cost)) for theirs, ours in pairs
        ),
        figures={
            name: median(result.figures[name] for result in results)
            for name in results[0].figures
            if all(name in result.figures for result in results)
        },
    )


def _median_ratio(pairs: Iterable[tuple[float, float]]) -> float | None:
    """Return the median of a / b; None if a pair has no finite ratio, or there are no pairs."""
    ratios = []
    for above, below in pairs:
        if not 0 < above < math.inf or not 0 < below < math.inf:
            return None
        ratios.append(above / below)
    return median(ratios) if ratios else None
