"""What a person types, as the JSON that is published."""

from __future__ import annotations

import json

import msgspec

from wsloop.errors import UsageError


def as_json_payload(text: str) -> msgspec.Raw:
    """Return `text`, which is JSON, as a payload on one line; raises UsageError."""
    try:
        # RFC 8259 has no NaN and no infinity, which Python reads and writes.
        return msgspec.Raw(json.dumps(json.loads(text), ensure_ascii=False, allow_nan=False).encode())
    except (ValueError, RecursionError):
        hint = """a text is written with quotes: '"hello"'; with --text it is taken as it is"""
        raise UsageError("the data is not JSON", hint) from None


def as_text_payload(text: str) -> msgspec.Raw:
    """Return `text` as a JSON string; what is no Unicode in it becomes "?"."""
    return msgspec.Raw(json.dumps(text.encode("utf-8", "replace").decode()).encode())
