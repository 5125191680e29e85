"""Write the tables of metrics into docs/reference/metrics.md, from the table in wsloop/observe/metrics.py.

python docs/metrics_table.py           rewrites the page
python docs/metrics_table.py --check   exits with 1 if it is out of date
"""

from __future__ import annotations

import sys
from pathlib import Path

from marked import write_or_check

from wsloop.loop.histogram import BOUNDS_S
from wsloop.observe.metrics import GROUPS, Merge

PAGE = Path(__file__).parent / "reference" / "metrics.md"
BEGIN, END = "<!-- metrics: generated -->\n", "<!-- metrics: end -->\n"


def tables() -> str:
    """Return all groups as Markdown."""
    lines = []
    for title, metrics in GROUPS:
        lines += [f"## {title}", "", "| name | type | label | meaning |", "|---|---|---|---|"]
        for metric in metrics:
            label = f"`{metric.label}`" if metric.label else ""
            largest = "; of several processes the largest" if metric.merge is Merge.MAX else ""
            lines.append(f"| `{metric.name}` | {metric.kind.value} | {label} | {metric.help}{largest} |")
        lines.append("")
    bounds = ", ".join(f"{bound_s:g}" for bound_s in BOUNDS_S)
    return "\n".join([*lines, f"The buckets of histograms end at {bounds} seconds.", ""])


if __name__ == "__main__":
    sys.exit(write_or_check(PAGE, BEGIN, END, tables()))
