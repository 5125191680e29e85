from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.tools.test_summary import CELL, Run, measurement
from tools.bench import report
from tools.bench.cells import CELLS
from tools.bench.goals import Goal, Verdict
from tools.bench.options import DOCUMENT
from tools.bench.summary import Summary, summarize

if TYPE_CHECKING:
    from pathlib import Path

    from tools.bench.model import Cell


def summaries(cell: Cell = CELL) -> list[Summary]:
    runs = [
        measurement("wsloop", 1, Run(operations=123456), cell),
        measurement("slow", 1, Run(generator_s=0.1), cell),
    ]
    return summarize(cell, runs, "wsloop")


def test_the_table_is_aligned_and_holds_every_server() -> None:
    lines = report.table(CELL, summaries()).splitlines()
    assert len(lines) == 3
    assert [line.split()[0] for line in lines] == ["server", "wsloop", "slow"]
    assert "123,456" in lines[1]
    assert "123.46x" in lines[2]
    assert len({line.index("x ") for line in (lines[1], lines[2])}) == 1


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_markdown_has_a_cell_for_each_heading(cell: Cell) -> None:
    text = report.markdown(cell, "a command", summaries(cell))
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 4
    assert {row.count("|") for row in rows} == {len(report.COLUMNS[cell.kind.name]) + 1}
    assert text.startswith(f"### {cell.name}\n")
    assert "`a command`" in text


def test_a_figure_that_a_server_does_not_tell_is_a_dash() -> None:
    flood = next(cell for cell in CELLS if cell.kind.name == "flood")
    told = measurement("wsloop", 1, Run(figures={"pause_p99_ms": 12.345}), flood)
    silent = measurement("other", 1, Run(), flood)
    lines = report.markdown(flood, "", summarize(flood, [told, silent], "wsloop")).splitlines()
    assert " 12.35 " in lines[-2]
    assert " - " in lines[-1]


def test_goals_tell_what_was_measured_and_whether_it_is_enough() -> None:
    verdicts = [
        Verdict(Goal("echo-100", 2.2, "websockets"), 2.5),
        Verdict(Goal("idle", 2.0, figure="idle_kb"), 2.25),
        Verdict(Goal("echo-100", 1.0, "ws"), None),
    ]
    assert report.goals_markdown(verdicts).splitlines()[-3:] == [
        "| echo-100 | at least 2.20x websockets | 2.50x | yes |",
        "| idle | idle_kb at most 2 | 2.25 | no |",
        "| echo-100 | at least 1.00x ws | - | not measured |",
    ]


def test_facts_tell_the_machine_the_versions_and_what_was_left_out() -> None:
    text = report.facts_markdown("a command", {"cpu_model": "x", "ws": "8.1"}, ["y left out"])
    assert text.splitlines() == ["`a command`", "", "Measured with: cpu model x; ws 8.1.", "", "- y left out"]


def test_results_replace_only_what_is_between_the_marks() -> None:
    text = f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n"
    once = report.replace_results(text, "new")
    assert once == f"before\n{report.BEGIN}\n\nnew\n\n{report.END}\nafter\n"
    assert report.replace_results(once, "new") == once


@pytest.mark.parametrize("text", ["", report.BEGIN, report.END, f"{report.END}{report.BEGIN}"])
def test_a_file_without_its_marks_is_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "page.md"
    path.write_text(text)
    with pytest.raises(ValueError, match="not in the file"):
        report.write_results(path, "new")
    assert path.read_text() == text


def test_the_document_has_the_marks() -> None:
    assert report.replace_results(DOCUMENT.read_text("utf-8"), "new")
