"""What the commands print: plain tables, numbers and times for people; nothing of a peer's unescaped."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

UNITS = (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10))


def show_json(value: object) -> None:
    """Print a value as JSON on one line, in ASCII."""
    click.echo(json.dumps(value))


def show(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table: texts to the left, numbers to the right, two spaces between."""
    cells = [[safe(str(cell)) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    is_number = [all(isinstance(row[index], int | float) for row in rows) for index in range(len(header))]
    for line in [list(header), *cells]:
        parts = [
            text.rjust(width) if right and rows else text.ljust(width)
            for text, width, right in zip(line, widths, is_number, strict=True)
        ]
        click.echo("  ".join(parts).rstrip())


def safe(text: str) -> str:
    """Return others' text on one line, with every character escaped that a terminal could act upon."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def spelled_bytes(count: float) -> str:
    """Return a number of bytes as "1.5 MiB"."""
    for unit, size in UNITS:
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{int(count)} B"


def spelled_seconds(seconds: float) -> str:
    """Return a time as "3d 4h", "2m 5s" or "4.2s"."""
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d {hours}h"
    return f"{hours}h {minutes}m" if hours else f"{minutes}m {rest}s"
