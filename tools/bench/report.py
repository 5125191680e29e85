"""Results as text: a table for a terminal, one for Markdown, and the place of the latter in a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tools.bench.summary import Summary

BEGIN = "<!-- results:begin (written by `python -m tools.bench.echo --markdown`) -->"
END = "<!-- results:end -->"

LEGEND = (
    "wsloop: how many times as good as this server it is, in messages/s and in server CPU per message;\n"
    "the median of the rounds' ratios; over 1 = wsloop is ahead. Flags are told in docs/benchmarks.md."
)

HEADINGS = (
    "server",
    "messages/s",
    "server CPU us/message",
    "least - most",
    "p50 us",
    "p99 us",
    "server core",
    "generator core",
    "wsloop: throughput",
    "wsloop: CPU",
    "flags",
)


def rows(summaries: Sequence[Summary]) -> list[tuple[str, ...]]:
    """Return the table's cells as text, one tuple per server."""
    return [
        (
            one.peer,
            f"{one.per_second:,.0f}",
            f"{one.server_cpu_us:.2f}",
            f"{one.server_cpu_us_least:.2f} - {one.server_cpu_us_most:.2f}",
            f"{one.p50_us:,.0f}",
            f"{one.p99_us:,.0f}",
            f"{one.server_share:.0%}",
            f"{one.generator_share:.0%}",
            _times(one.throughput_ratio),
            _times(one.cpu_ratio),
            ", ".join(one.flags()) or "-",
        )
        for one in summaries
    ]


def _times(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.2f}x"


def table(summaries: Sequence[Summary]) -> str:
    """Return the table with aligned columns: names to the left, figures to the right."""
    lines = [HEADINGS, *rows(summaries)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    text = []
    for line in lines:
        cells = [
            line[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(line, widths, strict=True)),
        ]
        del cells[1]  # the name again, as a figure
        text.append("  ".join(cells).rstrip())
    return "\n".join(text)


def markdown(title: str, command: str, facts: Mapping[str, object], summaries: Sequence[Summary]) -> str:
    """Return the results as Markdown: what was measured, on what, the table, the command."""
    told = "; ".join(f"{name.replace('_', ' ')} {value}" for name, value in facts.items())
    lines = [
        f"**{title}**",
        "",
        f"`{command}`",
        "",
        "| " + " | ".join(HEADINGS) + " |",
        "|---" + "|---:" * (len(HEADINGS) - 1) + "|",
        *("| " + " | ".join(row) + " |" for row in rows(summaries)),
        "",
        f"Measured with: {told}.",
    ]
    return "\n".join(lines)


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
