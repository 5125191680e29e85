from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

import pytest

from wsloop.daemon.pid_file import PidFile
from wsloop.errors import StartupError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "wsloop.pid"


def test_it_says_who_the_daemon_is_and_goes_with_it(path: Path) -> None:
    file = PidFile(str(path))
    file.write(4711)
    assert path.read_text() == "4711\n"
    file.close()
    assert not path.exists()
    file.close()


def test_a_shorter_number_leaves_nothing_of_a_longer_one(path: Path) -> None:
    file = PidFile(str(path))
    file.write(1234567)
    file.write(12)
    assert path.read_text() == "12\n"
    file.close()


def test_of_two_daemons_the_second_is_told_of_the_first(path: Path) -> None:
    first = PidFile(str(path))
    first.write(4711)
    with pytest.raises(StartupError, match=r"a daemon runs already \(pid 4711 holds") as caught:
        PidFile(str(path))
    assert caught.value.exit_code == 3
    assert path.read_text() == "4711\n"
    first.close()


def test_one_that_has_not_said_its_number_yet_is_another_process(path: Path) -> None:
    first = PidFile(str(path))
    with pytest.raises(StartupError, match="another process"):
        PidFile(str(path))
    first.close()


def test_a_stale_file_is_replaced_with_a_warning(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.write_text(f"{os.getpid()}\n")  # somebody lives under that number; nobody holds the lock
    file = PidFile(str(path))
    assert "is stale: replaced" in caplog.text
    file.write(12)
    assert path.read_text() == "12\n"
    file.close()


@pytest.mark.parametrize("text", ["root:x:0:0", "12 13", "-4"])
def test_a_file_that_is_something_else_is_left_alone(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(StartupError, match="is no pid file"):
        PidFile(str(path))
    assert path.read_text() == text


def test_a_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StartupError, match="cannot lock the pid file"):
        PidFile(str(path))


def test_a_missing_directory_is_told(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="No such file or directory") as caught:
        PidFile(str(tmp_path / "gone" / "wsloop.pid"))
    assert "/run/wsloop" in caught.value.hint


def test_a_file_that_its_last_holder_removes_meanwhile_is_made_anew(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_text("")
    flock = fcntl.flock

    def remove_first(fd: int, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", flock)
        path.unlink()
        flock(fd, how)

    monkeypatch.setattr(fcntl, "flock", remove_first)
    file = PidFile(str(path))
    file.write(1)
    assert path.read_text() == "1\n"
    file.close()


def test_a_full_disk_is_told_and_no_reason_to_end(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = PidFile(str(path), os.open("/dev/full", os.O_RDWR))
    file.write(1)
    assert "cannot write the pid file" in caplog.text
    file.abandon()


def test_a_successor_has_the_lock_without_a_moment_in_which_nobody_has(path: Path) -> None:
    old = PidFile(str(path))
    old.write(1)
    new = PidFile(str(path), os.dup(old.fileno()))
    new.write(2)
    old.abandon()
    assert path.read_text() == "2\n"
    with pytest.raises(StartupError, match="pid 2"):
        PidFile(str(path))
    new.close()
    assert not path.exists()


def test_a_successor_that_fails_before_it_serves_leaves_all_to_the_old_one(path: Path) -> None:
    old = PidFile(str(path))
    old.write(1)
    PidFile(str(path), os.dup(old.fileno())).close()
    assert path.read_text() == "1\n"
    with pytest.raises(StartupError, match="pid 1"):
        PidFile(str(path))
    old.close()


def test_what_somebody_tidied_up_is_no_error_at_the_end(path: Path) -> None:
    file = PidFile(str(path))
    path.unlink()
    file.close()
