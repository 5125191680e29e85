"""The simulator, for as many steps as there is time for: SIMULATOR_STEPS, 100,000 by default.

In a process of its own, so that what is measured here (coverage, warnings) does not slow it down.
"""

from __future__ import annotations

import os
import subprocess
import sys

STEPS = int(os.environ.get("SIMULATOR_STEPS", "100000"))
SAME_SEEDS = 4


def run(*arguments: str) -> str:
    """Run the command; a violation is printed, with the command that plays it again."""
    command = [sys.executable, "-m", "wsloop.testing.simulator", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_promises_hold_whatever_the_network_does() -> None:
    assert "trace hash" in run("--seed", "1", "--steps", str(STEPS))


def test_one_seed_is_one_history_under_any_hash_seed() -> None:
    assert f"{SAME_SEEDS} seeds twice" in run("--seed", "500", "--same", str(SAME_SEEDS))
