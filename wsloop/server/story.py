"""What the log says of a connection besides its number: who it is, and which trace it belongs to.

A connection keeps a `Story` only if its request told of a trace, if a line about it had to make one, or if
there is an access log: for all others it is one empty slot. Next: `access.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsloop.protocol import trace

if TYPE_CHECKING:
    from wsloop.protocol.events import Request
    from wsloop.server.output import Output

MAX_AGENT = 256
"""Characters kept of a User-Agent."""


class Story:
    """`trace`: as `protocol/trace.py` keeps it, "" for none yet. `path` and `agent`: for the access log."""

    __slots__ = ("agent", "path", "trace")

    def __init__(self, trace: str = "", path: str = "", agent: str = "") -> None:
        self.trace = trace
        self.path = path
        self.agent = agent


def of_request(request: Request, *, is_logged: bool) -> Story | None:
    """Return what is to be kept of a request, None for nothing; `is_logged`: there is an access log."""
    given = trace.parse(request.header(trace.HEADER))
    if is_logged:
        agent = (request.header(b"user-agent") or b"").decode("latin-1")[:MAX_AGENT]
        return Story(given, request.path, agent)
    return Story(given) if given else None


def fields(connection: Output) -> dict[str, object]:
    """Return `extra` for a line about a connection: its number, its user once that is known, its trace id.

    A trace is made if there is none: from the id of a messaging client, or of the server's entropy.
    """
    client, user = connection.member.identity if connection.member is not None else ("", "")
    story = connection.story
    if story is not None and story.trace:
        found = story.trace
    elif client:
        found = trace.begin_for(client)
    else:
        found = trace.begin(connection.draw(trace.TRACE_BYTES))
        if story is None:
            story = connection.story = Story()
        story.trace = found
    about: dict[str, object] = {"conn": connection.id, "trace_id": trace.trace_id(found)}
    if user:
        about["user"] = user
    return about
