"""`make show-workers`: the fan-out of two workers beside that of one, on two cores.

One process in C holds the subscribers and publishes, so many messages at a time, to all of them. It needs
the same cores as the daemon: it reads at intervals, and what it takes is measured and told. The result
has two ratios: of what was delivered a second, and of what the daemon's processes could deliver if they had
both cores to themselves, which follows from the CPU time that they need for a delivery.

The messages go to several channels in turn, each with the same subscribers. So every delivery is a send of
its own, for one worker as for two. Messages of one channel would be joined: the more, the less a worker
keeps up, and then a delivery of the one worker costs less than one of the two that are less busy
(`--channels=1` shows that).

Kept promise: two workers deliver at least 1.7 times as much in a second as one.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import msgspec

from tools.bench.machine import process_cpu_s
from tools.shows.crowd import Crowd
from tools.shows.house import house

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tools.shows.crowd import Report

CORES = 2
WANTED = 1.7
SOURCES = 10
MAX_CHANNELS = 100
"""As many as the generator subscribes to; a client may have 128."""


class ShowError(Exception):
    """A measurement is worth nothing; the text says why."""


@dataclass(frozen=True, slots=True)
class Rate:
    """One measurement.

    `daemon_us` and `generator_us` are CPU microseconds for a delivery; the shares are of one core;
    `busiest_share` is that of the busiest process of the daemon.
    """

    workers: int
    deliveries_per_s: float
    daemon_us: float
    generator_us: float
    daemon_share: float
    generator_share: float
    busiest_share: float

    @property
    def alone_per_s(self) -> float:
        """What the daemon could deliver in a second with CORES cores of its own; one worker uses one."""
        return min(self.workers, CORES) * 1e6 / self.daemon_us


def measure(workers: int, options: argparse.Namespace) -> Rate:
    """Return the rate of a daemon; raises ShowError if anybody was lost."""
    more = [f"--inflight={options.inflight}", f"--settle={options.pause}", f"--channels={options.channels}"]
    with (
        house(workers) as place,
        Crowd(place.port, options.connections, 1, pace=5000, sources=SOURCES, more=more) as crowd,
    ):
        _check(crowd.opened())
        crowd.flood()
        time.sleep(options.warm_up)
        crowd.clear()
        _check(crowd.report())
        pids, own, began_s = place.pids(), process_cpu_s(crowd.pids[0]), time.monotonic()
        before = {pid: process_cpu_s(pid) for pid in pids}
        first = _check(crowd.report()).deliveries
        time.sleep(options.seconds)
        count = _check(crowd.report()).deliveries - first
        took_s = time.monotonic() - began_s
        used = {pid: process_cpu_s(pid) - before[pid] for pid in pids}
        generator_s = process_cpu_s(crowd.pids[0]) - own
        crowd.calm()
        if not count:
            raise ShowError("nothing was delivered")
        daemon_s = sum(used.values())
        return Rate(
            workers=workers,
            deliveries_per_s=count / took_s,
            daemon_us=daemon_s * 1e6 / count,
            generator_us=generator_s * 1e6 / count,
            daemon_share=daemon_s / took_s,
            generator_share=generator_s / took_s,
            busiest_share=max(used.values()) / took_s,
        )


def _check(told: Report) -> Report:
    if told.faults:
        raise ShowError(told.first_fault)
    return told


def show(options: argparse.Namespace) -> dict[str, object]:
    """Measure one worker and two in turns; the result's "faults" lists the promises that were not kept."""
    rounds = [(measure(1, options), measure(CORES, options)) for _ in range(options.rounds)]
    delivered = statistics.median(two.deliveries_per_s / one.deliveries_per_s for one, two in rounds)
    alone = statistics.median(two.alone_per_s / one.alone_per_s for one, two in rounds)
    is_kept = delivered >= options.wanted
    faults = [] if is_kept else [f"two workers deliver {delivered:.2f} times what one does"]
    return {
        "connections": options.connections,
        "channels": options.channels,
        "inflight": options.inflight,
        "rounds": [{"one": asdict(one), "two": asdict(two)} for one, two in rounds],
        "ratio_delivered": round(delivered, 3),
        "ratio_without_the_generator": round(alone, 3),
        "faults": faults,
    }


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options; wrong ones end the process with code 2."""
    parser = argparse.ArgumentParser(prog="python -m tools.shows.workers", description=__doc__)
    parser.add_argument("--connections", type=int, default=5000)
    parser.add_argument("--channels", type=int, default=32, help="that the messages go to in turn")
    parser.add_argument("--inflight", type=int, default=32, help="messages to everybody at a time")
    parser.add_argument("--pause", type=float, default=0.05, help="seconds between the generator's reads")
    parser.add_argument("--warm-up", type=float, default=2.0, help="seconds before it is measured")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--wanted", type=float, default=WANTED, help="the least ratio")
    options = parser.parse_args(arguments)
    if not 1 <= options.connections <= 15_000 or not 1 <= options.channels <= MAX_CHANNELS:
        parser.error(f"1 to 15,000 connections, 1 to {MAX_CHANNELS} channels")
    if options.rounds < 1 or options.seconds <= 0:
        parser.error("at least one round, and some time")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Show, print, judge."""
    result = show(parse(arguments))
    print(msgspec.json.format(msgspec.json.encode(result), indent=2).decode())
    return 1 if result["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
