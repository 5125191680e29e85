from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.bench.cells import ECHO, FANOUT, FLOOD, IDLE
from tools.bench.model import Cell, Errors, GeneratorResult, Kind, Latency, Measurement
from tools.bench.summary import summarize

CELL = Cell("echo-test", ECHO, "a cell")


@dataclass
class Run:
    """What a test says of one measurement; the rest is ordinary."""

    operations: int = 1000
    seconds: float = 1.0
    server_s: float = 1.0
    generator_s: float = 0.5
    lost: int = 0
    unclean: int = 0
    others: float = 0.0
    figures: dict[str, float] = field(default_factory=dict)


def measurement(peer: str, number: int, run: Run, cell: Cell = CELL) -> Measurement:
    result = GeneratorResult(
        "c",
        run.operations,
        run.seconds,
        run.generator_s,
        run.server_s,
        Latency(1, 2, 3, 4, 5),
        Errors(0, 0, run.lost, 0),
        run.unclean,
        "gone" if run.lost else "",
        run.figures,
    )
    return Measurement(cell.name, peer, number, result, run.others)


def flags(run: Run) -> list[str]:
    (summary,) = summarize(CELL, [measurement("a", 1, run)], "wsloop")
    return summary.flags()


def test_medians_over_rounds() -> None:
    runs = [Run(operations=1000), Run(operations=3000), Run(operations=2000)]
    (summary,) = summarize(CELL, [measurement("a", number, run) for number, run in enumerate(runs)], "wsloop")
    assert summary.rounds == 3
    assert summary.per_second == 2000
    assert summary.cost == 500
    assert summary.cost_least == pytest.approx(1e6 / 3000)
    assert summary.cost_most == 1000


def test_ratios_say_how_far_the_reference_is_ahead() -> None:
    ours = measurement("wsloop", 1, Run(operations=3000, server_s=0.6))
    peer = measurement("peer", 1, Run(operations=1000, server_s=1.0))
    first, second = summarize(CELL, [ours, peer], "wsloop")
    assert (first.throughput_ratio, first.cost_ratio) == (1, 1)
    assert second.throughput_ratio == 3
    assert second.cost_ratio == pytest.approx(5)


@given(st.lists(st.floats(0.2, 5), min_size=1, max_size=7))
def test_a_machine_that_drifts_between_rounds_does_not_move_the_ratio(speeds: list[float]) -> None:
    measurements = []
    for number, speed in enumerate(speeds):
        measurements.append(measurement("wsloop", number, Run(seconds=1 / speed, server_s=1 / speed)))
        measurements.append(measurement("peer", number, Run(seconds=2 / speed, server_s=4 / speed)))
    peer = summarize(CELL, measurements, "wsloop")[1]
    assert peer.throughput_ratio == pytest.approx(2)
    assert peer.cost_ratio == pytest.approx(4)


def test_no_reference_no_ratio() -> None:
    (summary,) = summarize(CELL, [measurement("peer", 1, Run())], "wsloop")
    assert summary.throughput_ratio is summary.cost_ratio is None


def test_only_rounds_with_a_reference_count_for_the_ratio() -> None:
    measurements = [
        measurement("wsloop", 1, Run(operations=2000)),
        measurement("peer", 1, Run(operations=1000)),
        measurement("peer", 2, Run(operations=9)),
    ]
    assert summarize(CELL, measurements, "wsloop")[1].throughput_ratio == 2


def test_no_message_at_all_gives_no_ratio_and_no_crash() -> None:
    measurements = [measurement("wsloop", 1, Run()), measurement("peer", 1, Run(operations=0, lost=1))]
    peer = summarize(CELL, measurements, "wsloop")[1]
    assert peer.throughput_ratio is peer.cost_ratio is None
    assert (peer.errors, peer.first_error) == (1, "gone")
    assert "errors" in peer.flags()


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (Run(), []),
        (Run(generator_s=0.95, server_s=0.5), ["generator_bound"]),
        (Run(generator_s=0.95, server_s=0.95), []),
        (Run(generator_s=0.5, server_s=0.5), ["starved"]),
        (Run(others=0.2), ["noisy"]),
        (Run(unclean=1), ["unclean_close"]),
        (Run(lost=2), ["errors"]),
    ],
)
def test_flags(run: Run, expected: list[str]) -> None:
    assert flags(run) == expected


def test_only_a_kind_that_saturates_can_starve() -> None:
    cell = Cell("fanout-test", FANOUT, "")
    (summary,) = summarize(cell, [measurement("a", 1, Run(server_s=0.3), cell)], "wsloop")
    assert summary.flags() == []


@pytest.mark.parametrize(("kind", "cost"), [(IDLE, 4.0), (FLOOD, 0.003)], ids=["idle", "flood"])
def test_cost_is_the_figure_of_the_kind(kind: Kind, cost: float) -> None:
    cell = Cell("x", kind, "")
    runs = [
        measurement("a", number, Run(figures={"idle_kb": kb}), cell)
        for number, kb in enumerate((4.0, 3.0, 9.0))
    ]
    (summary,) = summarize(cell, runs, "wsloop")
    assert summary.cost == pytest.approx(cost)
    assert summary.figures == {"idle_kb": 4.0}


def test_other_cells_are_left_alone_and_a_figure_must_be_in_every_round() -> None:
    other = Cell("other", ECHO, "")
    runs = [
        measurement("a", 1, Run(), other),
        measurement("b", 1, Run(figures={"x": 1.0})),
        measurement("b", 2, Run()),
    ]
    (summary,) = summarize(CELL, runs, "wsloop")
    assert (summary.peer, summary.rounds, summary.figures) == ("b", 2, {})


def test_a_cost_that_was_not_measured_is_infinite() -> None:
    result = measurement("a", 1, Run(operations=0)).result
    assert result.cost("cpu") == result.cost("idle_kb") == float("inf")
