"""What a TLS client says first, judged before an engine is made for it.

Two answers are not to be had from the `ssl` module: it cannot refuse a client that offers only
protocols other than ours (RFC 7301 section 3.2 demands the alert no_application_protocol), and
of plain HTTP on a TLS port it knows four methods. And one thing is saved: a peer that is silent,
or dribbles, costs the bytes that it has sent and no engine.

Judges nothing else. A hello that makes no sense is READY too: the engine knows which alert it
deserves. Read `tls.py` next.
"""

from __future__ import annotations

import enum

PROTOCOL = b"http/1.1"
"""The one application protocol served; its name in ALPN (RFC 7301 section 6)."""

HELLO_BYTES = 16_384
"""Most that a ClientHello may take on the wire, record headers included: one record's worth. With
post-quantum keys a browser's is 1.8 KiB; OpenSSL would hold up to 128 KiB."""

_HANDSHAKE_RECORD = 22
_CLIENT_HELLO = 1
_RECORD_HEAD_BYTES = 5
_MESSAGE_HEAD_BYTES = 4
_ALPN_EXTENSION = 16
_CAPITALS = range(ord("A"), ord("Z") + 1)
"""What every HTTP method in use begins with, and no TLS record."""
_RANDOM_BYTES = 34
"""legacy_version and random, in front of the session id."""


class Verdict(enum.Enum):
    """What to do with a peer, by its first bytes."""

    UNFINISHED = "unfinished"
    READY = "ready"
    PLAIN_HTTP = "plain http"
    NO_COMMON_PROTOCOL = "no common protocol"
    TOO_LARGE = "too large"


_HTTP_REASON = b"this port speaks TLS: use https:// or wss://\n"
HTTP_REFUSAL = (
    b"HTTP/1.1 400 Bad Request\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n"
    b"Content-Length: %d\r\n"
    b"X-Content-Type-Options: nosniff\r\n"
    b"Connection: close\r\n\r\n%b" % (len(_HTTP_REASON), _HTTP_REASON)
)
"""What a browser shows that was sent to http:// by mistake; without it, it would say that the
server sends garbage."""

_FATAL_ALERT = b"\x15\x03\x03\x00\x02\x02"
NO_APPLICATION_PROTOCOL = _FATAL_ALERT + bytes([120])
"""RFC 7301 section 3.2."""
DECODE_ERROR = _FATAL_ALERT + bytes([50])
"""RFC 8446 section 6.2."""

REFUSALS: dict[Verdict, tuple[str, bytes]] = {
    Verdict.PLAIN_HTTP: ("HTTP_REQUEST", HTTP_REFUSAL),
    Verdict.NO_COMMON_PROTOCOL: ("NO_APPLICATION_PROTOCOL", NO_APPLICATION_PROTOCOL),
    Verdict.TOO_LARGE: ("EXCESSIVE_MESSAGE_SIZE", DECODE_ERROR),
}
"""Reason, in the style of OpenSSL's names, and last words for who is refused before an engine is made."""


class HelloScanner:
    """Collects a peer's first bytes, each looked at once, until a whole ClientHello is there.

    `received` holds all of them, for the engine.
    """

    __slots__ = ("_looked_at", "_message", "received")

    def __init__(self) -> None:
        self.received = bytearray()
        self._message = bytearray()
        self._looked_at = 0

    def receive(self, data: bytes) -> Verdict:
        """Take bytes; return UNFINISHED until what came first can be judged."""
        received = self.received
        received += data
        if not received:
            return Verdict.UNFINISHED
        if received[0] in _CAPITALS:
            return Verdict.PLAIN_HTTP
        while (record_bytes := self._next_record_bytes()) and len(received) >= record_bytes:
            self._message += received[self._looked_at + _RECORD_HEAD_BYTES : record_bytes]
            self._looked_at = record_bytes
            if _is_whole(self._message):
                return _judge(bytes(self._message))
        if not record_bytes:
            return Verdict.READY
        if max(record_bytes, len(received)) > HELLO_BYTES:
            return Verdict.TOO_LARGE
        return Verdict.UNFINISHED

    def _next_record_bytes(self) -> int:
        """Return where the next record ends, at the least; 0 if it is none of a handshake."""
        start = self._looked_at
        head = self.received[start : start + _RECORD_HEAD_BYTES]
        if head and head[0] != _HANDSHAKE_RECORD:
            return 0
        if len(head) < _RECORD_HEAD_BYTES:
            return start + _RECORD_HEAD_BYTES
        length = int.from_bytes(head[3:], "big")
        # A handshake record of no bytes is not allowed (RFC 8446 section 5.1).
        return start + _RECORD_HEAD_BYTES + length if length else 0


def _is_whole(message: bytearray) -> bool:
    """Return whether the first handshake message is complete, or is no ClientHello."""
    if message and message[0] != _CLIENT_HELLO:
        return True
    length = int.from_bytes(message[1:_MESSAGE_HEAD_BYTES], "big")
    return len(message) >= _MESSAGE_HEAD_BYTES and len(message) >= _MESSAGE_HEAD_BYTES + length


def _judge(message: bytes) -> Verdict:
    """Refuse a whole first message whose protocols are all foreign; the engine judges the rest."""
    offered = offered_protocols(message)
    return Verdict.NO_COMMON_PROTOCOL if offered and PROTOCOL not in offered else Verdict.READY


def offered_protocols(message: bytes) -> list[bytes]:
    """Return the ALPN protocols of a ClientHello (RFC 8446 section 4.1.2), [] if it names none.

    `message` begins with the four bytes of the handshake header. A malformed one offers nothing.
    """
    try:
        body = _vector(message, 1, 3)
        position = _RANDOM_BYTES
        for size_bytes in (1, 2, 1):  # session id, cipher suites, compression methods
            position += size_bytes + len(_vector(body, position, size_bytes))
        for kind, content in _extensions(_vector(body, position, 2)):
            if kind == _ALPN_EXTENSION:
                return _names(_vector(content, 0, 2))
    except IndexError:
        return []
    return []


def _vector(data: bytes, start: int, size_bytes: int) -> bytes:
    """Return the vector whose length stands in `size_bytes` bytes at `start`; IndexError if it is cut."""
    begin = start + size_bytes
    end = begin + int.from_bytes(data[start:begin], "big")
    if begin > len(data) or end > len(data):
        raise IndexError
    return data[begin:end]


def _extensions(data: bytes) -> list[tuple[int, bytes]]:
    """Return the (type, content) pairs of an extension block."""
    found = []
    position = 0
    while position < len(data):
        content = _vector(data, position + 2, 2)
        found.append((int.from_bytes(data[position : position + 2], "big"), content))
        position += 4 + len(content)
    return found


def _names(data: bytes) -> list[bytes]:
    """Return the names of a protocol list."""
    found = []
    position = 0
    while position < len(data):
        found.append(_vector(data, position, 1))
        position += 1 + len(found[-1])
    return found
