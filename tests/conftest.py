"""Which tests need the real machine: one of them that failed is tried once more.

A test in one of the places that `tests/sharing.py` names starts processes or measures this machine.
Whatever else the machine does can make one fail that is right, so each of them has one rerun, which the
closing line and the list above it tell. All other tests know neither time nor chance: a failure of theirs
is a fault, and they never have a second try. So a property has no deadline either: hypothesis' own, 200
ms for an example, is the machine's load.
"""

from __future__ import annotations

import gc
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests.measuring import Measuring
from tests.sharing import ByFile, longest_first, needs_machine, worker_count
from wsloop.testing.simulator.many import cores

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xdist.remote import Producer
    from xdist.scheduler import LoadScopeScheduling

settings.register_profile("wsloop", deadline=None, suppress_health_check=(HealthCheck.too_slow,))
settings.load_profile("wsloop")

RERUNS_COUNT = 1
MEASURING = Measuring()
MEASURING.watch_machines()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Share the tests out as `tests/sharing.py` says."""
    config.option.loadscopereorder = False
    return ByFile(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """Return what `-n auto` means, which is what `make test` says; None: what xdist's own variable says."""
    return None if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ else worker_count(cores())


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        MEASURING.watch(item)
        is_real = needs_machine(item.nodeid)
        if not is_real and any(item.get_closest_marker(mark) for mark in ("system", "browser")):
            raise pytest.UsageError(f"{item.nodeid} needs the machine: name its place in tests/sharing.py")
        if is_real and config.pluginmanager.hasplugin("rerunfailures"):
            item.add_marker(pytest.mark.flaky(reruns=RERUNS_COUNT))
    if hasattr(config, "workerinput") and not config.pluginmanager.hasplugin("randomly"):
        longest_first(items)


def pytest_collection_finish() -> None:
    """Spare the cycle collector the tests themselves: 400,000 objects that stay, 0.3 s a time."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    MEASURING.begin()
    try:
        yield
    finally:
        MEASURING.end()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show why a test was tried once more: a second try that passes says nothing of the first."""
    for report in terminalreporter.stats.get("rerun", []):
        terminalreporter.write_sep("_", f"first try: {report.nodeid}")
        terminalreporter.write_line(report.longreprtext)
