"""What the tests of the generators share: the programs in C, and a way to run one against a server."""

from __future__ import annotations

import gc
import importlib.util
import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Protocol

import msgspec
import pytest

from tests.tools.scripted import LIMIT_S
from tools.bench import build, generator
from tools.bench.model import GeneratorResult
from tools.bench.process import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    CProgram = Callable[[str], list[str]]
    """Takes a generator's name, returns the command that runs it."""


class RunProgram(Protocol):
    """Runs a generator in C against a port; returns its exit code and what it printed."""

    def __call__(self, name: str, port: int, *options: str) -> tuple[int, GeneratorResult]: ...


@pytest.fixture(scope="session")
def c_program() -> CProgram:
    if shutil.which("cc") is None and not os.environ.get("CI"):
        pytest.skip("no C compiler: apt-get install gcc libc6-dev")
    return lambda name: [str(build.build_c(generator.LOAD / f"{name}.c", build.BUILD / name))]


@pytest.fixture(scope="session")
def matplotlib() -> None:
    if importlib.util.find_spec("matplotlib") is None and not os.environ.get("CI"):
        pytest.skip("no matplotlib: pip install -e '.[dev]'")


@pytest.fixture
def collector() -> Iterator[None]:
    """Leave the collector as it was, and all that lives frozen (`tests/conftest.py`)."""
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()
    gc.collect()
    gc.freeze()


@pytest.fixture
def run_program(c_program: CProgram) -> RunProgram:
    def run(name: str, port: int, *options: str) -> tuple[int, GeneratorResult]:
        command = [*c_program(name), f"--port={port}", "--warmup=0", "--seconds=30", *options]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=LIMIT_S, check=False)
        assert done.stdout, done.stderr
        return done.returncode, msgspec.json.decode(done.stdout, type=GeneratorResult)

    return run
