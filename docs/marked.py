"""A part of a page that is made from the code, between two marks. For the scripts beside this one."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def write_or_check(page: Path, begin: str, end: str, made: str) -> int:
    """Put `made` between the marks, or with `--check` only tell whether it stands there.

    Returns the exit code: 1 if the page was checked and is out of date.
    """
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    fresh = f"{before}{begin}\n{made}\n{end}{after}"
    if "--check" in sys.argv:
        return int(fresh != text)
    page.write_text(fresh, encoding="utf-8")
    return 0
