"""Where in a TOML file a key stands: what a parser forgets, and an operator wants to be told."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

HEADER = re.compile(r"^\s*\[\[?([^\]]+)\]")


def place(path: Path, text: str, table: str, key: str) -> str:
    """Return "file:line: " of `key` in the dotted `table` where that can be told, else "file: ".

    `table` "" is the top of the file. Without such a key the line is the table's own; with "" for
    `key` it always is.
    """
    written = re.compile(rf"^\s*[\"']?{re.escape(key)}[\"']?\s*=")
    as_table = f"{table}.{key}".strip(".")
    current, header_line = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        header = HEADER.match(line)
        if header:
            current = re.sub(r"[\"'\s]", "", header[1])
            if current == as_table or current.startswith(f"{as_table}."):
                return f"{path}:{number}: "
            header_line = header_line or (number if current == table else 0)
        elif key and current == table and written.match(line):
            return f"{path}:{number}: "
    return f"{path}:{header_line}: " if header_line else f"{path}: "
