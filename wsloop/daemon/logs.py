"""Logs that never stop the loop, never flood and never let a peer write on the terminal.

Records go through a bounded queue to a thread that formats and writes them; a blocked standard
error fills the queue, and what does not fit is dropped, counted and told of later. One cause (a logger
and its message template) gets at most `LINES_PER_SECOND`; how many were left out is told with the next
one that passes. The access log, which an operator has asked for, is exempt from that.

A process that has no thread, such as a supervisor before it forks, logs by `start_direct`: its lines
are written at once, or lost. How lines look is `log_format.py`'s, where they go `log_sink.py`'s.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from traceback import TracebackException
from typing import TYPE_CHECKING, TypeAlias

from wsloop.daemon.log_format import TextFormat, json_format
from wsloop.daemon.log_sink import Sink, Teller
from wsloop.errors import ConfigError
from wsloop.server import access

if TYPE_CHECKING:
    from wsloop.daemon.settings import LogSettings

log = logging.getLogger("wsloop.daemon")

LINES_PER_SECOND = 10
QUEUED_RECORDS = 10_000
STOP_WAIT_S = 2.0
"""How long the end of the process waits for a stream that takes no more lines."""

STDERR = 2
"""The descriptor. `sys.stderr` has locks, which a blocked thread would hold for ever, and the end
of the process waits for them."""

ALONE = "alone"
"""The name of a process that is the only one (`roles.Role.name`); text lines leave it out."""

Entry: TypeAlias = "tuple[logging.LogRecord, TracebackException | None]"
"""A record without its frames, which would keep alive what a connection holds, and its traceback."""

Order = Callable[[], object]
"""Something for the writing thread to do between two lines."""


@dataclass(frozen=True, slots=True)
class LogStatistics:
    """How many lines of this process were lost: there was no room, or no disk."""

    lost_total: int


class RateLimit(logging.Filter):
    """Let at most `LINES_PER_SECOND` records of one cause pass in any one second."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._now = now
        self._windows: dict[tuple[str, str], list[float]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether `record` may pass; tell with it how many before it did not."""
        if record.name == access.ACCESS_LOGGER:
            return True
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


class _Output:
    """The end of the way: a formatter and a sink. Used by one thread at a time."""

    def __init__(self, sink: Sink, formatter: logging.Formatter, count_lost: Callable[[], int]) -> None:
        self.sink = sink
        self.formatter = formatter
        self.level = logging.INFO
        self.teller = Teller(sink, count_lost, self._notice)

    def write(self, record: logging.LogRecord, trace: TracebackException | None) -> None:
        """Format and write."""
        if trace is not None:
            record.exc_text = "".join(trace.format()).rstrip()
        self.teller.write(self._line(record))

    def end(self) -> None:
        """Tell what was lost last, and close the file."""
        self.teller.tell()
        self.sink.close()

    def reopen(self, path: str | None = None) -> None:
        """Open the file again, or another one; tell what came of it."""
        try:
            is_new = self.sink.reopen(path)
        except ConfigError as error:
            self._say(logging.ERROR, "the log goes on as before: %s", error.message)
        else:
            if is_new:
                self._say(logging.INFO, "the log was reopened")

    def _say(self, level: int, text: str, *arguments: object) -> None:
        """Write a line of the log's own, ahead of what is queued."""
        if level >= self.level:
            self.teller.write(self._own(level, text, *arguments))

    def _own(self, level: int, text: str, *arguments: object) -> bytes:
        return self._line(logging.LogRecord(log.name, level, __file__, 0, text, arguments, None))

    def _line(self, record: logging.LogRecord) -> bytes:
        return f"{self.formatter.format(record)}\n".encode("utf-8", "backslashreplace")

    def _notice(self, count: int) -> bytes:
        return self._own(logging.WARNING, "%d lines of the log were lost before this one", count)


class _Enqueue(logging.Handler):
    """Puts records into a queue, and gives one up rather than wait for room."""

    def __init__(self, entries: queue.Queue[Entry | Order | None]) -> None:
        super().__init__()
        self._entries = entries
        self.output: _Output
        self.lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Queue the message as it is now, and the traceback's places; text is made of them later."""
        try:
            self._entries.put_nowait(_entry(record))
        except queue.Full:
            self.lost += 1
        except Exception:  # it has no text: its arguments do not fit
            self.handleError(record)

    def suggest(self, order: Order) -> None:
        """Have something done if nothing else is waiting, which would come to the same."""
        if self._entries.empty():
            self._entries.put_nowait(order)

    def order(self, order: Order | None) -> None:
        """Queue something for the writer; if there is no room, it takes the place of a record."""
        while True:
            try:
                self._entries.put_nowait(order)
                return
            except queue.Full:
                with contextlib.suppress(queue.Empty):
                    self._entries.get_nowait()
                    self.lost += 1


def _entry(record: logging.LogRecord) -> Entry:
    """Return a record that refers to nothing that may change or must be freed; raises if it has no text."""
    record = copy.copy(record)
    record.msg, record.args = record.getMessage(), ()
    trace = None
    if record.exc_info and record.exc_info[1]:
        trace = TracebackException.from_exception(record.exc_info[1], lookup_lines=False)
    record.exc_info = None
    return record, trace


class _Writer(threading.Thread):
    """Writes what is queued, until it takes None."""

    def __init__(self, entries: queue.Queue[Entry | Order | None], output: _Output) -> None:
        super().__init__(name="wsloop-log", daemon=True)
        self._entries = entries
        self._output = output

    def run(self) -> None:
        """Write; a line that is not taken is lost, not the next."""
        while (entry := self._entries.get()) is not None:
            if isinstance(entry, tuple):
                self._output.write(*entry)
            else:
                entry()
        self._output.end()


class _Direct(logging.Handler):
    """Writes at once what can be written without a wait."""

    def __init__(self) -> None:
        super().__init__()
        self.output: _Output
        self.lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        try:
            entry = _entry(record)
        except Exception:  # it has no text: its arguments do not fit
            self.handleError(record)
        else:
            self.output.write(*entry)

    def suggest(self, order: Order) -> None:
        """Do it now."""
        order()

    def order(self, order: Order | None) -> None:
        """Do it now; None: close."""
        if order is None:
            self.output.end()
        else:
            order()


class _Logs:
    """The logs of one process, from `start` to its end."""

    def __init__(
        self,
        handler: _Enqueue | _Direct,
        sink: Sink,
        settings: LogSettings,
        process: str,
        *,
        for_people: bool,
    ) -> None:
        self._handler = handler
        self._process = process
        self._for_people = for_people
        self._path = settings.file or ""
        self.output = _Output(sink, self._formatter(settings), lambda: self.lost)
        handler.output = self.output
        self._root = logging.getLogger("wsloop")
        self._level_before = self._root.level
        handler.addFilter(RateLimit())
        self._root.addHandler(handler)
        self._root.propagate = False
        self._set_levels(settings)

    @property
    def lost(self) -> int:
        """Lines lost so far."""
        return self._handler.lost + self.output.sink.lost

    def complaint(self) -> str:
        """Return why lines are missing of which the log itself does not tell yet, "" if none are.

        It may be able to by now, although nothing has happened since that it would tell: so that is tried.
        """
        untold = self.output.teller.untold
        if not untold:
            return ""
        self._handler.suggest(self.output.teller.tell)
        why = self.output.sink.fault or "whoever reads it is too slow"
        return f"log: lines lost: {untold:,} ({why})"

    def apply(self, settings: LogSettings) -> None:
        """Follow other settings: levels at once, the rest after what is queued."""
        self._set_levels(settings)
        formatter = self._formatter(settings)

        def follow() -> None:
            self.output.formatter = formatter

        self._handler.order(follow)
        path = settings.file or ""
        if path != self._path:
            self._path = path
            self._handler.order(lambda: self.output.reopen(path))

    def reopen(self) -> None:
        """Open the file again after what is queued."""
        self._handler.order(self.output.reopen)

    def detach(self) -> None:
        """Take in no more records, and put the levels back."""
        self._root.removeHandler(self._handler)
        self._root.propagate = True
        self._root.setLevel(self._level_before)
        access.switch(is_on=False)

    def finish(self) -> None:
        """End the output behind what is queued."""
        self._handler.order(None)

    def _formatter(self, settings: LogSettings) -> logging.Formatter:
        if settings.format == "json" or (settings.format == "auto" and not self._for_people):
            return json_format(self._process)
        return TextFormat("" if self._process == ALONE else self._process)

    def _set_levels(self, settings: LogSettings) -> None:
        self._root.setLevel(settings.level.upper())
        self.output.level = self._root.level
        access.switch(is_on=settings.access)


_current: _Logs | None = None
"""Logging is the whole process's, so there is one at a time."""


def start(settings: LogSettings, *, dev: bool, fd: int = STDERR, process: str = ALONE) -> Callable[[], None]:
    """Begin logging to `settings.file`, or the descriptor `fd`; return what ends it, writing what is queued.

    `process` names the process in each line. Call it after any fork: the writing thread would not survive
    one. What was inherited from the process before the fork is replaced; but if the file cannot be opened
    now (its directory is gone, the disk is full), what that has open goes on: a process that is started
    again must not fail for its log. Raises ConfigError if there is none.
    """
    entries: queue.Queue[Entry | Order | None] = queue.Queue(QUEUED_RECORDS)
    before = None if _current is None else _current.output.sink
    sink = Sink(fd, settings.file or "", may_block=True, before=before)
    logs = _begin(_Enqueue(entries), sink, settings, process, dev=dev)
    writer = _Writer(entries, logs.output)
    writer.start()
    if sink.complaint:
        log.error("the log goes on in the file that was open before: %s", sink.complaint)

    def stop() -> None:
        _end(logs)
        writer.join(STOP_WAIT_S)  # a blocked thread ends with the process

    return stop


def start_direct(
    settings: LogSettings, *, dev: bool, fd: int = STDERR, process: str = "supervisor"
) -> Callable[[], None]:
    """Begin logging without a thread, as `start` else; what cannot be written without a wait is lost."""
    handler = _Direct()
    logs = _begin(handler, Sink(fd, settings.file or "", may_block=False), settings, process, dev=dev)
    return lambda: _end(logs)


def _begin(
    handler: _Enqueue | _Direct, sink: Sink, settings: LogSettings, process: str, *, dev: bool
) -> _Logs:
    global _current  # noqa: PLW0603 - see there
    if _current is not None:
        _end(_current)
    for_people = dev or (not settings.file and sink.is_terminal)
    _current = _Logs(handler, sink, settings, process, for_people=for_people)
    return _current


def _end(logs: _Logs) -> None:
    global _current  # noqa: PLW0603 - see there
    if _current is logs:
        logs.detach()
        logs.finish()
        _current = None


def apply(settings: LogSettings) -> None:
    """Follow changed settings: level, format, file, access log; nothing if logging has not begun."""
    if _current is not None:
        _current.apply(settings)


def reopen() -> None:
    """Open the file again (USR1), which something else may have moved away; without one do nothing."""
    if _current is not None:
        _current.reopen()


def statistics() -> LogStatistics:
    """Return what can be counted; cheap."""
    return LogStatistics(0 if _current is None else _current.lost)


def complaint() -> str:
    """Return that, and why, the log of this process cannot be written; "" if it can (`Health`)."""
    return "" if _current is None else _current.complaint()
