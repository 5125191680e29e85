"""What the admin listener of several processes says: it answers for all workers."""

from __future__ import annotations

import http.client
import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from tests.system.daemon import PATIENCE_S, Daemon
from tests.system.peers import raw
from tests.system.test_admin import port_of
from tests.system.test_workers import children, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(sys.platform != "linux", reason="asks /proc for processes"),
]


def readiness(daemon: Daemon) -> tuple[int, str]:
    """Return what the admin listener answers to a load balancer."""
    connection = http.client.HTTPConnection("127.0.0.1", port_of(daemon), timeout=PATIENCE_S)
    connection.request("GET", "/readyz")
    response = connection.getresponse()
    found = response.status, response.read().decode()
    connection.close()
    return found


def says(daemon: Daemon, text: str) -> Callable[[], bool]:
    return lambda: text in readiness(daemon)[1]


def test_a_drain_of_the_workers_is_told_while_it_lasts() -> None:
    with Daemon("--workers", "2") as daemon, raw(daemon) as stubborn:
        assert readiness(daemon) == (200, "ready\n")
        daemon.send_signal(signal.SIGTERM)
        stubborn.read_frame()  # asked to go, and does not
        wait_for(says(daemon, "draining"))
        assert readiness(daemon) == (503, "not ready:\ndraining\n")
        stubborn.sock.close()
        assert daemon.wait() == 0


def test_without_a_worker_nobody_is_sent_here() -> None:
    with Daemon("--workers", "2") as daemon:
        for victim in children(daemon)[1:]:
            os.kill(victim, signal.SIGSTOP)
            os.kill(victim, signal.SIGKILL)
        wait_for(lambda: readiness(daemon) == (503, "not ready:\nno worker serves\n"))
        wait_for(lambda: readiness(daemon) == (200, "ready\n"))


def test_a_worker_that_is_short_of_memory_is_named(tmp_path: Path) -> None:
    file = tmp_path / "wsloop.toml"
    file.write_text('[server]\nmemory_limit = "12MiB"\n', encoding="utf-8")  # an interpreter takes more
    with Daemon("-c", str(file), "--workers", "2") as daemon:
        wait_for(says(daemon, "worker-0 is overloaded: memory at "))
        wait_for(says(daemon, "worker-1 is overloaded: memory at "))
        assert readiness(daemon)[0] == 503
