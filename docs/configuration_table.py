"""Write the table of settings into docs/reference/configuration.md, from the settings themselves.

    python docs/configuration_table.py           rewrites the page
    python docs/configuration_table.py --check   exits with 1 if it is out of date

A key's meaning is the comment behind it in `wsloop/daemon/config.py`; its flag is found on the
command line by the section and key it sets.
"""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path

import msgspec

from wsloop.daemon import cli, config

PAGE = Path(__file__).parent / "reference" / "configuration.md"
BEGIN, END = "<!-- settings: generated -->\n", "<!-- settings: end -->\n"


def flags() -> dict[tuple[str, str], str]:
    """Return the flag that sets each (section, key)."""
    found = {}
    for parameter in cli.serve.params:
        name = parameter.name or ""
        found[cli._SECTION_OF.get(name, ("server", name))] = f"`{parameter.opts[-1]}`"
    return found


def rows(section: str, kind: type[msgspec.Struct]) -> list[str]:
    """Return the table's rows for one section."""
    comments = dict(re.findall(r"^    (\w+): .*?#\s*(.+)$", inspect.getsource(kind), re.MULTILINE))
    flag_of = flags()
    lines = []
    for field in msgspec.structs.fields(kind):
        default = "" if field.default in (None, ()) else f"`{field.default!r}`".replace("'", '"')
        flag = flag_of.get((section, field.name), "")
        lines.append(f"| `{field.name}` | {default} | {flag} | {comments[field.name]} |")
    return lines


def table() -> str:
    """Return all sections as Markdown."""
    parts = []
    for field in msgspec.structs.fields(config.Settings):
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            parts += [f"## `[{field.name}]`", "", "| key | default | flag | meaning |", "|---|---|---|---|"]
            parts += [*rows(field.name, field.type), ""]
    return "\n".join(parts)


def page(text: str) -> str:
    """Return the page `text` with the part between the marks made anew."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def main() -> int:
    """Write, or check, the page; return the exit code."""
    text = PAGE.read_text(encoding="utf-8")
    made = page(text)
    if "--check" in sys.argv:
        return int(made != text)
    PAGE.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
