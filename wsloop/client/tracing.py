"""Which trace a client's questions and events belong to: that of its upgrade request, or its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsloop.protocol import trace

if TYPE_CHECKING:
    from wsloop.hub.backend import Person

NAME = trace.HEADER.decode()
STATE_NAME = trace.STATE_HEADER.decode()


def trace_of(person: Person) -> str:
    """Return the trace, as `protocol/trace.py` keeps it; "" for nobody that has an id."""
    for name, value in person.headers:
        if name == NAME:
            return trace.parse(value.encode("latin-1"))
    return trace.begin_for(person.client) if person.client else ""


def state_of(person: Person) -> str:
    """Return the `tracestate` that came with that trace, "" for none."""
    return next((value for name, value in person.headers if name == STATE_NAME), "")


def headers_of(person: Person) -> tuple[tuple[str, str], ...]:
    """Return what of its request goes along: not `traceparent`, which is new with each request."""
    return tuple(header for header in person.headers if header[0] != NAME)
