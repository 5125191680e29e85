"""`python -m wsloop.testing.simulator`: run the simulator from a shell.

Ends with 1 if a promise was broken, a kind of fault never fired, or a seed was not the same twice.
"""

from __future__ import annotations

import resource
import sys
import time
from typing import TYPE_CHECKING

import click
import msgspec

from wsloop.testing.simulator import many, report
from wsloop.testing.simulator.faults import KIND, FaultPlan
from wsloop.testing.simulator.run import MIXED, Outcome, simulate
from wsloop.testing.simulator.shrink import SHRINK_S, Shrinker
from wsloop.testing.simulator.world import SHAPES

if TYPE_CHECKING:
    from collections.abc import Callable

ANY, SOME = click.IntRange(0), click.IntRange(1)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--seed", default=1, show_default=True, help="The first seed.")
@click.option(
    "--seeds", type=SOME, help="How many, which share the steps.  [default: with several jobs many]"
)
@click.option(
    "--steps",
    type=SOME,
    default=100_000,
    show_default=True,
    help="In all, or of the history: turns, arrivals, acts.",
)
@click.option("--shape", type=click.Choice([*SHAPES, MIXED]), default=MIXED, show_default=True)
@click.option("--jobs", type=ANY, default=1, show_default=True, help="Processes; 0 for one on each core.")
@click.option(
    "--without", multiple=True, type=click.Choice(list(KIND)), help="A kind of fault to leave away."
)
@click.option("--plan", default="{}", help="A fault plan in JSON, as a replay command has it.")
@click.option("--history", type=ANY, help="This one only.")
@click.option("--log", is_flag=True, help="Print what happens.")
@click.option("--no-shrink", is_flag=True, help="Leave a failing history as it is.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option(
    "--same", type=ANY, default=0, help="Run so many seeds twice, and with another hash seed, and compare."
)
@click.option("--digests", type=ANY, default=0, hidden=True)
def main(
    *, seed: int, seeds: int | None, steps: int, shape: str, jobs: int, without: tuple[str, ...], plan: str,
    history: int | None, log: bool, no_shrink: bool, as_json: bool, same: int, digests: int,
) -> None:  # fmt: skip
    """Run the real server on virtual time over a hostile network, from a seed."""
    began_s = _cpu_s()
    if digests:
        for line in many.digests(range(seed, seed + digests)):
            click.echo(line)
        return
    if same:
        sys.exit(_compare(range(seed, seed + same)))
    faults = _read_plan(plan)
    if without:
        kept = set(KIND if faults.kinds is None else faults.kinds) - set(without)
        faults = msgspec.structs.replace(faults, kinds=frozenset(kept))
    is_single = history is not None
    if log or is_single:
        outcomes = [_simulate_one(seed, steps, shape, faults, history, log=log)]
    else:
        jobs = jobs or many.cores()
        count = seeds or (1 if jobs == 1 else many.seeds_for(steps, jobs))
        outcomes = many.simulate_many(
            range(seed, seed + count), -(-steps // count), jobs, shape, faults, _progress(count)
        )
    found = report.summed(outcomes, shape, faults, _cpu_s() - began_s, is_single=is_single)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found)))
    else:
        _tell(found, shrinks=not (no_shrink or log))
    sys.exit(0 if found.is_good else 1)


def _read_plan(text: str) -> FaultPlan:
    """Read a plan from JSON. Raises UsageError for what is none, or names a kind that there is not."""
    try:
        plan = msgspec.json.decode(text, type=FaultPlan)
    except msgspec.MsgspecError as error:
        example = '{"kinds":["reset"],"only":[["reset",1]]}'
        raise click.UsageError(f"--plan is no fault plan: {error}\nhint: one looks like {example}") from None
    named = {*(plan.kinds or ()), *(name for name, _ in plan.only or ())}
    if unknown := sorted(named - set(KIND)):
        raise click.UsageError(f"--plan names {unknown[0]!r}\nhint: there are {', '.join(KIND)}")
    return plan


def _simulate_one(
    seed: int, steps: int, shape: str, plan: FaultPlan, history: int | None, *, log: bool
) -> Outcome:
    """Run one seed, or one history of it, here."""
    return simulate(
        seed,
        steps,
        shape=shape,
        plan=plan,
        first_history=history or 0,
        log=click.echo if log else None,
        is_single=history is not None,
    )


def _progress(count: int) -> Callable[[list[Outcome]], None]:
    """Return what tells of a run of many seeds on standard error, twenty times."""
    every = max(1, count // 20)

    def tell(outcomes: list[Outcome]) -> None:
        if count >= 40 and not len(outcomes) % every:
            steps = sum(each.steps for each in outcomes)
            click.echo(f"{len(outcomes):,} of {count:,} seeds, {steps:,} steps", err=True)

    return tell


def _cpu_s() -> float:
    """Return the CPU time of this process and of its children, in user mode."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + children.ru_utime


def _tell(found: report.Report, *, shrinks: bool) -> None:
    for line in report.in_words(found):
        click.echo(line)
    for number, failure in enumerate(found.failures):
        lines = report.failure_in_words(failure)
        if shrinks and not number:
            shrinker = Shrinker(failure, time.monotonic, time.monotonic() + SHRINK_S)
            lines += report.shrunk_in_words(shrinker.run(), shrinker.attempts)
        for line in lines:
            click.echo(line, err=True)


def _compare(seeds: range) -> int:
    """Compare seeds with themselves; return the exit code."""
    differing, broken, steps = many.compare(seeds)
    for each in differing:
        click.echo(f"seed {each} was not the same twice", err=True)
    for each in broken:
        again = f"--seed {each} --shape {SHAPES[each % len(SHAPES)]} --steps {many.SAME_STEPS}"
        click.echo(
            f"seed {each} broke a promise\n  see: python -m wsloop.testing.simulator {again}", err=True
        )
    told = f"{len(seeds):,} seeds twice, and under another hash seed, {steps:,} steps each time"
    click.echo(f"{told}: {len(differing)} differ")
    return 1 if differing or broken else 0


if __name__ == "__main__":
    main()
