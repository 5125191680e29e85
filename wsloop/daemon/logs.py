"""Logs that never stop the loop, never flood and never let a peer write on the terminal.

Records go through a bounded queue to a thread that formats and writes them; a blocked standard
error fills the queue, and what does not fit is dropped. One cause (a logger and its message
template) gets at most `LINES_PER_SECOND`; how many were left out is told with the next one that
passes.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import os
import queue
import threading
import time
from traceback import TracebackException
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.daemon.settings import LogSettings

LINES_PER_SECOND = 10
QUEUED_RECORDS = 10_000
STOP_WAIT_S = 2.0
"""How long the end of the process waits for a stream that takes no more lines."""

STDERR = 2
"""The descriptor. `sys.stderr` has locks, which a blocked thread would hold for ever, and the end
of the process waits for them."""

Entry: TypeAlias = "tuple[logging.LogRecord, TracebackException | None]"
"""A record without its frames, which would keep alive what a connection holds, and its traceback."""


class RateLimit(logging.Filter):
    """Let at most `LINES_PER_SECOND` records of one cause pass in any one second."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._now = now
        self._windows: dict[tuple[str, str], list[float]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether `record` may pass; tell with it how many before it did not."""
        now = self._now()
        window = self._windows.setdefault((record.name, str(record.msg)), [now, 0, 0])
        if now - window[0] >= 1.0:
            left_out = int(window[2])
            window[:] = [now, 0, 0]
            if left_out:
                record.msg = f"{record.msg} (and {left_out} more like it)"
        window[1] += 1
        if window[1] <= LINES_PER_SECOND:
            return True
        window[2] += 1
        return False


class Escaped(logging.Formatter):
    """One record, one line: every control character is written as an escape.

    A peer chooses some of what is logged; newlines would forge lines, ESC would drive the
    operator's terminal. A traceback has lines of its own. They are indented, since the error's
    text at its end may be a peer's as well: only a record begins at the margin.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Return the formatted line with what is not printable escaped."""
        record.message = escape(record.message)
        if record.exc_text:
            record.exc_text = _indented(record.exc_text)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802, ANN401 - logging's name, a type of typeshed's
        """Return the traceback of `ei`, which is sys.exc_info()'s, in lines that none takes for records."""
        return _indented(super().formatException(ei))


def _indented(trace: str) -> str:
    return "\n".join("    " + escape(line) for line in trace.splitlines())


def escape(text: str) -> str:
    r"""Return `text` with every character that is not printable written as \xNN or \uNNNN."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text
    )


class _Enqueue(logging.Handler):
    """Puts records into a queue, and gives one up rather than wait for room."""

    def __init__(self, entries: queue.Queue[Entry | None]) -> None:
        super().__init__()
        self._entries = entries

    def emit(self, record: logging.LogRecord) -> None:
        """Queue the message as it is now, and the traceback's places; text is made of them later."""
        record = copy.copy(record)
        try:
            record.msg, record.args = record.getMessage(), ()
        except Exception:
            self.handleError(record)
            return
        trace = None
        if record.exc_info and record.exc_info[1]:
            trace = TracebackException.from_exception(record.exc_info[1], lookup_lines=False)
        record.exc_info = None
        with contextlib.suppress(queue.Full):
            self._entries.put_nowait((record, trace))


class _Writer(threading.Thread):
    """Formats what is queued and writes it to the descriptor `fd`, until it takes None."""

    def __init__(self, entries: queue.Queue[Entry | None], formatter: logging.Formatter, fd: int) -> None:
        super().__init__(name="wsloop-log", daemon=True)
        self._entries = entries
        self._formatter = formatter
        self._fd = fd

    def run(self) -> None:
        """Write; a line that the descriptor does not take (EPIPE, ENOSPC ...) is lost, not the next."""
        while (entry := self._entries.get()) is not None:
            record, trace = entry
            if trace is not None:
                record.exc_text = "".join(trace.format()).rstrip()
            line = memoryview(f"{self._formatter.format(record)}\n".encode("utf-8", "backslashreplace"))
            with contextlib.suppress(OSError):
                while line:
                    line = line[os.write(self._fd, line) :]

    def stop(self) -> None:
        """Write what is queued, for at most `STOP_WAIT_S`; a blocked thread ends with the process."""
        while True:
            try:
                self._entries.put_nowait(None)
                break
            except queue.Full:  # the end takes the place of a record
                with contextlib.suppress(queue.Empty):
                    self._entries.get_nowait()
        self.join(STOP_WAIT_S)


def start(settings: LogSettings, *, dev: bool, fd: int = STDERR) -> Callable[[], None]:
    """Begin logging to the descriptor `fd` and return what ends it, writing what is queued.

    Call after any fork: the writing thread would not survive one.
    """
    as_json = settings.format == "json" or (settings.format == "auto" and not dev and not os.isatty(fd))
    entries: queue.Queue[Entry | None] = queue.Queue(QUEUED_RECORDS)
    writer = _Writer(entries, _json_formatter() if as_json else _text_formatter(), fd)
    handler = _Enqueue(entries)
    handler.addFilter(RateLimit())
    root = logging.getLogger("wsloop")
    level_before = root.level
    root.setLevel(settings.level.upper())
    for each in list(root.handlers):
        root.removeHandler(each)
    root.addHandler(handler)
    root.propagate = False
    writer.start()

    def stop() -> None:
        root.removeHandler(handler)
        root.propagate = True
        root.setLevel(level_before)
        writer.stop()

    return stop


def start_direct(settings: LogSettings, *, dev: bool, fd: int = STDERR) -> Callable[[], None]:
    """Begin logging without a thread."""
    handler = logging.StreamHandler()
    handler.setFormatter(_text_formatter())
    root = logging.getLogger("wsloop")
    root.setLevel(settings.level.upper())
    root.addHandler(handler)
    root.propagate = False
    return lambda: root.removeHandler(handler)


def _text_formatter() -> logging.Formatter:
    return Escaped("%(asctime)s %(levelname)s %(name)s: %(message)s")


def _json_formatter() -> logging.Formatter:
    # Imported here: the text format does without it, and it costs a few milliseconds of start.
    from pythonjsonlogger.json import JsonFormatter  # noqa: PLC0415

    return JsonFormatter(
        "{asctime}{levelname}{name}{message}",
        style="{",
        rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
    )


def apply(settings: LogSettings) -> None:
    """Follow changed settings."""
    logging.getLogger("wsloop").setLevel(settings.level.upper())
