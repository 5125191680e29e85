"""The load generators as processes: started on their core, their line of JSON read and judged.

`load/*.c` where there is a C compiler. Without one there is only `python_generator.py` for the echo
cells, which takes the same options and prints the same line, but may be slower than the server.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tools.bench import build
from tools.bench.cells import DOCUMENT_STAMP, documents
from tools.bench.deflated import first_fault
from tools.bench.machine import pinned
from tools.bench.model import Cell, GeneratorResult, Kind, Timing
from tools.bench.process import ROOT, stop

if TYPE_CHECKING:
    from collections.abc import Sequence

LOAD = build.HERE / "load"
SPARE_S = 90.0
"""What a run may take beyond its warm-up and its interval: handshakes, drain, close."""

SOURCES = {"connect": 100, "idle": 100, "flood": 100}
"""Addresses 127.0.0.x that a kind's clients come from: the ports of one do not suffice for short
connections, and a server may well limit what comes from one address."""

FLOOD_DRAIN_S = 2.0
"""How long the polite peer waits for answers behind the flood; what is missing then counts as that late."""


class GeneratorError(Exception):
    """The generator could not be had, or did not print a result."""


@dataclass(frozen=True, slots=True)
class Target:
    """The server to load: its port, its processes, and whether it is a bare loop without handshakes."""

    port: int
    pids: tuple[int, ...]
    raw: bool = False


def generator_command(kind: Kind, compiler: str = "cc") -> list[str]:
    """Return the command that starts the best generator there is; compiles it if it is not built yet.

    Raises GeneratorError with the compiler's words if there is a compiler and it fails, and if
    there is none and the kind needs one.
    """
    if shutil.which(compiler) is None:
        if kind.program != "echo":
            raise GeneratorError(f"{kind.name} cells need a C compiler: make debian")
        return [sys.executable, "-m", "tools.bench.python_generator"]
    try:
        return [str(build.build_c(LOAD / f"{kind.program}.c", build.BUILD / kind.program, compiler))]
    except build.BuildError as error:
        raise GeneratorError(str(error)) from None


def arguments(cell: Cell, timing: Timing, target: Target) -> list[str]:
    """Return the options that all generators of the cell's kind understand."""
    told = [
        f"--port={target.port}",
        f"--path={cell.kind.path}",
        f"--connections={cell.connections}",
        f"--size={cell.size_bytes}",
        f"--inflight={cell.inflight}",
        f"--warmup={timing.warmup_s}",
        f"--seconds={timing.seconds}",
        f"--operations={timing.operations}",
        *(f"--pid={pid}" for pid in target.pids),
        *(["--raw"] if target.raw else []),
        *(["--binary"] if cell.binary else []),
    ]
    if cell.kind.name in SOURCES:
        told.append(f"--sources={SOURCES[cell.kind.name]}")
    if cell.publishers > 1:
        told.append(f"--publishers={cell.publishers}")
    if cell.kind.name == "flood":
        told.append(f"--drain={FLOOD_DRAIN_S}")
    if cell.kind.name == "idle":
        told.append(f"--settle={timing.settle_s}")
    return told


def measure(command: Sequence[str], cell: Cell, timing: Timing, target: Target, core: int) -> GeneratorResult:
    """Load `target` with `cell`; return what the generator saw. Raises GeneratorError."""
    limit_s = timing.warmup_s + timing.seconds + 3 * timing.settle_s + SPARE_S
    with tempfile.TemporaryDirectory() as folder:
        more = _document_options(cell, Path(folder))
        result = run([*command, *arguments(cell, timing, target), *more], core, limit_s)
        if cell.kind.name != "deflate" or result.errors.total:
            return result
        return _judge_deflated(result, cell, Path(folder) / "dump")


def _document_options(cell: Cell, folder: Path) -> list[str]:
    """Return the options for a cell that sends a document: the file with it, and where to dump answers."""
    if not cell.document:
        return []
    payload = folder / "payload"
    payload.write_bytes(b"".join(documents(cell.size_bytes)))
    options = [f"--payload={payload}", f"--stamp-at={len(DOCUMENT_STAMP)}"]
    if cell.kind.name == "deflate":
        options += ["--deflate", f"--dump={folder / 'dump'}"]
    return options


def _judge_deflated(result: GeneratorResult, cell: Cell, dump: Path) -> GeneratorResult:
    """Return `result`, with an error if what the first subscriber got does not inflate to the documents."""
    fault = first_fault(
        dump.read_bytes(),
        documents(cell.size_bytes),
        len(DOCUMENT_STAMP),
        fresh_context=bool(result.figures.get("no_context_takeover")),
    )
    if not fault and not result.figures.get("compressed"):
        fault = "agreed to permessage-deflate, but compressed nothing"
    if not fault:
        return result
    errors = msgspec.structs.replace(result.errors, wrong=result.errors.wrong + 1)
    return msgspec.structs.replace(result, errors=errors, first_error=result.first_error or fault)


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
