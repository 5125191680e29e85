"""Socket activation and notifications, with a parent that does what systemd does."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.system.daemon import PATIENCE_S
from tests.system.family import REQUEST, answer, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(sys.platform != "linux", reason="systemd's protocols"),
]

ACTIVATE = """
import os, sys
count = int(sys.argv[1])
for index, number in enumerate(map(int, sys.argv[2 : 2 + count])):
    os.dup2(number, 100 + index)
for index in range(count):
    os.dup2(100 + index, 3 + index)
    os.close(100 + index)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(count), WATCHDOG_PID=str(os.getpid()))
os.execv(sys.executable, [sys.executable, "-m", "wsloop", "serve", *sys.argv[2 + count :]])
"""


class Manager:
    """What systemd is to a service: it opens its sockets, starts it and hears its notifications."""

    def __init__(self, folder: Path) -> None:
        self.clients = socket.create_server(("127.0.0.1", 0))
        self.admin = socket.create_server(("127.0.0.1", 0))
        self._heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._heard.bind(str(folder / "notify"))
        self._heard.settimeout(PATIENCE_S)
        self._folder = folder

    @contextlib.contextmanager
    def service(
        self, *options: str, names: str = "wsloop:admin", **variables: str
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Start the service."""
        numbers = [self.clients.fileno(), self.admin.fileno()]
        environ = {
            **os.environ,
            "NOTIFY_SOCKET": str(self._folder / "notify"),
            "LISTEN_FDNAMES": names,
            **variables,
        }
        command = [sys.executable, "-c", ACTIVATE, "2", *map(str, numbers), *options]
        with (
            open(self._folder / "log", "ab") as log,
            subprocess.Popen(command, pass_fds=numbers, env=environ, stdout=log, stderr=log) as process,
        ):
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.kill()

    def hear(self, wanted: str) -> dict[str, str]:
        """Wait for the notification with `wanted` in it; return all that it says."""
        while True:
            said = dict(line.split("=", 1) for line in self._heard.recv(4096).decode().split("\n"))
            if wanted in said:
                return said

    def log(self) -> str:
        """Return what the service wrote."""
        return (self._folder / "log").read_text(encoding="utf-8")

    def close(self) -> None:
        """Close the sockets."""
        for sock in (self.clients, self.admin, self._heard):
            sock.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(tmp_path)
    yield made
    made.close()


def ask(server: socket.socket) -> bytes:
    with socket.create_connection(server.getsockname(), PATIENCE_S) as sock:
        sock.sendall(REQUEST)
        return answer(sock)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_activated_sockets_are_served_and_systemd_hears_of_it_all(manager: Manager, workers: str) -> None:
    with manager.service("--workers", workers, WATCHDOG_USEC="200000") as process:
        assert manager.hear("READY")["READY"] == "1"
        for _ in range(2):
            manager.hear("WATCHDOG")
        for server in (manager.clients, manager.admin):
            assert ask(server).startswith(b"HTTP/1.1 200")
        process.send_signal(signal.SIGHUP)
        assert manager.hear("RELOADING")["MONOTONIC_USEC"].isdigit()
        assert manager.hear("READY")["READY"] == "1"
        process.send_signal(signal.SIGTERM)
        manager.hear("STOPPING")
        assert process.wait(PATIENCE_S) == 0
    assert f"ws://127.0.0.1:{manager.clients.getsockname()[1]}/" in manager.log()
    assert f"http://127.0.0.1:{manager.admin.getsockname()[1]}/" in manager.log()


def test_who_connects_before_the_service_runs_and_between_two_runs_is_served(manager: Manager) -> None:
    for _ in range(2):
        with socket.create_connection(manager.clients.getsockname(), PATIENCE_S) as early:
            early.sendall(REQUEST)
            with manager.service() as process:
                assert answer(early).startswith(b"HTTP/1.1 200")
                early.close()
                process.send_signal(signal.SIGTERM)
                assert process.wait(PATIENCE_S) == 0


def test_a_list_of_addresses_goes_before_systemds_sockets(manager: Manager) -> None:
    with manager.service("-b", "127.0.0.1:0") as process:
        manager.hear("READY")
        until(lambda: "Ctrl+C to stop" in manager.log(), "the banner")
        assert "ws://127.0.0.1:" in manager.log()
        assert f":{manager.clients.getsockname()[1]}/" not in manager.log()
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0


def test_a_hung_loop_is_not_kept_alive(manager: Manager) -> None:
    with manager.service(WATCHDOG_USEC="400000") as process:
        manager.hear("WATCHDOG")
        process.send_signal(signal.SIGSTOP)
        manager._heard.settimeout(1)
        with pytest.raises(TimeoutError):
            while True:
                manager.hear("WATCHDOG")


def test_nonsense_in_the_variables_is_one_line(manager: Manager) -> None:
    environ = {**os.environ, "LISTEN_FDS": "many"}
    code = "import os; os.environ['LISTEN_PID'] = str(os.getpid()); from wsloop.daemon import cli; cli.main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "serve", "--port", "0", "--admin-port", "0"],
        env=environ, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode == 3
    assert re.match(r"error: LISTEN_FDS is 'many', not a number of sockets\nhint: ", done.stderr)
