"""permessage-deflate, the incoming half: bounded inflation, as an extension of wsproto's.

wsproto's own inflates without a bound (261 KB became 768 MiB of memory) and forgets that a message
was compressed when a ping comes between its fragments. `Inflater` counts what comes out, in steps;
`PerMessageDeflate` puts it behind wsproto's hooks. How bytes are cut changes neither what comes
out nor the close code. Knows no session.
"""

from __future__ import annotations

import zlib
from itertools import chain
from typing import TYPE_CHECKING, NoReturn

from wsproto import extensions
from wsproto.frame_protocol import CloseReason, Opcode, RsvBits

from wsloop.errors import ProtocolError
from wsloop.protocol.close import CloseCode
from wsloop.protocol.deflate import EMPTY_BLOCK

if TYPE_CHECKING:
    from wsproto.frame_protocol import FrameDecoder, FrameProtocol

    from wsloop.protocol.limits import Limits

INPUT_STEP_BYTES = 16 * 1024
"""Most that zlib is given at once: it copies what it leaves, so this times the number of steps is
what copying can cost."""

OUTPUT_STEP_BYTES = 64 * 1024
"""Most that zlib makes at once; over its limit a message never gets further than one step."""

MAX_FINAL_BLOCKS = 64
"""Blocks with BFINAL in a message, each of which begins a new stream. Breach: 1008. A pair of
bytes can be one, and costs 1 us. No precedent: other servers ignore what follows the first."""

DAMAGED = "compressed data is damaged"

_END = EMPTY_BLOCK + b"\x01\x00\x00\xff\xff"
"""What was not sent (RFC 7692 section 7.2.2), and an empty final block: if zlib does not see the
end of the stream then, the message was cut off. Precedent: gorilla/websocket."""

_FULL_WINDOW = -15
"""Whatever the client agreed to: a smaller window would refuse a client that overlooks its limit
or not, depending on how its bytes were cut."""


def max_wire_bytes(limits: Limits) -> int:
    """Return the most that a message within `limits` may take as compressed frames, headers apart.

    What does not compress grows by less than a quarter, and by 11 bytes where it is flushed.
    """
    return limits.message_bytes + limits.message_bytes // 4 + 12 * limits.fragments


class Inflater:
    """Inflates the messages of one connection, one after the other.

    Arguments: `message_bytes`, the largest message; `kept_bytes`, how far a message may refer back
    into earlier ones (0: not at all). Every method raises ProtocolError if the peer broke a rule:
    1009 for a message over its limit, 1007 for damaged data, 1008 for too many final blocks; the
    state is then that of a new inflater. Between messages without `kept_bytes` there is no state.
    `made_bytes` counts what came out, for the caller's budget, which may set it back.
    """

    __slots__ = (
        "_final_blocks", "_kept_bytes", "_message_bytes", "_output", "_room", "_stream", "_window",
        "made_bytes",
    )  # fmt: skip

    def __init__(self, message_bytes: int, kept_bytes: int = 0) -> None:
        self._message_bytes = message_bytes
        self._kept_bytes = kept_bytes
        self._window = b""
        self.made_bytes = 0
        self._begin()

    @property
    def keeps(self) -> bool:
        """Whether a message may refer back to this one, so that the inflater must live on."""
        return self._kept_bytes > 0

    def message(self, payload: bytes | bytearray) -> bytes:
        """Return a whole message whose compressed form, in one frame, is `payload`."""
        if len(payload) <= INPUT_STEP_BYTES:
            # The common case in one call of zlib. Whatever is unusual is done again, slowly.
            stream = self._new_stream()
            try:
                data = stream.decompress(payload + _END, min(self._message_bytes, OUTPUT_STEP_BYTES))
            except zlib.error:
                data = b""
            if stream.eof and not stream.unused_data:
                self.made_bytes += len(data)
                self._keep(data)
                return data
        self.feed(payload)
        return self.take(final=True)

    def feed(self, data: bytes | bytearray) -> None:
        """Take a piece of a frame's payload, however small."""
        try:
            for start in range(0, len(data), INPUT_STEP_BYTES):
                self._inflate(data[start : start + INPUT_STEP_BYTES])
        except zlib.error:
            raise self._fault(DAMAGED, CloseCode.INVALID_DATA) from None

    def take(self, *, final: bool) -> bytes:
        """Return what came out since the last call, at the end of a frame; `final`: of a message.

        A message without a single byte of payload is taken for an empty one, as zlib would.
        """
        if final and self._stream is not None and not self._stream.eof:
            self.feed(_END)
            if not self._stream.eof:
                raise self._fault(DAMAGED, CloseCode.INVALID_DATA)
        data = bytes(self._output)
        self._keep(data)
        if final:
            self._begin()
        else:
            self._output.clear()
        return data

    def _begin(self) -> None:
        """Stand between two messages."""
        self._stream: zlib._Decompress | None = None
        self._output = bytearray()
        self._room = self._message_bytes
        self._final_blocks = 0

    def _keep(self, data: bytes) -> None:
        """Remember as much of what came out as the next message may refer to."""
        if self._kept_bytes:
            self._window = (self._window + data)[-self._kept_bytes :]

    def _new_stream(self) -> zlib._Decompress:
        """Return a stream at its beginning. It costs 0.2 us, and 37 KB while a message is unfinished."""
        if self._window:
            return zlib.decompressobj(_FULL_WINDOW, zdict=self._window)
        return zlib.decompressobj(_FULL_WINDOW)

    def _inflate(self, piece: bytes | bytearray) -> None:
        """Inflate at most INPUT_STEP_BYTES, in steps of output."""
        while True:
            stream = self._stream_for(piece)
            if stream is None:
                return
            if not self._room:
                self._inflate_to_nothing(piece)
                return
            most = min(self._room, OUTPUT_STEP_BYTES)
            made = stream.decompress(piece, most)
            self._output += made
            self._room -= len(made)
            self.made_bytes += len(made)
            piece = stream.unused_data or stream.unconsumed_tail
            if len(made) < most and not piece:
                return

    def _inflate_to_nothing(self, piece: bytes | bytearray) -> None:
        """Inflate behind a message that has reached its limit: one more byte is too many."""
        while (stream := self._stream_for(piece)) is not None:
            before = stream.copy()
            try:
                made = stream.decompress(piece, 1)
            except zlib.error:
                self._tell_fault_from_excess(before, piece)
            if made:
                raise self._too_big()
            piece = stream.unused_data
            if not piece:
                return

    def _tell_fault_from_excess(self, stream: zlib._Decompress, piece: bytes | bytearray) -> NoReturn:
        """Raise what comes first in `piece`, a byte too many or zlib's error.

        zlib looks for the next symbol before it hands out this one, as far as its input reaches.
        """
        steps = chain((b"",), (piece[at : at + 1] for at in range(len(piece))))
        while not stream.decompress(next(steps), 1):
            pass
        raise self._too_big()

    def _stream_for(self, piece: bytes | bytearray) -> zlib._Decompress | None:
        """Return the stream that `piece` belongs to; None if the last one has ended and it is empty.

        RFC 7692 section 7.2.3.4: a block may have BFINAL set, and others follow it. These cannot
        refer back, for a final block ends what RFC 1951 calls a data set.
        """
        if self._stream is None:
            self._stream = self._new_stream()
        elif self._stream.eof:
            if not piece:
                return None
            self._final_blocks += 1
            if self._final_blocks > MAX_FINAL_BLOCKS:
                raise self._fault("a message has too many final blocks", CloseCode.POLICY_VIOLATION)
            self._stream = zlib.decompressobj(_FULL_WINDOW)
        return self._stream

    def _too_big(self) -> ProtocolError:
        return self._fault(f"a message is larger than {self._message_bytes} bytes", CloseCode.MESSAGE_TOO_BIG)

    def _fault(self, reason: str, code: CloseCode) -> ProtocolError:
        """Free everything and return the error to raise."""
        self._window = b""
        self._begin()
        return ProtocolError(reason, code)


class PerMessageDeflate(extensions.PerMessageDeflate):
    """wsproto's extension, the server's side, with its faults mended and its bounds added.

    For `FrameProtocol(client=False, extensions=[...])`. What a frame inflates to is given out at
    the frame's end, so that its close code does not depend on how it was cut. Every hook is
    called by wsproto only. `failure` tells why a hook has refused the peer's data.
    """

    def __init__(self, inflater: Inflater) -> None:
        super().__init__(client_no_context_takeover=True, server_no_context_takeover=True)
        self.failure: ProtocolError | None = None
        self._inflater = inflater
        self._is_compressed: bool | None = None
        """The message under way; None between two of them."""
        self._is_data = self._inflates = self._is_in_frame = False
        """The frame under way, if there is one."""

    def enabled(self) -> bool:
        """Return True: it is made only for connections that have agreed to it."""
        return True

    def accept(self, offer: str) -> None:
        """Decline: offers are answered by `deflate_offers.negotiate`, before an extension is made."""

    def frame_inbound_header(
        self, proto: FrameDecoder | FrameProtocol, opcode: Opcode, rsv: RsvBits, payload_length: int
    ) -> RsvBits:
        """Take note of a frame's beginning; return which reserved bits it may have set.

        RFC 7692 section 6: RSV1 belongs on the first frame of a message. A data frame in the
        middle of another message is let through, uninflated: wsproto refuses it.
        """
        begins = opcode is Opcode.TEXT or opcode is Opcode.BINARY
        if not self._is_in_frame:  # wsproto asks again if the mask had not arrived
            self._is_in_frame = True
            is_first = begins and self._is_compressed is None
            if is_first:
                self._is_compressed = rsv.rsv1
            self._is_data = not opcode.iscontrol()
            self._inflates = bool(self._is_compressed) and (is_first or opcode is Opcode.CONTINUATION)
        return RsvBits(begins, False, False)

    def frame_inbound_payload_data(
        self, proto: FrameDecoder | FrameProtocol, data: bytes
    ) -> bytes | CloseReason:
        """Inflate a piece of a frame, and hold what comes out until its end."""
        if not self._inflates:
            return data
        try:
            self._inflater.feed(data)
        except ProtocolError as error:
            return self._fail(error)
        return b""

    def frame_inbound_complete(
        self, proto: FrameDecoder | FrameProtocol, fin: bool
    ) -> bytes | CloseReason | None:
        """Give out what the frame inflated to. Pings between fragments change nothing."""
        self._is_in_frame = False
        if not self._is_data:
            return None
        if fin:
            self._is_compressed = None
        if not self._inflates:
            return None
        try:
            return self._inflater.take(final=fin)
        except ProtocolError as error:
            return self._fail(error)

    def frame_outbound(
        self, proto: FrameDecoder | FrameProtocol, opcode: Opcode, rsv: RsvBits, data: bytes, fin: bool
    ) -> tuple[RsvBits, bytes]:
        """Send as it is: what is worth compressing goes through `deflate.Compressor`."""
        return rsv, data

    def _fail(self, error: ProtocolError) -> CloseReason:
        self.failure = error
        return CloseReason(error.close_code)
