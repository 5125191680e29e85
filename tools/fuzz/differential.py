"""Properties without an end: random bytes drive the strategies of chosen tests until one fails.

`python -m tools.fuzz differential` (`make fuzz TARGET=differential`) goes on until it is stopped or has
found something. The targets are hypothesis tests of this repository, reached through `fuzz_one_input`. A
failing example is kept in hypothesis's database, so that running the named test alone replays it.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from typing import TYPE_CHECKING

from tests.protocol import test_session_deflate, test_session_properties
from tools.bench.options import at_least

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Target = Callable[[bytes], bytes | None]

TESTS = (
    test_session_properties.test_the_fast_path_changes_nothing,
    test_session_properties.test_any_way_of_cutting_the_bytes_gives_the_same_events_output_and_state,
    test_session_properties.test_any_stream_gives_wsprotos_own_verdict,
    test_session_deflate.test_cuts_and_the_fast_path_change_nothing,
)
MAX_BYTES = 8192
"""Choices of one example: hypothesis's own limit, so that the largest streams can be drawn."""

REPORT_EVERY_S = 10.0


def targets() -> dict[str, Target]:
    """Return {name of the test: what runs it on bytes}."""
    return {test.__name__: test.hypothesis.fuzz_one_input for test in TESTS}  # type: ignore[attr-defined]


def fuzz(chance: random.Random, examples: int | None, report: Callable[[str], object]) -> int:
    """Run the targets in turn, `examples` times in all (None: until one fails); return how often.

    Raises what the failing test raised, after its name was reported.
    """
    named = list(targets().items())
    done = valid = 0
    reported_s = time.monotonic()
    while examples is None or done < examples:
        name, run = named[done % len(named)]
        data = chance.randbytes(chance.randrange(16, MAX_BYTES))
        done += 1
        try:
            valid += run(data) is not None
        except Exception:
            report(f"{name} failed, example {done}; pytest -k {name} replays it")
            raise
        if time.monotonic() - reported_s >= REPORT_EVERY_S:
            reported_s = time.monotonic()
            report(f"{done} examples, {valid} of them valid")
    return done


def main(arguments: Sequence[str]) -> int:
    """Fuzz; return 0 if nothing was found in the examples asked for."""
    parser = argparse.ArgumentParser(prog="python -m tools.fuzz differential", description=__doc__)
    parser.add_argument("--examples", type=at_least(1), help="stop after so many [never]")
    parser.add_argument("--seed", type=int, help="of the random bytes [a new one]")
    options = parser.parse_args(arguments)
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}", file=sys.stderr)
    try:
        done = fuzz(random.Random(seed), options.examples, lambda line: print(line, file=sys.stderr))
    except KeyboardInterrupt:
        return 0
    print(f"{done} examples, nothing found", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
