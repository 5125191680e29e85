"""The load generator as a process: compiled when needed, started on its core, its line of JSON read.

`loadgen.c` where there is a C compiler; else `python_generator.py`, which takes the same options and
prints the same line, but may be slower than the server it measures.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tools.bench.machine import pinned
from tools.bench.model import Cell, GeneratorResult, Timing
from tools.bench.process import ROOT, stop

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

HERE = Path(__file__).resolve().parent
SOURCES = tuple(
    HERE / name for name in ("loadgen.c", "handshake.h", "histogram.h", "messages.h", "options.h")
)
BINARY = HERE / "build" / "loadgen"
FLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra")
SPARE_S = 60.0
"""What a run may take beyond its warm-up and its interval: handshakes, drain, close."""


class GeneratorError(Exception):
    """The generator could not be built, or did not print a result."""


def generator_command(compiler: str = "cc") -> list[str]:
    """Return the command that starts the best generator there is; compiles it if it is not built yet.

    Raises GeneratorError with the compiler's words if there is a compiler and it fails.
    """
    if _is_built():
        return [str(BINARY)]
    found = shutil.which(compiler)
    if found is None:
        return [sys.executable, "-m", "tools.bench.python_generator"]
    build(found, BINARY)
    return [str(BINARY)]


def is_slow(command: Sequence[str]) -> bool:
    """Tell whether `command` is the generator in Python."""
    return command[0] != str(BINARY)


def _is_built() -> bool:
    if not BINARY.exists():
        return False
    built_s = BINARY.stat().st_mtime
    return all(source.stat().st_mtime <= built_s for source in SOURCES)


def build(compiler: str, binary: Path) -> None:
    """Compile loadgen.c to `binary`; an unfinished build never takes its name."""
    binary.parent.mkdir(parents=True, exist_ok=True)
    unfinished = binary.with_name(f"{binary.name}.{os.getpid()}")
    command = [compiler, *FLAGS, "-o", str(unfinished), str(SOURCES[0])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode != 0:
        raise GeneratorError(f"{' '.join(command)} failed:\n{done.stderr.strip()}")
    unfinished.replace(binary)


def arguments(
    cell: Cell, timing: Timing, *, port: int, path: str, raw: bool, pids: Iterable[int]
) -> list[str]:
    """Return the options that both generators understand."""
    return [
        f"--port={port}",
        f"--path={path}",
        f"--connections={cell.connections}",
        f"--size={cell.size_bytes}",
        f"--inflight={cell.inflight}",
        f"--warmup={timing.warmup_s}",
        f"--seconds={timing.seconds}",
        f"--messages={timing.messages}",
        *(f"--pid={pid}" for pid in pids),
        *(["--raw"] if raw else []),
        *(["--binary"] if cell.binary else []),
    ]


def run(command: Sequence[str], core: int, limit_s: float) -> GeneratorResult:
    """Run a generator to its end on `core`; return what it printed, errors included.

    Raises GeneratorError if it prints no result within `limit_s` seconds.
    """
    with pinned(core):
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with process:
        try:
            out, err = process.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            raise GeneratorError(f"the generator was still running after {limit_s:.0f} s") from None
        finally:
            stop(process)
    try:
        return msgspec.json.decode(out, type=GeneratorResult)
    except msgspec.DecodeError:
        said = err.decode("utf-8", "backslashreplace").strip() or "nothing"
        raise GeneratorError(f"the generator ended with {process.returncode} and said: {said}") from None
