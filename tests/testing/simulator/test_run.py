from __future__ import annotations

import gc
import logging
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.testing.simulator.kit import Caller
from wsloop.testing.simulator import actors, checkers, run, world
from wsloop.testing.simulator.faults import NO_FAULTS, FaultPlan
from wsloop.testing.simulator.run import simulate
from wsloop.testing.simulator.violation import Violation

if TYPE_CHECKING:
    from wsloop.testing.simulator.world import World


class Strict:
    """Says that nothing may happen after the turn `last`, at rest, or at the end; or raises another error."""

    def __init__(self, last: int = 10**9, where: str = "turn", error: Exception | None = None) -> None:
        self.last = last
        self.where = where
        self.error = error or Violation("strict", "something happened")

    def after_turn(self, here: World) -> None:
        if self.where == "turn" and here.turns >= self.last:
            raise self.error

    def at_rest(self, _world: World) -> None:
        if self.where == "rest":
            raise self.error

    def at_end(self, _world: World) -> None:
        if self.where == "end":
            raise self.error


def look_with(monkeypatch: pytest.MonkeyPatch, strict: Strict) -> None:
    """Let nobody else look, few and simple people live there, and the calm be short."""
    monkeypatch.setattr(actors, "people", lambda here: [Caller(here, number) for number in range(4)])
    monkeypatch.setattr(world, "CALM_S", 0.5)
    monkeypatch.setattr(checkers, "checkers", lambda _world: [strict])


def test_a_run_is_as_long_as_it_was_told_and_its_hash_is_that_of_all_histories() -> None:
    short, long = simulate(1, 300), simulate(1, 600)
    assert short.steps >= 300
    assert short.digest != long.digest
    assert short.violation is None
    assert sum(short.marks.values()) > 10


def test_shapes_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "HISTORY_STEPS", 50)
    lines: list[str] = []
    simulate(1, simulate(1, 50, plan=NO_FAULTS).steps + 10, log=lines.append, plan=NO_FAULTS)
    kinds = [line.split()[1:] for line in lines if line.split()[1] == "history"]
    assert [words[3] for words in kinds] == ["one", "cluster"]


@pytest.mark.parametrize("where", ["turn", "rest", "end"])
def test_a_violation_ends_the_run(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    look_with(monkeypatch, Strict(70, where))
    outcome = simulate(5, 200, plan=NO_FAULTS)
    assert outcome.violation == "strict: something happened"
    assert outcome.failure is not None
    assert (outcome.turns == 70) == (where == "turn")
    assert outcome.failure.step == outcome.steps >= outcome.turns
    assert outcome.failure.lines[-1].split()[1] == "violation"


def test_a_history_that_fails_fails_again_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    look_with(monkeypatch, Strict(120))
    found = simulate(5, 600, first_history=3, is_single=True, shape="cluster").failure
    assert found is not None
    history = found.history
    again = simulate(
        history.seed,
        history.steps,
        shape=history.shape,
        plan=history.plan,
        first_history=history.number,
        is_single=True,
    ).failure
    assert again == found


def test_an_exception_while_a_world_is_made_tells_which_history(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actors, "people", lambda _here: 1 / 0)
    with pytest.raises(ZeroDivisionError) as caught:
        simulate(9, 100, first_history=4)
    assert caught.value.__notes__ == ["before the first step of history 9.4, one"]


def test_an_unforeseen_exception_is_a_violation_that_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    look_with(monkeypatch, Strict(10, error=KeyError("oops")))
    outcome = simulate(1, 100)
    assert outcome.violation is not None
    assert "KeyError('oops') in after_turn" in outcome.violation


@pytest.mark.parametrize("error", [None, ValueError("our fault"), Violation("P4", "seen by an actor")])
def test_what_the_program_logs_as_its_own_fault_is_one(
    monkeypatch: pytest.MonkeyPatch, error: Exception | None
) -> None:
    class Logs(Strict):
        def after_turn(self, here: World) -> None:
            if here.turns == 20:
                logging.getLogger("wsloop.server").error("it broke", exc_info=error)

    look_with(monkeypatch, Logs())
    outcome = simulate(1, 100)
    assert outcome.violation is not None
    told = {None: "it broke", "ValueError": "our fault", "Violation": "seen by an actor"}
    assert told[type(error).__name__ if error else None] in outcome.violation


def test_what_the_program_has_logged_comes_before_what_it_has_led_to(monkeypatch: pytest.MonkeyPatch) -> None:
    class Logs(Strict):
        def at_rest(self, _world: World) -> None:
            logging.getLogger("wsloop.server").error("it broke")
            raise self.error

    look_with(monkeypatch, Logs())
    assert simulate(1, 100).violation == "own fault: it broke"


def test_a_run_leaves_logging_and_the_collector_as_they_were() -> None:
    log = logging.getLogger("wsloop")
    before = log.level, log.propagate, list(log.handlers), gc.get_threshold(), gc.isenabled()
    simulate(1, 50, plan=FaultPlan())
    assert (log.level, log.propagate, list(log.handlers), gc.get_threshold(), gc.isenabled()) == before


def test_what_is_frozen_stays_so_and_what_is_not_does_not() -> None:
    try:
        gc.freeze()
        simulate(1, 50, plan=FaultPlan())
        assert gc.get_freeze_count() > 0
        gc.unfreeze()
        simulate(1, 50, plan=FaultPlan())
        assert gc.get_freeze_count() == 0
    finally:
        gc.collect()
        gc.freeze()


def test_a_long_run_keeps_nothing_of_its_histories(monkeypatch: pytest.MonkeyPatch) -> None:
    look_with(monkeypatch, Strict())
    monkeypatch.setattr(run, "HISTORY_STEPS", 100)
    counts = []
    for steps in (100, 100, 2000):
        simulate(1, steps)
        gc.collect()
        counts.append(len(gc.get_objects()))
    assert counts[2] - counts[1] < 1000


def test_what_histories_leave_is_collected_every_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    look_with(monkeypatch, Strict())
    monkeypatch.setattr(run, "HISTORY_STEPS", 50)
    counts = []
    for every in (1000, 2):
        monkeypatch.setattr(run, "COLLECT_EVERY", every)
        before = gc.get_stats()[2]["collections"]
        histories = simulate(1, 1000).histories
        assert histories > 5
        counts.append(gc.get_stats()[2]["collections"] - before)
    assert counts[1] - counts[0] == histories // 2


HIDDEN = """
import sys
sys.modules["isal"] = sys.modules["isal.isal_zlib"] = sys.modules["numpy"] = None
from wsloop.testing.simulator.run import simulate
print(*(simulate(seed, 6000).digest for seed in (1, 2)))
"""


def test_libraries_that_one_may_install_have_no_part_in_a_history() -> None:
    """isal's compressor is now and then not even the same twice."""
    hidden = subprocess.run([sys.executable, "-c", HIDDEN], check=True, capture_output=True, text=True)
    assert hidden.stdout.split() == [simulate(seed, 6000).digest for seed in (1, 2)]
