"""Logs: one line a record, no flood, no terminal tricks, never a blocked caller."""

from __future__ import annotations

import io
import json
import logging
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsloop.daemon import logs
from wsloop.daemon.config import LogSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger("wsloop.test")


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    with io.StringIO() as made:
        yield made


def logged(stream: io.StringIO, settings: LogSettings, *calls: tuple[str, object]) -> list[str]:
    stop = logs.start(settings, dev=False, stream=stream)
    for template, argument in calls:
        log.info(template, argument)
    stop()
    return stream.getvalue().splitlines()


def test_text_lines_carry_level_and_logger(stream: io.StringIO) -> None:
    (line,) = logged(stream, LogSettings(format="text"), ("hello %s", "you"))
    assert line.endswith("INFO wsloop.test: hello you")


def test_json_lines_are_objects_with_the_same_fields(stream: io.StringIO) -> None:
    (line,) = logged(stream, LogSettings(format="auto"), ("hello %s", "you\n\x1b"))
    record = json.loads(line)
    assert record["message"] == "hello you\n\x1b"
    assert record["level"] == "INFO"
    assert record["logger"] == "wsloop.test"
    assert "time" in record


def test_a_record_below_the_level_is_not_written(stream: io.StringIO) -> None:
    assert logged(stream, LogSettings(format="text", level="warning"), ("hello %s", "you")) == []


@given(st.text())
def test_whatever_a_peer_chose_stays_one_printable_line(text: str) -> None:
    escaped = logs.escape(text)
    assert escaped.isprintable()
    assert len(escaped.splitlines()) <= 1


def test_a_forged_line_is_escaped(stream: io.StringIO) -> None:
    lines = logged(stream, LogSettings(format="text"), ("bad %s", "x\n2026 INFO root: forged\x1b[2J"))
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


class BlockedStream(io.StringIO):
    """A stdout whose reader has stopped: write waits until the test lets go."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Event()
        self.reached = threading.Event()

    def write(self, text: str) -> int:
        self.reached.set()
        self.go_on.wait()
        return super().write(text)


def test_a_blocked_stream_never_stops_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "QUEUED_RECORDS", 3)
    stream = BlockedStream()
    stop = logs.start(LogSettings(format="text"), dev=False, stream=stream)
    log.info("the first blocks the writer")
    stream.reached.wait()
    for number in range(9):  # would hang here, if anything waited for the writer
        log.info(f"message {number}")
    stream.go_on.set()
    stop()
    lines = stream.getvalue().splitlines()
    assert "the first blocks" in lines[0]
    assert 3 <= len(lines) <= 5


def test_a_stream_that_stays_blocked_does_not_keep_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "QUEUED_RECORDS", 1)
    monkeypatch.setattr(logs, "STOP_WAIT_S", 0.0)
    stream = BlockedStream()
    stop = logs.start(LogSettings(format="text"), dev=False, stream=stream)
    log.info("one")
    stream.reached.wait()
    log.info("two")
    stop()  # returns although the queue is full and the writer stands
    stream.go_on.set()
