"""Runs of atheris on a target: for some time, or to make a corpus small.

Each is a process of its own (`driven.py`), one at a time. What it finds of interest stays in `build/`, so
that the next run goes on from there; what breaks the rule is kept there too, and named with how to replay
it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tools.fuzz.table import CORPUS_BYTES, CORPUS_FILES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tools.fuzz.table import Target

TIMEOUT_S = 20
"""An input over it is one that hangs; `bounds.py` finds those that are only slow."""

MEMORY_MIB = 1024
"""Of the process, which lives through many thousand inputs: what leaks ends here."""

BUGS = "bug-"
"""How the name of an input begins that was a bug once: it stays, whatever else reaches the same."""

HAS_ATHERIS = importlib.util.find_spec("atheris") is not None


def run(target: Target, seconds: int, *, jobs_seed: int = 0) -> Path | None:
    """Drive a target for some seconds; return the input that broke the rule, None if none did.

    `jobs_seed` 0: another way at each run. What was found of interest is in `target.found`.
    """
    known = set(_files(target.crashes))
    code = _drive(
        target,
        f"-max_total_time={seconds}",
        f"-seed={jobs_seed}",
        f"-artifact_prefix={target.crashes}/",
        "-print_final_stats=1",
        str(target.found),
        str(target.corpus),
    )
    new = sorted(set(_files(target.crashes)) - known)
    if code and not new:
        raise RuntimeError(f"the process of {target.name} ended with {code}, and left no input")
    return new[0] if new else None


def minimise(target: Target) -> int:
    """Let the corpus be the fewest, shortest inputs that reach what it and the last runs have reached.

    Those that were bugs stay. Returns how many there are.
    """
    bugs = [path.read_bytes() for path in target.kept() if path.name.startswith(BUGS)]
    with tempfile.TemporaryDirectory(prefix="wsloop-fuzz-") as made:
        code = _drive(target, "-merge=1", "-use_counters=0", made, str(target.corpus), str(target.found))
        if code:
            raise RuntimeError(f"atheris could not merge the inputs of {target.name}: exit code {code}")
        chosen = few(path.read_bytes() for path in _files(Path(made)))
    for path in target.kept():
        if not path.name.startswith(BUGS):
            path.unlink()
    return keep(target.corpus, (each for each in chosen if each not in bugs)) + len(bugs)


def few(inputs: Iterable[bytes]) -> list[bytes]:
    """Return the shortest inputs, as many as a corpus may have: some room is left for bugs."""
    chosen, left_bytes = [], CORPUS_BYTES * 9 // 10
    for data in sorted(inputs, key=lambda data: (len(data), data))[: CORPUS_FILES * 9 // 10]:
        left_bytes -= len(data)
        if left_bytes >= 0:
            chosen.append(data)
    return chosen


def keep(folder: Path, inputs: Iterable[bytes]) -> int:
    """Write inputs to files that are called by what is in them; return how many there were."""
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    for data in inputs:
        count += 1
        (folder / hashlib.sha256(data).hexdigest()[:12]).write_bytes(data)
    return count


def forget(target: Target) -> None:
    """Drop what runs have found, but not what broke the rule."""
    shutil.rmtree(target.found, ignore_errors=True)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []


def _drive(target: Target, *options: str) -> int:
    """Start the process, wait for it, and return its exit code; it prints as it goes."""
    for folder in (target.found, target.corpus, target.crashes):
        folder.mkdir(parents=True, exist_ok=True)
    common = (f"-max_len={target.max_bytes}", f"-timeout={TIMEOUT_S}", f"-rss_limit_mb={MEMORY_MIB}")
    with tempfile.TemporaryDirectory(prefix="wsloop-fuzz-") as made:
        # libFuzzer starts itself anew to merge, by its first argument alone.
        program = Path(made) / "driven"
        python = f"{shlex.quote(sys.executable)} -m tools.fuzz.driven"
        program.write_text(f'#!/bin/sh\nexec {python} "$0" {target.name} "$@"\n')
        program.chmod(0o700)
        return subprocess.run([str(program), *common, *options], check=False).returncode
