"""The echo benchmark: every server as its own process, side by side and interleaved.

`python -m tools.bench.echo` from the project's root; a table goes to stderr, JSON to stdout. Each
round measures every server once (A B C D, A B C D, ...), each time in a fresh process on one core,
with the generator on another; a machine that drifts so touches all alike. Next: `peers.py` for
what is compared, `summary.py` for the arithmetic, docs/benchmarks.md for how to read it.

Exit code: 0; 1 if any echo was wrong or a server failed; 2 for bad usage.
"""

from __future__ import annotations

import os
import resource
import shlex
import signal
import sys
import time
from typing import TYPE_CHECKING, NoReturn

import msgspec

from tools.bench import generator, machine, process, report
from tools.bench.model import Cell, Measurement, Timing
from tools.bench.options import parse
from tools.bench.peers import PEERS, REFERENCE, Peer, missing_packages
from tools.bench.summary import summarize

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


def schedule(peers: Sequence[Peer], rounds: int) -> Iterator[tuple[int, Peer]]:
    """Yield (round, server) in the order of measuring: interleaved, never one server's rounds in a row."""
    for number in range(1, rounds + 1):
        for peer in peers:
            yield number, peer


class Bench:
    """One invocation: the cell, the cores, the generator; measures one server at a time."""

    def __init__(self, cell: Cell, timing: Timing, extra_env: Mapping[str, str]) -> None:
        self.cell = cell
        self.timing = timing
        self.extra_env = extra_env
        allowed = os.sched_getaffinity(0)
        siblings = {core: machine.thread_siblings(core) for core in allowed}
        self.server_core, self.generator_core = machine.choose_cores(allowed, siblings)
        self.generator = generator.generator_command()

    def notes(self) -> list[str]:
        """Return what makes this machine's figures weaker."""
        notes = []
        if generator.is_slow(self.generator):
            notes.append("no C compiler: the generator in Python may be slower than the server it measures")
        if self.server_core == self.generator_core:
            notes.append("one core only: server and generator share it, throughput says little")
        return notes

    def measure(self, peer: Peer, number: int) -> Measurement:
        """Start `peer`, load it, end it. Raises ServerError or GeneratorError."""
        port = process.free_port()
        with process.running(peer.command_line(port), port, self.server_core, self.extra_env) as server:
            options = generator.arguments(
                self.cell, self.timing, port=port, path=peer.path, raw=peer.raw, pids=server.pids
            )
            before = self._others_s(server.pids)
            began_s = time.monotonic()
            limit_s = self.timing.warmup_s + self.timing.seconds + generator.SPARE_S
            result = generator.run([*self.generator, *options], self.generator_core, limit_s)
            took_s = time.monotonic() - began_s
            after = self._others_s(server.pids)
        others_s = max(late - early for early, late in zip(before, after, strict=True))
        return Measurement(peer.name, number, result, round(max(0.0, others_s / took_s), 3))

    def _others_s(self, pids: Sequence[int]) -> tuple[float, float]:
        """Return what the two cores spent for processes besides the server and the generator, in seconds."""
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        return (
            machine.core_busy_s(self.server_core) - sum(machine.process_cpu_s(pid) for pid in pids),
            machine.core_busy_s(self.generator_core) - ended.ru_utime - ended.ru_stime,
        )


def select_peers(only: Sequence[str] | None) -> tuple[list[Peer], list[str]]:
    """Return the servers to measure, and a note for each that cannot be."""
    wanted = [peer for peer in PEERS if not only or peer.name in only]
    notes = [
        f"{peer.name} left out: not installed: {', '.join(missing)}"
        for peer in wanted
        if (missing := missing_packages(peer))
    ]
    return [peer for peer in wanted if not missing_packages(peer)], notes


def measure_all(bench: Bench, peers: Sequence[Peer], rounds: int) -> tuple[list[Measurement], list[str]]:
    """Measure everything; return what was measured, and what went wrong. A server that fails is dropped."""
    measurements: list[Measurement] = []
    failures: dict[str, str] = {}
    for number, peer in schedule(peers, rounds):
        if peer.name in failures:
            continue
        try:
            one = bench.measure(peer, number)
        except (process.ServerError, generator.GeneratorError) as error:
            failures[peer.name] = f"{peer.name}: {error}"
            tell(f"error: {failures[peer.name]}")
            continue
        measurements.append(one)
        tell(f"round {number}/{rounds}  {progress(one)}")
    wrong = [f"{one.peer}: {one.result.first_error}" for one in measurements if one.result.errors.total]
    return measurements, [*failures.values(), *wrong]


def progress(one: Measurement) -> str:
    """Return one measurement in a line."""
    result = one.result
    errors = f"  ERRORS {result.errors.total}: {result.first_error}" if result.errors.total else ""
    return (
        f"{one.peer:16} {result.per_second:>10,.0f} messages/s {result.server_cpu_us:8.2f} us/message"
        f"  others {one.others_share:.0%}{errors}"
    )


def tell(text: str) -> None:
    """Print for the human."""
    print(text, file=sys.stderr, flush=True)


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark; return the exit code."""
    options = parse(arguments)
    bench = Bench(options.cell, options.timing, process.TUNED_MALLOC if options.malloc == "tuned" else {})
    peers, notes = select_peers(options.only)
    facts = {
        **machine.describe(bench.server_core, bench.generator_core),
        "malloc": options.malloc,
        **{name: text for peer in peers for name, text in sorted(peer.versions().items())},
    }
    notes += bench.notes()
    for text in (options.cell.title, *(f"note: {note}" for note in notes)):
        tell(text)
    measurements, failures = measure_all(bench, peers, options.rounds)
    summaries = summarize(measurements, REFERENCE)
    tell(f"\n{report.table(summaries)}\n\n{report.LEGEND}")
    command = shlex.join(["python", "-m", "tools.bench.echo", *arguments])
    document = {
        "benchmark": "echo",
        "command": command,
        "cell": options.cell,
        "timing": options.timing,
        "rounds": options.rounds,
        "environment": facts,
        "servers": {peer.name: {"setup": peer.setup, "versions": peer.versions()} for peer in peers},
        "summaries": [{**msgspec.to_builtins(one), "flags": one.flags()} for one in summaries],
        "measurements": measurements,
        "notes": notes,
        "failures": failures,
    }
    text = msgspec.json.format(msgspec.json.encode(document), indent=2).decode()
    print(text)
    if options.json:
        options.json.write_text(f"{text}\n", "utf-8")
    if options.markdown and not failures:
        report.write_results(options.markdown, report.markdown(options.cell.title, command, facts, summaries))
    return 1 if failures or not measurements else 0


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
