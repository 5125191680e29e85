"""How many workers of pytest-xdist there are, and which tests each runs.

A file is a unit of work, and so are some files together.

A file's tests stay together, so that what they share (a daemon, a browser, a key) is made once. xdist's own
groups would do for files that belong together, but are written into a test's id, which pytest 9.2 no longer
lets it do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xdist.scheduler import LoadScopeScheduling

if TYPE_CHECKING:
    import pytest

MACHINE_PLACES = (
    "tests/conformance/",
    "tests/daemon/test_cli.py",
    "tests/docs/test_tutorial.py",
    "tests/system/",
    "tests/tools/",
)
"""Where tests start processes or measure this machine. They take the kernel's ports, wait for conditions and
stand other busy programs, so that those of two files may run side by side. One file has a fixed port."""

TOGETHER = {
    "what measures, or fills, the machine": (
        "tests/system/test_overload.py",
        "tests/system/test_thousand.py",
        "tests/tools/",
    ),
    "what fetches the JavaScript SDK": ("tests/docs/test_tutorial.py", "tests/system/test_js_sdk.py"),
}
"""Units of more than one file: their tests run one after the other."""

LONGEST = (
    TOGETHER["what measures, or fills, the machine"],
    MACHINE_PLACES,
    ("tests/simulation/", "tests/testing/", "tests/protocol/"),
)
"""What is begun first, second and third: units that take a minute or more."""


FEW_WORKERS = 8
"""With more than these, the longest unit decides what a run takes, and each one more collects all tests."""


def worker_count(core_count: int) -> int:
    """Return how many workers share the tests: two for each core, since tests of the machine mostly wait."""
    return max(core_count, min(2 * core_count, FEW_WORKERS))


class ByFile(LoadScopeScheduling):
    """A scheduler of xdist. Units are handed out in the order in which they are first met."""

    def _split_scope(self, nodeid: str) -> str:
        return unit(nodeid)


def unit(nodeid: str) -> str:
    """Return the name of the unit of work that a test belongs to."""
    shared = (name for name, places in TOGETHER.items() if nodeid.startswith(places))
    return next(shared, nodeid.partition("::")[0])


def needs_machine(nodeid: str) -> bool:
    """Tell whether a test is one of those that need the machine."""
    return nodeid.startswith(MACHINE_PLACES)


def longest_first(items: list[pytest.Item]) -> None:
    """Put in front what takes long, for what comes last keeps one worker busy and the others waiting."""

    def is_shorter(item: pytest.Item) -> tuple[bool, ...]:
        return tuple(not item.nodeid.startswith(places) for places in LONGEST)

    items.sort(key=is_shorter)
