"""`make show-100k`: 102,400 real connections on this machine, what they cost, and a message to all of them.

Six workers hold them, as a process has at most 20,000 descriptors here, and six processes in C are the
clients, from 100 addresses 127.0.0.x. They answer pings for five minutes of silence, and then hear ten
messages. Kept promises: nobody is lost, everybody answers pings, each message comes to everybody.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import msgspec

from tools.bench.machine import process_cpu_s
from tools.shows import memory
from tools.shows.crowd import Crowd, Report, percentile_ms
from tools.shows.house import house

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tools.shows.house import House
    from tools.shows.memory import Memory

CLIENTS = 102_400
SOURCES = 100
"""Addresses to connect from: one has 28,000 ports of its own towards one port."""

SETTLE_S = 3.0
PING_INTERVAL_S = 25.0
"""The daemon's default."""

BROADCAST_LIMIT_S = 60.0
"""After which a message that has not come to everybody is lost."""

LOOK_EVERY_S = 0.25


@dataclass(frozen=True, slots=True)
class Broadcast:
    """One message to everybody: latencies in milliseconds from before the API call to each client's read."""

    deliveries: int
    p50_ms: float
    p99_ms: float
    last_ms: float


@dataclass(frozen=True, slots=True)
class Each:
    """What one connection costs, in bytes; the kernel's for the daemon's end, half of what both ends take."""

    pss: float
    rss: float
    slab: float
    socket_buffers: float


def each(empty: Memory, full: Memory, clients: int) -> Each:
    """Return what each of `clients` added."""
    return Each(
        pss=(full.pss - empty.pss) / clients,
        rss=(full.rss - empty.rss) / clients,
        slab=(full.slab - empty.slab) / clients / 2,
        socket_buffers=(full.socket_buffers - empty.socket_buffers) / clients / 2,
    )


def broadcast(place: House, crowd: Crowd, clients: int) -> Broadcast:
    """Send one message to all and wait until all have it, or the limit is over."""
    crowd.clear()
    crowd.report()  # answered behind the clear: from here on everything counts
    place.call("publish", channel="all", data={"t": time.monotonic_ns()})
    give_up_s = time.monotonic() + BROADCAST_LIMIT_S
    while True:
        time.sleep(LOOK_EVERY_S)
        told = crowd.report()
        if told.deliveries >= clients or time.monotonic() > give_up_s:
            break
    return Broadcast(
        told.deliveries, percentile_ms(told, 0.5), percentile_ms(told, 0.99), told.slowest_ns / 1e6
    )


def cpu_s(pids: Sequence[int]) -> float:
    """Return the CPU seconds that all of `pids` have used."""
    return sum(process_cpu_s(pid) for pid in pids)


def idle(place: House, crowd: Crowd, seconds: float) -> tuple[Report, float, float]:
    """Wait, while pings are answered; return the crowd's report, the daemon's and its share of a core."""
    crowd.clear()
    before, own, began_s = cpu_s(place.pids()), cpu_s(crowd.pids), time.monotonic()
    time.sleep(seconds)
    took_s = time.monotonic() - began_s
    told = crowd.report()
    return told, (cpu_s(place.pids()) - before) / took_s, (cpu_s(crowd.pids) - own) / took_s


def show(options: argparse.Namespace) -> dict[str, object]:
    """Run it; the result's "faults" lists the promises that were not kept."""
    clients = options.connections
    with house(options.workers) as place:
        with Crowd(place.port, options.workers, options.workers, pace=1000, sources=SOURCES) as first:
            first.opened()  # what is made with the first client is there, and not counted
        time.sleep(SETTLE_S)
        pids = place.pids()
        empty = memory.read(pids)
        with Crowd(place.port, clients, options.processes, pace=options.pace, sources=SOURCES) as crowd:
            opened = crowd.opened()
            time.sleep(SETTLE_S)
            full = memory.read(pids)
            quiet, daemon_share, crowd_share = idle(place, crowd, options.seconds)
            later = memory.read(pids)
            broadcasts = [broadcast(place, crowd, clients) for _ in range(options.broadcasts)]
            end = crowd.report()
        return {
            "connections": clients,
            "workers": options.workers,
            "opened": opened.subscribed,
            "open_seconds": round(opened.seconds, 1),
            "idle_seconds": options.seconds,
            "open_at_the_end": end.open,
            "pings": quiet.pings,
            "fewest_pings": quiet.fewest_pings,
            "daemon_cores_while_idle": round(daemon_share, 4),
            "clients_cores_while_idle": round(crowd_share, 4),
            "daemon_processes": len(pids),
            "empty": asdict(empty),
            "full": asdict(full),
            "later": asdict(later),
            "each": asdict(each(empty, full, clients)),
            "each_later": asdict(each(empty, later, clients)),
            "broadcasts": [asdict(one) for one in broadcasts],
            "faults": faults(options, quiet, end, broadcasts),
        }


def faults(
    options: argparse.Namespace, quiet: Report, end: Report, broadcasts: Sequence[Broadcast]
) -> list[str]:
    """Return the promises that were not kept, in words."""
    found = [end.first_fault] if end.first_fault else []
    if end.open != options.connections:
        found.append(f"{options.connections - end.open} connections were lost")
    if quiet.fewest_pings < int(options.seconds / PING_INTERVAL_S) - 1:
        found.append(f"a connection had {quiet.fewest_pings} pings in {options.seconds:g} s")
    found += [
        f"a message came to {one.deliveries} of {options.connections}"
        for one in broadcasts
        if one.deliveries != options.connections
    ]
    return found


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options; wrong ones end the process with code 2."""
    parser = argparse.ArgumentParser(prog="python -m tools.shows.crowded", description=__doc__)
    parser.add_argument("--connections", type=int, default=CLIENTS)
    parser.add_argument("--workers", type=int, default=6)
    parser.add_argument("--processes", type=int, default=6, help="of the clients")
    parser.add_argument("--pace", type=int, default=2000, help="connects a second")
    parser.add_argument("--seconds", type=float, default=300.0, help="of silence but for pings")
    parser.add_argument("--broadcasts", type=int, default=10)
    options = parser.parse_args(arguments)
    if not 1 <= options.workers <= options.connections <= 250_000 or options.processes < 1:
        parser.error("at least one worker, one process, and as many connections as workers, at most 250,000")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Show, print, judge."""
    result = show(parse(arguments))
    print(msgspec.json.format(msgspec.json.encode(result), indent=2).decode())
    return 1 if result["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
