"""A slice of the Autobahn set in CI; `make conformance` plays all of it."""

from __future__ import annotations

import importlib.util
import os
from typing import TYPE_CHECKING

import pytest

from tools.conformance import cases, judge, run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.system.daemon import Daemon

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(
        importlib.util.find_spec("kosoku") is None and "CI" not in os.environ,
        reason="needs kosoku: pip install -e '.[dev]'",
    ),
]

LIMIT_S = 90.0
"""Many times what a part takes on a quiet machine; a case that waits for ever fails, not the run."""


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with run.daemon() as started:
        yield started
        assert "Traceback" not in started.stderr()


def test_no_case_fails_on_a_plain_connection(daemon: Daemon) -> None:
    verdicts = run.play(daemon.url(), cases.SLICE, deflated=False, limit_s=LIMIT_S)
    assert judge.faults(verdicts) == []
    assert len(verdicts) == 254


def test_no_case_fails_on_a_deflated_connection(daemon: Daemon) -> None:
    every = (*cases.SLICE, *cases.DEFLATED_SLICE)
    verdicts = run.play(daemon.url(), every, deflated=True, limit_s=LIMIT_S)
    assert judge.faults(verdicts) == []
    assert len(verdicts) == 264


def test_a_suite_that_does_not_end_is_ended(daemon: Daemon) -> None:
    with pytest.raises(run.SuiteError, match=r"had not finished after 0\.01 s: 1\.\*"):
        run.play(daemon.url(), ["1.*"], deflated=False, limit_s=0.01)


def test_a_suite_that_cannot_begin_says_why(daemon: Daemon) -> None:
    with pytest.raises(run.SuiteError, match="invalid url"):
        run.play("ftp://nowhere", ["1.*"], deflated=False, limit_s=LIMIT_S)
