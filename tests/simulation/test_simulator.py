"""The simulator, for as many steps as there is time for: SIMULATOR_STEPS, 250,000 by default.

In a process of its own, so that what is measured here (coverage, warnings) does not slow it down.
"""

from __future__ import annotations

import os
import subprocess
import sys

from wsloop.testing.simulator.report import ENOUGH_STEPS

STEPS = int(os.environ.get("SIMULATOR_STEPS", str(ENOUGH_STEPS)))
SAME_SEEDS = 4


def run(*arguments: str) -> str:
    """Run the command; a violation is printed, with the command that plays it again."""
    command = [sys.executable, "-m", "wsloop.testing.simulator", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_promises_hold_whatever_the_network_does() -> None:
    told = run("--seed", "1", "--steps", str(STEPS))
    assert "trace hash" in told
    assert STEPS < ENOUGH_STEPS or "fired" not in told, "each kind of fault was met"


def test_one_seed_is_one_history_under_any_hash_seed() -> None:
    assert f"{SAME_SEEDS} seeds twice" in run("--seed", "500", "--same", str(SAME_SEEDS))
