"""Where lines go when the descriptor takes none, or is another one."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from wsloop.daemon.log_sink import FILE_MODE, Sink, Teller
from wsloop.errors import ConfigError

FULL = "/dev/full"

pytestmark = pytest.mark.skipif(not Path(FULL).exists(), reason="/dev/full is Linux's")


def teller(sink: Sink) -> Teller:
    return Teller(sink, lambda: sink.lost, lambda count: b"%d lost\n" % count)


@pytest.mark.parametrize("may_block", [True, False])
def test_a_full_disk_costs_the_lines_and_they_are_told_of_later(tmp_path: Path, may_block: bool) -> None:
    sink = Sink(-1, FULL, may_block=may_block)
    lines = teller(sink)
    for _ in range(3):
        lines.write(b"lost\n")
    assert (sink.lost, lines.untold, sink.fault) == (3, 3, "No space left on device")
    path = tmp_path / "log"
    sink.reopen(str(path))
    lines.write(b"one\n")
    lines.write(b"two\n")
    assert path.read_bytes() == b"3 lost\none\ntwo\n"
    assert (sink.lost, lines.untold, sink.fault) == (3, 0, "")
    sink.close()


def test_a_line_that_was_cut_is_ended_before_the_next(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    sink = Sink(writer, may_block=True)
    assert not sink.write(b"x" * 1_000_000 + b"\n")  # EAGAIN in its middle
    while len(os.read(reader, 1_000_000)) == 1_000_000:
        pass
    assert sink.write(b"next\n")
    assert os.read(reader, 100) == b"\nnext\n"
    os.close(reader)
    os.close(writer)


def test_without_waiting_only_what_fits_is_written() -> None:
    reader, writer = os.pipe()  # a descriptor that blocks, and nobody reads
    sink = Sink(writer, may_block=False)
    line = b"x" * 999 + b"\n"
    written = sum(sink.write(line) for _ in range(1000))
    assert 0 < written < 1000
    assert sink.lost == 1000 - written
    os.close(reader)
    assert not sink.write(line)  # EPIPE
    os.close(writer)


def test_after_a_rotation_lines_go_to_the_new_file(tmp_path: Path) -> None:
    path = tmp_path / "log"
    sink = Sink(-1, str(path), may_block=True)
    sink.write(b"old\n")
    path.rename(tmp_path / "log.1")
    sink.write(b"still old\n")
    assert sink.reopen()
    sink.write(b"new\n")
    assert (tmp_path / "log.1").read_bytes() == b"old\nstill old\n"
    assert path.read_bytes() == b"new\n"
    assert stat.S_IMODE(path.stat().st_mode) == FILE_MODE & ~current_umask()
    sink.close()
    sink.close()


def current_umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def test_a_file_that_cannot_be_opened_again_stays(tmp_path: Path) -> None:
    directory = tmp_path / "d"
    directory.mkdir()
    path = directory / "log"
    sink = Sink(-1, str(path), may_block=True)
    moved = tmp_path / "moved"
    directory.rename(moved)
    with pytest.raises(ConfigError, match="No such file or directory"):
        sink.reopen()
    sink.write(b"goes on\n")
    assert (moved / "log").read_bytes() == b"goes on\n"
    sink.close()


def test_two_processes_files_have_whole_lines(tmp_path: Path) -> None:
    path = str(tmp_path / "log")
    one, two = Sink(-1, path, may_block=True), Sink(-1, path, may_block=True)
    one.write(b"a\n")
    two.write(b"b\n")
    one.write(b"c\n")
    assert Path(path).read_bytes() == b"a\nb\nc\n"
    one.close()
    two.close()


def test_without_a_file_there_is_nothing_to_reopen(tmp_path: Path) -> None:
    with (tmp_path / "f").open("wb") as file:
        sink = Sink(file.fileno(), may_block=True)
        assert not sink.reopen()
        assert sink.reopen(str(tmp_path / "log"))
        assert sink.reopen("")  # back to the descriptor
        sink.write(b"here\n")
        sink.close()
        assert (tmp_path / "f").read_bytes() == b"here\n"


@pytest.mark.parametrize("path", ["absent/log", ".", "a file/x"])
def test_a_path_that_is_no_file_is_a_config_error(tmp_path: Path, path: str) -> None:
    (tmp_path / "a file").touch()
    with pytest.raises(ConfigError, match=r"cannot open log\.file"):
        Sink(-1, str(tmp_path / path), may_block=True)


def test_a_pipe_without_a_reader_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(ConfigError, match="No such device"):
        Sink(-1, str(tmp_path / "fifo"), may_block=True)
