"""A daemon of several processes, for the tests that kill, stop and replace them (Linux: reads /proc)."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.system.daemon import PATIENCE_S, Daemon
from tests.system.impatient import RESTART

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from types import TracebackType

REQUEST = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"


def until(condition: Callable[[], bool], what: str, patience_s: float = PATIENCE_S) -> None:
    """Wait until `condition` holds; fails with `what` if it never does."""
    deadline_s = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline_s, f"never came true: {what}"
        time.sleep(0.02)  # of this process, which only watches others


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that waits to be reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except OSError:  # ENOENT, ESRCH: it has gone
        return False
    return state != "Z"


def children_of(pid: int) -> list[int]:
    """Return the living children of a process, in the order of their birth, which the kernel keeps.

    Their numbers do not: behind the highest (32,768 on small machines) it begins anew.
    """
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except OSError:
        return []
    return [child for child in map(int, text.split()) if is_alive(child)]


class Family(Daemon):
    """`tests.system.impatient` with so many `workers` (0: as the options say), a pid file, and options.

    Who leads it may change by a restart: `lead` is the first process now. All that were ever seen are
    ended with the context.
    """

    def __init__(self, folder: Path, workers: int, *options: str, dev: bool = True) -> None:
        self.pid_file = folder / "wsloop.pid"
        count = ("--workers", str(workers)) if workers else ()
        super().__init__(*count, "--pid-file", str(self.pid_file), *options, dev=dev)
        self._command = [sys.executable, "-m", "tests.system.impatient", "serve"]
        self.workers = workers
        self._seen: set[int] = set()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError, ValueError):  # it has gone already, or says nothing
            self._seen.add(self.lead)
        for pid in list(self._seen):
            self._seen.update(children_of(pid))
        super().__exit__(kind, error, trace)
        for pid in self._seen:
            if is_alive(pid):
                os.kill(pid, signal.SIGKILL)

    @property
    def lead(self) -> int:
        """The first process: the one that was started, or what has taken its place."""
        return int(self.pid_file.read_text(encoding="ascii"))

    def processes(self) -> list[int]:
        """Return the hub process and the workers, in the order of their birth."""
        found = children_of(self.lead)
        self._seen.update(found)
        return found

    def says(self, text: str, times: int = 1) -> None:
        """Wait until the log has `text`, so many times."""
        until(lambda: self.stderr().count(text) >= times, f"{times} times {text!r} in the log")

    def restart(self) -> int:
        """Hand over to a new daemon; return its number once it serves."""
        old = self.lead
        os.kill(old, RESTART)
        until(lambda: self.pid_file.exists() and self.lead != old, "a restart")
        self._seen.add(self.lead)
        return self.lead

    def is_served(self) -> bool:
        """Whether a connection that is opened now is answered."""
        with self.connect() as sock:
            sock.sendall(REQUEST)
            return answer(sock).startswith(b"HTTP/1.1 200")


def answer(sock: socket.socket) -> bytes:
    """Read to the end; a reset is an end too."""
    data = b""
    try:
        while piece := sock.recv(4096):
            data += piece
    except ConnectionResetError:
        return data + b"<reset>"
    return data
