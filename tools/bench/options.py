"""The command line of the echo benchmark."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from tools.bench.model import Cell, Timing
from tools.bench.peers import PEERS
from tools.bench.process import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DOCUMENT = ROOT / "docs" / "benchmarks.md"
QUICK_TIMING = Timing(warmup_s=0.3, seconds=1.0)
LONGEST_S = 3600.0


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options; ends the process with code 2 if they are wrong.

    `cell` and `timing` among them hold what the single options say.
    """
    names = [peer.name for peer in PEERS]
    parser = argparse.ArgumentParser(prog="python -m tools.bench.echo", description="Echo benchmark.")
    add = parser.add_argument
    add("--rounds", type=at_least(1), default=5, help="times each server is measured [%(default)s]")
    add("--seconds", type=seconds, default=3.0, help="measured interval [%(default)s]")
    add("--warmup", type=seconds, default=0.5, help="seconds of load before it [%(default)s]")
    add("--messages", type=at_least(1), default=Timing().messages, help="end an interval at this count")
    add("--connections", type=at_least(1), default=100, help="[%(default)s]")
    add("--size", type=at_least(0), default=128, metavar="BYTES", help="payload [%(default)s]")
    add("--inflight", type=at_least(1), default=1, help="messages under way on each [%(default)s]")
    add("--binary", action="store_true", help="binary messages instead of text")
    add("--only", action="append", choices=names, metavar="SERVER", help=f"repeatable: {', '.join(names)}")
    add("--malloc", choices=["tuned", "plain"], default="tuned", help="glibc settings of all servers alike")
    add("--quick", action="store_true", help="one short round, about 10 s: does it all work?")
    add("--json", type=Path, metavar="FILE", help="write the JSON here too")
    add("--markdown", type=Path, nargs="?", const=DOCUMENT, metavar="FILE", help="put the table into FILE")
    options = parser.parse_args(arguments)
    options.cell = Cell(options.connections, options.size, options.inflight, options.binary)
    options.timing = Timing(options.warmup, options.seconds, options.messages)
    if options.quick:
        options.rounds, options.timing = 1, QUICK_TIMING
    return options


def at_least(least: int) -> Callable[[str], int]:
    """Return an argparse type: a whole number that is not below `least`."""

    def whole_number(text: str) -> int:
        number = int(text)
        if number < least:
            raise argparse.ArgumentTypeError(f"must be at least {least}")
        return number

    return whole_number


def seconds(text: str) -> float:
    """Be an argparse type: a duration that ends."""
    number = float(text)
    if not 0 < number <= LONGEST_S:
        raise argparse.ArgumentTypeError(f"must be above 0 and at most {LONGEST_S:.0f}")
    return number
