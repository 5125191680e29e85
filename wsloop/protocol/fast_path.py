"""The fast path: whole, plain frames decoded where they lie, in one loop over what a read brought.

Nearly all that clients send are short, masked, unfragmented messages, and whole when they are
read. For these the state of a parser is not needed: the loop below keeps everything in local
variables, and calls nothing for a frame but what makes its payload and its event. That is
a tenth of what wsproto takes (`python -m tools.bench.protocol`).

It judges nothing. It checks exactly what makes a frame plain: final, no reserved bit, text, binary, ping
or pong, masked, length in the shortest form and within the limit, text that is UTF-8. The first
frame that is not plain, or not whole, ends the loop untouched, and `session.py` takes it on from
there. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsloop.protocol.events import BinaryMessage, Ping, Pong, TextMessage
from wsloop.protocol.masking import unmask

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.protocol.events import Event

_CONTROL = 0x08
FIN_TEXT, FIN_BINARY, FIN_PING, FIN_PONG = PLAIN = (0x81, 0x82, 0x89, 0x8A)
"""First bytes of plain frames: FIN and opcode (RFC 6455 section 5.2)."""

INLINE_BYTES = 256
"""Payloads up to here are unmasked without a call, which would take a tenth of the frame's time."""

_from_bytes = int.from_bytes


def decode_plain(
    data: bytes, offset: int, budget: int, message_bytes: int, append: Callable[[Event], object]
) -> int:
    """Decode the plain frames that stand whole in `data` from `offset` on; return where the rest begins.

    Arguments: `budget`, the most frames to decode; `message_bytes`, the longest payload allowed;
    `append`, given one event for each frame. No other event, and no exception, comes out of it.
    """
    size = len(data)
    # The shortest frame has a header of 2 bytes and a mask of 4.
    start = offset + 6
    while start <= size and budget > 0:
        first = data[offset]
        length = data[offset + 1] - 128
        if length > 125:
            if length == 127 or first & _CONTROL or start + 2 > size:
                break
            length = data[offset + 2] << 8 | data[offset + 3]
            if length < 126:
                break
            start += 2
        end = start + length
        if length < 0 or end > size or first not in PLAIN or length > message_bytes:
            break
        if length <= INLINE_BYTES:
            mask = (data[start - 4 : start] * ((length + 3) >> 2))[:length]
            number = _from_bytes(data[start:end], "little") ^ _from_bytes(mask, "little")
            payload = number.to_bytes(length, "little")
        else:
            payload = unmask(data[start:end], data[start - 4 : start])
        if first == FIN_TEXT:
            try:
                append(TextMessage(payload.decode()))
            except UnicodeDecodeError:
                break
        elif first == FIN_BINARY:
            append(BinaryMessage(payload))
        else:
            append(Ping(payload) if first == FIN_PING else Pong(payload))
        budget -= 1
        offset = end
        start = end + 6
    return offset
