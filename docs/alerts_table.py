"""Write the table of alerts into docs/operate/alerts.md, from the rules in docs/deploy/alerts.yml.

python docs/alerts_table.py           rewrites the page
python docs/alerts_table.py --check   exits with 1 if it is out of date
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
RULES = HERE / "deploy" / "alerts.yml"
PAGE = HERE / "operate" / "alerts.md"
BEGIN, END = "<!-- alerts: generated -->\n", "<!-- alerts: end -->"


def table() -> str:
    """Return a section for each rule."""
    (group,) = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return "\n".join(_section(rule) for rule in group["rules"])


def _section(rule: dict[str, Any]) -> str:
    notes = {name: _plain(text) for name, text in rule["annotations"].items()}
    wait = f", after {rule['for']}" if "for" in rule else ""
    return (
        f"## {rule['alert']}\n\n"
        f"{rule['labels']['severity'].capitalize()}{wait}: {notes['summary']}.\n\n"
        f"- **Means**: {notes['meaning']}\n"
        f"- **Do**: {notes['action']}\n"
    )


def _plain(text: str) -> str:
    """Return an annotation without its template: what is filled in stands in italics."""
    text = re.sub(r"\{\{ \$labels\.(\w+) \}\}", r"*\1*", text)
    return re.sub(r"\{\{ \$value(?: \| \w+)? \}\}", "*so much*", text)


def main() -> int:
    """Write the page, or compare; return the exit code."""
    page = PAGE.read_text(encoding="utf-8")
    head, rest = page.split(BEGIN)
    _, tail = rest.split(END)
    made = f"{head}{BEGIN}\n{table()}\n{END}{tail}"
    if "--check" in sys.argv[1:]:
        return int(made != page)
    PAGE.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
