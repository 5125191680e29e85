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

STAYING = ("bug-", "hand-")
"""How the names of inputs begin that stay, whatever else reaches the same: what was a bug once, and what
somebody has thought of."""

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
    """Let the corpus be few, short inputs that reach what it and the last runs have reached.

    First those that reach every line together, then others that reach lines more often, as far as there is
    room; some stay anyway. Returns how many there are.
    """
    staying = [path.read_bytes() for path in target.kept() if path.name.startswith(STAYING)]
    chosen = few(_merged(target, "-use_counters=0"), _merged(target))
    for path in target.kept():
        if not path.name.startswith(STAYING):
            path.unlink()
    return keep(target.corpus, (each for each in chosen if each not in staying)) + len(staying)


def _merged(target: Target, *options: str) -> list[bytes]:
    """Return the inputs that libFuzzer chooses from the corpus and what was found."""
    with tempfile.TemporaryDirectory(prefix="wsloop-fuzz-") as made:
        code = _drive(target, "-merge=1", *options, made, str(target.corpus), str(target.found))
        if code:
            raise RuntimeError(f"atheris could not merge the inputs of {target.name}: exit code {code}")
        return [path.read_bytes() for path in _files(Path(made))]


def few(*groups: Iterable[bytes]) -> list[bytes]:
    """Return as many different inputs as a corpus may have, the shortest of each group; room is left."""
    chosen: dict[bytes, None] = {}
    left_bytes = CORPUS_BYTES * 9 // 10
    for data in (data for group in groups for data in sorted(group, key=lambda data: (len(data), data))):
        if data not in chosen and len(chosen) < CORPUS_FILES * 9 // 10 and len(data) <= left_bytes:
            chosen[data] = None
            left_bytes -= len(data)
    return list(chosen)


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
