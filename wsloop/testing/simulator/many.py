"""Many seeds on several cores; and the same seeds twice, and under another hash seed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING, NamedTuple

from wsloop.testing.simulator.run import Outcome, simulate
from wsloop.testing.simulator.world import SHAPES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wsloop.testing.simulator.faults import FaultPlan

HASH_SEEDS = ("1", "1", "20061")
"""The same twice, and one that orders small sets differently."""

SEED_STEPS = 100_000
"""Of a seed where many share the work: four seconds, so that no core is idle for long at the end."""

SAME_STEPS = 1000
"""Of each seed that is compared with itself, before its calm."""


def simulate_many(
    seeds: range,
    steps: int,
    jobs: int,
    shape: str,
    plan: FaultPlan | None,
    tell: Callable[[list[Outcome]], object] = id,
) -> list[Outcome]:
    """Run each seed for `steps` steps, on `jobs` processes; return the outcomes in the order of the seeds.

    After a seed that fails those that have not begun are left away. `tell` is called with the outcomes so
    far whenever there is one more.
    """
    outcomes: list[Outcome] = []
    if jobs == 1 or len(seeds) == 1:
        for seed in seeds:
            outcomes.append(simulate(seed, steps, shape=shape, plan=plan))
            tell(outcomes)
            if outcomes[-1].failure is not None:
                break
        return outcomes
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        waiting = deque(pool.submit(simulate, seed, steps, shape=shape, plan=plan) for seed in seeds)
        while waiting:
            outcomes.append(waiting.popleft().result())
            tell(outcomes)
            if outcomes[-1].failure is not None:
                waiting = deque(each for each in waiting if not each.cancel())
    return outcomes


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def seeds_for(steps: int, jobs: int) -> int:
    """Return into how many seeds so many steps are best divided: the same number for each job."""
    return jobs * max(1, round(steps / SEED_STEPS / jobs))


def digests(seeds: range) -> Iterator[str]:
    """Run a short history of each seed, in turn of each shape; return a line for each.

    It has the seed, its digest, its steps, and "broken" behind them if a promise was broken.
    """
    for seed in seeds:
        outcome = simulate(seed, SAME_STEPS, shape=SHAPES[seed % len(SHAPES)])
        yield f"{seed} {outcome.digest} {outcome.steps}{' broken' if outcome.failure else ''}"


class Comparison(NamedTuple):
    """Of seeds with themselves: those whose digests differ, those that broke a promise, and their steps."""

    differing: list[int]
    broken: list[int]
    steps: int


def compare(seeds: range) -> Comparison:
    """Run the seeds in one process for each of `HASH_SEEDS`.

    Raises CalledProcessError if one of them fails.
    """
    command = [sys.executable, "-m", "wsloop.testing.simulator", "--digests", f"{len(seeds)}"]
    command += ["--seed", f"{seeds.start}"]
    running = [
        subprocess.Popen(
            command, env=os.environ | {"PYTHONHASHSEED": each}, stdout=subprocess.PIPE, text=True
        )
        for each in HASH_SEEDS
    ]
    told = [process.communicate()[0].splitlines() for process in running]
    for process in running:
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)
    differing = [int(one.split()[0]) for one, *others in zip(*told, strict=True) if {one} != {*others}]
    words = [each.split() for each in told[0]]
    broken = [int(each[0]) for each in words if each[3:]]
    return Comparison(differing, broken, sum(int(each[2]) for each in words))
