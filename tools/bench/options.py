"""The command line of the benchmark."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from tools.bench.cells import CELLS
from tools.bench.model import Timing
from tools.bench.peers import PEERS
from tools.bench.process import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tools.bench.model import Cell
    from tools.bench.peers import Peer

DOCUMENT = ROOT / "docs" / "benchmarks.md"
PLOT = ROOT / "docs" / "images" / "benchmarks.svg"
ROUNDS = 3
QUICK_TIMING = Timing(warmup_s=0.1, seconds=0.3, settle_s=0.3)
QUICK_CONNECTIONS = 2000
"""Most connections of a cell in a quick run."""
LONGEST_S = 3600.0


class Wanted(NamedTuple):
    """What the command line asks for; `malloc` is None if each cell has its own.

    `document` is the page that the tables go into, `plot` the picture beside it, both or none.
    """

    cells: list[Cell]
    peers: list[Peer]
    rounds: int
    timing: Timing
    malloc: str | None
    json: Path | None
    document: Path | None
    plot: Path | None
    list_only: bool


def parse(arguments: Sequence[str]) -> Wanted:
    """Return what is wanted; ends the process with code 2 if the options are wrong."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench.run", description="wsloop beside its peers.")
    add = parser.add_argument
    add(
        "--only",
        action="append",
        default=[],
        metavar="NAME,...",
        help="these cells, kinds of cells or servers",
    )
    add("--list", action="store_true", help="print the names of all cells and servers, and what is missing")
    add("--rounds", type=at_least(1), help=f"times each server is measured [{ROUNDS}; idle 1]")
    add("--seconds", type=seconds, help=f"measured interval [{Timing().seconds}; flood 2]")
    add("--warmup", type=seconds, help=f"seconds of load before it [{Timing().warmup_s}]")
    add("--settle", type=seconds, help=f"idle: rest before memory is read [{Timing().settle_s}]")
    add("--operations", type=at_least(1), help="end an interval at this count")
    add("--connections", type=at_least(1), help="instead of each cell's own")
    add("--size", type=at_least(0), metavar="BYTES", help="payload, instead of each cell's own")
    add("--inflight", type=at_least(1), help="messages under way, instead of each cell's own")
    add("--binary", action="store_true", help="binary messages in the echo cells")
    add("--malloc", choices=["tuned", "plain"], help="glibc settings of all servers [tuned; idle plain]")
    add("--quick", action="store_true", help="one short round of everything: does it work?")
    add("--json", type=Path, metavar="FILE", help="write the JSON here too")
    add("--document", type=Path, nargs="?", const=DOCUMENT, metavar="FILE", help="put tables and plot there")
    options = parser.parse_args(arguments)
    cells, peers = _select(parser, options.only)
    timing = QUICK_TIMING if options.quick else Timing()
    given = {
        "warmup_s": options.warmup,
        "seconds": options.seconds,
        "settle_s": options.settle,
        "operations": options.operations,
    }
    timing = msgspec.structs.replace(timing, **{name: value for name, value in given.items() if value})
    return Wanted(
        cells=[_changed(cell, options) for cell in cells],
        peers=peers,
        rounds=options.rounds or (1 if options.quick else ROUNDS),
        timing=timing,
        malloc=options.malloc,
        json=options.json,
        document=options.document,
        plot=_plot_of(options.document),
        list_only=options.list,
    )


def _select(parser: argparse.ArgumentParser, only: Sequence[str]) -> tuple[list[Cell], list[Peer]]:
    """Return the cells and the servers that `only` names; all cells, or all servers, if it names none.

    The name of a kind stands for all cells of it.
    """
    names = [name for text in only for name in text.split(",") if name]
    known = {name for cell in CELLS for name in (cell.name, cell.kind.name)} | {one.name for one in PEERS}
    for name in names:
        if name not in known:
            parser.error(f"no cell and no server is called {name!r}; --list tells their names")
    cells = [cell for cell in CELLS if cell.name in names or cell.kind.name in names]
    peers = [peer for peer in PEERS if peer.name in names]
    return cells or list(CELLS), peers or list(PEERS)


def _plot_of(document: Path | None) -> Path | None:
    return PLOT if document == DOCUMENT else document and document.with_suffix(".svg")


def _changed(cell: Cell, options: argparse.Namespace) -> Cell:
    """Return the cell with what the command line changes in it."""
    changes: dict[str, object] = {}
    if options.connections:
        changes["connections"] = options.connections
        changes["publishers"] = min(cell.publishers, options.connections)
    elif options.quick:
        changes["connections"] = min(cell.connections, QUICK_CONNECTIONS)
    if options.size is not None:
        changes["size_bytes"] = options.size
    if options.inflight:
        changes["inflight"] = options.inflight
    if options.binary and cell.kind.name == "echo":
        changes["binary"] = True
    if options.rounds:
        changes["rounds"] = options.rounds
    if options.seconds or options.quick:
        changes["seconds"] = None
    return msgspec.structs.replace(cell, **changes)


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
