"""A run: histories of one seed, until so many steps were made or a promise was broken."""

from __future__ import annotations

import gc
import logging
from typing import TYPE_CHECKING

import msgspec

from wsloop.testing.simulator.faults import FaultPlan, Marks
from wsloop.testing.simulator.trace import Trace
from wsloop.testing.simulator.violation import Violation
from wsloop.testing.simulator.world import SHAPES, World

if TYPE_CHECKING:
    from collections.abc import Callable

HISTORY_STEPS = 4000
"""Of each history, before its calm: long enough for several crashes, short enough to look at."""

MIXED = "mixed"
"""The shape of a run whose histories have all shapes, one after the other."""


class Outcome(msgspec.Struct, frozen=True):
    """What a run came to. `digest` is the hash of all histories; `history` the number of the last one.

    `violation` is None if nothing was broken; `step` that of its history then.
    """

    seed: int
    steps: int
    digest: str
    marks: dict[str, int]
    turns_worked: int
    connects: int
    history: int
    step: int = 0
    violation: str | None = None
    single: tuple[tuple[str, int, int], ...] = ()


class OwnFaults(logging.Handler):
    """Hears what the program logs as a fault of its own, which is a violation."""

    def __init__(self, trace: Trace) -> None:
        super().__init__(logging.WARNING)
        self._trace = trace
        self.found: Violation | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler.emit`."""
        self._trace.note("log", record.levelname, record.getMessage())
        if record.levelno >= logging.ERROR and self.found is None:
            error = record.exc_info[1] if record.exc_info else None
            if isinstance(error, Violation):
                self.found = error
            else:
                self.found = Violation("own fault", f"{record.getMessage()}: {error!r}")


def simulate(
    seed: int,
    steps: int,
    *,
    shape: str = MIXED,
    plan: FaultPlan | None = None,
    log: Callable[[str], object] | None = None,
    history: int = 0,
) -> Outcome:
    """Run the histories of a seed, from the number `history` on, until `steps` steps were made."""
    marks, trace = Marks(), Trace(log)
    done = worked = connects = 0
    while True:
        world_shape = SHAPES[history % len(SHAPES)] if shape == MIXED else shape
        marks.single.clear()
        violation, world = play(
            f"{seed}.{history}", min(HISTORY_STEPS, steps - done), world_shape, plan, marks, trace
        )
        done += world.steps
        worked += world.turns_worked
        if violation is not None or done >= steps:
            break
        history += 1
    return Outcome(
        seed=seed,
        steps=done,
        digest=trace.digest,
        marks=dict(marks.fired),
        turns_worked=worked,
        connects=connects,
        history=history,
        step=world.steps,
        violation=str(violation) if violation else None,
        single=tuple(marks.single),
    )


def play(
    seed: str, steps: int, shape: str, plan: FaultPlan | None, marks: Marks, trace: Trace
) -> tuple[Violation | None, World]:
    """Play one history to its end, or to the first violation."""
    own_faults = OwnFaults(trace)
    log = logging.getLogger("wsloop")
    before = log.level, log.propagate, log.handlers
    log.level, log.propagate, log.handlers = logging.WARNING, False, [own_faults]
    gc.collect()
    gc.disable()
    trace.note("history", seed, shape)
    world = World(seed, shape, plan, marks=marks, trace=trace)
    try:
        while world.steps < steps:
            world.step()
            if own_faults.found is not None:
                return own_faults.found, world
        world.calm()
    except Violation as violation:
        return violation, world
    finally:
        gc.enable()
        log.level, log.propagate, log.handlers = before
    return own_faults.found, world
