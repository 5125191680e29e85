"""The spool's file, on a real file system."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, TypeVar

import pytest

from wsloop.client.spool import Overflow, Spool
from wsloop.client.spool_file import SYNC_EVERY_S, FileStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Result = TypeVar("Result")


class AtOnce:
    """A helper without a thread."""

    def __init__(self) -> None:
        self.runs = 0
        self.is_full = False

    def run(self, job: Callable[[], Result], done: Callable[[Result | Exception], object]) -> bool:
        if self.is_full:
            return False
        self.runs += 1
        done(job())
        return True

    def close(self) -> None:
        """Nothing is open."""


class Later:
    def __init__(self) -> None:
        self.calls: list[tuple[float, Callable[[], object]]] = []

    def __call__(self, delay_s: float, callback: Callable[[], object]) -> object:
        self.calls.append((delay_s, callback))
        return None


def store_at(path: Path) -> FileStore:
    return FileStore(str(path), AtOnce(), Later())


def test_it_survives_a_process_that_never_closes_it(tmp_path: Path) -> None:
    path = tmp_path / "events"
    pid = os.fork()
    if pid == 0:
        spool = Spool(store_at(path), 10_000, Overflow.NEWEST, os.urandom)
        for number in range(10):
            spool.append(b"%d" % number)
        spool.delivered(3)
        spool.flush()
        spool.append(b"never written")
        os.kill(os.getpid(), 9)
    os.waitpid(pid, 0)
    spool = Spool(store_at(path), 10_000, Overflow.NEWEST, os.urandom)
    assert [event.payload for event in spool.batch(99, 999)] == [b"%d" % number for number in range(3, 10)]
    spool.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["events"]


def test_only_one_process_has_it(tmp_path: Path) -> None:
    store = store_at(tmp_path / "events")
    with pytest.raises(BlockingIOError):
        store_at(tmp_path / "events")
    store.close()
    store.close()
    store_at(tmp_path / "events").close()


def test_a_path_that_cannot_be_opened_leaves_no_lock(tmp_path: Path) -> None:
    (tmp_path / "events").mkdir()
    with pytest.raises(IsADirectoryError):
        store_at(tmp_path / "events")
    assert [entry.name for entry in tmp_path.iterdir()] == ["events"]
    with pytest.raises(FileNotFoundError):
        store_at(tmp_path / "no" / "events")


def test_replacing_leaves_no_second_file_and_a_failure_the_first(tmp_path: Path) -> None:
    path = tmp_path / "events"
    store = store_at(path)
    store.append(b"one")
    store.replace(b"two")
    store.append(b"three")
    assert store.load() == path.read_bytes() == b"twothree"
    (tmp_path / "events.new").mkdir()
    with pytest.raises(IsADirectoryError):
        store.replace(b"four")
    assert path.read_bytes() == b"twothree"
    store.close()


def test_a_disk_that_fills_up_while_it_is_replaced_leaves_the_first_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "events"
    store = store_at(path)
    store.append(b"one")

    def full(_old: str, _new: str) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", full)
        with pytest.raises(OSError, match="No space left"):
            store.replace(b"two")
    assert not (tmp_path / "events.new").exists()
    store.append(b"three")
    assert path.read_bytes() == b"onethree"
    store.close()


def test_the_disk_is_asked_once_a_second_by_the_helper(tmp_path: Path) -> None:
    helper, later = AtOnce(), Later()
    store = FileStore(str(tmp_path / "events"), helper, later)
    for _ in range(10):
        store.append(b"x")
        store.sync()
    ((delay_s, callback),) = later.calls
    assert delay_s == SYNC_EVERY_S
    callback()
    assert helper.runs == 1
    store.sync()
    helper.is_full = True
    later.calls[1][1]()
    store.sync()
    store.close()
    later.calls[2][1]()
    assert helper.runs == 1
