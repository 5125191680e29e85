"""A real daemon that runs out of memory, and of descriptors."""

from __future__ import annotations

import contextlib
import functools
import re
import resource
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.system.daemon import PATIENCE_S, Daemon
from tests.system.family import children_of
from tests.system.peers import MASK, http, open_echo, raw, says
from wsloop.testing.client import OPCODE_BINARY, masked_frame
from wsloop.transport.listener import LOG_EVERY_S

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(sys.platform != "linux", reason="/proc and prlimit are Linux's"),
]

MIB = 2**20
ROOM = 10 * MIB
"""Of the ceiling, above what an idle daemon needs."""

GREEDY = 60
ASKED = 8
"""Peers, and the echoes of 1 MiB that each asks for: the kernel takes some, the daemon holds one or two."""

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def wait_for(condition: Callable[[], object]) -> None:
    """Wait until what another process does is done."""
    until_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < until_s
        time.sleep(0.02)


def resident_bytes(pid: int) -> int:
    pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    return int(pages) * resource.getpagesize()


def status_of(daemon: Daemon) -> int:
    """Return the status of a page for somebody new."""
    return http(daemon, GET)[0]


class Greedy:
    """A peer that asks for echoes, as fast as they are taken, and reads none."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._left = memoryview(masked_frame(OPCODE_BINARY, b"x" * MIB, MASK) * ASKED)

    def ask(self) -> None:
        """Send what is taken now."""
        with contextlib.suppress(OSError):  # EAGAIN; the connection may be gone
            while self._left:
                self._left = self._left[self._sock.send(self._left) :]


def test_memory_that_runs_out_costs_the_slowest_and_the_new_only(tmp_path: Path) -> None:
    with Daemon() as idle, open_echo(idle):
        limit = 4 * (resident_bytes(idle.pid) + ROOM) // 3  # idle is below 75 %
    config = tmp_path / "wsloop.toml"
    config.write_text(f"[server]\nmemory_limit = {limit}\n")
    with Daemon("-c", str(config)) as daemon, open_echo(daemon) as good, contextlib.ExitStack() as stack:
        greedy = [Greedy(stack.enter_context(raw(daemon)).sock) for _ in range(GREEDY)]

        def is_shedding() -> bool:
            for peer in greedy:
                peer.ask()
            return "the slowest are closed" in daemon.stderr()

        wait_for(is_shedding)
        assert says(good, "hello") == "hello"
        stack.close()
        wait_for(lambda: "everybody is let in again" in daemon.stderr())
        wait_for(lambda: status_of(daemon) == 200)
        assert says(good, "hello again") == "hello again"
        log = daemon.stderr()
    assert "new connections are refused" in log
    assert "Traceback" not in log


def test_descriptors_that_run_out_are_no_bodys_harm_and_one_line() -> None:
    with Daemon() as daemon, open_echo(daemon) as good:
        soft, hard = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (daemon.open_descriptors(), hard))
        began_s = time.monotonic()
        for _ in range(6):
            with contextlib.suppress(ConnectionResetError), daemon.connect() as sock:
                assert sock.recv(1) == b""  # reset, or ended
            assert says(good, "hello") == "hello"
        lines_expected = 1 + int((time.monotonic() - began_s) / LOG_EVERY_S)
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (soft, hard))
        wait_for(lambda: _is_let_in(daemon))
        log = daemon.stderr()
    assert 1 <= log.count("EMFILE") <= lines_expected, log


def _is_let_in(daemon: Daemon) -> bool:
    try:
        return status_of(daemon) == 200
    except (OSError, ValueError, IndexError):
        return False


def test_a_worker_more_makes_the_shares_of_all_smaller_and_one_less_larger(tmp_path: Path) -> None:
    with Daemon("--workers", "2") as idle:
        wait_for(lambda: len(children_of(idle.pid)) == 3)
        need = max(resident_bytes(pid) for pid in children_of(idle.pid)[1:])
    config = tmp_path / "wsloop.toml"
    # Three shares, of which a worker takes 60 %; with two workers more there are five, and it takes all.
    config.write_text(f"[server]\nmemory_limit = {5 * need}\n")
    with Daemon("-c", str(config), "--workers", "2") as daemon:
        wait_for(lambda: status_of(daemon) == 200)
        older = children_of(daemon.pid)[1:]
        for text in ("there are 3 workers", "there are 4 workers"):
            daemon.send_signal(signal.SIGTTIN)
            wait_for(functools.partial(is_told, daemon, text))
        wait_for(lambda: {"worker-0", "worker-1"} <= who_says(daemon, "new connections are refused"))
        assert set(older) < set(children_of(daemon.pid))
        for text in ("drains for good: 3 left", "drains for good: 2 left"):
            daemon.send_signal(signal.SIGTTOU)
            wait_for(functools.partial(is_told, daemon, text))
        wait_for(lambda: {"worker-0", "worker-1"} <= who_says(daemon, "everybody is let in again"))
        wait_for(lambda: status_of(daemon) == 200)


def is_told(daemon: Daemon, text: str) -> bool:
    return text in daemon.stderr()


def who_says(daemon: Daemon, text: str) -> set[str]:
    """Return the processes whose lines in the log have `text`."""
    lines = (line for line in daemon.stderr().splitlines() if text in line)
    return {name for line in lines for name in re.findall(r"worker-\d|hub", line)}
