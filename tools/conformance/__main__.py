"""`python -m tools.conformance` (or `make conformance`): all 517 cases, then the table in the docs.

From the project's root. Runs the plain groups on connections without an extension, and everything
on connections with permessage-deflate. Exit code 1 if any case failed, is not implemented, was not
played, or is neither right nor explained; the table is written all the same, and shows it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tools.conformance import judge, page, run
from tools.conformance.cases import DEFLATE_GROUPS, LEFT_OUT_DEFLATED, PLAIN_GROUPS

PAGE = Path("docs/reference/conformance.md")
LIMIT_S = 1800.0
"""For one part of a run; the deflated performance cases take most of it on a slow machine."""


def main() -> int:
    """Run, judge, write; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.conformance", description=__doc__)
    parser.add_argument("--timeout", type=float, default=LIMIT_S, metavar="S", help="seconds for one part")
    limit_s = parser.parse_args().timeout
    with run.daemon() as daemon:
        plain = run.play(daemon.url(), run.all_cases(deflated=False), deflated=False, limit_s=limit_s)
        deflated = run.play(daemon.url(), run.all_cases(deflated=True), deflated=True, limit_s=limit_s)
    page.write(PAGE, page.table({"plain": plain, "deflated": deflated}, page.versions()))
    faults = [
        *judge.missing(plain, PLAIN_GROUPS),
        *judge.missing(deflated, (*PLAIN_GROUPS, *DEFLATE_GROUPS), LEFT_OUT_DEFLATED),
        *(f"plain {fault}" for fault in judge.faults(plain)),
        *(f"deflated {fault}" for fault in judge.faults(deflated)),
    ]
    for fault in faults:
        print(fault, file=sys.stderr)
    print(f"{len(plain) + len(deflated)} cases played, {len(faults)} faults; see {PAGE}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
