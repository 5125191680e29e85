from __future__ import annotations

import pytest

from tests.tools.test_summary import CELL, Run, measurement
from tools.bench.cells import CELLS, IDLE
from tools.bench.goals import GOALS, Goal, judge
from tools.bench.model import Cell
from tools.bench.peers import PEERS
from tools.bench.summary import Summary, summarize


def twice_as_good() -> list[Summary]:
    ours, theirs = Run(server_s=0.5), Run(server_s=1.0)
    return summarize(CELL, [measurement("wsloop", 1, ours), measurement("peer", 1, theirs)], "wsloop")


@pytest.mark.parametrize(("bound", "word"), [(1.9, "yes"), (2.0, "yes"), (2.1, "no")])
def test_a_ratio_is_reached_or_not(bound: float, word: str) -> None:
    (verdict,) = judge([Goal(CELL.name, bound, "peer")], twice_as_good())
    assert (verdict.measured, verdict.word) == (2.0, word)


def test_a_variant_of_ours_may_be_the_subject() -> None:
    (verdict,) = judge([Goal(CELL.name, 0.5, "wsloop", subject="peer")], twice_as_good())
    assert (verdict.measured, verdict.word) == (0.5, "yes")
    assert verdict.goal.words == "peer: at least 0.50x wsloop"


@pytest.mark.parametrize(("kb", "word"), [(1.9, "yes"), (2.0, "yes"), (2.1, "no")])
def test_a_figure_is_reached_or_not(kb: float, word: str) -> None:
    cell = Cell("idle", IDLE, "")
    runs = [measurement("wsloop", 1, Run(figures={"idle_kb": kb}), cell)]
    (verdict,) = judge([Goal("idle", 2.0, figure="idle_kb")], summarize(cell, runs, "wsloop"))
    assert (verdict.measured, verdict.word) == (kb, word)


def test_the_longest_latency_is_a_figure_in_milliseconds() -> None:
    (verdict,) = judge([Goal(CELL.name, 50, figure="max_ms")], twice_as_good())
    assert verdict.measured == 0.005


def test_what_was_not_measured_or_was_wrong_is_not_judged() -> None:
    runs = [measurement("wsloop", 1, Run()), measurement("peer", 1, Run(lost=1))]
    goals = [Goal(CELL.name, 1, "peer"), Goal(CELL.name, 1, "nobody"), Goal("another cell", 1, "peer")]
    verdicts = judge(goals, summarize(CELL, runs, "wsloop"))
    assert [one.word for one in verdicts] == ["not measured"] * 2


def test_every_goal_names_a_cell_and_servers_that_serve_it() -> None:
    cells = {cell.name: cell for cell in CELLS}
    peers = {peer.name: peer for peer in PEERS}
    for goal in GOALS:
        for name in {goal.subject, goal.peer or goal.subject}:
            assert peers[name].serves(cells[goal.cell]), goal
        assert bool(goal.peer) != bool(goal.figure)
