"""The table in docs/internals/teeth.md, between two marks."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tools.teeth.hunting import Verdict

BEGIN, END = "<!-- teeth: generated -->\n", "<!-- teeth: end -->\n"


def row(verdict: Verdict) -> tuple[str, ...]:
    """Return what the table tells of one bug: name, what is wrong, what it breaks, killer, how soon."""
    bug = verdict.bug
    if verdict.killer:
        catch = verdict.catches[-1][1]
        return bug.name, bug.what, bug.breaks, verdict.killer, f"{catch.count:,} {catch.unit}"
    return bug.name, bug.what, bug.breaks, "nobody", verdict.trouble or f"{verdict.steps:,} looked at"


def summary(verdicts: Sequence[Verdict]) -> str:
    """Return the totals as a sentence."""
    killed = [verdict for verdict in verdicts if verdict.killer]
    simulated = [each.steps for each in killed if each.killer.startswith("simulator")]
    others = [each.steps for each in killed if not each.killer.startswith("simulator")]
    text = f"{len(killed)} of {len(verdicts)} killed"
    if simulated:
        text += f", {len(simulated)} by the simulator in a median of {median(simulated):,.0f} steps"
    if others:
        text += f", {len(others)} by a property in a median of {median(others):,.0f} examples or steps"
    return text + "."


def table(verdicts: Sequence[Verdict]) -> str:
    """Return the Markdown between the marks."""
    lines = [
        summary(verdicts),
        "",
        "| bug | what is wrong | what it breaks | found by | after |",
        "|---" * 5 + "|",
    ]
    lines += [f"| {' | '.join(row(verdict))} |" for verdict in verdicts]
    return "\n".join(lines)


def text(verdicts: Sequence[Verdict]) -> str:
    """Return the same for a terminal, without what is wrong."""
    rows = [(name, killer, after) for name, _, _, killer, after in map(row, verdicts)]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(each, widths, strict=True)) for each in rows]
    return "\n".join([*(line.rstrip() for line in lines), summary(verdicts)])


def write(page: Path, content: str) -> None:
    """Put `content` between the marks of `page`, which must be there."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n{content}\n\n{END}{after}", encoding="utf-8")
