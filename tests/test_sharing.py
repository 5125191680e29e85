"""How tests are shared out, and which examples coverage follows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from coverage import Coverage

from tests.measuring import EXAMPLES, Measuring
from tests.sharing import LONGEST, MACHINE_PLACES, TOGETHER, longest_first, needs_machine, unit, worker_count

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("places", [MACHINE_PLACES, *TOGETHER.values(), *LONGEST])
def test_a_place_that_is_named_exists(places: Sequence[str]) -> None:
    assert [place for place in places if not (ROOT / place).exists()] == []


def test_a_unit_is_a_file_or_files_that_stay_together() -> None:
    assert unit("tests/loop/test_wheel.py::Test::test_a[x::y]") == "tests/loop/test_wheel.py"
    measuring = unit("tests/system/test_thousand.py::test_a")
    assert measuring == unit("tests/tools/test_run.py::test_b") != unit("tests/system/test_tls.py::test_c")


def test_what_stays_together_needs_the_machine() -> None:
    assert all(needs_machine(place) for places in TOGETHER.values() for place in places)
    assert not needs_machine("tests/loop/test_wheel.py::test_a")


@pytest.mark.parametrize(("cores", "workers"), [(1, 2), (2, 4), (4, 8), (6, 8), (16, 16)])
def test_two_workers_keep_a_core_busy_and_many_cores_have_one_each(cores: int, workers: int) -> None:
    assert worker_count(cores) == workers


class Item:
    def __init__(self, nodeid: str) -> None:
        self.nodeid = nodeid


def test_what_measures_is_begun_first_and_the_rest_keeps_its_order() -> None:
    names = ("loop/b.py", "loop/a.py", "protocol/a.py", "system/a.py", "tools/b.py", "tools/a.py")
    items = [Item(f"tests/{name}") for name in names]
    longest_first(cast("list[pytest.Item]", items))
    order = ["tools/b.py", "tools/a.py", "system/a.py", "protocol/a.py", "loop/b.py", "loop/a.py"]
    assert [item.nodeid for item in items] == [f"tests/{name}" for name in order]


class FakeCoverage:
    def __init__(self) -> None:
        self.done: list[str] = []

    def stop(self) -> None:
        self.done.append("stop")

    def start(self) -> None:
        self.done.append("start")


def test_coverage_follows_the_first_examples_and_the_next_test_again(monkeypatch: pytest.MonkeyPatch) -> None:
    coverage = FakeCoverage()
    monkeypatch.setattr(Coverage, "current", lambda: coverage)
    measuring = Measuring()
    for _ in range(2):
        coverage.done.clear()
        measuring.begin()
        for _ in range(EXAMPLES):
            measuring.count()
        assert coverage.done == []
        for _ in range(3):
            measuring.count()
        assert coverage.done == ["stop"]
        measuring.end()
        measuring.end()
        assert coverage.done == ["stop", "start"]


def test_without_coverage_nothing_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Coverage, "current", lambda: None)
    measuring = Measuring()
    measuring.begin()
    for _ in range(EXAMPLES + 3):
        measuring.count()
    measuring.end()
