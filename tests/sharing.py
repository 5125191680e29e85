"""Which worker of pytest-xdist runs which tests: whole files, and one worker all that need the machine.

A file's tests stay together, so that what they share (a daemon, a browser, a key) is made once. xdist's own
groups would do for the machine, but are written into a test's id, which pytest 9.2 no longer lets it do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xdist.scheduler import LoadScopeScheduling

if TYPE_CHECKING:
    import pytest

MACHINE = "machine"
MACHINE_PLACES = (
    "tests/conformance/",
    "tests/daemon/test_cli.py",
    "tests/docs/test_tutorial.py",
    "tests/system/",
    "tests/tools/",
)
"""Where tests start processes, take fixed ports or measure this machine."""


class ByFile(LoadScopeScheduling):
    """A unit of work is a file, or all that needs the machine."""

    def _split_scope(self, nodeid: str) -> str:
        return share(nodeid)


def share(nodeid: str) -> str:
    """Return the name of the unit of work that a test belongs to."""
    return MACHINE if nodeid.startswith(MACHINE_PLACES) else nodeid.partition("::")[0]


def longest_first(items: list[pytest.Item]) -> None:
    """Put in front what must not come last: units are handed out in the order in which they are first met."""
    items.sort(key=lambda item: share(item.nodeid) != MACHINE)
