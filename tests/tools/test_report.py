from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.tools.test_summary import Run, measurement
from tools.bench import report
from tools.bench.options import DOCUMENT
from tools.bench.summary import Summary, summarize

if TYPE_CHECKING:
    from pathlib import Path


def summaries() -> list[Summary]:
    return summarize(
        [measurement("wsloop", 1, Run(messages=123456)), measurement("slow", 1, Run(generator_s=0.1))],
        "wsloop",
    )


def test_the_table_is_aligned_and_holds_every_server() -> None:
    lines = report.table(summaries()).splitlines()
    assert len(lines) == 3
    assert [line.split()[0] for line in lines] == ["server", "wsloop", "slow"]
    assert "123,456" in lines[1]
    assert "123.46x" in lines[2]
    assert len({line.index("x ") for line in (lines[1], lines[2])}) == 1


def test_markdown_has_a_cell_for_each_heading() -> None:
    text = report.markdown("a title", "a command", {"cpu_model": "x"}, summaries())
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 4
    assert {row.count("|") for row in rows} == {len(report.HEADINGS) + 1}
    assert "`a command`" in text
    assert "cpu model x" in text


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
