"""`make random-order`: what is told of each run, and that the order is another one each time."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tools import random_order
from tools.random_order import Run, judge, main, run_suite

if TYPE_CHECKING:
    from collections.abc import Sequence

GOOD = """....
=== short test summary info ===
SKIPPED [14] tests/system/test_c.py:12: no port
RERUN tests/system/test_d.py::test_e[a]
10640 passed, 14 skipped, 1 rerun in 600.12s (0:10:00)
"""
NOTED = ("tests/system/test_c.py:12", "tests/system/test_d.py::test_e[a]")
BAD = """..F
=== short test summary info ===
FAILED tests/loop/test_wheel.py::test_a[x] - assert 1 == 2
ERROR tests/hub/test_hub.py::test_b - OSError
1 failed, 9 passed, 1 error in 3.20s
"""


def test_a_run_that_ended_well_is_counted() -> None:
    assert judge(7, GOOD, 0, 600.123) == Run(7, 10640, 0, 14, 1, 600.1, (), NOTED, 0)


def test_a_run_that_failed_names_its_faults() -> None:
    run = judge(7, BAD, 1, 3.2)
    assert (run.passed, run.failed, run.exit_code) == (9, 2, 1)
    assert run.faults == ("tests/loop/test_wheel.py::test_a[x]", "tests/hub/test_hub.py::test_b")


@pytest.mark.parametrize("output", ["", "Segmentation fault\n"])
def test_a_run_without_a_closing_line_passed_nothing(output: str) -> None:
    assert judge(7, output, -11, 1.0) == Run(7, 0, 0, 0, 0, 1.0, (), (), -11)


def test_each_run_has_a_seed_and_a_line_and_one_that_failed_is_told_in_the_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[int, list[str]]] = []

    def run(seed: int, arguments: Sequence[str]) -> Run:
        asked.append((seed, list(arguments)))
        return judge(seed, BAD if seed == 6 else GOOD, int(seed == 6), 1.0)

    out = tmp_path / "runs.jsonl"
    options = ["--times", "3", "--seed", "5", "--out", str(out)]
    assert main(options, run) == 1
    assert main([*options, "--times", "1", "--", "tests/loop", "-x"], run) == 0
    assert asked == [(seed, ["-n", "auto"]) for seed in (5, 6, 7)] + [(5, ["tests/loop", "-x"])]
    lines = out.read_text(encoding="utf-8").splitlines()
    assert lines == capsys.readouterr().out.splitlines()
    assert [json.loads(line)["failed"] for line in lines] == [0, 2, 0, 0]


TESTS = """
import pytest
@pytest.mark.parametrize("number", range(40))
def test_it(number):
    print(f"<{number}>")
    assert number < 39
"""


def test_the_order_is_that_of_the_seed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pytest_randomly", reason="no pytest-randomly: pip install -e '.[dev]'")
    (tmp_path / "test_it.py").write_text(TESTS, encoding="utf-8")

    def order(seed: int) -> list[str]:
        run = run_suite(seed, ["-s", "-p", "no:cacheprovider", str(tmp_path)])
        assert (run.passed, run.failed, run.exit_code) == (39, 1, 1)
        assert [fault.rpartition("/")[2] for fault in run.faults] == ["test_it.py::test_it[39]"]
        return re.findall(r"<\d+>", capfd.readouterr().err)

    first = order(1)
    assert len(first) == 40
    assert order(2) != first


UNSURE = """
import pytest
TRIES = []
@pytest.mark.flaky(reruns=1)
def test_twice():
    TRIES.append(1)
    assert len(TRIES) == 2
def test_not():
    pytest.skip("no port")
"""


def test_a_test_skipped_and_one_tried_again_are_named_and_what_pytest_printed_is_shown(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pytest_randomly", reason="no pytest-randomly: pip install -e '.[dev]'")
    (tmp_path / "test_it.py").write_text(UNSURE, encoding="utf-8")
    run = run_suite(1, ["-p", "no:cacheprovider", str(tmp_path)])
    assert (run.passed, run.skipped, run.rerun, run.exit_code) == (1, 1, 1, 0)
    skipped, again = sorted(run.noted, key=lambda name: "::" in name)
    assert re.search(r"test_it\.py:\d+$", skipped)
    assert again.endswith("test_it.py::test_twice")
    assert "RERUN" in capfd.readouterr().err


def test_the_file_of_results_is_outside_the_tree() -> None:
    assert Path(sys.modules[random_order.__name__].__file__ or "").parents[1] not in random_order.OUT.parents
