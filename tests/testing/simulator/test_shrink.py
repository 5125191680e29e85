from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from tests.testing.simulator.test_run import Strict, look_with
from wsloop.testing.simulator.run import Failure, simulate
from wsloop.testing.simulator.shrink import Shrinker
from wsloop.testing.simulator.violation import Violation

if TYPE_CHECKING:
    from wsloop.testing.simulator.world import World


class Allergic(Strict):
    """Cannot bear the third write that was cut short."""

    def after_turn(self, here: World) -> None:
        if sum(name == "short-write" for name, _ in here.marks.single) >= 3:
            raise Violation("allergic", "short-write")


@pytest.fixture
def failure(monkeypatch: pytest.MonkeyPatch) -> Failure:
    look_with(monkeypatch, Allergic())
    for seed in itertools.count():
        found = simulate(seed, 1000, shape="one").failure
        if found is not None:
            return found
    raise AssertionError("unreachable")


def test_what_does_not_matter_is_left_away(failure: Failure) -> None:
    ticks = itertools.count()
    shrinker = Shrinker(failure, lambda: next(ticks), 100)
    best = shrinker.run()
    assert best.name == "allergic"
    assert sum(name == "short-write" for name, _ in best.single) == 3
    assert len(best.single) < min(len(failure.single), 20)
    assert best.history.steps == best.step
    assert shrinker.attempts > 3


def test_time_is_bounded(failure: Failure) -> None:
    shrinker = Shrinker(failure, lambda: 2.0, 1.0)
    assert shrinker.run() == failure
    assert shrinker.attempts == 0


def test_a_failure_without_faults_needs_none(monkeypatch: pytest.MonkeyPatch) -> None:
    look_with(monkeypatch, Strict(where="rest"))
    failure = simulate(1, 100, shape="one").failure
    assert failure is not None
    best = Shrinker(failure, lambda: 0.0, 1.0).run()
    assert (best.single, best.history.plan.kinds, best.history.steps) == ((), frozenset(), 1)
