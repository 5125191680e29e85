"""The supervisor with real processes: what happens when each of them dies, hangs, or is told to end."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.system.daemon import PATIENCE_S
from tests.system.family import REQUEST, Family, answer, is_alive, until
from tests.system.peers import close_of, open_echo, raw, says
from wsloop.daemon.signals import SAME_WITHIN_S
from wsloop.testing.client import OPCODE_CLOSE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(sys.platform != "linux", reason="asks /proc for processes"),
]


@pytest.fixture
def family(tmp_path: Path) -> Iterator[Family]:
    with Family(tmp_path, 2) as made:
        yield made


def assert_quiet(family: Family) -> None:
    assert "Traceback" not in family.stderr()


def test_the_banner_comes_once_when_all_workers_serve_and_names_them(family: Family) -> None:
    assert family.banner.count("Ctrl+C to stop") == 1
    assert "  workers  2" in family.banner
    assert len(family.processes()) == 3
    assert family.is_served()


def test_a_killed_worker_is_replaced_others_do_not_notice_and_who_waits_in_its_queue_is_served(
    family: Family,
) -> None:
    _, one, two = family.processes()
    with open_echo(family) as peer, contextlib.ExitStack() as stack:
        # Both workers stand still, so every connect waits in a queue; then one of them dies.
        for pid in (one, two):
            os.kill(pid, signal.SIGSTOP)
        waiting = [stack.enter_context(family.connect()) for _ in range(40)]
        for sock in waiting:
            sock.sendall(REQUEST)
        os.kill(one, signal.SIGKILL)
        os.kill(two, signal.SIGCONT)
        assert [answer(sock)[:12] for sock in waiting] == [b"HTTP/1.1 200"] * 40
        with contextlib.suppress(Exception):  # it was the dead one's, or it goes on
            assert says(peer, "still there?") == "still there?"
    family.says(f"worker-0 (pid {one}) was killed by SIGKILL; respawn in 0.1 s")
    until(lambda: len(family.processes()) == 3, "a worker in its place")
    assert two in family.processes()
    assert_quiet(family)


def test_a_worker_that_stands_still_is_killed_and_replaced(family: Family) -> None:
    _, one, two = family.processes()
    os.kill(one, signal.SIGSTOP)
    family.says(f"worker-0 (pid {one}) was killed by SIGKILL")
    assert f"worker-0 (pid {one}) has been silent for" in family.stderr()
    until(lambda: len(family.processes()) == 3, "a worker in its place")
    assert two in family.processes()


def test_a_worker_that_an_operator_ends_drains_while_another_takes_its_place(family: Family) -> None:
    _, one, _ = family.processes()
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(open_echo(family)) for _ in range(8)]
        os.kill(one, signal.SIGTERM)
        family.says(f"worker-0 (pid {one}) drains; worker-2 takes its place")
        family.says(f"worker-0 (pid {one}) has left")
        assert family.is_served()
        stay = 0
        for peer in peers:
            try:
                stay += says(peer, "?") == "?"
            except Exception:
                assert close_of(peer) == (1012, "shutdown")
        assert 0 < stay < len(peers)
    assert "respawn" not in family.stderr()


def test_the_hub_process_is_replaced_too(family: Family) -> None:
    hub, *workers = family.processes()
    os.kill(hub, signal.SIGKILL)
    family.says(f"hub (pid {hub}) was killed by SIGKILL; respawn")
    until(lambda: len(family.processes()) == 3, "a hub process in its place")
    assert set(workers) < set(family.processes())


def test_without_the_supervisor_the_others_end_by_themselves(family: Family) -> None:
    others = family.processes()
    with open_echo(family) as peer:
        family.kill()
        assert close_of(peer) == (1012, "shutdown")
    until(lambda: not any(map(is_alive, others)), "the end of all")
    assert family.stderr().count("the supervisor is gone: ending") == 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.usefixtures("measured")
def test_term_and_int_drain_all_and_end_with_0(family: Family, number: signal.Signals) -> None:
    others = family.processes()
    with open_echo(family) as ann, open_echo(family) as ben:
        family.send_signal(number)
        assert close_of(ann) == close_of(ben) == (1012, "shutdown")
    assert family.wait() == 0
    assert not any(map(is_alive, others))
    assert not family.pid_file.exists()
    assert_quiet(family)


def test_a_term_to_all_processes_at_once_is_a_drain_as_well(family: Family) -> None:
    """As systemd's KillMode=control-group sends it, and timeout(1); it comes to each of them twice."""
    others = family.processes()
    with open_echo(family) as peer:
        for pid in (*others, family.pid):
            os.kill(pid, signal.SIGTERM)
        assert close_of(peer) == (1012, "shutdown")
    assert family.wait() == 0
    assert "stopping now" not in family.stderr()


@pytest.mark.usefixtures("measured")
def test_a_second_signal_stops_now(tmp_path: Path) -> None:
    with Family(tmp_path, 2, "--timeout-graceful-shutdown", "3600") as family, raw(family) as stubborn:
        others = family.processes()
        family.send_signal(signal.SIGTERM)
        assert stubborn.read_frame()[0] == OPCODE_CLOSE  # so its worker drains, and waits for an answer
        time.sleep(SAME_WITHIN_S)
        family.send_signal(signal.SIGTERM)
        assert family.wait() == 0
        assert not any(map(is_alive, others))


@pytest.mark.usefixtures("measured")
def test_who_does_not_end_in_the_window_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPATIENT_S", "3600")
    with Family(tmp_path, 2, "--timeout-graceful-shutdown", "0.1") as family:
        _, one, _ = family.processes()
        os.kill(one, signal.SIGSTOP)
        family.send_signal(signal.SIGTERM)
        assert family.wait() == 0
        assert f"worker-0 (pid {one}) did not end in time: killed" in family.stderr()


def test_workers_that_die_whenever_they_start_are_given_up_on(tmp_path: Path) -> None:
    code = (
        "from wsloop.daemon import serving, cli\n"
        "def fail(*_): raise RuntimeError('a bug that shows at start')\n"
        "serving.serve = fail\n"
        "cli.main()\n"
    )
    command = [sys.executable, "-c", code, "serve", "--dev", "--port", "0", "--admin-port", "0", "-w", "4"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 1
    told = re.findall(r"^error: [\w-]+: (.*) \(", done.stderr, re.MULTILINE)
    assert told == ["RuntimeError: a bug that shows at start"]
    assert "10 processes died within 60 s: giving up" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.usefixtures("measured")
def test_ttin_adds_a_worker_and_ttou_lets_one_go_whose_queue_is_served_by_another(family: Family) -> None:
    family.send_signal(signal.SIGTTIN)
    family.says("worker-2 was added: there are 3 workers")
    until(lambda: len(family.processes()) == 4, "a third worker")
    family.send_signal(signal.SIGTTOU)
    family.says("worker-2 drains for good: 2 left")
    until(lambda: len(family.processes()) == 3, "the end of the third")
    assert all(family.is_served() for _ in range(30))
    family.send_signal(signal.SIGTTOU)
    family.says("worker-1 drains for good: 1 left")
    until(lambda: len(family.processes()) == 2, "the end of the second")
    assert all(family.is_served() for _ in range(30))
    family.send_signal(signal.SIGTTOU)
    family.says("no worker was removed: it is the last one")
    family.send_signal(signal.SIGTTIN)
    family.says("worker-1 was added: there are 2 workers")
    until(lambda: len(family.processes()) == 3, "a second worker")
    assert all(family.is_served() for _ in range(30))
    assert_quiet(family)


def test_each_process_holds_only_what_is_its_own(family: Family) -> None:
    hub, one, two = family.processes()

    with open("/proc/net/tcp", encoding="ascii") as table:
        rows = [line.split() for line in table]
    listening = {f"socket:[{row[9]}]" for row in rows if row[3] == "0A"}

    def listens(pid: int) -> set[str]:
        """Return the TCP sockets on which a process could accept."""
        return listening & {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}

    assert len(listens(family.pid)) == 3
    assert listens(hub) | listens(one) | listens(two) == listens(family.pid)
    assert [len(listens(pid)) for pid in (hub, one, two)] == [1, 1, 1]


def test_a_second_daemon_on_the_port_or_the_pid_file_is_told(family: Family, tmp_path: Path) -> None:
    base = [sys.executable, "-m", "wsloop", "serve", "--dev", "--admin-port", "0", "-w", "2"]
    for options, fault in (
        (["--port", str(family.port)], f"error: port {family.port} is already in use (pid {family.pid}"),
        (
            ["--port", "0", "--pid-file", str(family.pid_file)],
            f"error: a daemon runs already (pid {family.pid}",
        ),
    ):
        done = subprocess.run(
            [*base, *options], capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
        assert done.returncode == 3
        assert fault in done.stderr
    assert family.is_served()


def test_unix_paths_are_shared_and_go_with_the_supervisor(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with Family(tmp_path, 2, "-b", f"unix:{path}", "-b", "127.0.0.1:0") as family:
        for _ in range(8):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(PATIENCE_S)
                sock.connect(str(path))
                sock.sendall(REQUEST)
                assert answer(sock).startswith(b"HTTP/1.1 200")
        family.send_signal(signal.SIGTERM)
        assert family.wait() == 0
        assert not path.exists()
