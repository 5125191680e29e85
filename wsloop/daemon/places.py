"""Where in a TOML file a key stands: what a parser forgets, and an operator wants to be told."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

HEADER = re.compile(r"^\s*\[\[?([^\]]+)\]")
KEY = re.compile(r"^\s*([\"']?)(.+?)\1\s*=")


class _Index(NamedTuple):
    """The lines, counted from 1, on which each header, each table or one in it, and each key stands first."""

    headers: dict[str, int]
    tables: dict[str, int]
    keys: dict[tuple[str, str], int]


def place(path: Path, text: str, table: str, key: str) -> str:
    """Return "file:line: " of `key` in the dotted `table` where that can be told, else "file: ".

    `table` "" is the top of the file. Without such a key the line is the table's own; with "" for
    `key` it always is.
    """
    index = _index(text)
    as_table = f"{table}.{key}".strip(".")
    found = [index.tables.get(as_table), index.keys.get((table, key)) if key else None]
    lines = [line for line in found if line is not None]
    line = min(lines) if lines else index.headers.get(table)
    return f"{path}:{line}: " if line else f"{path}: "


@functools.lru_cache(maxsize=1)
def _index(text: str) -> _Index:
    """Look through a file once for all its keys: with many namespaces there are thousands."""
    index = _Index({}, {}, {})
    current = ""
    for number, line in enumerate(text.splitlines(), 1):
        header = HEADER.match(line)
        if header:
            current = re.sub(r"[\"'\s]", "", header[1])
            index.headers.setdefault(current, number)
            parts = current.split(".")
            for length in range(1, len(parts) + 1):
                index.tables.setdefault(".".join(parts[:length]), number)
        elif written := KEY.match(line):
            index.keys.setdefault((current, written[2]), number)
    return index
