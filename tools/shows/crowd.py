"""A crowd of messaging clients in C (`tools/bench/load/crowd.c`), shared out over several processes."""

from __future__ import annotations

import subprocess
import threading
from typing import TYPE_CHECKING

import msgspec

from tools.bench import build, generator

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

LEAVE_S = 30.0
"""What a process is given to end by itself: the kernel closes 17,000 sockets for it."""


class Report(msgspec.Struct, frozen=True):
    """What one process of the crowd knows, or all of them together; counts are since the last clear.

    `fewest_pings` is of the connection that answered fewest; `latencies_ns` pairs a latency, rounded down by
    at most 1.6 %, with how many publications had it.
    """

    open: int
    subscribed: int
    deliveries: int
    pings: int
    fewest_pings: int
    seconds: float
    cpu_seconds: float
    slowest_ns: int
    faults: int
    first_fault: str
    latencies_ns: list[tuple[int, int]]


def together(reports: Sequence[Report]) -> Report:
    """Return the sum of several processes' reports; `reports` is not empty."""
    counts: dict[int, int] = {}
    for report in reports:
        for latency_ns, count in report.latencies_ns:
            counts[latency_ns] = counts.get(latency_ns, 0) + count
    return Report(
        open=sum(report.open for report in reports),
        subscribed=sum(report.subscribed for report in reports),
        deliveries=sum(report.deliveries for report in reports),
        pings=sum(report.pings for report in reports),
        fewest_pings=min(report.fewest_pings for report in reports),
        seconds=max(report.seconds for report in reports),
        cpu_seconds=sum(report.cpu_seconds for report in reports),
        slowest_ns=max(report.slowest_ns for report in reports),
        faults=sum(report.faults for report in reports),
        first_fault=next((report.first_fault for report in reports if report.first_fault), ""),
        latencies_ns=sorted(counts.items()),
    )


def percentile_ms(report: Report, fraction: float) -> float:
    """Return the latency in milliseconds that `fraction` of the deliveries did not exceed; 0 without any."""
    wanted = sum(count for _, count in report.latencies_ns) * fraction
    seen = 0
    for latency_ns, count in report.latencies_ns:
        seen += count
        if seen >= wanted:
            return latency_ns / 1e6
    return 0.0


class CrowdError(Exception):
    """A process of the crowd ended before it was told to."""


class Crowd:
    """`clients` connections to a port, held by `processes`; they are there when `opened` returns.

    `more` are further options of the program.
    """

    def __init__(
        self, port: int, clients: int, processes: int, *, pace: int, sources: int, more: Sequence[str] = ()
    ) -> None:
        program = str(build.build_c(generator.LOAD / "crowd.c", build.BUILD / "crowd"))
        self._processes: list[subprocess.Popen[bytes]] = []
        for number in range(processes):
            share = clients // processes + (number < clients % processes)
            command = [program, f"--port={port}", f"--connections={share}", f"--sources={sources}"]
            command += [f"--pace={max(1, pace // processes)}", *more]
            self._processes.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))

    def __enter__(self) -> Crowd:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.communicate(timeout=LEAVE_S)

    @property
    def pids(self) -> list[int]:
        """The processes."""
        return [process.pid for process in self._processes]

    def opened(self) -> Report:
        """Wait until each process has opened its share, or failed; return what they report then."""
        return self._answers()

    def report(self) -> Report:
        """Ask all and return their sum."""
        self._tell("report")
        return self._answers()

    def clear(self) -> None:
        """Have all forget their latencies and counts."""
        self._tell("clear")

    def flood(self) -> None:
        """Have each process publish, as fast as its clients are served, until `calm`."""
        self._tell("flood")

    def calm(self) -> None:
        """Have no more published; what is under way still comes."""
        self._tell("calm")

    def _tell(self, word: str) -> None:
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(f"{word}\n".encode())
            process.stdin.flush()

    def _answers(self) -> Report:
        lines = [b""] * len(self._processes)

        def read(number: int) -> None:
            stdout = self._processes[number].stdout
            assert stdout is not None
            lines[number] = stdout.readline()

        readers = [threading.Thread(target=read, args=(number,)) for number in range(len(lines))]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        if not all(lines):
            raise CrowdError("a process of the crowd has ended")
        return together([msgspec.json.decode(line, type=Report) for line in lines])
