"""Write the tables of settings into docs/reference/, from the settings themselves.

    python docs/configuration_table.py           rewrites the pages
    python docs/configuration_table.py --check   exits with 1 if one is out of date

A key's meaning is the comment behind it in `wsloop/daemon/config.py`, for the options of namespaces in
`wsloop/hub/namespaces.py`; its flag is found on the
command line by the section and key it sets.
"""

from __future__ import annotations

import inspect
import re
import sys
import typing
from pathlib import Path

import msgspec

from wsloop.daemon import cli, config
from wsloop.hub.namespaces import Namespace

REFERENCE = Path(__file__).parent / "reference"
BEGIN, END = "<!-- settings: generated -->\n", "<!-- settings: end -->\n"


def flags() -> dict[tuple[str, str], str]:
    """Return the flag that sets each (section, key)."""
    found = {}
    for parameter in cli.serve.params:
        name = parameter.name or ""
        found[cli._SECTION_OF.get(name, ("server", name))] = f"`{parameter.opts[-1]}`"
    return found


def meanings(kind: type[msgspec.Struct]) -> dict[str, str]:
    """Return the comment behind each field of a struct."""
    return dict(re.findall(r"^    (\w+): .*?#\s*(.+)$", inspect.getsource(kind), re.MULTILINE))


def spelt(value: object) -> str:
    """Return a default as TOML has it."""
    if isinstance(value, bool):
        return str(value).lower()
    return "[]" if value == () else repr(value).replace("'", '"')


def rows(section: str, kind: type[msgspec.Struct]) -> list[str]:
    """Return the table's rows for one section."""
    comments = meanings(kind)
    flag_of = flags()
    lines = []
    for field in msgspec.structs.fields(kind):
        default = "" if field.default in (None, ()) else f"`{spelt(field.default)}`"
        flag = flag_of.get((section, field.name), "")
        lines.append(f"| `{field.name}` | {default} | {flag} | {comments[field.name]} |")
    return lines


def settings_table() -> str:
    """Return all sections as Markdown; the options of namespaces have a page of their own."""
    parts: list[str] = []
    described: dict[type[msgspec.Struct], str] = {}
    for field in msgspec.structs.fields(config.Settings):
        kind = section(field.type)
        if kind is None:
            continue
        parts += [f"## `[{field.name}]`", ""]
        if kind in described:
            parts += [f"Has the keys of `[{described[kind]}]`, and takes its place for this purpose.", ""]
            continue
        described[kind] = field.name
        about = inspect.cleandoc(kind.__doc__ or "").partition(": ")[2]
        parts += [about[0].upper() + about[1:], "", "| key | default | flag | meaning |", "|---|---|---|---|"]
        parts += [*rows(field.name, kind), ""]
    return "\n".join(parts)


def section(declared: object) -> type[msgspec.Struct] | None:
    """Return the struct of a section that this page describes, None for any other field."""
    kinds = [declared, *typing.get_args(declared)]
    found = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, msgspec.Struct)]
    return found[0] if found and found[0] is not Namespace else None


def namespace_table() -> str:
    """Return the options of a namespace as Markdown."""
    comments = meanings(Namespace)
    lines = ["", "| option | default | meaning |", "|---|---|---|"]
    for field in msgspec.structs.fields(Namespace):
        lines.append(f"| `{field.name}` | `{spelt(field.default)}` | {comments[field.name]} |")
    return "\n".join([*lines, ""])


TABLES = {"configuration.md": settings_table, "channels.md": namespace_table}


def made(text: str, table: str) -> str:
    """Return the page `text` with the part between the marks made anew."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def main() -> int:
    """Write, or check, the pages; return the exit code."""
    stale = 0
    for name, table in TABLES.items():
        page = REFERENCE / name
        text = page.read_text(encoding="utf-8")
        fresh = made(text, table())
        stale |= fresh != text
        if "--check" not in sys.argv:
            page.write_text(fresh, encoding="utf-8")
    return int(stale) if "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
