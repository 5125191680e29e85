"""One WebSocket connection after its handshake: received bytes in, events and bytes out.

Three ways lead from bytes to events, and each frame takes the first that is open to it:

1. *The fast path*, `fast_path.py`: at a message boundary, a whole, masked, unfragmented text,
   binary, ping, pong or close frame with nothing unusual about it is decoded where it lies.
2. *The long frame*, `large.py`: a message in one frame too long to wait for goes into its final
   buffer as it comes.
3. *wsproto*: everything else (fragments, compression, and whatever is doubtful).
   It is fed exactly whole frames, or counted pieces of long ones, so that its buffer is known to
   be empty at every frame's end; it judges masks, UTF-8, order and close payloads. It is made
   when it is needed, and let go at the next message boundary.

A property proves that the first two change nothing but the speed. This file owns what wsproto
leaves open: the state table, the latch after a failure, and the limits. Knows no socket, no clock
and nothing of what messages mean. Next: `fast_path.py`, then `server/connection.py`, the user of
all this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from wsproto.frame_protocol import CloseReason, Frame, FrameProtocol, ParseFailed
from wsproto.frame_protocol import Opcode as ParsedOpcode

from wsloop.errors import StateError
from wsloop.protocol.close import CloseCode, encode_close
from wsloop.protocol.events import BinaryMessage, CloseReceived, Event, Failed, Ping, Pong, TextMessage
from wsloop.protocol.frames import JOIN_MAX_BYTES, RSV1, Opcode, encode_frame, encode_header, parse_header
from wsloop.protocol.inflate import Inflater, PerMessageDeflate, max_wire_bytes
from wsloop.protocol.large import LargePayload
from wsloop.protocol.pieces import Pieces
from wsloop.protocol.session_states import SESSION_TRANSITIONS, SessionState, SessionStep

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsproto.extensions import Extension

    from wsloop.protocol.deflate_offers import Agreement
    from wsloop.protocol.frames import Buffer
    from wsloop.protocol.limits import Limits


BUDGET = 160
"""Frames decoded in one `receive`, unless the caller says otherwise. With what a handler makes of them no
more than 2 ms: `python -m tools.bench.turns`."""

WSPROTO_WEIGHT = 8
"""What a frame that wsproto serves takes of the budget; a fast one takes 1. Measured: 8 to 11 times
the time (`python -m tools.bench.protocol`)."""

INFLATED_BYTES = 2048
"""What compressed messages inflate to is paid for too: this much for each unit of the budget, 320 KiB, or
1 ms, for all of it; a single message is not divided."""

NOT_UTF8 = "text is not valid UTF-8"
_CONTROL = 0x08
_FIN_DATA = (0x81, 0x82)


class Session:
    """The server's side of one WebSocket connection.

    Four verbs: `receive` bytes, `take_events`; `send_*`, `take_output`. The caller owns the
    receive buffer, and presents what `receive` did not consume again, in front of what came
    after it. What the protocol demands as an answer is queued when the caller says so, behind
    what it has made of the events before: `answer_ping` for each Ping, `answer_close` for
    CloseReceived and Failed. Received bytes never raise. Not thread-safe.

    Every frame goes through wsproto here; `FastSession` is what servers use. Arguments: `limits`;
    `deflate`, what was agreed on in the handshake: received messages may be compressed then. What
    is sent is compressed by the caller, who may share it (`send_frames`).

    Attributes, for reading only: `state`; `is_spent`, whether the last `receive` left bytes only
    because its budget was used up, so that it is worth calling again; `is_filling`, whether a
    long frame arrives, so that its bytes may be read into `writable`.
    """

    __slots__ = (
        "_deflate", "_due", "_events", "_extension", "_fragments", "_frame_left", "_inflater", "_is_plain",
        "_large", "_limits", "_message_bytes", "_output", "_parts", "_receive_one", "_room_bytes",
        "_wsproto", "is_filling", "is_spent", "state",
    )  # fmt: skip

    is_fast: ClassVar = False
    """Whether plain and long frames go other ways than through wsproto; see `fast_path.py`."""

    def __init__(self, limits: Limits, deflate: Agreement | None = None) -> None:
        self.state = SessionState.OPEN
        self.is_spent = self.is_filling = False
        self._limits = limits
        self._deflate = deflate
        self._extension: PerMessageDeflate | None = None
        self._inflater: Inflater | None = None
        # Whether the next byte begins a message, and the first two ways are open.
        self._is_plain = self.is_fast
        self._due = b""
        self._events: list[Event] = []
        self._output: list[bytes | bytearray] = []
        # How what is not plain is received. A plain function: a bound method would be a cycle.
        self._receive_one: Callable[[Session, Buffer, int], int] = Session._take_one
        self._large: LargePayload | None = None
        self._wsproto: FrameProtocol | None = None
        self._frame_left = 0
        self._message_bytes = self._room_bytes = self._fragments = 0
        self._parts: Pieces[Any] | None = None

    def receive(self, data: Buffer, budget: int = BUDGET) -> int:
        """Take bytes; return how many of them were consumed (the caller may reuse those).

        Not consumed are only: an incomplete frame header; an incomplete frame of at most
        `limits.whole_frame_bytes`; what follows once the budget of frames is used up, which
        `is_spent` tells (a frame that wsproto serves takes `WSPROTO_WEIGHT` of it). Makes at
        most `budget` events. After a failure or a close all is consumed and dropped.
        """
        size = len(data)
        offset = 0
        while offset < size and budget > 0:
            taken = self._receive_one(self, data, offset)
            if not taken:
                break
            offset += taken
            budget -= self._weigh()
        self.is_spent = budget <= 0 and offset < size
        return offset

    @property
    def is_between_messages(self) -> bool:
        """Whether the next byte begins a message, as far as a `FastSession` knows."""
        return self._is_plain

    @property
    def agreement(self) -> Agreement | None:
        """What was agreed on about compression."""
        return self._deflate

    def writable(self) -> memoryview:
        """Return where the next bytes of a long frame belong; never empty.

        For callers with no unconsumed bytes, which read from their socket right into it; `commit`
        must follow before anything else. Raises StateError unless `is_filling`.
        """
        if self._large is None:
            raise StateError("no long frame is arriving")
        return self._large.writable()

    def commit(self, count_bytes: int) -> None:
        """Take the first `count_bytes` (0 or more) of `writable` as received.

        Raises StateError if no long frame is arriving.
        """
        if self._large is None:
            raise StateError("no long frame is arriving")
        try:
            self._large.commit(count_bytes)
        except UnicodeDecodeError:
            self._fail(CloseCode.INVALID_DATA, NOT_UTF8)
        else:
            self._end_large_if_whole()

    def receive_eof(self) -> None:
        """Take note that the peer's bytes have ended; an unfinished message is dropped.

        No event follows: the caller saw the end of input, and the close code, if none was
        received, is 1006 (RFC 6455 section 7.1.5).
        """
        self._move(SessionStep.END)
        self._stop()

    def take_events(self) -> list[Event]:
        """Return the events since the last call, in order; the list is the caller's."""
        events = self._events
        if events:
            self._events = []
        return events

    def take_output(self) -> list[bytes | bytearray]:
        """Return the bytes to send since the last call, in order; the list is the caller's."""
        output = self._output
        if output:
            self._output = []
        return output

    def send_text(self, text: str) -> None:
        """Queue a text message.

        Raises StateError once a close frame was sent or received or the session has failed, as
        all `send_` methods do; UnicodeEncodeError, with nothing queued, for a lone surrogate.
        """
        self._queue(Opcode.TEXT, text.encode("utf-8"))

    def send_binary(self, payload: bytes | bytearray) -> None:
        """Queue a binary message; above `JOIN_MAX_BYTES` the very object is queued, not a copy."""
        self._queue(Opcode.BINARY, payload)

    def send_ping(self, payload: bytes = b"") -> None:
        """Queue a ping of at most 125 bytes, else ValueError."""
        self._queue(Opcode.PING, payload)

    def send_frames(self, frames: bytes) -> None:
        """Queue whole frames that were encoded before, as for a broadcast; they are not checked."""
        self._move(SessionStep.SEND)
        self._output.append(frames)

    def send_close(self, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        """Queue a close frame; nothing may be sent after it, and messages received are dropped.

        The reason is cut to 123 bytes between characters. Raises ValueError for a code that may
        not be sent, StateError if a close frame was sent or received before.
        """
        frame = encode_frame(Opcode.CLOSE, encode_close(code, reason))
        self._move(SessionStep.SEND_CLOSE)
        self._is_plain = False
        self._output.append(frame)

    def lose_track(self) -> None:
        """Give up reading frames: some of the bytes are lost. What arrives is dropped from here on.

        To follow `send_close`, with the code that says why; raises StateError if that is still due.
        Does nothing if the peer's close has been received as well: nothing is read any more then.
        """
        if self.state in (SessionState.OPEN, SessionState.CLOSE_RECEIVED, SessionState.FAILING):
            raise StateError(f"to lose track is illegal while {self.state.value}")
        if self.state is SessionState.CLOSE_SENT:
            self._move(SessionStep.FAIL)
            self._stop()

    def answer_ping(self, payload: bytes) -> None:
        """Queue the pong for a Ping event; nothing, if a close frame was sent in the meantime.

        RFC 6455 section 5.5.3: it carries the ping's payload; of several pings that were not
        answered yet only the latest needs one. Which of them get one is the caller's choice.
        """
        if SessionStep.SEND in SESSION_TRANSITIONS[self.state]:
            self._output.append(encode_frame(Opcode.PONG, payload))

    def answer_close(self) -> None:
        """Queue the close frame that is due after CloseReceived or Failed.

        To be called when everything before that event has been dealt with. Does nothing if a
        close frame was sent before.
        """
        if self.state in (SessionState.CLOSE_RECEIVED, SessionState.FAILING):
            self._move(SessionStep.SEND_CLOSE)
            self._output.append(self._due)

    def _take_one(self, data: Buffer, offset: int) -> int:
        """Take one frame, or what is here of a long one; return the bytes taken, 0 if it must wait."""
        if self._large is not None:
            return self._feed_large(self._large, data, offset)
        left = self._frame_left or self._begin_frame(data, offset)
        if not left:
            # The header may have broken a limit: then all is dropped.
            return self._receive_one(self, data, offset) if self._receive_one is Session._discard else 0
        end = min(offset + left, len(data))
        if self._large is None:
            self._frame_left = left - (end - offset)
            self._feed(memoryview(data)[offset:end])
            if self._receive_one is Session._discard:
                return len(data) - offset
            if not self._frame_left and not self._fragments:
                self._drop_wsproto()
                self._is_plain = self.is_fast and self.state is SessionState.OPEN
        return end - offset

    def _begin_frame(self, data: Buffer, offset: int) -> int:
        """Return the length of the frame at `offset`, header included; 0 if it must wait.

        The limits are checked from the header alone, before a byte of payload is stored. A
        doubtful frame skips them and the wait: wsproto will refuse it, with the better reason.
        If a message in one long frame begins, `_large` is set, and only the header is returned.
        """
        header = parse_header(data, offset, 0 if self._deflate is None else RSV1)
        if header is None:
            return 0
        first, header_bytes, payload_bytes, doubtful = header
        whole = header_bytes + payload_bytes
        if not doubtful:
            is_data = not first & _CONTROL
            if is_data and not self._has_room(first, payload_bytes):
                return 0
            available = len(data) - offset
            if available < whole <= self._limits.whole_frame_bytes:
                return 0
            if self._is_plain and first in _FIN_DATA and whole > self._limits.whole_frame_bytes:
                if available < header_bytes:
                    return 0
                mask = bytes(data[offset + header_bytes - 4 : offset + header_bytes])
                self._large = LargePayload(payload_bytes, mask, is_text=first == _FIN_DATA[0])
                self._is_plain, self.is_filling = False, True
                return header_bytes
            # Counted only now: a frame that waits is looked at again.
            if is_data:
                self._message_bytes += payload_bytes
                self._fragments += 1
        self._is_plain = False
        return whole

    def _has_room(self, first: int, payload_bytes: int) -> bool:
        """Check a data frame against the limits, and fail if it breaks one.

        Of a compressed message this is the length on the wire, which may be a little over the
        limit, for what cannot be compressed grows; what it inflates to, `inflate.py` counts.
        """
        limits = self._limits
        if not self._fragments:
            self._room_bytes = max_wire_bytes(limits) if first & RSV1 else limits.message_bytes
        if self._message_bytes + payload_bytes > self._room_bytes:
            self._fail(CloseCode.MESSAGE_TOO_BIG, f"a message is larger than {limits.message_bytes} bytes")
            return False
        if self._fragments >= limits.fragments:
            self._fail(CloseCode.POLICY_VIOLATION, f"a message has more than {limits.fragments} fragments")
            return False
        return True

    def _feed_large(self, large: LargePayload, data: Buffer, offset: int) -> int:
        """Give a long frame what is here of it; return how many bytes that were."""
        try:
            taken = large.feed(data, offset)
        except UnicodeDecodeError:
            self._fail(CloseCode.INVALID_DATA, NOT_UTF8)
            return len(data) - offset
        self._end_large_if_whole()
        return taken

    def _end_large_if_whole(self) -> None:
        """Turn a long frame that has arrived into its event; dropped if a close frame was sent meanwhile."""
        large = self._large
        if large is None or large.left:
            return
        self._large = None
        self.is_filling = False
        if self.state is SessionState.OPEN:
            message = large.finish()
            self._events.append(TextMessage(message) if isinstance(message, str) else BinaryMessage(message))
            self._is_plain = True

    def _feed(self, piece: memoryview) -> None:
        """Hand wsproto a whole frame, or a counted piece of one, and take what it makes of it."""
        parser = self._wsproto or self._make_wsproto()
        # Typed for bytes, but all that is done with it is to extend a bytearray: no copy is needed.
        parser.receive_bytes(piece)  # type: ignore[arg-type]
        try:
            for frame in parser.received_frames():
                self._on_frame(frame)
                if self._wsproto is None:  # it was a close frame
                    return
        except ParseFailed as error:
            self._fail(error.code, self._describe(error))

    def _weigh(self) -> int:
        """Return what the frame just taken takes of the budget; between messages, let go of the inflater."""
        inflater = self._inflater
        if inflater is None:
            return WSPROTO_WEIGHT
        made_bytes, inflater.made_bytes = inflater.made_bytes, 0
        if not self._fragments and not inflater.keeps:
            self._inflater = None
        return WSPROTO_WEIGHT + made_bytes // INFLATED_BYTES

    def _own_inflater(self, agreement: Agreement) -> Inflater:
        """Return the inflater, made when a compressed message needs it."""
        if self._inflater is None:
            self._inflater = Inflater(self._limits.message_bytes, agreement.kept_bytes)
        return self._inflater

    def _make_wsproto(self) -> FrameProtocol:
        """Make wsproto's parser, and what inflates for it if that was agreed on."""
        extensions: list[Extension] = []
        if self._deflate is not None:
            self._extension = PerMessageDeflate(self._own_inflater(self._deflate))
            extensions.append(self._extension)
        self._wsproto = FrameProtocol(client=False, extensions=extensions)
        return self._wsproto

    def _on_frame(self, frame: Frame) -> None:
        """Turn what wsproto parsed into events, by its kind."""
        opcode = frame.opcode
        payload = frame.payload
        if isinstance(payload, tuple):
            self._on_close(*payload)
        elif opcode is ParsedOpcode.TEXT or opcode is ParsedOpcode.BINARY:
            self._on_data(payload, frame.message_finished)
        elif self.state is SessionState.OPEN and isinstance(payload, bytes):
            self._events.append((Ping if opcode is ParsedOpcode.PING else Pong)(payload))

    def _on_data(self, part: bytes | str, finished: bool) -> None:
        """Collect a part of a message; the parts are joined once, so that the cost is linear."""
        if not finished:
            if self.state is SessionState.OPEN:
                if self._parts is None:
                    self._parts = Pieces(part[:0])
                self._parts.append(part)
            return
        parts, self._parts = self._parts, None
        self._message_bytes = 0
        self._fragments = 0
        if self.state is not SessionState.OPEN:
            return
        if parts is not None:
            parts.append(part)
            part = parts.join()
        self._events.append(TextMessage(part) if isinstance(part, str) else BinaryMessage(part))

    def _on_close(self, code: int, reason: str) -> None:
        """Take the peer's close frame; the answer carries its code (RFC 6455 section 5.5.1)."""
        self._due = encode_frame(Opcode.CLOSE, encode_close(code))
        self._move(SessionStep.RECEIVE_CLOSE)
        self._events.append(CloseReceived(int(code), reason))
        self._stop()

    def _fail(self, code: int, reason: str) -> None:
        """Fail the connection (RFC 6455 section 7.1.7) and latch."""
        self._due = encode_frame(Opcode.CLOSE, encode_close(code, reason))
        self._move(SessionStep.FAIL)
        self._events.append(Failed(int(code), reason))
        self._stop()

    def _drop_wsproto(self) -> None:
        """Let go of wsproto's parser, which holds itself: it is a generator that knows its owner."""
        if self._wsproto is not None:
            vars(self._wsproto).clear()
            self._wsproto = self._extension = None

    def _describe(self, error: ParseFailed) -> str:
        """Return the reason for the peer; a decoder's own text would depend on the cut of the bytes."""
        if self._extension is not None and self._extension.failure is not None:
            return self._extension.failure.reason
        if error.code is CloseReason.INVALID_FRAME_PAYLOAD_DATA:
            return NOT_UTF8
        return str(error)

    def _stop(self) -> None:
        """No more input: the parser is swapped, and what it needed is freed."""
        self._receive_one = Session._discard
        self._is_plain = self.is_spent = self.is_filling = False
        self._large = self._inflater = None
        self._drop_wsproto()
        self._parts = None

    def _discard(self, data: Buffer, offset: int) -> int:
        """Consume everything and look at nothing; stands in for `_take_one`."""
        return len(data) - offset

    def _queue(self, opcode: Opcode, payload: bytes | bytearray) -> None:
        """Queue one frame: joined if it is small, else as header and payload."""
        # SEND leads from OPEN to OPEN: the table is only asked where it refuses.
        if self.state is not SessionState.OPEN:
            self._move(SessionStep.SEND)
        if len(payload) <= JOIN_MAX_BYTES:
            self._output.append(encode_frame(opcode, payload))
        else:
            self._output.append(encode_header(opcode, len(payload)))
            self._output.append(payload)

    def _move(self, step: SessionStep) -> None:
        """Take a step of the table; StateError if it is not there."""
        try:
            self.state = SESSION_TRANSITIONS[self.state][step]
        except KeyError:
            raise StateError(f"{step.value} is illegal while {self.state.value}") from None
