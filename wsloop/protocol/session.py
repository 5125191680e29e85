"""One WebSocket connection after its handshake: received bytes in, events and bytes out.

This file owns what wsproto leaves open: the state table, the latch after a failure, and the
limits. It walks the frame headers itself and feeds wsproto exactly whole frames, or counted
pieces of long ones, so that wsproto's buffer is known to be empty at every frame's end. wsproto
judges the frames: masks, UTF-8, order of fragments, close payloads. Knows no socket, no clock
and nothing of what messages mean. Next: `frames.py` for the walk, `server/connection.py` for
the user of all this.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, cast

from wsproto.frame_protocol import CloseReason, Frame, FrameProtocol, ParseFailed
from wsproto.frame_protocol import Opcode as ParsedOpcode

from wsloop.errors import StateError
from wsloop.protocol.close import CloseCode, encode_close
from wsloop.protocol.events import BinaryMessage, CloseReceived, Event, Failed, Ping, Pong, TextMessage
from wsloop.protocol.frames import JOIN_MAX_BYTES, Buffer, Opcode, encode_frame, encode_header, parse_header

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.protocol.limits import Limits


class SessionState(Enum):
    """How far the closing handshake (RFC 6455 section 7) has come."""

    OPEN = "open"
    """Frames go both ways."""
    CLOSE_SENT = "close sent"
    """The peer's close frame is awaited; what else arrives is checked, then dropped."""
    CLOSE_RECEIVED = "close received"
    """Our answer is due, behind what the caller still has to say; no more input is looked at."""
    FAILING = "failing"
    """The peer broke a rule; our close frame is due, behind the answers to what came before."""
    FAILED = "failed"
    """The peer was told so; received bytes are dropped unseen."""
    CLOSED = "closed"
    """Both close frames have passed, or the input has ended."""


class SessionStep(Enum):
    """What can happen to a session."""

    SEND = "send"
    """Any frame but a close: a message, or a ping of the caller's."""
    SEND_CLOSE = "send close"
    RECEIVE_CLOSE = "receive close"
    FAIL = "fail"
    """A received frame broke a rule of the protocol, or a limit."""
    END = "end of input"


SESSION_TRANSITIONS: dict[SessionState, dict[SessionStep, SessionState]] = {
    SessionState.OPEN: {
        SessionStep.SEND: SessionState.OPEN,
        SessionStep.SEND_CLOSE: SessionState.CLOSE_SENT,
        SessionStep.RECEIVE_CLOSE: SessionState.CLOSE_RECEIVED,
        SessionStep.FAIL: SessionState.FAILING,
        SessionStep.END: SessionState.CLOSED,
    },
    SessionState.CLOSE_RECEIVED: {
        SessionStep.SEND: SessionState.CLOSE_RECEIVED,
        SessionStep.SEND_CLOSE: SessionState.CLOSED,
        SessionStep.END: SessionState.CLOSED,
    },
    SessionState.FAILING: {
        SessionStep.SEND: SessionState.FAILING,
        SessionStep.SEND_CLOSE: SessionState.FAILED,
        SessionStep.END: SessionState.CLOSED,
    },
    SessionState.CLOSE_SENT: {
        SessionStep.RECEIVE_CLOSE: SessionState.CLOSED,
        SessionStep.FAIL: SessionState.FAILED,
        SessionStep.END: SessionState.CLOSED,
    },
    SessionState.FAILED: {SessionStep.END: SessionState.CLOSED},
    SessionState.CLOSED: {SessionStep.END: SessionState.CLOSED},
}
"""Anything not in the table raises StateError. Between a received close, or a fault, and our close
frame lies a state of its own: one read may bring messages and the close, and the caller answers
the messages first (RFC 6455 section 5.5.1 allows the delay)."""

_CONTROL = 0x08


class Session:
    """The server's side of one WebSocket connection.

    Four verbs: `receive` bytes, `take_events`; `send_*`, `take_output`. The caller owns the
    receive buffer, and presents what `receive` did not consume again, in front of what came
    after it. Pongs are queued without being asked for; the close frame that CloseReceived and
    Failed call for is queued by `answer_close`. Received bytes never raise. Not thread-safe.
    """

    __slots__ = (
        "_due",
        "_events",
        "_fragments",
        "_frame_left",
        "_limits",
        "_message_bytes",
        "_output",
        "_parse",
        "_parts",
        "_wsproto",
        "state",
    )

    def __init__(self, limits: Limits) -> None:
        self.state = SessionState.OPEN
        self._limits = limits
        self._due = b""
        self._events: list[Event] = []
        self._output: list[bytes] = []
        # A plain function, not a bound method: that would be a reference cycle per connection.
        self._parse: Callable[[Session, Buffer, int], int] = Session._receive_by_wsproto
        self._wsproto: FrameProtocol | None = None
        self._frame_left = 0
        self._message_bytes = 0
        self._fragments = 0
        self._parts: list[bytes | str] | None = None

    def receive(self, data: Buffer, max_events: int = 256) -> int:
        """Take bytes; return how many of them were consumed (the caller may reuse those).

        Not consumed are only: an incomplete frame header; an incomplete frame of at most
        `limits.whole_frame_bytes`; what follows once this call has made `max_events` events
        (exactly that many events then tell that it is worth calling again). After a failure or
        a close all is consumed and dropped.
        """
        return self._parse(self, data, max_events)

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

    def take_output(self) -> list[bytes]:
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

    def send_binary(self, payload: bytes) -> None:
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
        self._output.append(frame)

    def answer_close(self) -> None:
        """Queue the close frame that is due after CloseReceived or Failed.

        To be called when everything before that event has been dealt with. Does nothing if a
        close frame was sent before.
        """
        if self.state in (SessionState.CLOSE_RECEIVED, SessionState.FAILING):
            self._move(SessionStep.SEND_CLOSE)
            self._output.append(self._due)

    def _receive_by_wsproto(self, data: Buffer, max_events: int) -> int:
        """Cut `data` at frame boundaries and let wsproto judge each frame; see `receive`.

        A decoder for plain frames belongs in front of this method, at the place where
        `_frame_left` is 0 and no message is unfinished; what it cannot serve goes on here.
        """
        view = memoryview(data)
        size = len(data)
        offset = 0
        enough = len(self._events) + max_events
        while offset < size and len(self._events) < enough:
            left = self._frame_left or self._begin_frame(data, offset)
            if not left:
                break
            end = min(offset + left, size)
            self._frame_left = left - (end - offset)
            self._feed(view[offset:end])
            offset = end
            if self._parse is Session._discard:
                break
        return size if self._parse is Session._discard else offset

    def _begin_frame(self, data: Buffer, offset: int) -> int:
        """Return the length of the frame at `offset`, header included; 0 if it must wait.

        The limits are checked from the header alone, before a byte of payload is stored. A
        doubtful frame skips them and the wait: wsproto will refuse it, with the better reason.
        """
        header = parse_header(data, offset)
        if header is None:
            return 0
        first, header_bytes, payload_bytes, doubtful = header
        whole = header_bytes + payload_bytes
        if doubtful:
            return whole
        limits = self._limits
        if not first & _CONTROL:
            if self._message_bytes + payload_bytes > limits.message_bytes:
                self._fail(
                    CloseCode.MESSAGE_TOO_BIG, f"a message is larger than {limits.message_bytes} bytes"
                )
                return 0
            if self._fragments >= limits.fragments:
                self._fail(
                    CloseCode.POLICY_VIOLATION, f"a message has more than {limits.fragments} fragments"
                )
                return 0
        if len(data) - offset < whole <= limits.whole_frame_bytes:
            return 0
        # Counted only now: a frame that waits is looked at again.
        if not first & _CONTROL:
            self._message_bytes += payload_bytes
            self._fragments += 1
        return whole

    def _feed(self, piece: memoryview) -> None:
        """Hand wsproto a whole frame, or a counted piece of one, and take what it makes of it."""
        if self._wsproto is None:
            self._wsproto = FrameProtocol(client=False, extensions=[])
        # Typed for bytes, but all that is done with it is to extend a bytearray: no copy is needed.
        self._wsproto.receive_bytes(piece)  # type: ignore[arg-type]
        try:
            for frame in self._wsproto.received_frames():
                self._on_frame(frame)
        except ParseFailed as error:
            self._fail(error.code, _describe(error))

    def _on_frame(self, frame: Frame) -> None:
        """Turn what wsproto parsed into events, by its kind."""
        opcode = frame.opcode
        payload = frame.payload
        if isinstance(payload, tuple):
            self._on_close(*payload)
        elif opcode is ParsedOpcode.TEXT or opcode is ParsedOpcode.BINARY:
            self._on_data(payload, frame.message_finished)
        elif self.state is SessionState.OPEN and isinstance(payload, bytes):
            if opcode is ParsedOpcode.PING:
                # RFC 6455 section 5.5.3: a pong carries the ping's payload.
                self._output.append(encode_frame(Opcode.PONG, payload))
                self._events.append(Ping(payload))
            else:
                self._events.append(Pong(payload))

    def _on_data(self, part: bytes | str, finished: bool) -> None:
        """Collect a part of a message; the parts are joined once, so that the cost is linear."""
        if not finished:
            if self._parts is None:
                self._parts = []
            if self.state is SessionState.OPEN:
                self._parts.append(part)
            return
        parts, self._parts = self._parts, None
        self._message_bytes = 0
        self._fragments = 0
        if self.state is not SessionState.OPEN:
            return
        if isinstance(part, str):
            text = part if parts is None else "".join([*cast("list[str]", parts), part])
            self._events.append(TextMessage(text))
        else:
            data = part if parts is None else b"".join([*cast("list[bytes]", parts), part])
            self._events.append(BinaryMessage(data))

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

    def _stop(self) -> None:
        """No more input: the parser is swapped, and what it needed is freed."""
        self._parse = Session._discard
        self._wsproto = None
        self._parts = None

    def _discard(self, data: Buffer, max_events: int) -> int:
        """Consume everything and look at nothing; stands in for the parser."""
        return len(data)

    def _queue(self, opcode: Opcode, payload: bytes) -> None:
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


def _describe(error: ParseFailed) -> str:
    """Return the reason for the peer; a decoder's own text would depend on the cut of the bytes."""
    if error.code is CloseReason.INVALID_FRAME_PAYLOAD_DATA:
        return "text is not valid UTF-8"
    return str(error)
