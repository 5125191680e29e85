"""Write the table of faults into docs/internals/simulator.md, from wsloop/testing/simulator/faults.py.

python docs/faults_table.py           rewrites the page
python docs/faults_table.py --check   exits with 1 if it is out of date
"""

from __future__ import annotations

import sys
from pathlib import Path

from marked import write_or_check

from wsloop.testing.simulator.faults import KINDS, Per
from wsloop.testing.simulator.world import SHAPES

PAGE = Path(__file__).parent / "internals" / "simulator.md"
BEGIN, END = "<!-- faults: generated -->\n", "<!-- faults: end -->\n"


def table() -> str:
    """Return all kinds as Markdown."""
    lines = ["| kind | what it does | on average every | worlds |", "|---|---|---|---|"]
    for kind in KINDS:
        unit = "calls" if kind.per is Per.CALLS else "s"
        worlds = "all" if kind.shapes == SHAPES else ", ".join(kind.shapes)
        lines.append(f"| `{kind.name}` | {kind.does} | {kind.every:g} {unit} | {worlds} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    sys.exit(write_or_check(PAGE, BEGIN, END, table()))
