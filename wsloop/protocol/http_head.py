"""Finds the end of a request's head, and refuses a head over the limits while it arrives.

Judges sizes only, never syntax; that is h11's part, which gets the head once it is whole.
h11 has a size limit of its own, but looks at it only when a head is incomplete, so that the
answer would depend on how the network cut the bytes. Here every breach has its position in the
stream: the first one counts, however the bytes arrive. Next: `handshake.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsloop.errors import HandshakeError

if TYPE_CHECKING:
    from wsloop.protocol.limits import Limits

_TOKEN = frozenset(b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
"""RFC 9110 section 5.6.2: what a method, hence a request, may begin with."""

_CR = 0x0D


def skip_empty_lines(buffer: bytearray) -> bool:
    """Drop CRLFs in front of a request (RFC 9112 section 2.2); True if a request begins behind.

    Raises HandshakeError 400 at once if what follows cannot begin a request: a TLS client's
    first byte, for one, must not wait for the deadline.
    """
    while buffer.startswith(b"\r\n"):
        del buffer[:2]
    if not buffer or buffer == b"\r":
        return False
    if buffer[0] not in _TOKEN:
        raise HandshakeError(400, "this port speaks HTTP/1.1, and this is not a request line")
    return True


class HeadScanner:
    """Walks one head line by line, each byte once. Make a new one for each request."""

    __slots__ = ("_limits", "_line_start", "_lines", "_searched")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._line_start = 0
        self._lines = 0
        self._searched = 0

    def find_end(self, buffer: bytearray) -> int:
        """Return the length of the head, its blank line included; 0 if it is not whole yet.

        `buffer` begins with the head and has only grown since the last call. Raises
        HandshakeError 414 (request line too long) or 431 (header line, header count or head).
        """
        limits = self._limits
        while True:
            start = self._line_start
            newline = buffer.find(b"\n", self._searched)
            end = newline if newline >= 0 else len(buffer)
            length = end - start
            if length > limits.line_bytes or length >= limits.head_bytes - start:
                raise self._too_long(start)
            if newline < 0:
                self._searched = end
                return 0
            self._line_start = self._searched = newline + 1
            if length == 0 or (length == 1 and buffer[start] == _CR):
                return newline + 1
            self._lines += 1
            if self._lines > limits.headers + 1:
                raise HandshakeError(431, f"more than {limits.headers} header lines")

    def _too_long(self, start: int) -> HandshakeError:
        """Name the limit that the line at `start` reaches first."""
        limits = self._limits
        if self._lines == 0:
            return HandshakeError(414, f"the request line is longer than {limits.line_bytes} bytes")
        if limits.head_bytes - start <= limits.line_bytes:
            return HandshakeError(431, f"the request head is larger than {limits.head_bytes} bytes")
        return HandshakeError(431, f"a header line is longer than {limits.line_bytes} bytes")
