"""A message in one long frame: its payload goes from the socket straight into its final buffer.

A frame too long to wait in the receive buffer is taken as it comes. The caller may read from
its socket into `writable`, so that the kernel's copy is the only one; what has arrived is
unmasked where it lies. Text is decoded as it comes, so that a fault is found at once, and the
buffer is used again; a binary message keeps the buffer and hands it on as it is.

Memory follows what has arrived, never what the peer has announced: the buffer grows in steps.
Knows no states and no limits; `session.py` has checked those from the header.
"""

from __future__ import annotations

from codecs import getincrementaldecoder
from typing import TYPE_CHECKING

from wsloop.protocol.masking import rotate, unmask_in_place
from wsloop.protocol.pieces import Pieces

if TYPE_CHECKING:
    from codecs import IncrementalDecoder

    from wsloop.protocol.frames import Buffer

FIRST_STEP_BYTES = 16 * 1024
"""What a bare header makes the buffer: a peer that only announces costs no more than that."""

MAX_STEP_BYTES = 256 * 1024
"""From the first step on the buffer doubles, but grows by at most this: as much as one read brings
at best, so that the steps cost no reads."""

_ZEROS = bytes(MAX_STEP_BYTES)
_Utf8Decoder = getincrementaldecoder("utf-8")


class LargePayload:
    """The payload of one long frame while it arrives.

    Arguments: `length`, the payload's bytes as its header says, at least 1; `mask`, four bytes;
    `is_text`. `left` is how many bytes have not arrived.
    """

    __slots__ = ("_buffer", "_decoder", "_filled", "_mask", "_space", "_texts", "left")

    def __init__(self, length: int, mask: bytes, *, is_text: bool) -> None:
        self.left = length
        self._mask = mask
        self._buffer = bytearray()
        self._filled = 0
        self._space: memoryview | None = None
        self._decoder: IncrementalDecoder | None = _Utf8Decoder() if is_text else None
        self._texts = Pieces("")

    def writable(self) -> memoryview:
        """Return where the next bytes of the payload belong; never longer than it, never empty.

        Valid until the next `commit`, which must follow before anything else is called.
        """
        if self._filled == len(self._buffer):
            self._grow()
        self._space = memoryview(self._buffer)[self._filled : self._filled + self.left]
        return self._space

    def commit(self, count_bytes: int) -> None:
        """Take the first `count_bytes` (0 or more) of `writable` as received.

        Raises UnicodeDecodeError as soon as they cannot be part of valid UTF-8.
        """
        assert self._space is not None, "a commit follows `writable`"
        self._space.release()
        self._space = None
        start = self._filled
        end = start + count_bytes
        unmask_in_place(self._buffer, start, end, self._mask)
        self._mask = rotate(self._mask, count_bytes)
        self.left -= count_bytes
        if self._decoder is None:
            self._filled = end
        else:
            # The buffer has done its work, and is filled again from its start.
            with memoryview(self._buffer) as view:
                self._texts.append(self._decoder.decode(view[:end], final=not self.left))
            if end == len(self._buffer) < MAX_STEP_BYTES:
                self._grow()

    def feed(self, data: Buffer, offset: int) -> int:
        """Copy what `data` holds of the payload from `offset` on; return how many bytes that were.

        Raises UnicodeDecodeError as `commit` does.
        """
        count_bytes = min(self.left, len(data) - offset)
        taken = 0
        while taken < count_bytes:
            space = self.writable()
            part = min(len(space), count_bytes - taken)
            space[:part] = data[offset + taken : offset + taken + part]
            taken += part
            self.commit(part)
        return count_bytes

    def _grow(self) -> None:
        """Double the buffer, within the limits of a step."""
        step_bytes = min(max(len(self._buffer), FIRST_STEP_BYTES), MAX_STEP_BYTES, self.left)
        self._buffer += _ZEROS[:step_bytes]

    def finish(self) -> str | bytearray:
        """Return the whole message; the caller owns it. To be called once nothing is `left`."""
        return self._buffer if self._decoder is None else self._texts.join()
