"""Programs that must be compiled before they can run: the generators, and two of the servers.

Each is built when it is first needed, into `tools/bench/build/`, and again when a source is newer.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

HERE = Path(__file__).resolve().parent
BUILD = HERE / "build"
C_FLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra")
LIMIT_S = 300.0

GO_ENVIRONMENT = {"GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOCACHE": str(BUILD / "go-cache")}
"""Debian's Go packages lie in one GOPATH; nothing is fetched."""


class BuildError(Exception):
    """A program could not be built; the text is what the compiler said."""


def is_fresh(binary: Path, sources: Sequence[Path]) -> bool:
    """Tell whether `binary` is there and no source is newer."""
    if not binary.exists():
        return False
    built_s = binary.stat().st_mtime
    return all(source.stat().st_mtime <= built_s for source in sources)


def build_c(source: Path, binary: Path, compiler: str = "cc") -> Path:
    """Compile a C program, with the headers beside it, unless that was done; return `binary`.

    Raises BuildError.
    """
    if not is_fresh(binary, [source, *source.parent.glob("*.h")]):
        _build([_found(compiler), *C_FLAGS], binary, source, {})
    return binary


def build_go(source: Path, binary: Path) -> Path:
    """Compile a Go program unless that was done; return `binary`. Raises BuildError."""
    if not is_fresh(binary, [source]):
        _build([_found("go"), "build"], binary, source, GO_ENVIRONMENT)
    return binary


def _found(compiler: str) -> str:
    found = shutil.which(compiler)
    if found is None:
        raise BuildError(f"no {compiler}")
    return found


def _build(command: Sequence[str], binary: Path, source: Path, extra_env: Mapping[str, str]) -> None:
    """Run a compiler; an unfinished build never takes the binary's name."""
    binary.parent.mkdir(parents=True, exist_ok=True)
    unfinished = binary.with_name(f"{binary.name}.{os.getpid()}")
    arguments = [*command, "-o", str(unfinished), str(source)]
    environment = {**os.environ, **extra_env}
    done = subprocess.run(
        arguments, capture_output=True, text=True, timeout=LIMIT_S, check=False, env=environment
    )
    if done.returncode != 0:
        raise BuildError(f"{' '.join(arguments)} failed:\n{done.stderr.strip()}")
    unfinished.replace(binary)
