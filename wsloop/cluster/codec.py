"""How messages are written on a link, and read from bytes that were cut anywhere.

Each is a MessagePack array that begins with its kind, behind its length: 4 bytes, big-endian. Pure: whatever
is wrong with the bytes is one error, `LinkError`, after which nothing more is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from wsloop.errors import WsloopError

if TYPE_CHECKING:
    from types import UnionType

    from wsloop.cluster.messages import Message

LENGTH_BYTES = 4
"""Before each message: its length, big-endian."""

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
"""Of one message. The largest answer that is asked for is 4 MiB of history (`HubOptions`); a list of 100,000
clients of a channel with 150 bytes for each fits."""

MAX_GREETING_BYTES = 1024
"""Of the first message on a link, whose sender is not known yet."""

MAX_INTEGER = 2**63 - 1
"""MessagePack's integers end at 64 bits, Python's do not: offsets and versions above are brought here."""


class LinkError(WsloopError):
    """The other end of a link broke the protocol, or a message cannot be written. `reason` is for the log."""

    peer_fault = True

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


_encoder = msgspec.msgpack.Encoder()


def encode(message: Message) -> bytes:
    """Return a message as it goes on the wire.

    Raises LinkError for what cannot be written: more than MAX_MESSAGE_BYTES, a lone surrogate in a
    string, an integer beyond 64 bits.
    """
    try:
        body = _encoder.encode(message)
    except (UnicodeEncodeError, OverflowError) as error:
        raise LinkError(f"a message cannot be written: {error}") from error
    if len(body) > MAX_MESSAGE_BYTES:
        raise LinkError(f"a message of {len(body)} bytes is too long for the link")
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def bounded(integer: int) -> int:
    """Return the integer, or the nearest one that can be written."""
    return max(-MAX_INTEGER, min(integer, MAX_INTEGER))


class MessageReader:
    """Messages of one direction from bytes, however they were cut.

    `kinds` is `FromWorker` or `FromService`. `feed` what has arrived, then call `next` until it returns None.
    `max_bytes` of one message may be changed between messages. After a LinkError there is no next.

    An unfinished message is kept as the pieces in which it came, and joined once.
    """

    __slots__ = ("_at", "_data", "_decoder", "_missing_bytes", "_parts", "max_bytes")

    def __init__(self, kinds: UnionType, max_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self._decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(kinds)
        self.max_bytes = max_bytes
        self._data = b""
        self._at = 0
        self._parts: list[bytes] = []
        self._missing_bytes = 0

    def feed(self, data: bytes) -> None:
        """Take bytes; call it only when `next` has returned None, or was not called yet."""
        self._parts.append(data)
        self._missing_bytes -= len(data)
        if self._missing_bytes <= 0:
            rest = self._data[self._at :]
            self._data = b"".join((rest, *self._parts)) if rest or len(self._parts) > 1 else data
            self._at = 0
            self._parts.clear()
            self._missing_bytes = 0

    def next(self) -> Message | None:
        """Return the next message, None if it has not arrived whole. Raises LinkError for what is none."""
        if self._missing_bytes:
            return None
        data = self._data
        start = self._at + LENGTH_BYTES
        end = start
        if end <= len(data):
            length = int.from_bytes(data[self._at : start], "big")
            if length > self.max_bytes:
                raise LinkError(f"a message of {length} bytes was announced, {self.max_bytes} are allowed")
            end += length
        if end > len(data):
            self._missing_bytes = end - len(data)
            return None
        self._at = end
        try:
            return self._decoder.decode(data[start:end])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise LinkError(f"a message makes no sense: {error}") from error
