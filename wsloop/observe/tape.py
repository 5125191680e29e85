"""A flight recorder's file: lines of JSON, the first about the recording, the others what went by.

Written by `wsloop ctl record`, read by `wsloop replay`; the format is told in docs/how-to/record.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from wsloop.errors import WsloopError
from wsloop.hub.operations.results import RecordedLine
from wsloop.protocol.limits import MAX_LENGTH

if TYPE_CHECKING:
    from collections.abc import Iterable

Kind = TypeVar("Kind")

FORMAT = 1
"""Counted up when a reader of the old format would misunderstand the new one."""


class TapeError(WsloopError):
    """Not a recording; the message says what is wrong, and in which line."""


class Head(msgspec.Struct):
    """The first line."""

    wsloop_recording: int  # the format
    version: str  # of the daemon's software
    began: float  # Unix seconds
    redacted: bool  # whether secrets are blotted out
    rule: dict[str, str | int] = {}  # whom it is about


class Tape(msgspec.Struct):
    """A recording: its head, and the lines of each connection in their order."""

    head: Head
    connections: dict[str, list[RecordedLine]]


def read(lines: Iterable[bytes]) -> Tape:
    """Return the recording that the lines of a file are; raises TapeError.

    A last line that was cut off is left out: whoever wrote it was interrupted.
    """
    found = [line for line in lines if line.strip()]
    head = _decode(found[0], Head, 1) if found else None
    if head is None or head.wsloop_recording != FORMAT:
        raise TapeError("it is not a recording of wsloop's, or one of a later version")
    connections: dict[str, list[RecordedLine]] = {}
    for number, text in enumerate(found[1:], 2):
        if number == len(found) and not text.endswith(b"\n"):
            break
        line = _decode(text, RecordedLine, number)
        _check(line, number)
        connections.setdefault(line.c, []).append(line)
    for each in connections.values():
        each.sort(key=lambda line: line.n)
    return Tape(head, connections)


def _check(line: RecordedLine, number: int) -> None:
    """Raise TapeError for a limit that no session could have had."""
    limit = line.about.get("message_bytes", 0)
    if type(limit) is not int or not 0 <= limit <= MAX_LENGTH:
        raise TapeError(f"line {number}: message_bytes is no size")


def _decode(text: bytes, kind: type[Kind], number: int) -> Kind:
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise TapeError(f"line {number}: {error}") from None
