from __future__ import annotations

import re
import shlex
import subprocess
from types import SimpleNamespace
from typing import TYPE_CHECKING

import msgspec
import pytest
from click.testing import CliRunner, Result

from tests.testing.simulator.test_run import Strict, look_with
from wsloop.testing.simulator import many, report
from wsloop.testing.simulator.__main__ import main
from wsloop.testing.simulator.faults import KINDS, FaultPlan

if TYPE_CHECKING:
    from wsloop.testing.simulator.run import Outcome


def run(command: str) -> Result:
    return CliRunner().invoke(main, shlex.split(command))


def test_a_summary() -> None:
    result = run("--steps 300")
    assert result.exit_code == 0, result.output
    for word in ("steps a second of CPU time", "of the turns had work", "trace hash", "connects"):
        assert word in result.output


@pytest.mark.parametrize(("shape", "door"), [("one", "server"), ("cluster", "worker 1")])
def test_a_log_tells_when_who_says_what_to_whom(shape: str, door: str) -> None:
    result = run(f"--seed 7 --history 1 --shape {shape} --steps 1500 --log")
    assert result.exit_code == 0, result.output
    log = [line for line in result.stdout.splitlines() if line.startswith("  ")]
    times = [float(line.split()[0]) for line in log]
    assert times == sorted(times)
    for pattern in (
        r"act +p\d",
        rf"connect +(\d+)  p\d > {door}  127\.0\.0\.1:\d+",
        rf'say +(\d+)  p\d > {door}  text {{"id":\d+,"publish":.*',
        rf'send +(\d+)  {door} > p\d  text {{"id":\d+,"publish":.*',
        rf"arrive +(\d+)  p\d > {door}  \d+",
        r"call +operator > .*  (publish|broadcast)  b'.*",
        r"fault +\S+  \d+  \d+",
    ):
        assert any(re.fullmatch(rf" *\d+\.\d{{6}}  {pattern}", line) for line in log), pattern
    assert (shape == "one") or any("  worker 1 > hub  b'" in line for line in log)


def test_several_seeds_share_the_steps_and_the_cores() -> None:
    alone, together = run("--seeds 2 --steps 300 --json"), run("--seeds 2 --steps 300 --jobs 2 --json")
    assert alone.exit_code == together.exit_code == 0
    told = [msgspec.json.decode(each.stdout, type=report.Report) for each in (alone, together)]
    assert told[0].digest == told[1].digest
    assert told[0].seeds == (1, 2)


def test_kinds_can_be_left_away() -> None:
    found = msgspec.json.decode(run("--steps 300 --without short-read --json").stdout, type=report.Report)
    assert found.marks["short-read"] == 0
    assert sum(found.marks.values()) > 0


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("--steps 0", "'--steps': 0 is not"),
        ("--steps -5", "'--steps': -5 is not"),
        ("--seeds 0", "'--seeds': 0 is not"),
        ("--jobs -1", "'--jobs': -1 is not"),
        ("--history -1", "'--history': -1 is not"),
        ("--same -1", "'--same': -1 is not"),
        ("--plan nonsense", "--plan is no fault plan: JSON is malformed"),
        ("--plan 3", "--plan is no fault plan: Expected `object`"),
        ("""--plan '{"kind":["reset"]}'""", "--plan is no fault plan: Object contains unknown field `kind`"),
        ("""--plan '{"kinds":["reset","quake"]}'""", "--plan names 'quake'"),
        ("""--plan '{"only":[["quake",1]]}'""", "--plan names 'quake'"),
    ],
)
def test_what_cannot_be_run_is_refused_in_words(command: str, why: str) -> None:
    result = run(command)
    assert result.exit_code == 2
    assert f"Error: {'Invalid value for ' if why[0] == chr(39) else ''}{why}" in result.stderr


def test_a_violation_is_one_line_a_command_and_a_smaller_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    look_with(monkeypatch, Strict(90))
    result = run("--steps 300 --seed 4")
    assert result.exit_code == 1
    lines = result.stderr.splitlines()
    assert lines[0] == "violation: strict: something happened"
    assert lines[3].startswith("  shrunk in")
    for line in lines:
        if line.startswith("  replay: "):
            assert run(line.partition("wsloop.testing.simulator ")[2]).exit_code == 1
    logged = run(lines[-1].partition("wsloop.testing.simulator ")[2]).stdout
    assert "violation strict  something happened" in logged


def test_a_kind_that_never_fired_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "ENOUGH_STEPS", 100)
    monkeypatch.setattr(report, "ENOUGH_BLOCKS", 0)
    result = run("--steps 100 --shape one")
    assert result.exit_code == 1
    assert "error: these faults never fired: " in result.output
    never = result.output.rpartition("error:")[2]
    assert "crash" in never
    assert "hub-crash" not in never, "it cannot happen in this shape"
    result = run("--steps 100 --shape one --without crash")
    assert result.exit_code == 1, "those that are left must fire"
    assert " crash" not in result.output.rpartition("error:")[2]
    for few in ("""--plan '{"only":[["reset",1]]}'""", "--history 0"):
        assert run(f"--steps 100 --shape one {few}").exit_code == 0, "it cannot have all"


@pytest.mark.parametrize(
    ("histories", "are_enough"),
    [([18], True), ([9, 9], True), ([15], False), ([7, 9], False), ([1] * 20, False), ([7] * 15, True)],
)
def test_kinds_are_missed_after_two_blocks_or_many_histories(histories: list[int], are_enough: bool) -> None:
    assert report.are_enough(histories) is are_enough


def test_a_short_run_says_which_kinds_have_not_fired() -> None:
    result = run("--steps 100 --shape one")
    assert result.exit_code == 0
    assert "not fired; 250,000 steps of one seed would miss them: " in result.output
    assert "error" not in result.output


def test_the_same_seeds_twice_under_two_hash_seeds() -> None:
    result = run("--same 2")
    assert result.exit_code == 0, result.output
    assert "0 differ" in result.output


def test_a_seed_that_is_not_the_same_twice_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(many, "compare", lambda _seeds: many.Comparison([7], [], 100))
    result = run("--same 2")
    assert result.exit_code == 1
    assert "seed 7 was not the same twice" in result.stderr


def test_a_seed_that_broke_a_promise_is_named_though_it_was_the_same_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    look_with(monkeypatch, Strict(20))
    line = run("--digests 1 --seed 5").stdout
    assert line.endswith(" broken\n")
    process = SimpleNamespace(communicate=lambda: (line, ""), returncode=0)
    monkeypatch.setattr(subprocess, "Popen", lambda *_args, **_kwargs: process)
    result = run("--same 1 --seed 5")
    assert result.exit_code == 1
    assert "seed 5 broke a promise" in result.stderr
    again = run(result.stderr.partition("wsloop.testing.simulator ")[2] + " --no-shrink")
    assert again.stderr.startswith("violation: strict: something happened")


def test_the_same_twice_is_not_enough_if_another_hash_seed_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = iter(["5 a 10\n", "5 a 10\n", "5 b 10\n"])
    seen: list[str] = []

    def popen(*_args: object, env: dict[str, str], **_kwargs: object) -> SimpleNamespace:
        seen.append(env["PYTHONHASHSEED"])
        return SimpleNamespace(communicate=lambda: (next(lines), ""), returncode=0)

    monkeypatch.setattr(subprocess, "Popen", popen)
    assert run("--same 1 --seed 5").exit_code == 1
    assert seen[0] == seen[1] != seen[2]


def test_a_long_run_tells_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    look_with(monkeypatch, Strict())
    told = run("--seeds 60 --steps 60 --shape one").stderr.splitlines()
    assert len(told) == 20
    assert told[-1].startswith("60 of 60 seeds, ")
    assert not run("--seeds 5 --steps 60 --shape one").stderr


def test_digests_are_lines() -> None:
    result = run("--digests 2 --seed 8")
    assert [line.split()[0] for line in result.output.splitlines()] == ["8", "9"]


def test_the_report_counts_every_kind() -> None:
    outcomes: list[Outcome] = many.simulate_many(range(1, 3), 100, 1, "one", None)
    found = report.summed(outcomes, "one", FaultPlan(), 1.0)
    assert list(found.marks) == [kind.name for kind in KINDS]
    assert found.is_good


def test_seeds_of_one_history_each_lack_no_fault_of_another_shape() -> None:
    outcome = many.simulate_many(range(1, 2), 100, 1, "mixed", None)[0]
    alone = msgspec.structs.replace(outcome, marks=dict.fromkeys(outcome.marks, 0), histories=1)
    assert "hub-crash" not in report.summed([alone], "mixed", FaultPlan(), 1.0).missing
    both = msgspec.structs.replace(alone, histories=2)
    assert "hub-crash" in report.summed([both], "mixed", FaultPlan(), 1.0).missing
