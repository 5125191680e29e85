"""The access log: one line for each HTTP answer, and one for the end of each WebSocket.

It is a logger of its own, off unless the operator asks for it (`daemon/logs.py`); while it is off a
request costs one question. Never a query string, which may hold a token, and never a header but
User-Agent. Who is refused at the door (`refusing.py`) has no line: no request of theirs is read.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from wsloop.server.story import Story, fields

if TYPE_CHECKING:
    from wsloop.protocol.events import Request
    from wsloop.server.connection import Connection

ACCESS_LOGGER = "wsloop.access"

OFF = logging.CRITICAL + 1
"""A level that nothing has."""

log = logging.getLogger(ACCESS_LOGGER)
log.setLevel(OFF)

_NO_STORY = Story()


def switch(*, is_on: bool) -> None:
    """Begin, or end, the access log of this process."""
    log.setLevel(logging.INFO if is_on else OFF)


def is_on() -> bool:
    """Return whether there is an access log."""
    return log.isEnabledFor(logging.INFO)


def answered(
    connection: Connection,
    peer: str,
    request: Request | None,
    status: int,
    size_bytes: int,
    duration_s: float,
) -> None:
    """Note an answer to a request of `peer`, None for one whose head could not be read: `size_bytes` of body.

    `duration_s`: from the end of the request to the answer, in turns of the loop; 0 is the same turn.
    """
    if not is_on():
        return
    method, path = (request.method, request.path) if request is not None else ("-", "-")
    if method == "HEAD":
        size_bytes = 0
    duration_ms = round(1000 * duration_s, 1)
    story = connection.story or _NO_STORY
    log.info(
        '%s "%s %s" %d %d %g ms "%s"',
        peer, method, path, status, size_bytes, duration_ms, story.agent,
        extra={
            **fields(connection), "peer": peer, "method": method, "path": path, "status": status,
            "bytes": size_bytes, "duration_ms": duration_ms, "user_agent": story.agent,
        },
    )  # fmt: skip


def ended(connection: Connection, code: int, duration_s: float) -> None:
    """Note the end of a WebSocket with a close code; `path` is "" if it began before there was a log."""
    if not is_on():
        return
    story = connection.story or _NO_STORY
    log.info(
        '%s "WebSocket %s" %d %.1f s "%s"',
        connection.peer, story.path, code, duration_s, story.agent,
        extra={
            **fields(connection), "peer": connection.peer, "path": story.path, "code": code,
            "duration_s": round(duration_s, 1), "user_agent": story.agent,
        },
    )  # fmt: skip
