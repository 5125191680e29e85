"""What the tutorials promise of their scripts, seen on a real daemon."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.system.daemon import PATIENCE_S, Daemon
from tests.system.fetched import npm_packages
from wsloop.daemon.config import load

pytestmark = pytest.mark.system

LESSONS = Path(__file__).parents[2] / "docs" / "tutorial"
CLIENT = LESSONS / "chat_client.py"


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


class Follower:
    """A follower of the tutorial in its own process, as its reader sees it."""

    def __init__(self, command: list[str], daemon: Daemon) -> None:
        command = [*command, daemon.url("/connection/websocket")]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout

    def type(self, *lines: str) -> None:
        for line in lines:
            self._stdin.write(line.encode() + b"\n")
        self._stdin.flush()

    def until(self, wanted: str) -> str:
        return read_until(self._stdout.fileno(), wanted)

    def leave(self) -> int:
        self._stdin.close()
        return self._process.wait(PATIENCE_S)

    def __enter__(self) -> Follower:
        return self

    def __exit__(self, *_error: object) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._stdin, self._stdout):
            stream.close()


def follower(language: str, tmp_path: Path) -> list[str]:
    """Return the command that the tutorial has for a language."""
    if language == "python":
        return [sys.executable, str(LESSONS / "follow.py")]
    shutil.copy(LESSONS / "follow.mjs", tmp_path)
    (tmp_path / "node_modules").symlink_to(npm_packages() / "node_modules")
    return ["node", str(tmp_path / "follow.mjs")]


@pytest.mark.parametrize("language", ["python", "javascript"])
def test_a_follower_that_was_unplugged_is_given_what_it_missed(language: str, tmp_path: Path) -> None:
    command = follower(language, tmp_path)
    with (
        Daemon("-c", str(LESSONS / "wsloop.toml"), dev=False) as daemon,
        Follower([sys.executable, str(LESSONS / "follow.py")], daemon) as writer,
        Follower(command, daemon) as reader,
    ):
        for each in (writer, reader):
            each.until("-- subscribed")
        writer.type("first")
        for each in (writer, reader):
            each.until("   1  first")
        reader.type("off")
        reader.until("-- not subscribed")
        writer.type("what", "was", "missed")
        writer.until("   4  missed")
        reader.type("on")
        said = reader.until("   4  missed")
        assert "-- back, nothing is lost\n   2  what\n   3  was\n   4  missed" in said

        reader.type("off")
        reader.until("-- not subscribed")
        writer.type(*(f"line {number}" for number in range(101)))
        writer.until(" 105  line 100")
        reader.type("on")
        reader.until("-- back, but something is lost")
        reader.type("again")
        reader.until(" 106  again")
        assert reader.leave() == 0
        assert writer.leave() == 0


def test_the_tutorials_configuration_is_one_that_the_daemon_takes() -> None:
    assert set(load(LESSONS / "wsloop.toml", {}).namespaces) == {"news"}


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
