from __future__ import annotations

import os
import socket
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.bench import machine, process


@given(st.sets(st.integers(0, 63), min_size=1))
def test_cores_are_allowed_ones_and_differ_where_there_are_two(allowed: set[int]) -> None:
    server, generator = machine.choose_cores(allowed, {core: {core} for core in allowed})
    assert {server, generator} <= allowed
    assert (server == generator) == (len(allowed) == 1)


def test_the_generator_avoids_the_servers_hardware_sibling() -> None:
    siblings = {0: {0, 1}, 1: {0, 1}, 2: {2, 3}, 3: {2, 3}}
    assert machine.choose_cores({0, 1, 2, 3}, siblings) == (0, 2)
    assert machine.choose_cores({0, 1}, siblings) == (0, 1)


@pytest.mark.parametrize(("text", "cores"), [("0\n", {0}), ("0-2", {0, 1, 2}), ("0,4-5\n", {0, 4, 5})])
def test_cpu_lists(text: str, cores: set[int]) -> None:
    assert machine.parse_cpu_list(text) == cores


def test_pinned_is_undone() -> None:
    before = os.sched_getaffinity(0)
    with machine.pinned(max(before)):
        assert os.sched_getaffinity(0) == {max(before)}
    assert os.sched_getaffinity(0) == before


def test_a_process_clock_is_the_one_the_process_sees() -> None:
    before = time.process_time()
    seen = machine.process_cpu_s(os.getpid())
    assert before <= seen <= time.process_time()


def test_no_process_no_clock() -> None:
    with pytest.raises(ProcessLookupError):
        machine.process_cpu_s(2**22 + 1)  # above the largest pid_max


def test_the_tree_holds_children() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        tree = machine.process_tree(os.getpid())
    assert tree[0] == os.getpid()
    assert child.pid in tree


def test_busy_time_is_read_from_the_cores_line() -> None:
    stat = "cpu  9 9 9 9\ncpu0 100 20 30 9999 0 7 7\ncpu1 1 2 3 4\nctxt 5\n"
    tick_s = 1 / os.sysconf("SC_CLK_TCK")
    assert machine.core_busy_s(0, stat) == pytest.approx(150 * tick_s)
    assert machine.core_busy_s(1, stat) == pytest.approx(6 * tick_s)
    with pytest.raises(ValueError, match="no core 2"):
        machine.core_busy_s(2, stat)


def test_the_machine_itself_can_be_read() -> None:
    core = min(os.sched_getaffinity(0))
    assert machine.core_busy_s(core) > 0
    assert core in machine.thread_siblings(core)
    assert machine.describe(core, core)["python"]


def test_listening_is_seen_without_a_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert machine.is_listening(port)
        with socket.create_connection(("127.0.0.1", port)) as client:
            assert not machine.is_listening(client.getsockname()[1])
    assert not machine.is_listening(port)


def test_a_server_that_ends_at_once_is_told_with_its_words() -> None:
    core = min(os.sched_getaffinity(0))
    command = [sys.executable, "-c", "print('no such option'); raise SystemExit(3)"]
    with (
        pytest.raises(process.ServerError, match=r"exit code 3 .*\n?no such option"),
        process.running(command, process.free_port(), core, {}),
    ):
        raise AssertionError("it never listened")


def test_a_server_that_never_listens_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "START_S", 0.05)
    core = min(os.sched_getaffinity(0))
    with (
        pytest.raises(process.ServerError, match="not listening after 0 s, and printed nothing"),
        process.running(["sleep", "60"], process.free_port(), core, {}),
    ):
        raise AssertionError("it never listened")


def test_a_process_that_ignores_term_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "STOP_S", 0.05)
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); signal.pause()"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        process.stop(child)
        assert child.returncode == -9
