"""What the timer wheel costs beside a heap and asyncio, per timer; prints JSON.

    python -m tools.bench.wheel [--timers 100000] [--rounds 5]

Three workloads on the same deadlines: schedule and fire all; schedule and cancel all; move one
timer to a later time again and again, as activity on a connection does. The contestants take
turns within each round; the median of the rounds is reported, and ratios to the wheel.
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
import json
import platform
import random
import statistics
import time
from typing import TYPE_CHECKING

from wsloop.loop.wheel import TimerWheel

if TYPE_CHECKING:
    from collections.abc import Callable


def nothing() -> None:
    """Be a callback."""


def wheel_fire(deadlines: list[float]) -> None:
    """Schedule all, then advance as a loop would and fire each."""
    wheel = TimerWheel(0.0)
    for deadline in deadlines:
        wheel.schedule(deadline, nothing)
    while (now := wheel.next_deadline()) is not None:
        wheel.advance(now)
        while (timer := wheel.pop()) is not None:
            timer.callback()


def heap_fire(deadlines: list[float]) -> None:
    """Do the same on a heap of tuples: the least a heap-based loop can do."""
    heap: list[tuple[float, int, Callable[[], None]]] = []
    for number, deadline in enumerate(deadlines):
        heapq.heappush(heap, (deadline, number, nothing))
    while heap:
        heapq.heappop(heap)[2]()


def wheel_cancel(deadlines: list[float]) -> None:
    """Schedule all and cancel all."""
    wheel = TimerWheel(0.0)
    for timer in [wheel.schedule(deadline, nothing) for deadline in deadlines]:
        wheel.cancel(timer)


def asyncio_cancel(deadlines: list[float]) -> None:
    """Do the same with `call_at` of asyncio, which keeps a heap of handles."""
    loop = asyncio.new_event_loop()
    now = loop.time() + 3600
    for handle in [loop.call_at(now + deadline, nothing) for deadline in deadlines]:
        handle.cancel()
    loop.close()


def wheel_move(deadlines: list[float]) -> None:
    """Move one timer to a later time, once per deadline."""
    wheel = TimerWheel(0.0)
    timer = wheel.schedule(1.0, nothing)
    for number in range(len(deadlines)):
        wheel.rearm(timer, 1.0 + number)


def asyncio_move(deadlines: list[float]) -> None:
    """Do the same with asyncio: cancel and schedule anew."""
    loop = asyncio.new_event_loop()
    now = loop.time() + 3600
    handle = loop.call_at(now, nothing)
    for number in range(len(deadlines)):
        handle.cancel()
        handle = loop.call_at(now + number, nothing)
    loop.close()


WORKLOADS: dict[str, dict[str, Callable[[list[float]], None]]] = {
    "schedule and fire": {"wheel": wheel_fire, "heapq": heap_fire},
    "schedule and cancel": {"wheel": wheel_cancel, "asyncio": asyncio_cancel},
    "move later": {"wheel": wheel_move, "asyncio": asyncio_move},
}


def measure(timers: int, rounds: int) -> dict[str, dict[str, float]]:
    """Return nanoseconds per timer for each workload and contestant, and the ratio to the wheel."""
    chance = random.Random(1)
    deadlines = [chance.uniform(0.1, 30.0) for _ in range(timers)]
    report = {}
    for workload, contestants in WORKLOADS.items():
        samples: dict[str, list[float]] = {name: [] for name in contestants}
        for _ in range(rounds):
            for name, contestant in contestants.items():
                began = time.process_time()
                contestant(deadlines)
                samples[name].append((time.process_time() - began) / timers * 1e9)
        row = {f"{name} ns": round(statistics.median(values), 1) for name, values in samples.items()}
        (peer,) = (name for name in contestants if name != "wheel")
        row[f"{peer} / wheel"] = round(row[f"{peer} ns"] / row["wheel ns"], 2)
        report[workload] = row
    return report


def main() -> None:
    """Parse the arguments, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--timers", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    result = measure(arguments.timers, arguments.rounds)
    print(
        json.dumps({"python": platform.python_version(), "timers": arguments.timers, "cpu": result}, indent=2)
    )


if __name__ == "__main__":
    main()
