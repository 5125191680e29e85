"""Logs that never stop the loop, never flood and never let a peer write on the terminal.

Records go through a bounded queue to a thread that writes; a blocked stdout fills the queue,
and what does not fit is dropped. One cause (a logger and its message template) gets at most
`LINES_PER_SECOND`; how many were left out is told with the next one that passes.
"""

from __future__ import annotations

import contextlib
import logging
import logging.handlers
import queue
import sys
import time
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.daemon.config import LogSettings

LINES_PER_SECOND = 10
QUEUED_RECORDS = 10_000
STOP_WAIT_S = 2.0
"""How long the end of the process waits for a stream that takes no more lines."""


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
    operator's terminal. Tracebacks are ours and keep their lines.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Return the formatted line with what is not printable escaped."""
        record.message = escape(record.message)
        return super().formatMessage(record)


def escape(text: str) -> str:
    r"""Return `text` with every character that is not printable written as \xNN or \uNNNN."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text
    )


class _DroppingQueueHandler(logging.handlers.QueueHandler):
    """Give up a record rather than wait for room or write a traceback about it."""

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            return


class _ImpatientListener(logging.handlers.QueueListener):
    """Ends even if the queue is full and the stream blocked: then what is queued is lost."""

    def enqueue_sentinel(self) -> None:
        """Put the end mark, in the place of a record if there is no other."""
        assert isinstance(self.queue, queue.Queue)
        while True:
            try:
                self.queue.put_nowait(None)
                return
            except queue.Full:
                with contextlib.suppress(queue.Empty):
                    self.queue.get_nowait()

    def stop(self) -> None:
        """Write what is queued, for at most `STOP_WAIT_S`; the thread ends with the process."""
        thread = self._thread
        self._thread = None
        if thread is not None:
            self.enqueue_sentinel()
            thread.join(STOP_WAIT_S)


def start(settings: LogSettings, *, dev: bool, stream: TextIO | None = None) -> Callable[[], None]:
    """Begin logging to `stream` (stderr) and return what ends it, flushing what is queued.

    Call after any fork: the writing thread would not survive one.
    """
    stream = stream or sys.stderr
    as_json = settings.format == "json" or (settings.format == "auto" and not dev and not stream.isatty())
    writer = logging.StreamHandler(stream)
    writer.setFormatter(_json_formatter() if as_json else _text_formatter())
    records: queue.Queue[logging.LogRecord] = queue.Queue(QUEUED_RECORDS)
    listener = _ImpatientListener(records, writer)
    handler = _DroppingQueueHandler(records)
    handler.addFilter(RateLimit())
    root = logging.getLogger("wsloop")
    level_before = root.level
    root.setLevel(settings.level.upper())
    root.addHandler(handler)
    root.propagate = False
    listener.start()

    def stop() -> None:
        root.removeHandler(handler)
        root.propagate = True
        root.setLevel(level_before)
        listener.stop()

    return stop


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
