"""Write the tables of docs/reference/cve-pack.md, from the tests in tests/cve themselves.

    python docs/cve_table.py           rewrites the page
    python docs/cve_table.py --check   exits with 1 if it is out of date

A row is what a test says of itself (`tests.cve.kit.stands_for`); a heading is the first line of its
module. From the project's root.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from marked import write_or_check

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "cve-pack.md"
BEGIN, END = "<!-- cve pack: generated -->\n", "<!-- cve pack: end -->\n"

GHSA = "https://github.com/advisories/"
NVD = "https://nvd.nist.gov/vuln/detail/"


def link(identifier: str) -> str:
    """Return an identifier as a link to where it was published."""
    return f"[{identifier}]({GHSA if identifier.startswith('GHSA') else NVD}{identifier})"


def tables() -> str:
    """Return a table for each module of the pack."""
    sys.path.insert(0, str(ROOT))
    kit = importlib.import_module("tests.cve.kit")
    names = sorted(path.stem for path in (ROOT / "tests" / "cve").glob("test_*.py"))
    modules = {f"{name}.py": importlib.import_module(f"tests.cve.{name}") for name in names}
    lines = []
    for file, module in modules.items():
        rows = [fault for fault in kit.FAULTS if fault.test.startswith(f"{file}::")]
        if rows:
            title = (module.__doc__ or "").partition("\n")[0].rstrip(".")
            lines += [f"## {title}", "", f"`tests/cve/{file}`", ""]
            lines += ["| identifier | in | what it was | here | test |", "|---|---|---|---|---|"]
            for fault in rows:
                links = ", ".join(map(link, fault.identifiers))
                test = fault.test.partition("::")[2]
                lines.append(f"| {links} | {fault.where} | {fault.fault} | {fault.answer} | `{test}` |")
            lines.append("")
    identifiers = {identifier for fault in kit.FAULTS for identifier in fault.identifiers}
    head = f"{len(kit.FAULTS)} cases, which stand for {len(identifiers)} published faults."
    return "\n".join([head, "", *lines])


if __name__ == "__main__":
    sys.exit(write_or_check(PAGE, BEGIN, END, tables()))
