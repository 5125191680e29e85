"""What a server needs to be there, in which version it is there, and how one comes by it."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import subprocess
from dataclasses import dataclass
from typing import Protocol

from tools.bench.build import BUILD

INSTALL = "make bench-peers"
"""Installs all of them; `tools/bench/install_peers.sh` says what that is."""

NODE_MODULES = BUILD / "node" / "node_modules"
LIMIT_S = 20.0


class Need(Protocol):
    """One thing that must be there."""

    @property
    def name(self) -> str:
        """What it is called, in the table of versions too."""
        ...

    def version(self) -> str | None:
        """Return which one is there; None if none is."""
        ...


@dataclass(frozen=True, slots=True)
class PythonPackage:
    """A distribution in this interpreter's environment."""

    name: str

    def version(self) -> str | None:
        """See `Need.version`."""
        try:
            return importlib.metadata.version(self.name)
        except importlib.metadata.PackageNotFoundError:
            return None


@dataclass(frozen=True, slots=True)
class Program:
    """An executable on the path, asked for its version with `ask`."""

    name: str
    ask: tuple[str, ...] = ("--version",)

    def version(self) -> str | None:
        """See `Need.version`; the first line of what it says."""
        found = shutil.which(self.name)
        if found is None:
            return None
        return _first_line([found, *self.ask])


@dataclass(frozen=True, slots=True)
class DebianPackage:
    """A package of the system, such as the source of a Go library."""

    name: str

    def version(self) -> str | None:
        """See `Need.version`."""
        found = shutil.which("dpkg-query")
        if found is None:
            return None
        return _first_line([found, "-W", "-f", "${Version}", self.name])


@dataclass(frozen=True, slots=True)
class NodePackage:
    """A package below `NODE_MODULES`."""

    name: str

    def version(self) -> str | None:
        """See `Need.version`."""
        path = NODE_MODULES / self.name / "package.json"
        if not path.exists():
            return None
        return str(json.loads(path.read_text("utf-8"))["version"])


def _first_line(command: list[str]) -> str | None:
    """Return the first line that a program prints; None if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    lines = done.stdout.split("\n")
    return lines[0].strip() or None if done.returncode == 0 else None
