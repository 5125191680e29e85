"""Results as text: tables for a terminal and for Markdown, and the place of the latter in a file."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path, PurePath

    from tools.bench.goals import Verdict
    from tools.bench.model import Cell
    from tools.bench.summary import Summary

    Column = tuple[str, Callable[[Summary], str]]

BEGIN = "<!-- results:begin (written by `make bench`) -->"
END = "<!-- results:end -->"

LEGEND = (
    "wsloop ahead: how many times as good as this server it is; the median of the rounds' ratios;\n"
    "over 1 = wsloop is ahead. Flags are told in docs/benchmarks.md."
)


def _times(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.2f}x"


def _figure(name: str, form: str = ",.0f") -> Callable[[Summary], str]:
    """Return a column's function: a generator's own figure, or "-" where there is none."""
    return lambda one: format(one.figures[name], form) if name in one.figures else "-"


def _number(value: float, form: str) -> str:
    return format(value, form) if math.isfinite(value) else "-"


NAME: Column = ("server", lambda one: one.peer)
FLAGS: Column = ("flags", lambda one: ", ".join(one.flags()) or "-")
PER_SECOND: Column = ("per second", lambda one: f"{one.per_second:,.0f}")
LEAST_MOST: Column = (
    "least - most",
    lambda one: f"{_number(one.cost_least, '.2f')} - {_number(one.cost_most, '.2f')}",
)
COST_RATIO: Column = ("wsloop ahead", lambda one: _times(one.cost_ratio))

CPU: tuple[Column, ...] = (
    ("server CPU us", lambda one: _number(one.cost, ".2f")),
    LEAST_MOST,
    COST_RATIO,
    PER_SECOND,
    ("wsloop ahead, throughput", lambda one: _times(one.throughput_ratio)),
    ("p50 us", lambda one: f"{one.p50_us:,.0f}"),
    ("p99 us", lambda one: f"{one.p99_us:,.0f}"),
    ("server core", lambda one: f"{one.server_share:.0%}"),
    ("generator core", lambda one: f"{one.generator_share:.0%}"),
)

COLUMNS: dict[str, tuple[Column, ...]] = {
    "echo": (NAME, *CPU, FLAGS),
    "fanout": (NAME, *CPU, FLAGS),
    "connect": (NAME, *CPU, FLAGS),
    "deflate": (
        NAME,
        *CPU,
        ("wire B", _figure("wire_bytes")),
        ("window bits", _figure("window_bits")),
        (
            "context kept",
            lambda one: "-" if not one.figures else "no" if one.figures.get("no_context_takeover") else "yes",
        ),
        FLAGS,
    ),
    "idle": (
        NAME,
        ("kB idle", _figure("idle_kb", ".2f")),
        ("kB after one echo", _figure("echoed_kb", ".2f")),
        COST_RATIO,
        ("kB of the empty server", _figure("empty_server_kb")),
        FLAGS,
    ),
    "flood": (
        NAME,
        ("polite p50 ms", lambda one: f"{one.p50_us / 1e3:,.2f}"),
        ("p99 ms", lambda one: f"{one.p99_us / 1e3:,.2f}"),
        ("max ms", lambda one: f"{one.max_us / 1e3:,.2f}"),
        ("loop pause p99 ms", _figure("pause_p99_ms", ".2f")),
        ("pause max ms", _figure("pause_max_ms", ".2f")),
        ("flood frames/s taken", _figure("flood_frames_per_s")),
        ("unanswered", _figure("polite_unanswered")),
        ("flooders ended", _figure("flooders_ended")),
        ("flooders refused", _figure("flooders_refused")),
        FLAGS,
    ),
}
"""What is told of a kind of cell."""


def table(cell: Cell, summaries: Sequence[Summary]) -> str:
    """Return a cell's table with aligned columns: names to the left, figures to the right."""
    columns = COLUMNS[cell.kind.name]
    lines = [[heading for heading, _ in columns], *([text(one) for _, text in columns] for one in summaries)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(columns))]
    return "\n".join(
        "  ".join(
            text.rjust(width) if at else text.ljust(width)
            for at, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def markdown(cell: Cell, command: str, summaries: Sequence[Summary]) -> str:
    """Return a cell's results as Markdown: what was measured, the table, the command for it alone."""
    columns = COLUMNS[cell.kind.name]
    lines = [
        f"### {cell.name}",
        "",
        f"{cell.title[0].upper()}{cell.title[1:]}. One operation is one {cell.kind.unit}. `{command}`",
        "",
        _row([heading for heading, _ in columns]),
        "|---" + "|---:" * (len(columns) - 1) + "|",
        *(_row([text(one) for _, text in columns]) for one in summaries),
    ]
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def goals_markdown(verdicts: Sequence[Verdict]) -> str:
    """Return the table of goals: what was to be reached, what was, and whether that is enough."""
    lines = ["### Goals", "", _row(["cell", "goal", "measured", "reached"]), "|---|---|---:|---|"]
    for one in verdicts:
        measured = "-" if one.measured is None else f"{one.measured:.2f}{'x' if one.goal.peer else ''}"
        lines.append(_row([one.goal.cell, one.goal.words, measured, one.word]))
    return "\n".join(lines)


def facts_markdown(command: str, facts: Mapping[str, object], notes: Sequence[str]) -> str:
    """Return what the results were measured with, and what was left out of them."""
    told = "; ".join(f"{name.replace('_', ' ')} {value}" for name, value in facts.items())
    lines = [f"`{command}`", "", f"Measured with: {told}."]
    if notes:
        lines += ["", *(f"- {note}" for note in notes)]
    return "\n".join(lines)


def picture_markdown(path: PurePath) -> str:
    """Return the reference to the picture at `path`, told from the page."""
    return f"![Cost per operation of every server in every cell; shorter is better]({path.as_posix()})"


def replace_results(text: str, results: str) -> str:
    """Return `text` with `results` between its two marks; raises ValueError if a mark is missing."""
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the marks {BEGIN} and {END} are not in the file")
    return f"{head}{BEGIN}\n\n{results}\n\n{END}{tail}"


def write_results(path: Path, results: str) -> None:
    """Put `results` between the marks of the file at `path`."""
    path.write_text(replace_results(path.read_text("utf-8"), results), "utf-8")
