"""A pytest plugin that counts how many examples, or steps of a state machine, a property needs to fail.

`-p tools.teeth.counting`; writes a line of JSON to the file that `$TEETH_REPORT` names. Failing examples are
not shrunk, and none is remembered: a hunt is done once, and is to be the same the next time.
"""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import RuleBasedStateMachine

import wsloop

if TYPE_CHECKING:
    from collections.abc import Callable

_counts = {"examples": 0, "steps": 0}
_failures: list[str] = []


def pytest_configure() -> None:
    """Be quick, and count what state machines do."""
    if not Path(wsloop.__file__).is_relative_to(Path.cwd()):
        raise pytest.UsageError(f"{wsloop.__file__} is not the copy with the bug")
    quick = settings(phases=(Phase.explicit, Phase.generate), database=None, report_multiple_bugs=False)
    settings.register_profile("teeth", quick, deadline=None)
    settings.load_profile("teeth")
    # Called once when a machine is ready, and after each of its steps.
    RuleBasedStateMachine.check_invariants = _counted(  # type: ignore[method-assign]
        RuleBasedStateMachine.check_invariants, "steps"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Count the examples of properties; where there are some, leave the examples made by hand out."""
    handles = {item: handle for item in items if (handle := _handle(item)) is not None}
    # One test may be several items.
    for handle in {id(handle): handle for handle in handles.values()}.values():
        handle.inner_test = _counted(handle.inner_test, "examples")
    if handles:
        items[:] = list(handles)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keep why a property has failed."""
    if report.failed:
        _failures.append(_reason(report.longreprtext))


def pytest_sessionfinish() -> None:
    """Write what was counted: {"examples", "steps", "failure"}."""
    report = {**_counts, "failure": _failures[0] if _failures else ""}
    Path(os.environ["TEETH_REPORT"]).write_text(json.dumps(report), encoding="utf-8")


def _handle(item: pytest.Item) -> Any:  # noqa: ANN401 - hypothesis does not name its type
    """Return what a property lets itself be taken hold of by, None for another test."""
    return getattr(getattr(item, "obj", None), "hypothesis", None)


def _counted(function: Callable[..., Any], what: str) -> Callable[..., Any]:
    @functools.wraps(function)
    def counting(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - whatever hypothesis hands over
        _counts[what] += 1
        return function(*arguments, **named)

    return counting


def _reason(text: str) -> str:
    """Return pytest's first line that tells what went wrong."""
    told = [line[1:].strip() for line in text.splitlines() if line.startswith("E ")]
    return told[0] if told else text.strip().rpartition("\n")[2]
