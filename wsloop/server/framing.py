"""Messages into frames: several short ones share a frame, joined as their codec does.

Client-protocol: a text frame holds one object or several, one a line. A frame that is shared costs
its receiver one event instead of many.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsloop.protocol.frames import Opcode, encode_frame, frame_ends

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wsloop.buffers.outbox import Piece
    from wsloop.hub.codec import Codec

MESSAGES_PER_FRAME = 16
"""Most messages in a frame. Centrifugo's writer: the same."""

FRAME_BYTES = 16 * 1024
"""A frame that has reached this takes no further message: a client's own limit of a message's size (1 MiB
in Python's websockets) must not be met by joining, and what is long gains nothing by it."""


def grouped(messages: Sequence[bytes], most: int) -> Iterator[Sequence[bytes]]:
    """Cut `messages` into parts for one frame each: at most `most`, and short enough to share one."""
    start = size = 0
    for index, message in enumerate(messages):
        if index > start and (index - start >= most or size + len(message) > FRAME_BYTES):
            yield messages[start:index]
            start, size = index, 0
        size += len(message)
    if messages:
        yield messages[start:]


def frame_of(messages: Sequence[bytes], codec: Codec) -> bytes:
    """Return one frame around all of `messages`, which `codec` has encoded."""
    payload = messages[0] if len(messages) == 1 else codec.join(messages)
    return encode_frame(Opcode.TEXT if codec.is_text else Opcode.BINARY, payload)


HEADER_BYTES = (4, 10)
"""The header of a payload that is too long to be joined with it, and is queued behind it."""


def rest_of_frame(before: Piece | None, piece: Piece | None, sent_bytes: int) -> int:
    """Return how many bytes must still follow for the frame to be whole of which part is out.

    `sent_bytes` of `piece` are out, and `before` was queued and sent before it, as `Outbox.begun`
    tells. A piece is frames, a long frame's header, or its payload.
    """
    if piece is None:
        return 0
    if before is not None and len(before) in HEADER_BYTES and next(frame_ends(before)) > len(before):
        return len(piece) - sent_bytes
    ends = frame_ends(piece) if sent_bytes else ()
    return next((end - sent_bytes for end in ends if end >= sent_bytes), 0)
