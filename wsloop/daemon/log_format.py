"""How a record becomes a line: text for people, JSON for software.

A line about a connection has its number, its user and its trace id as fields: in JSON `conn`, `user`
and `trace_id`, in text at the end, `[conn=7 user=ann trace_id=4bf9...]`. The fields are what was
given to the log call as `extra` (`server/story.py`). Every byte of a peer's is escaped, in fields too.
"""

from __future__ import annotations

import json
import logging
import os
import re
from typing import Any

CONTEXT = ("conn", "user", "trace_id")
"""The fields that the text format shows, in this order; JSON has all that were given."""

MAX_FIELD = 256
"""Characters of a field's value in text: a user's name may be a page long."""

_PLAIN = re.compile(r"[-\w.:@/+]+")


class TextFormat(logging.Formatter):
    """One record, one line: every control character is written as an escape.

    A peer chooses some of what is logged; newlines would forge lines, ESC would drive the
    operator's terminal. A traceback has lines of its own. They are indented, since the error's
    text at its end may be a peer's as well: only a record begins at the margin.

    `process` is named beside the logger, "" for a process that is the only one.
    """

    def __init__(self, process: str = "") -> None:
        place = f"[{process} {os.getpid()}]".replace("%", "%%") if process else ""
        super().__init__(f"%(asctime)s %(levelname)s %(name)s{place}: %(message)s%(context)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Return the formatted line with what is not printable escaped."""
        record.message = escape(record.message)
        record.context = _suffix(record)
        if record.exc_text:
            record.exc_text = _indented(record.exc_text)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802, ANN401 - logging's name, a type of typeshed's
        """Return the traceback of `ei`, which is sys.exc_info()'s, in lines that none takes for records."""
        return _indented(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:  # noqa: N802 - logging's name
        """Return a block of lines (a stack, a dump) that none takes for records."""
        return _indented(stack_info)


def json_format(process: str) -> logging.Formatter:
    """Return a formatter that makes each record an object on one line; `process` is a field of it."""
    # Imported here: the text format does without it, and it costs a few milliseconds of start.
    from pythonjsonlogger.json import JsonFormatter  # noqa: PLC0415

    return JsonFormatter(
        "{asctime}{levelname}{name}{message}",
        style="{",
        rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
        static_fields={"process": process, "pid": os.getpid()},
    )


def escape(text: str) -> str:
    r"""Return `text` with every character that is not printable written as \xNN or \uNNNN."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text
    )


def _suffix(record: logging.LogRecord) -> str:
    fields = [f"{name}={_value(getattr(record, name))}" for name in CONTEXT if getattr(record, name, "")]
    return f" [{' '.join(fields)}]" if fields else ""


def _value(value: object) -> str:
    """Return a field's value on one line; in quotes if it could be taken for something else."""
    text = str(value)[:MAX_FIELD]
    return text if _PLAIN.fullmatch(text) and text.isascii() else escape(json.dumps(text, ensure_ascii=False))


def _indented(block: str) -> str:
    return "\n".join("    " + escape(line) for line in block.splitlines())
