"""Logs: one line a record, no flood, no terminal tricks, never a blocked caller."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import tempfile
import threading
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsloop.daemon import logs
from wsloop.daemon.log_format import escape
from wsloop.daemon.settings import LogSettings
from wsloop.server import access

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from wsloop.daemon.kinds import LogFormat

log = logging.getLogger("wsloop.test")


def logged(
    settings: LogSettings, *calls: tuple[str, object], error: BaseException | None = None
) -> list[str]:
    """Return the lines written for calls of (template, argument), each with the traceback of `error`."""
    with tempfile.TemporaryFile("w+") as file:
        stop = logs.start(settings, dev=False, fd=file.fileno())
        for template, argument in calls:
            log.info(template, argument, exc_info=error)
        stop()
        file.seek(0)
        return file.read().splitlines()


def test_text_lines_carry_level_and_logger() -> None:
    (line,) = logged(LogSettings(format="text"), ("hello %s", "you"))
    assert line.endswith("INFO wsloop.test: hello you")


def test_json_lines_are_objects_with_the_same_fields() -> None:
    (line,) = logged(LogSettings(format="auto"), ("hello %s", "you\n\x1b"))
    record = json.loads(line)
    assert record["message"] == "hello you\n\x1b"
    assert record["level"] == "INFO"
    assert record["logger"] == "wsloop.test"
    assert "time" in record


def test_a_record_below_the_level_is_not_written() -> None:
    assert logged(LogSettings(format="text", level="warning"), ("hello %s", "you")) == []


@given(st.text())
def test_whatever_a_peer_chose_stays_one_printable_line(text: str) -> None:
    escaped = escape(text)
    assert escaped.isprintable()
    assert len(escaped.splitlines()) <= 1


def test_a_forged_line_is_escaped() -> None:
    lines = logged(LogSettings(format="text"), ("bad %s", "x\n2026 INFO root: forged\x1b[2J"))
    assert len(lines) == 1
    assert r"x\n2026 INFO root: forged\x1b[2J" in lines[0]


def test_one_cause_gets_ten_lines_a_second_and_the_rest_is_counted() -> None:
    now = 0.0
    limit = logs.RateLimit(lambda: now)

    def passes(message: str) -> logging.LogRecord | None:
        record = logging.LogRecord("wsloop.x", logging.INFO, "", 0, message, (), None)
        return record if limit.filter(record) else None

    assert sum(passes("flood") is not None for _ in range(25)) == 10
    assert passes("another cause") is not None
    now = 1.0
    record = passes("flood")
    assert record is not None
    assert record.getMessage() == "flood (and 15 more like it)"
    record = passes("flood")
    assert record is not None
    assert record.getMessage() == "flood"


def fault(text: str) -> Exception:
    """Return an error whose text is `text`, with a traceback."""
    try:
        parse(text)
    except ValueError as error:
        return error
    raise AssertionError


def parse(text: str) -> None:
    raise ValueError(text)


class Peer:
    """What a message names, as long as it is there."""

    name = "ann"

    def __str__(self) -> str:
        return self.name


def test_the_message_is_that_of_the_moment_not_of_the_writing(pipe: Pipe) -> None:
    stop = logs.start(LogSettings(format="text"), dev=False, fd=pipe.blocked())
    peer = Peer()
    log.info("hello %s", peer)
    peer.name = "ben"
    pipe.read()
    stop()
    assert "hello ann" in pipe.read()


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_traceback_keeps_its_lines(log_format: LogFormat) -> None:
    lines = logged(LogSettings(format=log_format), ("internal error in %s", "x"), error=fault("ours"))
    if log_format == "json":
        lines = [json.loads(lines[0])["message"], *json.loads(lines[0])["exc_info"].splitlines()]
    assert lines[0].endswith("internal error in x")
    assert "Traceback (most recent call last):" in lines[1]
    assert any("raise ValueError(text)" in line for line in lines)
    assert lines[-1].endswith("ValueError: ours")


@given(st.text())
def test_the_text_of_an_error_forges_no_line(text: str) -> None:
    lines = logged(LogSettings(format="text"), ("internal error in %s", "x"), error=fault(text))
    assert all(line.startswith("    ") and line.isprintable() for line in lines[1:])


class Pipe:
    """A pipe whose writing end may be full, so that who writes waits for who reads."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)
        self._read = b""

    def blocked(self) -> int:
        """Fill the pipe and return its writing end."""
        os.set_blocking(self.writer, False)
        with contextlib.suppress(BlockingIOError):
            while os.write(self.writer, b"\0"):
                pass
        os.set_blocking(self.writer, True)
        return self.writer

    def read(self) -> str:
        """Return all that came until now, without the filling."""
        with contextlib.suppress(BlockingIOError):
            while piece := os.read(self.reader, 65536):
                self._read += piece
        return self._read.replace(b"\0", b"").decode()

    def close(self) -> None:
        os.close(self.reader)
        os.close(self.writer)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.close()


def test_a_blocked_stream_never_stops_the_caller(monkeypatch: pytest.MonkeyPatch, pipe: Pipe) -> None:
    monkeypatch.setattr(logs, "QUEUED_RECORDS", 3)
    stop = logs.start(LogSettings(format="text"), dev=False, fd=pipe.blocked())
    for number in range(9):  # would hang here, if anything waited for the writer
        log.info(f"message {number}")
    pipe.read()
    stop()
    lines = pipe.read().splitlines()
    kept = [line for line in lines if "message" in line]
    assert 2 <= len(kept) <= 4
    (notice,) = set(lines) - set(kept)
    assert f"{9 - len(kept)} lines of the log were lost before this one" in notice


def test_a_stream_that_stays_blocked_does_not_hold_up_the_stop(
    monkeypatch: pytest.MonkeyPatch, pipe: Pipe
) -> None:
    monkeypatch.setattr(logs, "QUEUED_RECORDS", 1)
    monkeypatch.setattr(logs, "STOP_WAIT_S", 0.0)
    stop = logs.start(LogSettings(format="text"), dev=False, fd=pipe.blocked())
    log.info("one")
    log.info("two")
    stop()  # returns although the queue is full and the writer stands
    logging.shutdown()  # so does the end of the process


def test_lines_that_cannot_be_written_are_lost_and_nothing_else() -> None:
    with tempfile.TemporaryFile("w+") as file:
        closed = os.dup(file.fileno())
        os.close(closed)
        stop = logs.start(LogSettings(format="text"), dev=False, fd=closed)
        log.info("lost")
        stop()


# -- files, other settings, no thread ---------------------------------------------------------------


def test_a_file_is_written_and_reopened(tmp_path: Path) -> None:
    path = tmp_path / "wsloop.log"
    stop = logs.start(LogSettings(format="text", file=str(path)), dev=False)
    log.info("before")
    wait_for(lambda: "before" in path.read_text())
    path.rename(tmp_path / "wsloop.log.1")
    logs.reopen()
    log.info("after")
    stop()
    assert "before" in (tmp_path / "wsloop.log.1").read_text()
    assert [line.rpartition(": ")[2] for line in path.read_text().splitlines()] == [
        "the log was reopened",
        "after",
    ]


def wait_for(condition: Callable[[], bool]) -> None:
    """Let the writing thread have the processor until `condition()`."""
    deadline_s = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline_s
        os.sched_yield()


def test_the_lines_that_a_full_disk_took_are_counted() -> None:
    stop = logs.start(LogSettings(format="text", file="/dev/full"), dev=False)
    log.info("one")
    log.info("two")
    wait_for(lambda: logs.statistics().lost_total == 2)
    stop()
    assert logs.statistics().lost_total == 0  # there is no log any more


def test_lost_lines_are_complained_of_until_the_log_can_tell_of_them_itself(tmp_path: Path) -> None:
    assert logs.complaint() == ""
    path = tmp_path / "log"
    path.symlink_to("/dev/full")
    stop = logs.start_direct(LogSettings(format="text", file=str(path)), dev=False)
    assert logs.complaint() == ""
    for count in range(1, 4):
        log.info("hello")
        assert logs.complaint() == f"log: lines lost: {count} (No space left on device)"
    path.unlink()
    assert logs._current is not None
    logs._current.output.sink.reopen()  # room, of which no line tells
    assert logs.complaint()
    assert logs.complaint() == ""  # asking has made the log tell
    assert "3 lines of the log were lost before this one" in path.read_text()
    stop()


def test_a_reader_that_does_not_read_is_complained_of(pipe: Pipe) -> None:
    stop = logs.start_direct(LogSettings(format="text"), dev=False, fd=pipe.blocked())
    log.info("one")
    assert logs.complaint() == "log: lines lost: 1 (whoever reads it is too slow)"
    stop()


def test_the_writing_thread_is_asked_to_tell_only_when_nothing_else_waits(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.symlink_to("/dev/full")
    stop = logs.start(LogSettings(format="text", file=str(path)), dev=False)
    log.info("hello")
    wait_for(lambda: "(No space left on device)" in logs.complaint())
    path.unlink()
    logs.reopen()
    wait_for(lambda: not logs.complaint())
    stop()
    assert "1 lines of the log were lost before this one" in path.read_text()


def test_other_settings_count_at_once(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    stop = logs.start(LogSettings(format="text", file=str(first)), dev=False)
    log.debug("not told")
    logs.apply(LogSettings(format="json", level="debug", file=str(second), access=True))
    assert access.is_on()
    log.debug("told")
    stop()
    assert not access.is_on()
    assert first.read_text() == ""
    reopened, told = (json.loads(line) for line in second.read_text().splitlines())
    assert (reopened["message"], told["message"]) == ("the log was reopened", "told")


def test_the_access_log_is_not_limited() -> None:
    limit = logs.RateLimit(lambda: 0.0)
    record = logging.LogRecord(access.ACCESS_LOGGER, logging.INFO, "", 0, "x", (), None)
    assert all(limit.filter(record) for _ in range(100))


def test_without_a_thread_lines_are_written_at_once(tmp_path: Path) -> None:
    threads = threading.active_count()
    path = tmp_path / "log"
    stop = logs.start_direct(LogSettings(format="json", file=str(path)), dev=False)
    log.info("hello")
    assert threading.active_count() == threads
    line = json.loads(path.read_text())
    assert (line["message"], line["process"]) == ("hello", "supervisor")
    path.unlink()
    logs.reopen()
    log.info("again")
    assert "again" in path.read_text()
    stop()


def test_without_a_thread_a_blocked_stream_costs_lines_and_no_time(pipe: Pipe) -> None:
    stop = logs.start_direct(LogSettings(format="text"), dev=False, fd=pipe.blocked())
    log.info("one")
    log.info("two")
    assert logs.statistics().lost_total == 2
    pipe.read()
    log.info("three")
    stop()
    lost, three = pipe.read().splitlines()
    assert "2 lines of the log were lost before this one" in lost
    assert "three" in three


def test_a_process_that_was_forked_logs_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "log"
    settings = LogSettings(format="json", file=str(path))
    stop_direct = logs.start_direct(settings, dev=False)
    stop = logs.start(settings, dev=False, process="worker-0")  # as a child does
    log.info("hello")
    stop()
    stop_direct()
    (line,) = path.read_text().splitlines()
    assert json.loads(line)["process"] == "worker-0"
    assert logging.getLogger("wsloop").handlers == []


def test_a_record_without_a_text_is_complained_of_and_costs_nothing_else(
    capsys: pytest.CaptureFixture[str],
) -> None:
    (line,) = logged(LogSettings(format="text"), ("%d apples", "no number"), ("hello %s", "you"))
    assert line.endswith("hello you")
    assert "%d apples" in capsys.readouterr().err
    with tempfile.TemporaryFile("w+") as file:
        stop = logs.start_direct(LogSettings(format="text"), dev=False, fd=file.fileno())
        log.info("%d pears", "no number")
        stop()
    assert "%d pears" in capsys.readouterr().err


def test_a_cause_that_is_silent_for_a_second_has_left_nothing_out() -> None:
    times = iter((0.0, 5.0))
    limit = logs.RateLimit(lambda: next(times))
    for _ in range(2):
        record = logging.LogRecord("wsloop.x", logging.INFO, "", 0, "once", (), None)
        assert limit.filter(record)
        assert record.getMessage() == "once"


def test_a_file_that_cannot_be_opened_again_leaves_the_log_as_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    path = folder / "wsloop.log"
    stop = logs.start(LogSettings(format="text", file=str(path)), dev=False)
    folder.rename(tmp_path / "moved")
    logs.reopen()
    log.info("still %s", "here")
    stop()
    lines = (tmp_path / "moved" / "wsloop.log").read_text().splitlines()
    assert "the log goes on as before: " in lines[0]
    assert lines[1].endswith("still here")
