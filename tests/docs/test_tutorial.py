"""What the tutorial promises of its script, seen on a daemon that is killed."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.system.daemon import PATIENCE_S, Daemon

pytestmark = pytest.mark.system

CLIENT = Path(__file__).parents[2] / "docs" / "tutorial" / "chat_client.py"


def test_the_script_comes_back_after_the_daemon_was_killed_and_chats_on() -> None:
    with Daemon() as daemon:
        client = subprocess.Popen(
            [sys.executable, str(CLIENT), "Ann", daemon.url("/connection/websocket")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert client.stdin is not None
        assert client.stdout is not None
        try:
            first = read_until(client.stdout.fileno(), "present: Ann")
            assert "-- connected\n-- Ann came\n" in first
            client.stdin.write(b"before\n")
            client.stdin.flush()
            read_until(client.stdout.fileno(), "Ann: before")

            daemon.kill()
            daemon.start()
            back = read_until(client.stdout.fileno(), "-- Ann came")
            assert "-- connected" in back
            client.stdin.write(b"after\n")
            client.stdin.flush()
            again = read_until(client.stdout.fileno(), "Ann: after")
            assert "   1  Ann: after" in again  # a new stream, counted from the beginning
            client.stdin.close()
            assert client.wait(PATIENCE_S) == 0
        finally:
            client.kill()
            client.wait()
            client.stdin.close()
            client.stdout.close()


def read_until(descriptor: int, wanted: str) -> str:
    """Return what is printed, up to the first chunk that completes `wanted`."""
    printed = ""
    deadline_s = time.monotonic() + PATIENCE_S
    while wanted not in printed:
        ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline_s - time.monotonic()))
        piece = os.read(descriptor, 65536) if ready else b""
        assert piece, f"{wanted!r} did not come after {printed!r}"
        printed += piece.decode()
    return printed
