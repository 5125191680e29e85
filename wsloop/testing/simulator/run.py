"""A run: histories of one seed, until so many steps were made or a promise was broken."""

from __future__ import annotations

import contextlib
import gc
import logging
import traceback
from typing import TYPE_CHECKING

import msgspec

from wsloop.testing.simulator.clock import WorldClock
from wsloop.testing.simulator.faults import FaultPlan, Marks, swarm_of
from wsloop.testing.simulator.trace import Trace
from wsloop.testing.simulator.violation import Violation
from wsloop.testing.simulator.world import SHAPES, World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HISTORY_STEPS = 12_000
"""Of each history, before its calm: long enough for several crashes, short enough to look at."""

COLLECT_EVERY = 50
"""Histories after which all that they left is collected. What outlives a few histories is old to the
collector, which would look at it once in thousands: the process would grow by 10 MB in a million steps."""

MIXED = "mixed"
"""The shape of a run whose histories have all shapes, one after the other."""


class History(msgspec.Struct, frozen=True):
    """What one history is made of, so that it can be played again.

    `number` of it in the run of `seed`; `steps` before its calm.
    """

    seed: int
    number: int
    shape: str
    steps: int
    plan: FaultPlan = FaultPlan()


class Failure(msgspec.Struct, frozen=True):
    """A history that broke a promise: which (`name`, `text`), at which step, after which single faults."""

    history: History
    name: str
    text: str
    step: int
    single: tuple[tuple[str, int], ...]
    lines: tuple[str, ...]


class Outcome(msgspec.Struct, frozen=True):
    """What a run came to. `digest` is the hash of all its histories.

    `violation` None: nothing was broken; else it says what, and `failure` how to see it again.
    Of `turns` of reactors `turns_worked` had a ready descriptor or a due timer; `virtual_s` passed in all
    worlds.
    """

    seed: int
    steps: int
    digest: str
    marks: dict[str, int]
    histories: int
    turns: int
    turns_worked: int
    messages: int
    connects: int
    virtual_s: float
    violation: str | None = None
    failure: Failure | None = None


class OwnFaults(logging.Handler):
    """Hears what the program logs as a fault of its own, which is a violation."""

    def __init__(self, trace: Trace) -> None:
        super().__init__(logging.WARNING)
        self._trace = trace
        self.found: Violation | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler.emit`."""
        message = record.getMessage()
        error = record.exc_info[1] if record.exc_info else None
        self._trace.note("log", record.levelname, message)
        if record.levelno >= logging.ERROR and self.found is None:
            self.found = error if isinstance(error, Violation) else _told(message, error)


def _told(what: str, error: BaseException | None) -> Violation:
    """Return the violation that an unforeseen exception is."""
    if error is None:
        return Violation("own fault", what)
    frames = traceback.extract_tb(error.__traceback__)[-1:]
    where = "".join(f" in {each.name} ({each.filename}:{each.lineno})" for each in frames)
    return Violation("own fault", f"{what}: {error!r}{where}")


def simulate(
    seed: int,
    steps: int,
    *,
    shape: str = MIXED,
    plan: FaultPlan | None = None,
    log: Callable[[str], object] | None = None,
    first_history: int = 0,
    is_single: bool = False,
) -> Outcome:
    """Run the histories of a seed, from the number `first_history` on, until `steps` steps were made.

    Arguments: `shape` of the worlds; `plan` of faults, None for all; `log` is called with each line of the
    trace; `is_single` ends the run with the first history. So does a violation.
    """
    marks, trace = Marks(), Trace(log)
    number = first_history
    done = turns = worked = messages = connects = 0
    virtual_s = 0.0
    failure = None
    with _still_heap():
        while done < steps and failure is None:
            history = History(
                seed,
                number,
                SHAPES[number % len(SHAPES)] if shape == MIXED else shape,
                steps if is_single else min(HISTORY_STEPS, steps - done),
                plan or FaultPlan(),
            )
            failure, world = play(history, marks, trace)
            done += world.steps
            turns += world.turns
            worked += world.turns_worked
            messages += world.messages
            connects += world.cable.dialled
            virtual_s += world.lasted_s
            number += 1
            if is_single:
                break
            if not (number - first_history) % COLLECT_EVERY:
                del world
                gc.collect()
    return Outcome(
        seed=seed,
        steps=done,
        digest=trace.digest,
        marks=dict(marks.fired),
        histories=number - first_history,
        turns=turns,
        turns_worked=worked,
        messages=messages,
        connects=connects,
        virtual_s=virtual_s,
        violation=f"{failure.name}: {failure.text}" if failure else None,
        failure=failure,
    )


def play(history: History, marks: Marks, trace: Trace) -> tuple[Failure | None, World]:
    """Play one history to its end, or to the first violation.

    An exception while the world is made tells in a note which history it was.
    """
    marks.single.clear()
    trace.clock = WorldClock()
    trace.note("history", history.seed, history.number, history.shape)
    name = f"{history.seed}.{history.number}"
    try:
        swarm = swarm_of(history.seed, history.number)
        world = World(name, history.shape, history.plan, swarm=swarm, marks=marks, trace=trace)
    except Exception as error:
        error.add_note(f"before the first step of history {name}, {history.shape}")
        raise
    with _listening(trace) as own_faults:
        violation = _play(world, history.steps, own_faults)
    if violation is None:
        return None, world
    trace.note("violation", violation.name, violation.text)
    failure = Failure(
        history,
        violation.name,
        violation.text,
        world.steps,
        tuple(marks.single),
        tuple(trace.last_lines()),
    )
    return failure, world


def _play(world: World, steps: int, own_faults: OwnFaults) -> Violation | None:
    try:
        while world.steps < steps:
            world.turn()
            if own_faults.found is not None:
                return own_faults.found
        world.calm()
    except Violation as violation:
        # What went wrong in the server before is the cause, whatever it has led to.
        return own_faults.found or violation
    except Exception as error:
        # Of an actor, a checker or the simulator itself: a seed to be looked at as well.
        return _told("unforeseen", error)
    return own_faults.found


@contextlib.contextmanager
def _listening(trace: Trace) -> Iterator[OwnFaults]:
    """Hear what the program logs as its own faults, and write nothing."""
    own_faults = OwnFaults(trace)
    log = logging.getLogger("wsloop")
    before = log.level, log.propagate, log.handlers
    log.setLevel(logging.WARNING)
    log.propagate, log.handlers = False, [own_faults]
    try:
        yield own_faults
    finally:
        log.setLevel(before[0])
        _, log.propagate, log.handlers = before


@contextlib.contextmanager
def _still_heap() -> Iterator[None]:
    """Collect no cycles but between histories, and look at what these made only.

    A process that froze its heap itself keeps it so: thawed, it would be collected whole by the next run.
    """
    is_ours = not gc.get_freeze_count()
    gc.collect()
    if is_ours:
        gc.freeze()
    threshold = gc.get_threshold()
    # A history makes some 100,000 objects that stay; 40 of them are looked at together.
    gc.set_threshold(200_000, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*threshold)
        if is_ours:
            gc.unfreeze()
