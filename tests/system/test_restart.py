"""Restart without a gap, seen from outside: connects, the pid file, paths, and what happens if it fails."""

from __future__ import annotations

import os
import signal
import socket
import sys
from typing import TYPE_CHECKING

import pytest

from tests.system.daemon import PATIENCE_S
from tests.system.family import REQUEST, Family, answer, is_alive, until
from tests.system.impatient import RESTART
from tests.system.peers import close_of, open_echo, says
from tools.shows.restarts import run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(sys.platform != "linux", reason="asks /proc for processes"),
]


@pytest.mark.parametrize("workers", [1, 2])
def test_five_restarts_under_a_stream_of_connects_lose_none(workers: int) -> None:
    report = run(workers, 5)
    assert report.lost == {}
    assert report.connects > 0


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.usefixtures("measured")
def test_clients_are_told_to_go_and_find_the_new_daemon_under_the_same_address(
    tmp_path: Path, workers: int
) -> None:
    with Family(tmp_path, workers) as family, open_echo(family) as peer:
        old = family.lead
        new = family.restart()
        assert close_of(peer) == (1012, "shutdown")
        assert family.wait() == 0
        assert family.lead == new != old
        with open_echo(family) as again:
            assert says(again, "there?") == "there?"
        os.kill(new, signal.SIGTERM)
        until(lambda: not is_alive(new), "the end of the new daemon")
        assert not family.pid_file.exists()
        assert f"restart done: pid {new} serves; pid {old} drains" in family.stderr()
        assert "Traceback" not in family.stderr()


def test_a_new_daemon_that_cannot_start_changes_nothing(tmp_path: Path) -> None:
    file, path = tmp_path / "wsloop.toml", tmp_path / "s"
    file.write_text(f'[server]\nbind = ["127.0.0.1:0", "unix:{path}"]\n', encoding="utf-8")
    with Family(tmp_path, 2, "-b", "127.0.0.1:0", "-b", f"unix:{path}", "-c", str(file)) as family:
        with open_echo(family) as peer:
            file.write_text("[server]\nprot = 1\n", encoding="utf-8")
            os.kill(family.lead, RESTART)
            family.says("restart failed: the new process ended with exit status 78 before it served (bad")
            assert "unknown key 'prot'" in family.stderr()
            assert says(peer, "still there?") == "still there?"
        assert family.is_served()
        assert path.is_socket()
        assert family.lead == family.pid
        file.write_text("", encoding="utf-8")
        family.restart()
        assert family.is_served()


def test_a_new_daemon_may_have_more_workers_or_fewer_and_nobody_is_lost(tmp_path: Path) -> None:
    file = tmp_path / "wsloop.toml"
    file.write_text("[server]\nworkers = 3\n", encoding="utf-8")
    with Family(tmp_path, 0, "-c", str(file)) as family:
        assert len(family.processes()) == 4
        for workers, processes in ((1, 0), (2, 3), (4, 5)):
            file.write_text(f"[server]\nworkers = {workers}\n", encoding="utf-8")
            family.restart()
            until(lambda number=processes: len(family.processes()) == number, f"{workers} workers")  # type: ignore[misc]
            assert all(family.is_served() for _ in range(30))


def test_a_unix_path_outlives_the_old_daemon_and_goes_with_the_new(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with Family(tmp_path, 1, "-b", f"unix:{path}", "-b", "127.0.0.1:0") as family:
        new = family.restart()
        assert family.wait() == 0
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(PATIENCE_S)
            sock.connect(str(path))
            sock.sendall(REQUEST)
            assert answer(sock).startswith(b"HTTP/1.1 200")
        os.kill(new, signal.SIGTERM)
        until(lambda: not is_alive(new), "the end of the new daemon")
        assert not path.exists()


def test_a_term_while_the_new_daemon_starts_ends_both(tmp_path: Path) -> None:
    with Family(tmp_path, 2) as family:
        os.kill(family.pid, RESTART)
        family.says("restart: the new process is pid")
        new = int(family.stderr().partition("the new process is pid ")[2].split()[0])
        family.send_signal(signal.SIGTERM)
        assert family.wait() == 0
        until(lambda: not is_alive(new), "the end of the new daemon")
        with pytest.raises(ConnectionRefusedError):
            family.connect()


@pytest.mark.parametrize("workers", [1, 2])
def test_events_for_the_application_are_kept_in_the_same_spool_over_a_restart(
    tmp_path: Path, workers: int
) -> None:
    file, spool = tmp_path / "wsloop.toml", tmp_path / "events"
    nobody = 'url = "http://127.0.0.1:1/"'  # so that all wait
    file.write_text(f'[hooks]\n{nobody}\nevents = ["disconnect"]\nspool = "{spool}"\n', encoding="utf-8")
    with Family(tmp_path, workers, "-c", str(file)) as family, open_echo(family) as peer:
        family.restart()
        family.says("events are kept in memory until the process that drains has let go of", times=workers)
        assert close_of(peer) == (1012, "shutdown")
        assert family.wait() == 0

        def starts() -> int:
            files = [each for each in tmp_path.glob("events*") if each.suffix != ".lock"]
            return sum(each.read_bytes().count(b'"start"') for each in files)

        until(lambda: starts() == 2 * workers, "the events of both daemons in the spools")
        assert "Traceback" not in family.stderr()
