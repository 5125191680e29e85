"""Trace ids: the W3C's Trace Context, level 1 (https://www.w3.org/TR/trace-context/).

A *trace* is kept as `TRACEID-FLAGS`, 32 and 2 hexadecimal digits: what of a `traceparent` header is the
same in every part of a request. Its third part, the span, is new with every request that is made.
A `tracestate`, what tracing systems on the way have noted for themselves, is passed on as it came: nothing
here adds to it.
"""

from __future__ import annotations

import re

HEADER = b"traceparent"
STATE_HEADER = b"tracestate"

MAX_STATE = 512
"""Bytes of a `tracestate`, commas and all: so much has to be passed on (section 3.3.1.5); more is dropped."""

MAX_STATE_MEMBERS = 32
"""Section 3.3.1.1."""

TRACE_BYTES = 16
SPAN_BYTES = 8

MADE_FLAGS = "01"
"""Of a trace that begins here: sampled. An application whose sampler follows its callers, which is what
OpenTelemetry's does unless told otherwise, would record none of these requests with 00."""

_PARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_MEMBER = re.compile(
    rb"([a-z0-9][a-z0-9_*/@-]{0,255})=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)
_FIRST_VERSION = b"00"
_NO_VERSION = b"ff"
_ID_LENGTH = 2 * TRACE_BYTES


def parse(value: bytes | None) -> str:
    """Return the trace of a request's `traceparent` header; "" for none, or one that is not valid.

    Section 3.2.2: lower case, no id of zeros only, no version ff; a later version may have more after
    a hyphen. Section 4.3: more than one header is none; `Request.header` has joined them.
    """
    found = None if value is None else _PARENT.fullmatch(value)
    if found is None:
        return ""
    version, trace_id, span, flags, more = found.groups()
    if version == _NO_VERSION or (version == _FIRST_VERSION and more is not None):
        return ""
    if not trace_id.strip(b"0") or not span.strip(b"0"):
        return ""
    return f"{trace_id.decode()}-{flags.decode()}"


def parse_state(value: bytes | None) -> str:
    """Return a request's `tracestate` as it is to be passed on; "" for none, or one that is not valid.

    Only for a request whose `traceparent` is (section 3.3). Section 3.3.1: members `key=value` between
    commas, blank ones among them, each key once; several headers are one, which `Request.header` has joined.
    Keys may begin with a digit, as level 2 has it.
    """
    if value is None or len(value) > MAX_STATE:
        return ""
    members = [member.strip(b" \t") for member in value.split(b",")]
    found = [_MEMBER.fullmatch(member) for member in members if member]
    keys = {each[1] for each in found if each is not None}
    if not 0 < len(keys) == len(found) or len(members) > MAX_STATE_MEMBERS:
        return ""
    return value.decode("ascii")


def begin(entropy: bytes) -> str:
    """Return a trace that begins here; `entropy` is 16 random bytes."""
    return f"{entropy.hex()}-{MADE_FLAGS}"


def begin_for(uuid: str) -> str:
    """Return the trace of a client whose requests came without: its id, a random UUID, without hyphens.

    So nothing need be kept, and who has one of the two has the other. Random are 122 bits of it, among
    them the last 56, as section 3.2.2.3 asks.
    """
    return f"{uuid.replace('-', '')}-{MADE_FLAGS}"


def trace_id(trace: str) -> str:
    """Return a trace's id, 32 hexadecimal digits."""
    return trace[:_ID_LENGTH]


def traceparent(trace: str, span: bytes) -> str:
    """Return the header of a request in `trace`; `span` is 8 random bytes, not all of them 0."""
    return f"00-{trace[:_ID_LENGTH]}-{span.hex()}-{trace[_ID_LENGTH + 1 :]}"
