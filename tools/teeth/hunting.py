"""One hunt: a copy of the tree, a bug in it, an ordinary day, and the hunters one by one."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tools.teeth.bugs import Bug, plant
from tools.teeth.hunters import HUNTERS, Catch, HuntError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).parents[2]
PARTS = ("wsloop", "tests", "tools")
FILES = ("setup.cfg", "pyproject.toml")

DAY_S = 60.0
"""For the ordinary day, which takes one or two."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a hunt ended: `killer` is the hunter that found the bug, "" if none did; `catches` in order.

    `trouble` is why it says nothing about the tests, "" if it does: the bug spoils the ordinary day, or a
    hunter could not hunt.
    """

    bug: Bug
    killer: str
    catches: tuple[tuple[str, Catch], ...]
    trouble: str = ""

    @property
    def steps(self) -> int:
        """How much the killer, or all who found nothing, had to look at."""
        return self.catches[-1][1].count if self.killer else sum(catch.count for _, catch in self.catches)


@contextlib.contextmanager
def copied(bug: Bug | None) -> Iterator[Path]:
    """Give a copy of the tree with a bug, or without one, for the time of a block."""
    with tempfile.TemporaryDirectory(prefix="teeth-") as scratch:
        root = Path(scratch)
        for part in PARTS:
            shutil.copytree(ROOT / part, root / part, ignore=shutil.ignore_patterns("__pycache__", "build"))
        for name in FILES:
            shutil.copy2(ROOT / name, root / name)
        if bug is not None:
            plant(bug, root)
        yield root


def hunt(bug: Bug, only: Sequence[str] = ()) -> Verdict:
    """Let the bug's hunters loose on it, one after the other, until it is found; `only` these, if any."""
    catches: list[tuple[str, Catch]] = []
    with copied(bug) as root:
        trouble = ordinary_day(root)
        if trouble:
            return Verdict(bug, "", (), f"it spoils the ordinary day: {trouble}")
        for name in bug.hunters:
            if only and name not in only:
                continue
            try:
                catch = HUNTERS[name].hunt(root)
            except HuntError as error:
                return Verdict(bug, "", tuple(catches), f"{name}: {error}")
            catches.append((name, catch))
            if catch.found:
                return Verdict(bug, name, tuple(catches))
    return Verdict(bug, "", tuple(catches))


def control(names: Sequence[str], jobs: int = 1) -> dict[str, Catch]:
    """Let the hunters look where there is no bug, so many at a time. Raises HuntError."""
    with copied(None) as root, ThreadPoolExecutor(jobs) as pool:
        return dict(zip(names, pool.map(lambda name: HUNTERS[name].hunt(root), names), strict=True))


def ordinary_day(root: Path) -> str:
    """Return how the ordinary day in a tree went wrong, "" if it did not."""
    ended = subprocess.run(
        [sys.executable, "-m", "tools.teeth.ordinary"],
        cwd=root,
        env={"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=DAY_S,
        check=False,
    )
    return ended.stderr.strip().rpartition("\n")[2] if ended.returncode else ""
