"""Logs of a real daemon: files, full disks, readers that do not read, signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.system.daemon import PATIENCE_S, Daemon
from tests.system.peers import http, open_echo, open_messaging, says

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.system

GET = (
    b"GET /healthz?token=very-secret HTTP/1.1\r\n"
    b"Host: localhost\r\nUser-Agent: probe/1\r\nConnection: close\r\n\r\n"
)


def wait_for(condition: Callable[[], object]) -> None:
    """Wait until what another process does is done."""
    until_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < until_s
        time.sleep(0.01)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def messages(path: Path) -> str:
    return "\n".join(line["message"] for line in lines(path))


def processes(path: Path, text: str = "") -> set[str]:
    """Return which processes have written a line with `text`."""
    return {line["process"] for line in lines(path) if text in line["message"]}


def test_the_access_log_goes_to_the_file_and_usr1_opens_it_again(tmp_path: Path) -> None:
    path, rotated = tmp_path / "wsloop.log", tmp_path / "wsloop.log.1"
    options = ("--log-file", str(path), "--log-format", "json", "--access-log")
    with Daemon(*options) as daemon:
        assert http(daemon, GET)[0] == 200
        wait_for(lambda: "/healthz" in messages(path))
        path.rename(rotated)
        daemon.send_signal(signal.SIGUSR1)
        wait_for(path.exists)
        with open_messaging(daemon) as ann:
            ann.close()
        wait_for(lambda: '"WebSocket /connection/websocket" 1000' in messages(path))
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait() == 0
        assert daemon.stderr() == ""
    (line,) = (each for each in lines(rotated) if each.get("path") == "/healthz")
    assert (line["method"], line["status"], line["bytes"], line["user_agent"]) == ("GET", 200, 3, "probe/1")
    assert line["process"] == "alone"
    assert line["pid"]
    assert len(line["trace_id"]) == 32
    assert "stopped" in messages(path)
    assert "very-secret" not in rotated.read_text() + path.read_text()


def test_a_file_in_no_directory_is_an_error_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "wsloop.log"
    command = [sys.executable, "-m", "wsloop", "serve", "--dev", "--port", "0", "--log-file", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 78
    error, hint = done.stderr.splitlines()
    assert error == f"error: cannot open log.file {path}: No such file or directory"
    assert hint.startswith("hint: ")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")
def test_a_full_disk_costs_nothing_but_the_lines() -> None:
    with Daemon("--log-file", "/dev/full", "--access-log") as daemon:
        for _ in range(20):
            assert http(daemon, GET)[0] == 200
        with open_echo(daemon) as peer:
            assert says(peer, "hello") == "hello"
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait() == 0


def test_a_reader_that_does_not_read_holds_up_nobody(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with Daemon("--log-file", str(path), "--access-log", "--log-format", "json") as daemon:
        with open_echo(daemon) as peer:
            for number in range(400):  # some 300 bytes each: more than the 64 KiB of a pipe
                assert http(daemon, GET)[0] == 200
                if number % 50 == 0:
                    assert says(peer, "hello") == "hello"
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait() == 0
    os.close(reader)


def test_usr2_tells_the_state_of_the_loop() -> None:
    with Daemon() as daemon, open_echo(daemon) as peer:
        daemon.send_signal(signal.SIGUSR2)
        wait_for(lambda: "commands, publications, deliveries" in daemon.stderr())
        assert says(peer, "still there?") == "still there?"
        log = daemon.stderr()
        assert "the state of the loop:" in log
        assert "    connections: open 1" in log


@pytest.mark.usefixtures("measured")
def test_the_processes_of_a_daemon_share_a_file_and_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "wsloop.log"
    options = ("--log-file", str(path), "--log-format", "json", "--access-log", "--workers", "2")
    with Daemon(*options) as daemon:
        wait_for(lambda: http(daemon, GET)[0] == 200 and "/healthz" in messages(path))
        assert processes(path) & {"worker-0", "worker-1"}
        path.rename(tmp_path / "wsloop.log.1")
        daemon.send_signal(signal.SIGUSR1)
        wait_for(lambda: processes(path, "reopened") == {"supervisor", "hub", "worker-0", "worker-1"})
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait() == 0
    assert messages(path).count("stopped") == 4
