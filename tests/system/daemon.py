"""`wsloop serve` as its own process, for the tests that prove it from outside.

Whatever a test does to it, the process is gone afterwards, and what it wrote can be read.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import socket
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import signal
    from types import TracebackType
    from typing import Self

PATIENCE_S = 30.0
"""How long a loaded machine may take for what takes milliseconds on an idle one."""

LAST_LINE = "Ctrl+C to stop"

MEASURE = "COVERAGE_PROCESS_START"
"""Where this is set, a Python process measures what it runs (`coverage` has a .pth file that sees to it)."""


class Daemon:
    """A daemon, started on entering and killed on leaving the context; in development mode if `dev`.

    `options` go on its command line, `python_options` on the interpreter's. It listens on a port
    of the kernel's choice, which it keeps when it is started again; with `uds`, on that path
    instead, and where the options say if `-b` or `--bind` is among them. `port`: not the kernel's choice.
    """

    def __init__(
        self,
        *options: str,
        uds: str | None = None,
        dev: bool = True,
        python_options: tuple[str, ...] = (),
        port: int = 0,
    ) -> None:
        self.host = "127.0.0.1"
        self.port = port
        self.banner = ""
        self._command = [sys.executable, *python_options, "-m", "wsloop", "serve"]
        self._options = (*(["--dev"] if dev else []), *options)
        self._uds = uds
        self._scheme = "ws"
        self._process: subprocess.Popen[bytes] | None = None
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed in __exit__

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            sys.stderr.write(self.stderr())  # pytest shows it beside the failed assertion
        self._end()

    # -- its life --------------------------------------------------------------------------

    def start(self) -> None:
        """Start and wait until the banner says that it listens."""
        assert self._process is None
        where = ["--uds", self._uds] if self._uds else ["--port", str(self.port)]
        if {"-b", "--bind"}.intersection(self._options):
            where = []
        if not self._names_admin():
            where += ["--admin-port", "0"]
        command = [*self._command, *where, *self._options]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self._errors)
        self.banner = self._read_banner(self._process)
        found = re.search(r"(wss?)://127\.0\.0\.1:(\d+)/", self.banner)
        assert found or self._uds, self.banner
        self._scheme, self.port = (found[1], int(found[2])) if found else ("ws", 0)

    def _names_admin(self) -> bool:
        """Whether the options, or the file they name, tell the admin listener; else any port will do."""
        files = [path for flag, path in pairwise(self._options) if flag == "-c"]
        return any(option.startswith(("--admin", "--no-admin")) for option in self._options) or any(
            "[admin]" in Path(path).read_text(encoding="utf-8") for path in files
        )

    def _read_banner(self, process: subprocess.Popen[bytes]) -> str:
        assert process.stdout is not None
        written = b""
        deadline_s = time.monotonic() + PATIENCE_S
        while LAST_LINE.encode() not in written:
            left_s = max(0.0, deadline_s - time.monotonic())
            ready, _, _ = select.select([process.stdout], [], [], left_s)
            piece = os.read(process.stdout.fileno(), 65536) if ready else b""
            if not piece:
                raise AssertionError(f"the daemon did not start: {written.decode()}{self.stderr()}")
            written += piece
        return written.decode()

    def kill(self) -> None:
        """End it as a power cut would: SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self.wait()

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the process, and to no other."""
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self) -> int:
        """Wait until it has ended by itself; return its exit code."""
        assert self._process is not None
        code = self._process.wait(PATIENCE_S)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process = None
        return code

    def _end(self) -> None:
        if self._process is not None and MEASURE in os.environ:
            self._process.terminate()  # whoever is killed tells nothing of what it ran
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(PATIENCE_S)
        self.kill()
        self._errors.close()

    # -- looking at it -----------------------------------------------------------------------

    @property
    def pid(self) -> int:
        """The process."""
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process has not ended."""
        return self._process is not None and self._process.poll() is None

    def open_descriptors(self) -> int:
        """Return how many descriptors the process holds (Linux)."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def stderr(self) -> str:
        """Return all that was logged since the first start."""
        return os.pread(self._errors.fileno(), 1 << 24, 0).decode()

    def url(self, path: str = "/echo") -> str:
        """Return the WebSocket address of a path."""
        return f"{self._scheme}://{self.host}:{self.port}{path}"

    def connect(self) -> socket.socket:
        """Return a plain TCP connection; it gives up after a while instead of waiting for ever."""
        return socket.create_connection((self.host, self.port), PATIENCE_S)
