"""A server as its own process: started on its core, awaited, and always ended, by its pid."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from tools.bench.machine import is_listening, pinned, process_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

ROOT = Path(__file__).resolve().parents[2]
START_S = 15.0
STOP_S = 0.5
"""What a server is given to leave by itself; many connections may take it longer, and nobody waits for it."""
KILL_S = 10.0
LOG_TAIL_BYTES = 2000

TUNED_MALLOC = {"MALLOC_MMAP_THRESHOLD_": "4194304", "MALLOC_TRIM_THRESHOLD_": "67108864"}
"""glibc settings given to every server alike. asyncio receives into blocks of 256 KiB, which glibc
by default maps and unmaps for each message: half as much again in CPU that says nothing about a
WebSocket library."""


class ServerError(Exception):
    """A server did not start; the text holds the end of what it printed."""


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that listens: its port, all its processes, and a function that tells what it last printed."""

    port: int
    pids: tuple[int, ...]
    words: Callable[[], str]


@contextmanager
def running(
    command: list[str], port: int, core: int, extra_env: Mapping[str, str]
) -> Iterator[RunningServer]:
    """Run `command`, which must listen on 127.0.0.1:`port`, for the time of a `with` block.

    Raises ServerError if it ends, or does not listen within START_S seconds.
    """
    with tempfile.TemporaryFile() as log:
        with pinned(core):
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, **extra_env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            _await_listening(process, port, log)
            yield RunningServer(port, tuple(process_tree(process.pid)), lambda: _tail(log))
        finally:
            stop(process)


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


def _await_listening(process: subprocess.Popen[bytes], port: int, log: IO[bytes]) -> None:
    give_up_s = time.monotonic() + START_S
    while time.monotonic() < give_up_s:
        if is_listening(port):
            return
        if process.poll() is not None:
            raise ServerError(f"exit code {process.returncode} before it listened{_tail(log)}")
        time.sleep(0.01)
    raise ServerError(f"not listening after {START_S:.0f} s{_tail(log)}")


def _tail(log: IO[bytes]) -> str:
    size = log.seek(0, os.SEEK_END)
    log.seek(max(0, size - LOG_TAIL_BYTES))
    text = log.read().decode("utf-8", "backslashreplace").strip()
    return f"; it printed:\n{text}" if text else ", and printed nothing"


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process that this module started: politely, then not."""
    for number, patience_s in ((signal.SIGTERM, STOP_S), (signal.SIGKILL, KILL_S)):
        if process.poll() is None:
            process.send_signal(number)
        try:
            process.wait(patience_s)
        except subprocess.TimeoutExpired:
            continue
        return
