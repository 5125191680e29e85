"""The first process: the pid file, the predecessor, systemd, and when there can be no restart."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any

import pytest

from wsloop.daemon import first_process
from wsloop.daemon.config import Sources
from wsloop.daemon.first_process import FirstProcess
from wsloop.daemon.inheritance import READY, Inheritance
from wsloop.daemon.pid_file import PidFile
from wsloop.daemon.settings import ServerSettings, Settings
from wsloop.daemon.sockets import Sockets
from wsloop.errors import StartupError
from wsloop.loop.reactor import Reactor
from wsloop.testing.clock import FakeClock
from wsloop.testing.network import MemoryNetwork
from wsloop.testing.poller import FakePoller

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class FakeSuccessor:
    """A successor that does what a test says."""

    made: list[FakeSuccessor]

    def __init__(
        self,
        _reactor: Reactor,
        left: Inheritance,
        on_ready: Callable[[int], object],
        on_failed: Callable[[str], object],
    ) -> None:
        self.left, self.on_ready, self.on_failed = left, on_ready, on_failed
        self.pid, self.is_cancelled = 99, False
        self.made.append(self)

    def cancel(self) -> None:
        self.is_cancelled = True


@pytest.fixture(autouse=True)
def successors(monkeypatch: pytest.MonkeyPatch) -> list[FakeSuccessor]:
    monkeypatch.setattr(first_process, "Successor", FakeSuccessor)
    FakeSuccessor.made = []
    return FakeSuccessor.made


@pytest.fixture
def reactor() -> Reactor:
    clock = FakeClock()
    return Reactor(clock, FakePoller(MemoryNetwork(clock), clock))


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.setblocking(False)
        yield sock


class Told:
    """Remembers what a question came to."""

    def __init__(self) -> None:
        self.answers: list[tuple[bool, str]] = []

    def __call__(self, is_done: bool, text: str) -> None:
        self.answers.append((is_done, text))


def made(left: Inheritance | None = None, pid_file: Path | None = None, **environ: str) -> FirstProcess:
    fields: dict[str, Any] = {} if pid_file is None else {"pid_file": str(pid_file)}
    settings = Settings(server=ServerSettings(**fields))
    return FirstProcess(settings, Sources(), Sockets(16), left or Inheritance(), environ)


def heard(manager: socket.socket) -> list[str]:
    said = []
    while True:
        try:
            said.append(manager.recv(4096).decode())
        except BlockingIOError:
            return said


def test_all_are_told_when_it_serves(reactor: Reactor, tmp_path: Path, manager: socket.socket) -> None:
    reading, writing = os.pipe()
    path = tmp_path / "pid"
    first = made(Inheritance(ready=writing), path, NOTIFY_SOCKET=str(tmp_path / "notify"))
    assert heard(manager) == []
    first.begin(reactor, lambda: None, "2 workers serve")
    assert path.read_text() == f"{os.getpid()}\n"
    assert os.read(reading, 64) == READY
    assert os.read(reading, 64) == b""
    assert heard(manager) == ["READY=1\nSTATUS=2 workers serve"]
    os.close(reading)
    first.close()
    assert not path.exists()


def test_a_predecessor_that_is_gone_is_no_reason_to_end(
    reactor: Reactor, caplog: pytest.LogCaptureFixture
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    made(Inheritance(ready=writing)).begin(reactor, lambda: None)
    assert "the predecessor is gone" in caplog.text


def test_the_watchdog_is_fed_twice_as_often_as_it_must(
    reactor: Reactor, tmp_path: Path, manager: socket.socket
) -> None:
    first = made(NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="10000000")
    first.begin(reactor, lambda: None)
    assert heard(manager)[1:] == ["WATCHDOG=1"]
    began_s = reactor.now
    while not (said := heard(manager)):
        reactor.run_once()
    assert said == ["WATCHDOG=1"]
    assert reactor.now - began_s == pytest.approx(5, abs=0.1)


def test_a_reload_and_a_drain_are_told(reactor: Reactor, tmp_path: Path, manager: socket.socket) -> None:
    first = made(NOTIFY_SOCKET=str(tmp_path / "notify"))
    first.begin(reactor, lambda: None)
    first.reloading()
    first.reloaded()
    first.stopping()
    states = [said.partition("=")[0] for said in heard(manager)]
    assert states == ["READY", "RELOADING", "READY", "STOPPING"]


def test_a_successor_that_serves_gets_all_and_this_one_leaves(
    reactor: Reactor, tmp_path: Path, manager: socket.socket, successors: list[FakeSuccessor]
) -> None:
    path, left, told = tmp_path / "pid", [], Told()
    first = made(None, path, NOTIFY_SOCKET=str(tmp_path / "notify"))
    first.begin(reactor, lambda: left.append(True))
    first.restart(told)
    (successor,) = successors
    assert successor.left.pid_file == str(path)
    assert successor.left.pid_file_lock >= 0
    assert (told.answers, left) == ([], [])
    successor.on_ready(99)
    assert told.answers == [(True, f"pid 99 serves; pid {os.getpid()} drains")]
    assert left == [True]
    first.stopping()
    assert [each for each in heard(manager) if "READY" not in each] == ["MAINPID=99"]
    first.close()
    assert path.exists()


def test_a_successor_that_fails_changes_nothing(
    reactor: Reactor, tmp_path: Path, successors: list[FakeSuccessor]
) -> None:
    path, told = tmp_path / "pid", Told()
    first = made(None, path)
    first.begin(reactor, lambda: None)
    first.restart(told)
    successors[0].on_failed("the new process ended with exit status 78 before it served")
    assert told.answers == [
        (False, f"the new process ended with exit status 78 before it served; pid {os.getpid()} goes on")
    ]
    first.restart(told)
    assert len(successors) == 2
    first.close()
    assert not path.exists()


def test_when_there_can_be_no_restart(reactor: Reactor, monkeypatch: pytest.MonkeyPatch) -> None:
    first, told = made(), Told()
    first.restart(told)
    first.begin(reactor, lambda: None)
    monkeypatch.setattr(os, "getpid", lambda: 1)
    first.restart(told)
    monkeypatch.undo()
    monkeypatch.setattr(first_process, "Successor", FakeSuccessor)
    first.restart(told)
    first.restart(told)
    first.stopping()
    assert FakeSuccessor.made[0].is_cancelled
    first.restart(told)
    assert [text.partition(":")[0] for _, text in told.answers] == [
        "the daemon is starting",
        "pid 1 cannot be replaced",
        "a restart is under way",
        "the daemon is stopping",
    ]


def test_a_program_that_cannot_be_started_is_told(reactor: Reactor, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(first_process, "Successor", fail)
    first, told = made(), Told()
    first.begin(reactor, lambda: None)
    first.restart(told)
    ((is_done, text),) = told.answers
    assert not is_done
    assert text.startswith("the new process cannot be started: No such file")


def test_a_successor_takes_the_pid_files_lock_over(tmp_path: Path, reactor: Reactor) -> None:
    path = tmp_path / "pid"
    old = made(None, path)
    old.begin(reactor, lambda: None)
    with pytest.raises(StartupError, match="runs already"):
        made(None, path)
    lock = os.dup(old._pid_file.fileno()) if old._pid_file is not None else -1
    new = made(Inheritance(pid_file=str(path), pid_file_lock=lock), path)
    new.close()
    assert path.exists()
    old.close()


def test_a_forked_process_holds_neither_lock_nor_pipe(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    path = tmp_path / "pid"
    first = made(Inheritance(ready=writing), path)
    first.leave_to_child()
    assert os.read(reading, 1) == b""
    made(None, path).close()  # as the first one's parent has the lock no more either, in this process
    os.close(reading)


@pytest.mark.parametrize("names_another", [False, True])
def test_a_pid_file_that_the_new_settings_do_not_name_goes_with_the_old_daemon(
    tmp_path: Path, reactor: Reactor, names_another: bool
) -> None:
    former, path = tmp_path / "former", tmp_path / "pid" if names_another else None
    old = PidFile(str(former))
    old.write(1)

    def successor() -> FirstProcess:
        left = Inheritance(predecessor=1, pid_file=str(former), pid_file_lock=os.dup(old.fileno()))
        return made(left, path)

    successor().close()  # it failed before it served
    assert former.read_text() == "1\n"
    first = successor()
    first.begin(reactor, lambda: None)
    old.abandon()
    assert not former.exists()
    if path is not None:
        assert path.read_text() == f"{os.getpid()}\n"
    first.close()
    assert list(tmp_path.iterdir()) == []


def test_who_has_left_to_a_successor_is_not_restarted_once_more(
    reactor: Reactor, successors: list[FakeSuccessor]
) -> None:
    first, told = made(), Told()
    first.begin(reactor, lambda: None)
    first.restart(told)
    successors[0].on_ready(99)
    first.restart(told)
    assert told.answers[-1] == (False, "the daemon is stopping")
    assert len(successors) == 1
