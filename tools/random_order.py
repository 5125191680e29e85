"""`make random-order TIMES=20`: the whole suite again and again, each time in another order.

    python -m tools.random_order --times 20 [--seed 1] [--out FILE] [-- PYTEST ARGUMENTS]

shuffles the modules, and the tests of each (pytest-randomly), and runs them with `make test`'s workers. Each
run appends one line of JSON to FILE, outside the tree: its seed, how many tests passed, failed, were
skipped or tried once more (tests of the machine only), its seconds, and the names of those that failed, and
of those skipped or tried again. The exit code is 1 if any failed. `-p randomly --randomly-seed=SEED` gives
the same order to any call of pytest.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

OUT = Path(tempfile.gettempdir()) / "wsloop-random-order.jsonl"
TIMES = 20

# Generators of chance are left as they are: a seed that is set anew for each test would make each run
# draw what the last one drew, and hypothesis has seeds of its own.
SHUFFLED = ("-q", "-rfEsR", "-p", "randomly", "--randomly-dont-reset-seed")

_COUNT = re.compile(r"(\d+) (passed|failed|errors?|skipped|rerun)\b")
_FAULT = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)
_NOTED = re.compile(r"^(?:SKIPPED \[\d+\]|RERUN) (\S+)", re.MULTILINE)


class Run(msgspec.Struct, frozen=True):
    """One run of the suite.

    `failed` has errors of fixtures too; `faults` names them. `noted` names what was skipped (file and line)
    or tried once more.
    """

    seed: int
    passed: int
    failed: int
    skipped: int
    rerun: int
    seconds: float
    faults: tuple[str, ...]
    noted: tuple[str, ...]
    exit_code: int


def judge(seed: int, output: str, exit_code: int, seconds: float) -> Run:
    """Return what pytest said, by its closing line and its list of failures."""
    closing = output.rstrip().rpartition("\n")[2]
    counts = {kind.removesuffix("s"): int(number) for number, kind in _COUNT.findall(closing)}
    return Run(
        seed=seed,
        passed=counts.get("passed", 0),
        failed=counts.get("failed", 0) + counts.get("error", 0),
        skipped=counts.get("skipped", 0),
        rerun=counts.get("rerun", 0),
        seconds=round(seconds, 1),
        faults=tuple(dict.fromkeys(_FAULT.findall(output))),
        noted=tuple(name.rstrip(":") for name in dict.fromkeys(_NOTED.findall(output))),
        exit_code=exit_code,
    )


def run_suite(seed: int, arguments: Sequence[str]) -> Run:
    """Run pytest once; what it printed is shown if it did not end well, or tried a test again."""
    command = [sys.executable, "-m", "pytest", *SHUFFLED, f"--randomly-seed={seed}", *arguments]
    began_s = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    run = judge(seed, done.stdout, done.returncode, time.monotonic() - began_s)
    if done.returncode or run.rerun:
        print(done.stdout + done.stderr, file=sys.stderr)
    return run


def main(arguments: Sequence[str], run: Callable[[int, Sequence[str]], Run] = run_suite) -> int:
    """Run the suite as often as is asked for; return 1 if a run did not end well."""
    options = _options(arguments)
    is_good = True
    for seed in range(options.seed, options.seed + options.times):
        done = run(seed, options.arguments or ("-n", "auto"))
        is_good = is_good and done.exit_code == 0
        line = json.dumps(msgspec.to_builtins(done))
        print(line, flush=True)
        with options.out.open("a", encoding="utf-8") as out:
            print(line, file=out)
    return 0 if is_good else 1


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.random_order", description=__doc__)
    parser.add_argument("--times", type=int, default=TIMES, help=f"how often [{TIMES}]")
    parser.add_argument("--seed", type=int, default=1, help="of the first run; the next has the next [1]")
    parser.add_argument("--out", type=Path, default=OUT, help=f"where a line for each run goes [{OUT}]")
    parser.add_argument("arguments", nargs="*", help="of pytest [-n auto]")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
