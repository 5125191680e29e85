from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.tools.test_summary import CELL, Run, measurement
from tools.bench import plot
from tools.bench.summary import Summary, summarize

if TYPE_CHECKING:
    from pathlib import Path


def summaries() -> list[Summary]:
    runs = [
        measurement("wsloop", 1, Run(server_s=2.0)),
        measurement("peer", 1, Run()),
        measurement("dead", 1, Run(0)),
    ]
    return summarize(CELL, runs, "wsloop")


def test_bars_are_sorted_and_what_was_not_measured_has_none() -> None:
    assert [name for name, _ in plot.bars(summaries())] == ["peer", "wsloop"]


def test_ours_theirs_and_the_limits_are_told_apart() -> None:
    assert len({plot.colour(name) for name in ("wsloop", "ws", "bare-epoll")}) == 3
    assert plot.colour("wsloop+numpy") == plot.colour("wsloop")


@pytest.mark.usefixtures("matplotlib")
def test_the_same_figures_give_the_same_picture(tmp_path: Path) -> None:
    for name in ("first.svg", "second.svg"):
        plot.write_plot(tmp_path / "images" / name, [CELL], summaries())
    first, second = ((tmp_path / "images" / name).read_bytes() for name in ("first.svg", "second.svg"))
    assert first == second
    assert b"<svg" in first
