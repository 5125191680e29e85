"""The body of one request, as h11 reads it: kept or dropped, bounded either way.

A body that is not wanted is read all the same, so that the connection can be kept for the next
request (RFC 9112 section 9.3). Whether it is wanted, and how much of it, is told by whoever makes
the object. Next: `handshake.py`, which makes it.
"""

from __future__ import annotations

import h11

from wsloop.errors import HandshakeError

BODY_CHUNKS = 256
"""Chunks of a body. Breach: 413. A chunk of one byte costs its sender six and h11 some 7 us: 64 KiB
of them would hold up the turn for 80 ms. A client that streams 1 MiB needs chunks of 4 KiB."""


class Body:
    """Takes a body's bytes from a buffer until it is whole.

    `limit_bytes` of it at most, as sent, chunk headers included. With `is_kept` its content is in
    `content` afterwards. `http` has seen the head.
    """

    __slots__ = ("_chunks_left", "_http", "_left_bytes", "_limit_bytes", "_pieces", "interim", "is_kept")

    def __init__(self, http: h11.Connection, limit_bytes: int, *, is_kept: bool) -> None:
        self.is_kept = is_kept
        self.interim = b""
        """What must be sent for the peer to go on: the 100 that it waits for, or nothing."""
        self._http = http
        self._limit_bytes = self._left_bytes = limit_bytes
        self._chunks_left = BODY_CHUNKS
        self._pieces: list[bytes] = []

    @property
    def content(self) -> bytes:
        """What has been kept."""
        return b"".join(self._pieces)

    def check_length(self, declared_bytes: int) -> None:
        """Raise HandshakeError 413 if the length that the head declares is over the limit."""
        if declared_bytes > self._limit_bytes:
            raise self._too_large()

    def read(self, buffer: bytearray) -> bool:
        """Take what belongs to the body out of `buffer`; True once the request is complete.

        A client that waits for 100 (Continue) is told to go on if the body is wanted; else it gets
        its final answer instead, and is told that the connection closes (RFC 9110 section 10.1.1).
        Raises HandshakeError 413 over a limit, and h11.RemoteProtocolError for a malformed body.
        """
        http = self._http
        while True:
            event = http.next_event()
            if type(event) is h11.Data:
                self._take(event)
            elif type(event) is h11.EndOfMessage:
                buffer[:0] = http.trailing_data[0]
                return True
            else:
                assert event is h11.NEED_DATA, "h11 pauses, or is closed, behind a whole request only"
                is_awaited = http.they_are_waiting_for_100_continue
                if is_awaited and not self.is_kept:
                    return True
                if not buffer:
                    if is_awaited:
                        self.interim = http.send(h11.InformationalResponse(status_code=100, headers=[]))
                    return False
                self._feed(buffer)

    def _take(self, data: h11.Data) -> None:
        if self.is_kept:
            self._pieces.append(bytes(data.data))
        if data.chunk_end:
            self._chunks_left -= 1
            if self._chunks_left < 0:
                raise HandshakeError(413, f"the body comes in more than {BODY_CHUNKS} chunks")

    def _feed(self, buffer: bytearray) -> None:
        """Give h11 what may still belong to the body; it gives back what lies behind it."""
        if not self._left_bytes:
            raise self._too_large()
        piece = bytes(buffer[: self._left_bytes])
        del buffer[: len(piece)]
        self._left_bytes -= len(piece)
        self._http.receive_data(piece)

    def _too_large(self) -> HandshakeError:
        """RFC 9110 section 15.5.14."""
        return HandshakeError(413, f"the body is larger than {self._limit_bytes} bytes")
