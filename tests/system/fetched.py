"""Packages that only tests use, fetched once into a cache outside the tree.

Without network a test that needs one is skipped with the command that fails, and fails where CI is set.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

FETCH_S = 300.0
"""How long a package index may take."""

SDIST = "centrifuge-python==0.7.0"
SDIST_SHA256 = "11252b45c3f6b6104cfb07fb0fcfc9d2d62832d2af14715dd16fdc5e9c6e5964"
NPM_PACKAGES = ("centrifuge@5.8.0", "ws@8.23.0")


def cache() -> Path:
    """Return the directory that all fetched things are in."""
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(home).expanduser() / "wsloop-tests"


def centrifuge_python() -> Path:
    """Return the unpacked source distribution of the official Python SDK, with its test suite."""
    target = cache() / SDIST.replace("==", "-")
    if not target.exists():
        with _staging(target) as staged:
            wanted = staged / "requirements.txt"
            wanted.write_text(f"{SDIST} --hash=sha256:{SDIST_SHA256}\n", encoding="utf-8")
            options = [
                "--quiet",
                f"--no-binary={SDIST.partition('==')[0]}",
                "--no-deps",
                f"--dest={staged}",
                f"--requirement={wanted}",
            ]
            _fetch([sys.executable, "-m", "pip", "download", *options])
            with tarfile.open(next(staged.glob("*.tar.gz"))) as archive:
                # Debian 12's Python is older than filters; what is unpacked is pinned by its hash anyway.
                archive.extraction_filter = getattr(tarfile, "data_filter", lambda member, _: member)
                archive.extractall(staged / "sdist")
            next((staged / "sdist").iterdir()).replace(target)
    return target


def npm_packages() -> Path:
    """Return a directory whose `node_modules` has the official JavaScript SDK, and `ws` for node."""
    if shutil.which("npm") is None:
        _absent("npm is not installed: apt-get install nodejs npm")
    target = cache() / "-".join(NPM_PACKAGES).replace("@", "-")
    if not target.exists():
        with _staging(target) as staged:
            flags = ["--no-audit", "--no-fund", "--no-save", "--ignore-scripts", "--omit=optional"]
            _fetch(["npm", "install", f"--prefix={staged / 'npm'}", *flags, *NPM_PACKAGES])
            (staged / "npm").replace(target)
    return target


@contextlib.contextmanager
def _staging(target: Path) -> Iterator[Path]:
    """Make a directory beside `target`: what is half fetched is not mistaken for the whole."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as staged:
        yield Path(staged)


def _fetch(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_S, check=False)
    if done.returncode:
        _absent(f"cannot fetch: {' '.join(command)}\n{done.stderr[-2000:]}")


def _absent(reason: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
