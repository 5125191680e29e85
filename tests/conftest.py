"""Which tests need the real machine: they run one after the other, and one that failed is tried once more.

A test marked `system` or `browser`, and each in `tests/tools`, starts processes, takes fixed ports or
measures this machine. Whatever else the machine does can make one fail that is right, so each of them has
one rerun, which the closing line and the list above it tell. All other tests know neither time nor chance:
a failure of theirs is a fault, and they never have a second try. So a property has no deadline either:
hypothesis' own, 200 ms for an example, is the machine's load.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("wsloop", deadline=None, suppress_health_check=(HealthCheck.too_slow,))
settings.load_profile("wsloop")

TOOLS = Path(__file__).parent / "tools"
RERUNS_COUNT = 1
MACHINE_GROUP = "machine"
"""With pytest-xdist (`make test`) a group is run by one worker, in order: fixed ports are taken once.
Its own hook reads the marks, so ours has to be called before it."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if not needs_the_machine(item):
            continue
        if config.pluginmanager.hasplugin("xdist"):
            item.add_marker(pytest.mark.xdist_group(MACHINE_GROUP))
        if config.pluginmanager.hasplugin("rerunfailures"):
            item.add_marker(pytest.mark.flaky(reruns=RERUNS_COUNT))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show why a test was tried once more: a second try that passes says nothing of the first."""
    for report in terminalreporter.stats.get("rerun", []):
        terminalreporter.write_sep("_", f"first try: {report.nodeid}")
        terminalreporter.write_line(report.longreprtext)


def needs_the_machine(item: pytest.Item) -> bool:
    marks = ("system", "browser")
    return TOOLS in item.path.parents or any(item.get_closest_marker(mark) for mark in marks)
