"""Write the tables of settings into docs/reference/, from the settings themselves.

    python docs/configuration_table.py           rewrites the pages
    python docs/configuration_table.py --check   exits with 1 if one is out of date

A key's meaning is the comment behind it in `wsloop/daemon/settings.py`, for the options of namespaces in
`wsloop/hub/namespaces.py`; its flag is in
`wsloop/daemon/flag_names.py`.
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from wsloop.daemon import table
from wsloop.daemon.flag_names import FLAGS
from wsloop.daemon.printing import spelt

if TYPE_CHECKING:
    import msgspec

REFERENCE = Path(__file__).parent / "reference"
BEGIN, END = "<!-- settings: generated -->\n", "<!-- settings: end -->\n"


def rows(section: str) -> list[str]:
    """Return the table's rows for one section."""
    lines = []
    for key in table.all_keys():
        if key.section == section:
            default = "" if key.default in (None, ()) else f"`{spelt(key, key.default)}`"
            flag = f"`{FLAGS[key.path]}`" if key.path in FLAGS else ""
            live = "live" if key.is_live else "restart"
            lines.append(f"| `{key.name}` | {default} | {flag} | {live} | {key.meaning} |")
    return lines


def settings_table() -> str:
    """Return all sections as Markdown; the options of namespaces have a page of their own."""
    parts: list[str] = []
    described: dict[type[msgspec.Struct], str] = {}
    for name, kind in table.sections().items():
        parts += [f"## `[{name}]`", ""]
        if kind in described:
            parts += [f"Has the keys of `[{described[kind]}]`, and takes its place for this purpose.", ""]
            continue
        described[kind] = name
        about = inspect.cleandoc(kind.__doc__ or "").partition(": ")[2]
        parts += [about[0].upper() + about[1:], ""]
        parts += ["| key | default | flag | change | meaning |", "|---|---|---|---|---|"]
        parts += [*rows(name), ""]
    return "\n".join(parts)


def namespace_table() -> str:
    """Return the options of a namespace as Markdown."""
    lines = ["", "| option | default | meaning |", "|---|---|---|"]
    for key in table.namespace_keys("channels"):
        lines.append(f"| `{key.name}` | `{spelt(key, key.default)}` | {key.meaning} |")
    return "\n".join([*lines, ""])


TABLES = {"configuration.md": settings_table, "channels.md": namespace_table}


def made(text: str, rows_between: str) -> str:
    """Return the page `text` with the part between the marks made anew."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{rows_between}\n{END}{after}"


def main() -> int:
    """Write, or check, the pages; return the exit code."""
    stale = 0
    for name, table_of in TABLES.items():
        page = REFERENCE / name
        text = page.read_text(encoding="utf-8")
        fresh = made(text, table_of())
        stale |= fresh != text
        if "--check" not in sys.argv:
            page.write_text(fresh, encoding="utf-8")
    return int(stale) if "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
