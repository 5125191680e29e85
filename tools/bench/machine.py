"""What the benchmark asks of the machine: cores, CPU clocks, listening ports, and its name.

Linux only: affinity, /proc, and the CPU clocks of other processes.
"""

from __future__ import annotations

import os
import platform
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

LISTEN_STATE = "0A"
_CPUCLOCK_SCHED = 2


def choose_cores(allowed: set[int], siblings: dict[int, set[int]]) -> tuple[int, int]:
    """Return (server's core, generator's core) out of `allowed`.

    `siblings` maps a core to the hardware threads of the same physical core: these are avoided
    for the generator where there is a choice. With one core only, both are the same.
    """
    server, *others = sorted(allowed)
    apart = [core for core in others if core not in siblings.get(server, set())]
    return server, (apart or others or [server])[0]


def thread_siblings(core: int) -> set[int]:
    """Return the hardware threads that share `core`'s physical core, itself included."""
    path = Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list")
    return parse_cpu_list(path.read_text("ascii")) if path.exists() else {core}


def parse_cpu_list(text: str) -> set[int]:
    """Return the numbers of a kernel's list such as "0-3,8"."""
    cores: set[int] = set()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        cores.update(range(int(first), int(last or first) + 1))
    return cores


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """Run this process on `core` for a while: a child that is started meanwhile stays there."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def process_cpu_s(pid: int) -> float:
    """Return the CPU seconds that process `pid` has used, all its threads included.

    A process's CPU clock has nanoseconds, where /proc/<pid>/stat has hundredths of a second. Its
    number is the complement of the pid over three bits of kind (clock_getcpuclockid(3)).
    Raises ProcessLookupError if there is no such process.
    """
    try:
        return time.clock_gettime(~pid << 3 | _CPUCLOCK_SCHED)
    except OSError as error:  # EINVAL: no process has that clock
        raise ProcessLookupError(pid) from error


def process_tree(pid: int) -> list[int]:
    """Return `pid` and the processes below it."""
    pids = [pid]
    for parent in pids:  # grows while it is walked
        for listing in Path(f"/proc/{parent}/task").glob("*/children"):
            pids.extend(int(child) for child in listing.read_text("ascii").split())
    return pids


def core_busy_s(core: int, stat: str | None = None) -> float:
    """Return the seconds that `core` has spent for processes since boot (interrupts left out).

    `stat` is the text of /proc/stat; None reads it.
    """
    text = Path("/proc/stat").read_text("ascii") if stat is None else stat
    for line in text.splitlines():
        name, *ticks = line.split()
        if name == f"cpu{core}":
            user, nice, system = (int(tick) for tick in ticks[:3])
            return (user + nice + system) / os.sysconf("SC_CLK_TCK")
    raise ValueError(f"no core {core} in /proc/stat")


def is_listening(port: int, table: str | None = None) -> bool:
    """Tell whether some process listens on TCP `port`, without disturbing it by a connection.

    `table` is the text of /proc/net/tcp; None reads it.
    """
    text = Path("/proc/net/tcp").read_text("ascii") if table is None else table
    ends_with = f":{port:04X}"
    rows = (line.split() for line in text.splitlines()[1:])
    return any(row[1].endswith(ends_with) and row[3] == LISTEN_STATE for row in rows)


def describe(server_core: int, generator_core: int) -> dict[str, str | int | float]:
    """Return what a reader needs to know of this machine."""
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "kernel": f"{platform.system()} {platform.release()}",
        "cpu": _cpu_model(),
        "cores": os.cpu_count() or 0,
        "server_core": server_core,
        "generator_core": generator_core,
        "load_average_before": round(os.getloadavg()[0], 2),
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
