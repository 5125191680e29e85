"""Coverage of the processes that tests start: a daemon's own, those it forks, commands."""

from __future__ import annotations

from pathlib import Path

import coverage
import pytest

from tests.system.daemon import MEASURE

CONFIG = Path(__file__).parents[2] / "setup.cfg"


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes count for the coverage as the test does; if it is not measured, neither are they.

    It makes each of them begin some 0.1 s later and run slower, so it is for the few tests that end their
    processes in good order and see most of what there is: one that is killed has written nothing.
    """
    running = coverage.Coverage.current()
    if running is not None:
        monkeypatch.setenv(MEASURE, str(CONFIG))
        monkeypatch.setenv("COVERAGE_FILE", str(Path(running.config.data_file).absolute()))
