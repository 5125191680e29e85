"""Judge what `make test` has measured: some parts of wsloop are run wholly, every other module nearly so.

    python -m tools.coverage_gate coverage.json

reads the report of coverage.py in JSON. Each fault is one line; the exit code is 1 if there is any. Where
all is well nothing is printed, so that the tests' closing line stays the last one.

What is left out of the count (`# pragma: no cover`, `# pragma: no branch`) says why, behind the pragma or in
a comment just above it.
"""

from __future__ import annotations

import io
import json
import re
import sys
import tokenize
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

WHOLE = ("wsloop/protocol/", "wsloop/buffers/", "wsloop/hub/", "wsloop/loop/wheel.py")
"""Pure code: whatever it can do, a test can make it do. Every line and every branch."""

REST_PERCENT = 95.0
"""Of lines and branches of all other modules together."""

LEAST_PERCENT = 75.0
"""Of each of them. A small module of which a kernel or a machine has to call the half is no fault; one that
no test knows is."""

SOURCES = Path("wsloop")

_PRAGMA = re.compile(r"#\s*pragma:\s*no\s+(?:cover|branch)\b(?P<reason>.*)")
_WORD = re.compile(r"[^\W\d_]{2}")


def faults_of(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with a report: modules below what they must reach, parts that were not measured."""
    files = report["files"]
    for part in WHOLE:
        if not any(path.startswith(part) for path in files):
            yield f"{part}: nothing of it was measured"
    percent = percent_of(measured for path, measured in files.items() if not path.startswith(WHOLE))
    if percent < REST_PERCENT:
        yield f"the rest: {percent:.2f} %, less than {REST_PERCENT:g} %"
    for path in sorted(files):
        measured = files[path]
        missing = _missing(measured)
        percent = measured["summary"]["percent_covered"]
        if path.startswith(WHOLE):
            if missing:
                yield f"{path}: must be covered wholly; missing {missing}"
        elif percent < LEAST_PERCENT:
            yield f"{path}: {percent:.2f} %, less than {LEAST_PERCENT:g} %; missing {missing}"


def percent_of(modules: Iterable[Mapping[str, Any]]) -> float:
    """Return how much of the lines and branches of these modules was taken, in percent."""
    sums = [module["summary"] for module in modules]
    taken: int = sum(each["covered_lines"] + each["covered_branches"] for each in sums)
    there: int = sum(each["num_statements"] + each["num_branches"] for each in sums)
    return 100.0 * taken / max(there, 1)


def _missing(measured: Mapping[str, Any]) -> str:
    """Return the lines, and the branches as coverage.py writes them, that were not taken."""
    lines = [str(line) for line in measured["missing_lines"]]
    branches = [
        f"{begin}->{'exit' if end < 0 else end}"
        for begin, end in measured["missing_branches"]
        if begin not in measured["missing_lines"]
    ]
    return ", ".join(lines + branches)


def unreasoned(name: str, source: str) -> Iterator[str]:
    """Yield the places in a module where a pragma does not say why."""
    commented = -1  # the last line that is a comment and nothing else
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        line = token.start[0]
        found = _PRAGMA.search(token.string)
        if found is None:
            commented = line if token.line.lstrip().startswith("#") else -1
        elif not _WORD.search(found["reason"]) and commented != line - 1:
            yield f"{name}:{line}: a pragma without its reason"


def main(arguments: list[str]) -> int:
    """Judge the report that is named; see the module."""
    (path,) = arguments
    faults = list(faults_of(json.loads(Path(path).read_text(encoding="utf-8"))))
    for each in sorted(SOURCES.rglob("*.py")):
        faults += unreasoned(str(each), each.read_text(encoding="utf-8"))
    for fault in faults:
        print(f"coverage: {fault}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
