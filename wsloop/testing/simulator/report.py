"""What a run of many seeds came to, in words."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from wsloop.testing.simulator.faults import BLOCK, KINDS, missing
from wsloop.testing.simulator.run import MIXED, Failure, Outcome
from wsloop.testing.simulator.world import SHAPES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wsloop.testing.simulator.faults import FaultPlan

ENOUGH_STEPS = 250_000
"""In a run of so many steps, and histories enough, every kind of fault fires; if not, something is broken."""

ENOUGH_BLOCKS = 2
"""Of `faults.BLOCK`: a kind is on in eight of their histories, or four (a link's, a broker's), and strikes
in nine of ten where it is on."""

ENOUGH_HISTORIES = 100
"""Where many seeds have a few each: then nothing but chance decides how many of them a kind is on in."""


class Report(msgspec.Struct, frozen=True):
    """The sum of outcomes. `cpu_s` is what the processes took of the real machine.

    `missing` are the kinds that never fired, which is an error if there were enough steps (`must_have_all`).
    """

    seeds: tuple[int, ...]
    shape: str
    steps: int
    digest: str
    marks: dict[str, int]
    missing: tuple[str, ...]
    must_have_all: bool
    histories: int
    turns: int
    turns_worked: int
    messages: int
    connects: int
    virtual_s: float
    cpu_s: float
    failures: tuple[Failure, ...]

    @property
    def is_good(self) -> bool:
        """Whether nothing was broken, and no kind of fault is missing that should have fired."""
        return not self.failures and not (self.missing and self.must_have_all)


def are_enough(histories: Sequence[int]) -> bool:
    """Tell whether so many histories of each seed leave no kind of fault away."""
    return sum(each // BLOCK for each in histories) >= ENOUGH_BLOCKS or sum(histories) >= ENOUGH_HISTORIES


def summed(
    outcomes: Sequence[Outcome], shape: str, plan: FaultPlan, cpu_s: float, *, is_single: bool = False
) -> Report:
    """Return the report on the outcomes of runs with this `shape` and `plan`, in the order of their seeds.

    `is_single`: it was one history only, in which a part of the kinds is off, however long it is.
    """
    # Shapes take turns, from the first one on: many seeds of one history each have no other.
    shapes = SHAPES[: max(each.histories for each in outcomes)] if shape == MIXED else (shape,)
    marks = {kind.name: sum(each.marks[kind.name] for each in outcomes) for kind in KINDS}
    steps = sum(each.steps for each in outcomes)
    digest = hashlib.blake2b("".join(each.digest for each in outcomes).encode(), digest_size=16).hexdigest()
    return Report(
        seeds=tuple(each.seed for each in outcomes),
        shape=shape,
        steps=steps,
        digest=digest if len(outcomes) > 1 else outcomes[0].digest,
        marks=marks,
        missing=() if is_single else tuple(missing(marks, shapes, plan)),
        must_have_all=steps >= ENOUGH_STEPS and are_enough([each.histories for each in outcomes]),
        histories=sum(each.histories for each in outcomes),
        turns=sum(each.turns for each in outcomes),
        turns_worked=sum(each.turns_worked for each in outcomes),
        messages=sum(each.messages for each in outcomes),
        connects=sum(each.connects for each in outcomes),
        virtual_s=sum(each.virtual_s for each in outcomes),
        cpu_s=cpu_s,
        failures=tuple(each.failure for each in outcomes if each.failure is not None),
    )


def in_words(report: Report) -> list[str]:
    """Return the report as lines; failures are told apart."""
    thousand = report.steps / 1000 or 1
    faults = sum(report.marks.values())
    seeds = report.seeds
    named = f"seed {seeds[0]}" if len(seeds) == 1 else f"{len(seeds)} seeds, {seeds[0]} to {seeds[-1]}"
    lines = [
        f"{named}, {report.shape}: {report.steps:,} steps, {report.histories:,} histories, "
        f"{report.virtual_s:,.0f} s of virtual time",
        f"{report.steps / report.cpu_s:,.0f} steps a second of CPU time ({report.cpu_s:.1f} s), "
        f"{report.turns / report.cpu_s:,.0f} of them turns of a reactor",
        f"{report.turns_worked / report.turns:.0%} of the turns had work; in 1,000 steps "
        f"{report.messages / thousand:.0f} messages, {report.connects / thousand:.1f} connects, "
        f"{faults / thousand:.1f} faults",
        "faults: " + ", ".join(f"{name} {count:,}" for name, count in report.marks.items()),
        f"trace hash {report.digest}",
    ]
    if report.missing and report.must_have_all:
        lines.append(f"error: these faults never fired: {', '.join(report.missing)}")
    elif report.missing:
        lines.append(
            f"not fired; {ENOUGH_STEPS:,} steps of one seed would miss them: {', '.join(report.missing)}"
        )
    return lines


def failure_in_words(failure: Failure) -> list[str]:
    """Return what was broken, and the command that plays it again."""
    history = failure.history
    return [
        f"violation: {failure.name}: {failure.text}",
        f"  at step {failure.step} of history {history.number} of seed {history.seed}, {history.shape}",
        f"  replay: {replay_command(failure)}",
    ]


def shrunk_in_words(failure: Failure, attempts: int) -> list[str]:
    """Return what shrinking came to."""
    plan = failure.history.plan
    kinds = sorted({name for name, _ in failure.single} if plan.kinds is None else plan.kinds)
    single = failure.single
    shown = ", ".join(f"{name} {number}" for name, number in single[:20])
    more = f" and {len(single) - 20} more" if len(single) > 20 else ""
    return [
        f"  shrunk in {attempts} attempts: step {failure.step}, {len(single)} faults of {len(kinds)} kinds"
        f" ({', '.join(kinds) or 'none'})",
        f"  single faults: {shown or 'none'}{more}",
        f"  replay: {replay_command(failure)}",
    ]


def replay_command(failure: Failure) -> str:
    """Return the command that plays a failing history with a readable log."""
    history = failure.history
    plan = ""
    if history.plan.kinds is not None or history.plan.only is not None:
        text = msgspec.json.encode(history.plan, order="deterministic").decode()
        plan = f" --plan '{text}'"
    return (
        f"python -m wsloop.testing.simulator --seed {history.seed} --history {history.number}"
        f" --shape {history.shape} --steps {history.steps}{plan} --log"
    )
