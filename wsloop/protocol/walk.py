"""Frames as they lie in a recorded stream, of either side, without judging them.

For those who look at bytes afterwards: `redaction.py`, and whoever prints a recording. What a peer's bytes
mean to the server is `session.py`'s to say.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from wsloop.protocol.frames import FIN, RSV1, Opcode, parse_header
from wsloop.protocol.masking import unmask

if TYPE_CHECKING:
    from wsloop.protocol.frames import Buffer

LINE_END = re.compile(rb"(\r?\n)")
"""Clients may leave the CR out (RFC 9112 section 2.2), and are served."""

_HEAD_ENDS = {False: re.compile(rb"\n\r?\n"), True: re.compile(rb"\r\n\r\n")}
"""The client's, and the server's own, behind which there may be a body with empty lines."""

SWITCHING = b"HTTP/1.1 101 "
"""How the answer begins behind which frames follow."""

MASK_BYTES = 4
_CONTROL = 0x08
_OPCODES = frozenset(opcode.value for opcode in Opcode)


class Frame(NamedTuple):
    """Where a frame lies: its header begins at `at`, its payload at `start` and ends before `end`.

    `mask` is b"" if it has none.
    """

    first: int
    mask: bytes
    at: int
    start: int
    end: int

    @property
    def opcode(self) -> int:
        """What kind of frame it is (RFC 6455 section 11.8)."""
        return self.first & 0x0F

    @property
    def is_control(self) -> bool:
        """Whether it may stand between the fragments of a message."""
        return self.first & _CONTROL != 0

    @property
    def is_final(self) -> bool:
        """Whether a message ends with it."""
        return self.first & FIN != 0

    @property
    def is_compressed(self) -> bool:
        """Whether it begins a compressed message (RFC 7692 section 6)."""
        return self.first & RSV1 != 0

    def payload(self, buffer: Buffer) -> bytes:
        """Return what it carries, unmasked; as much of it as there is."""
        data = bytes(buffer[self.start : self.end])
        return unmask(data, self.mask) if self.mask else data

    def moved(self, by_bytes: int) -> Frame:
        """Return it where it lies when so many bytes in front of it are gone."""
        return Frame(self.first, self.mask, self.at - by_bytes, self.start - by_bytes, self.end - by_bytes)


def head_end(buffer: Buffer, offset: int = 0, *, is_answer: bool) -> int:
    """Return where the HTTP head at `offset` has ended, its blank line included; -1 if it is not whole."""
    match = _HEAD_ENDS[is_answer].search(buffer, offset)
    return match.end() if match is not None else -1


def frame_at(buffer: Buffer, offset: int) -> Frame | None:
    """Return the frame whose header stands whole at `offset`, None if more bytes are needed.

    `end` may lie beyond the buffer. Raises ValueError for a header that no parser can go on from (a reserved
    opcode; a control frame that is long or in fragments): what follows cannot be told apart.
    """
    header = parse_header(buffer, offset, RSV1)
    if header is None:
        return None
    first, header_bytes, length, _ = header
    second = buffer[offset + 1]
    if first & 0x0F not in _OPCODES or (first & _CONTROL and (second & 0x7F > 125 or not first & FIN)):
        raise ValueError("no frame begins like this")
    start = offset + header_bytes
    if len(buffer) < start:
        return None
    mask = bytes(buffer[start - MASK_BYTES : start]) if second >= 0x80 else b""
    return Frame(first, mask, offset, start, start + length)
