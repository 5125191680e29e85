"""Medians and ratios. Pure arithmetic on measurements."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tools.bench.model import Measurement

BUSY_SHARE = 0.9
NOISY_SHARE = 0.1


class Summary(msgspec.Struct, frozen=True):
    """One server's medians over the rounds.

    `throughput_ratio` and `cpu_ratio` tell how far the reference is ahead of this server, in
    messages per second and in server CPU per message: 2.0 means twice as good as this one. They
    are medians of the ratios within each round, which a machine that drifts between rounds does
    not move. None without a reference.
    """

    peer: str
    rounds: int
    per_second: float
    server_cpu_us: float
    server_cpu_us_least: float
    server_cpu_us_most: float
    server_share: float
    generator_share: float
    p50_us: float
    p99_us: float
    others_share: float
    errors: int
    unclean_closes: int
    first_error: str
    throughput_ratio: float | None
    cpu_ratio: float | None

    @property
    def starved(self) -> bool:
        """Neither side was busy: the throughput tells of the machine, not of the server."""
        return max(self.generator_share, self.server_share) < BUSY_SHARE

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


def summarize(measurements: Sequence[Measurement], reference: str) -> list[Summary]:
    """Return a summary per server, in the order in which they first occur."""
    names = list(dict.fromkeys(one.peer for one in measurements))
    by_round = {one.round: one for one in measurements if one.peer == reference}
    return [_summarize([one for one in measurements if one.peer == name], by_round) for name in names]


def _summarize(rounds: list[Measurement], reference: dict[int, Measurement]) -> Summary:
    results = [one.result for one in rounds]
    pairs = [(one.result, reference[one.round].result) for one in rounds if one.round in reference]
    costs = [result.server_cpu_us for result in results]
    return Summary(
        peer=rounds[0].peer,
        rounds=len(rounds),
        per_second=median(result.per_second for result in results),
        server_cpu_us=median(costs),
        server_cpu_us_least=min(costs),
        server_cpu_us_most=max(costs),
        server_share=median(result.server_share for result in results),
        generator_share=median(result.generator_share for result in results),
        p50_us=median(result.latency_us.p50 for result in results),
        p99_us=median(result.latency_us.p99 for result in results),
        others_share=max(one.others_share for one in rounds),
        errors=sum(result.errors.total for result in results),
        unclean_closes=sum(result.unclean_closes for result in results),
        first_error=next((result.first_error for result in results if result.first_error), ""),
        throughput_ratio=_median_ratio((ours.per_second, theirs.per_second) for theirs, ours in pairs),
        cpu_ratio=_median_ratio((theirs.server_cpu_us, ours.server_cpu_us) for theirs, ours in pairs),
    )


def _median_ratio(pairs: Iterable[tuple[float, float]]) -> float | None:
    """Return the median of a / b; None if a pair has no finite ratio, or there are no pairs."""
    ratios = []
    for above, below in pairs:
        if not 0 < above < float("inf") or not 0 < below < float("inf"):
            return None
        ratios.append(above / below)
    return median(ratios) if ratios else None
