"""The benchmark: every server as its own process, side by side and interleaved.

`python -m tools.bench.run` from the project's root; tables go to stderr, JSON to stdout. In each cell,
each round measures every server once (A B C D, A B C D, ...), each time in a fresh process on one
core, with the generator on another; a machine that drifts so touches all alike. Next: `cells.py`
for what is measured, `peers.py` for what is compared, `bench.py` for one measurement, `summary.py`
for the arithmetic, docs/benchmarks.md for how to read it.

Exit code: 0; 1 if any answer was wrong or a server failed; 2 for bad usage.
"""

from __future__ import annotations

import resource
import shlex
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

import msgspec

from tools.bench import machine, plot, report
from tools.bench.bench import Bench, MeasureError
from tools.bench.goals import GOALS, judge
from tools.bench.options import parse
from tools.bench.peers import PEERS, REFERENCE, why_missing
from tools.bench.summary import Summary, summarize

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tools.bench.model import Cell, Measurement
    from tools.bench.options import Wanted
    from tools.bench.peers import Peer


def schedule(peers: Sequence[Peer], rounds: int) -> Iterator[tuple[int, Peer]]:
    """Yield (round, server) in the order of measuring: interleaved, never one server's rounds in a row."""
    for number in range(1, rounds + 1):
        for peer in peers:
            yield number, peer


def present(peers: Sequence[Peer]) -> tuple[list[Peer], list[str]]:
    """Return the servers that can be measured, and why the others cannot."""
    notes = {peer.name: why_missing(peer) for peer in peers}
    return [peer for peer in peers if not notes[peer.name]], [note for note in notes.values() if note]


def measure_cell(
    bench: Bench, cell: Cell, peers: Sequence[Peer], rounds: int
) -> tuple[list[Measurement], list[str]]:
    """Measure one cell; return what was measured, and what went wrong. A server that fails is left out."""
    measurements: list[Measurement] = []
    failures: dict[str, str] = {}
    for number, peer in schedule([peer for peer in peers if peer.serves(cell)], rounds):
        if peer.name in failures:
            continue
        try:
            one = bench.measure(peer, cell, number)
        except MeasureError as error:
            failures[peer.name] = f"{cell.name}: {peer.name}: {error}"
            tell(f"error: {failures[peer.name]}")
            continue
        tell(f"{cell.name:14} {number}/{rounds}  {progress(cell, one)}")
        measurements.append(one)
        if one.result.errors.total:
            failures[peer.name] = f"{cell.name}: {peer.name}: {one.result.first_error}"
    return [one for one in measurements if one.peer not in failures], list(failures.values())


def progress(cell: Cell, one: Measurement) -> str:
    """Return one measurement in a line."""
    result = one.result
    errors = f"  ERRORS {result.errors.total}: {result.first_error}" if result.errors.total else ""
    return (
        f"{one.peer:18} {result.per_second:>10,.0f} {cell.kind.units}/s "
        f"{result.cost(cell.kind.cost):8.2f} {cell.kind.cost_unit}  others {one.others_share:.0%}{errors}"
    )


def tell(text: str) -> None:
    """Print for the human."""
    print(text, file=sys.stderr, flush=True)


def measure_all(bench: Bench, wanted: Wanted, peers: Sequence[Peer]) -> tuple[list[Measurement], list[str]]:
    """Measure every cell, telling its table when it is done."""
    measurements: list[Measurement] = []
    failures: list[str] = []
    for cell in wanted.cells:
        tell(f"\n{cell.name}: {cell.title}")
        rounds = min(wanted.rounds, cell.rounds or wanted.rounds)
        here, wrong = measure_cell(bench, cell, peers, rounds)
        measurements += here
        failures += wrong
        tell(f"\n{report.table(cell, summarize(cell, here, REFERENCE))}")
    return measurements, failures


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark; return the exit code."""
    wanted = parse(arguments)
    peers, notes = present(wanted.peers)
    if wanted.list_only:
        print_names(wanted)
        return 0
    bench = Bench(wanted.timing, wanted.malloc)
    facts: dict[str, object] = {
        **machine.describe(bench.server_core, bench.generator_core),
        "rounds": wanted.rounds,
        **{name: version for peer in peers for name, version in sorted(peer.versions().items())},
    }
    notes += bench.notes()
    for note in notes:
        tell(f"note: {note}")
    measurements, failures = measure_all(bench, wanted, peers)
    if any(one.result.generator == "python" for one in measurements):
        notes.append("no C compiler: the generator in Python may be slower than the server it measures")
    summaries = [one for cell in wanted.cells for one in summarize(cell, measurements, REFERENCE)]
    verdicts = judge(GOALS, summaries)
    tell(f"\n{report.LEGEND}\n\n{report.goals_markdown(verdicts)}")
    command = shlex.join(["python", "-m", "tools.bench.run", *arguments])
    document = {
        "benchmark": "wsloop beside its peers",
        "command": command,
        "cells": wanted.cells,
        "timing": wanted.timing,
        "environment": facts,
        "servers": {peer.name: {"setup": peer.setup, "versions": peer.versions()} for peer in peers},
        "summaries": [{**msgspec.to_builtins(one), "flags": one.flags()} for one in summaries],
        "goals": [{**msgspec.to_builtins(one), "reached": one.word} for one in verdicts],
        "measurements": measurements,
        "notes": notes,
        "failures": failures,
    }
    text = msgspec.json.format(msgspec.json.encode(document), indent=2).decode()
    print(text)
    if wanted.json:
        wanted.json.write_text(f"{text}\n", "utf-8")
    if wanted.document and wanted.plot and summaries:
        left_out = [*notes, *(failure.partition("\n")[0] for failure in failures)]
        picture = wanted.plot.relative_to(wanted.document.parent)
        parts = [report.facts_markdown(command, facts, left_out)]
        parts += [report.picture_markdown(picture), report.goals_markdown(verdicts)]
        parts += [cell_markdown(cell, summaries) for cell in wanted.cells]
        report.write_results(wanted.document, "\n\n".join(parts))
        plot.write_plot(wanted.plot, wanted.cells, summaries)
    return 1 if failures or not measurements else 0


def cell_markdown(cell: Cell, summaries: Sequence[Summary]) -> str:
    """Return a cell's part of the page."""
    command = f"make bench ARGS='--only {cell.name}'"
    return report.markdown(cell, command, [one for one in summaries if one.cell == cell.name])


def print_names(wanted: Wanted) -> None:
    """Print the names that `--only` takes, and what is missing."""
    for cell in wanted.cells:
        print(f"{cell.name:20} {cell.title}")
    for peer in PEERS:
        if peer in wanted.peers:
            print(f"{peer.name:20} {why_missing(peer) or peer.setup}")


def _raise_exit(_number: int, _frame: object) -> NoReturn:
    sys.exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    if sys.platform != "linux":
        sys.exit("error: this benchmark needs Linux (core affinity, CPU clocks of other processes)")
    signal.signal(signal.SIGTERM, _raise_exit)  # so that `finally` ends the servers
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # the servers inherit it
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
