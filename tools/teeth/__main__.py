"""`python -m tools.teeth` (or `make teeth`): plants each bug, and tells who found it and how soon.

Exit code 1 if a bug survives, or spoils an ordinary day, or if a hunter finds something where there is none.
"""

from __future__ import annotations

import argparse
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

from tools.bench.options import at_least
from tools.teeth import page
from tools.teeth.bugs import Bug, read_all
from tools.teeth.hunters import HUNTERS
from tools.teeth.hunting import Verdict, control, hunt

if TYPE_CHECKING:
    from collections.abc import Sequence

PAGE = Path("docs/internals/teeth.md")


def chosen(only: Sequence[str]) -> list[Bug]:
    """Return the bugs whose number or name matches any of these patterns; all for none."""
    bugs = read_all()
    if not only:
        return bugs
    return [bug for bug in bugs if any(fnmatch(part, one) for one in only for part in _names(bug))]


def _names(bug: Bug) -> tuple[str, str, str]:
    number, _, name = bug.name.partition("-")
    return number, name, bug.name


def parser() -> argparse.ArgumentParser:
    """Return what reads the options."""
    reads = argparse.ArgumentParser(prog="python -m tools.teeth", description=__doc__)
    reads.add_argument(
        "--only", action="append", default=[], metavar="BUG", help="number, name or pattern of names"
    )
    reads.add_argument("--hunter", action="append", default=[], choices=HUNTERS, help="send out no others")
    reads.add_argument("--jobs", type=at_least(1), default=1, metavar="N", help="bugs at a time [1]")
    reads.add_argument("--json", action="store_true", help="print all catches as JSON")
    reads.add_argument("--document", action="store_true", help=f"write the table into {PAGE}")
    reads.add_argument("--no-control", action="store_true", help="do not look where there is no bug")
    return reads


def main(arguments: Sequence[str]) -> int:
    """Hunt; return the exit code."""
    options = parser().parse_args(arguments)
    bugs = chosen(options.only)
    with ThreadPoolExecutor(options.jobs) as pool:
        verdicts = list(pool.map(lambda bug: _hunt(bug, options.hunter), bugs))
    killers = sorted({verdict.killer for verdict in verdicts if verdict.killer})
    false_alarms = {} if options.no_control else control(killers, options.jobs)
    false_alarms = {name: catch for name, catch in false_alarms.items() if catch.found}
    if options.json:
        print(json.dumps([asdict(verdict) for verdict in verdicts], indent=1))
    elif verdicts:
        print(page.text(verdicts))
    for name, catch in false_alarms.items():
        print(f"{name} finds something where there is no bug: {catch.found}", file=sys.stderr)
    if options.document:
        page.write(PAGE, page.table(verdicts))
    return 0 if bugs and all(verdict.killer for verdict in verdicts) and not false_alarms else 1


def _hunt(bug: Bug, only: Sequence[str]) -> Verdict:
    verdict = hunt(bug, only)
    for name, catch in verdict.catches:
        told = f"{bug.name}: {name}, {catch.count} {catch.unit}, {catch.seconds:.1f} s: "
        print(told + (catch.found[:200] or "nothing"), file=sys.stderr)
    if verdict.trouble:
        print(f"{bug.name}: {verdict.trouble}", file=sys.stderr)
    return verdict


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
