"""Standard streams that somebody closed, or does not read any more."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.pipes import full_pipe
from tests.system.daemon import PATIENCE_S

pytestmark = pytest.mark.system


def test_a_standard_error_that_nobody_reads_does_not_keep_the_process_after_term() -> None:
    command = [sys.executable, "-m", "wsloop", "serve", "--dev", "--port", "0"]
    reader, errors = full_pipe()
    with (
        os.fdopen(reader),
        os.fdopen(errors, "w"),
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        assert process.stdout is not None
        try:
            assert any("Ctrl+C" in line for line in process.stdout)
            process.send_signal(signal.SIGTERM)  # "draining" is logged, and never taken
            assert process.wait(PATIENCE_S) == 0
        finally:
            process.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_do_not_matter(closed: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s"
        command = f'exec "$0" -m wsloop serve --dev --uds "$1" {closed}'
        with subprocess.Popen(["/bin/sh", "-c", command, sys.executable, path]) as process:
            try:
                answer = ask(path, process)
                for fd in range(3):  # what is written there by mistake reaches no client
                    assert "socket" not in os.readlink(f"/proc/{process.pid}/fd/{fd}")
                process.send_signal(signal.SIGTERM)
                assert process.wait(PATIENCE_S) == 0
            finally:
                process.kill()
        assert answer == b"HTTP/1.1 200"


def ask(path: Path, process: subprocess.Popen[bytes]) -> bytes:
    """Connect as soon as somebody listens on `path`; return how the answer to a request begins."""
    while process.poll() is None:
        with socket.socket(socket.AF_UNIX) as sock, contextlib.suppress(OSError):
            sock.settimeout(PATIENCE_S)
            sock.connect(str(path))
            sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            return sock.recv(12)
    return b""
