"""What the gate lets pass, and what it says of the rest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools import coverage_gate

ROOT = Path(__file__).parents[2]


def measured(statements: int, missing: int) -> dict[str, Any]:
    """A module of which the first lines were never run."""
    return {
        "summary": {
            "percent_covered": 100 * (statements - missing) / statements,
            "num_statements": statements,
            "covered_lines": statements - missing,
            "num_branches": 0,
            "covered_branches": 0,
        },
        "missing_lines": list(range(1, missing + 1)),
        "missing_branches": [],
    }


def report(**changed: dict[str, Any]) -> dict[str, Any]:
    """A report of a good run but for `changed`, by names with __ for a slash."""
    files = {
        "wsloop/protocol/session.py": measured(10, 0),
        "wsloop/buffers/ring.py": measured(10, 0),
        "wsloop/hub/operations/table.py": measured(10, 0),
        "wsloop/loop/wheel.py": measured(10, 0),
        "wsloop/loop/reactor.py": measured(10_000, 100),
    }
    files |= {f"wsloop/{name.replace('__', '/')}.py": module for name, module in changed.items()}
    return {"files": files}


PLACES = {"protocol__x": 0, "hub__operations__x": 0, "buffers__x": 0, "loop__wheel": 0,
          "loop__x": 25, "daemon__x": 25, "errors": 25}  # fmt: skip
"""How many lines of a hundred may be missing there."""


@given(st.dictionaries(st.sampled_from(sorted(PLACES)), st.integers(0, 100)))
def test_a_module_is_told_of_if_it_is_below_what_its_place_demands(missing: dict[str, int]) -> None:
    found = report(**{name: measured(100, count) for name, count in missing.items()})
    faults = list(coverage_gate.faults_of(found))
    bad = {f"wsloop/{name.replace('__', '/')}.py" for name, count in missing.items() if count > PLACES[name]}
    assert {fault.partition(":")[0] for fault in faults} == bad
    assert len(faults) == len(bad)


@pytest.mark.parametrize(("missing", "is_told"), [(500, False), (501, True)])
def test_what_need_not_be_covered_wholly_is_so_nearly(missing: int, *, is_told: bool) -> None:
    """Whatever the parts are like that must be, which make the sum look better."""
    found = report(protocol__x=measured(90_000, 0), loop__reactor=measured(10_000, missing))
    told = ["the rest: 94.99 %, less than 95 %"] if is_told else []
    assert list(coverage_gate.faults_of(found)) == told


def test_what_is_missing_is_told_as_coverage_tells_it() -> None:
    module = measured(100, 2) | {"missing_branches": [[1, 2], [7, 9], [8, -3]]}
    assert list(coverage_gate.faults_of(report(protocol__x=module))) == [
        "wsloop/protocol/x.py: must be covered wholly; missing 1, 2, 7->9, 8->exit"
    ]
    assert list(coverage_gate.faults_of(report(daemon__x=measured(10, 3)))) == [
        "wsloop/daemon/x.py: 70.00 %, less than 75 %; missing 1, 2, 3"
    ]


@pytest.mark.parametrize("part", coverage_gate.WHOLE)
def test_a_part_that_was_not_measured_is_not_taken_for_covered(part: str) -> None:
    found = report()
    found["files"] = {path: module for path, module in found["files"].items() if not path.startswith(part)}
    assert list(coverage_gate.faults_of(found)) == [f"{part}: nothing of it was measured"]


@pytest.mark.parametrize("part", coverage_gate.WHOLE)
def test_every_part_that_must_be_covered_wholly_exists(part: str) -> None:
    assert (ROOT / part).exists()


@pytest.mark.parametrize("kind", ["cover", "branch"])
@pytest.mark.parametrize(
    ("before", "behind", "is_told"),
    [
        ("", "", False),
        ("", "  ", False),
        ("", ": !", False),
        ("", ": macOS only", True),
        ("", " - macOS only", True),
        ("# macOS only\n", "", True),
        ("# macOS only\n\n", "", False),
        ("x = 1  # macOS only\n", "", False),
        ('"""macOS only"""\n', "", False),
    ],
)
def test_a_pragma_says_why(kind: str, before: str, behind: str, *, is_told: bool) -> None:
    source = f"{before}y = 2  # pragma: no {kind}{behind}\n"
    line = source.count("\n")
    faults = [] if is_told else [f"m.py:{line}: a pragma without its reason"]
    assert list(coverage_gate.unreasoned("m.py", source)) == faults


def test_a_text_that_speaks_of_a_pragma_is_none() -> None:
    assert list(coverage_gate.unreasoned("m.py", "x = '# pragma: no cover'\n")) == []


def test_every_fault_is_a_line_and_none_is_silence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coverage_gate, "SOURCES", tmp_path)
    path = tmp_path / "coverage.json"
    path.write_text(json.dumps(report()))
    assert coverage_gate.main([str(path)]) == 0
    assert capsys.readouterr() == ("", "")
    (tmp_path / "bare.py").write_text("x = 1  # pragma: no cover\n")
    path.write_text(json.dumps(report(hub__x=measured(4, 1))))
    assert coverage_gate.main([str(path)]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.splitlines() == [
        "coverage: wsloop/hub/x.py: must be covered wholly; missing 1",
        f"coverage: {tmp_path / 'bare.py'}:1: a pragma without its reason",
    ]
