"""The asking side of an open WebSocket: received bytes in, events out; messages in, masked frames out.

The twin of `session.py`, which serves. A server's frames are not masked (RFC 6455 section 5.1), so a
plain one needs no more than a slice; what is fragmented or doubtful is given to wsproto, whole
frames at a time. Bytes that are not a whole frame yet are kept here, bounded by the largest message.
Knows no socket and no clock. Next: `client/websocket.py`, its user.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wsproto.frame_protocol import FrameProtocol, ParseFailed
from wsproto.frame_protocol import Opcode as ParsedOpcode

from wsloop.errors import StateError
from wsloop.protocol.close import CloseCode, encode_close, is_valid_received
from wsloop.protocol.events import BinaryMessage, CloseReceived, Failed, Ping, Pong, TextMessage
from wsloop.protocol.frames import FIN, MAX_CONTROL_BYTES, Opcode, encode_header, parse_header
from wsloop.protocol.limits import Limits
from wsloop.protocol.masking import unmask
from wsloop.protocol.pieces import Pieces
from wsloop.protocol.session_states import SESSION_TRANSITIONS, SessionState, SessionStep

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsproto.frame_protocol import Frame

    from wsloop.protocol.events import Event

DEFAULT_LIMITS = Limits(message_bytes=16 * 1024 * 1024)
"""What a server may send: its frames join many pushes, and a history reply may hold many publications."""

MASK_BYTES = 4
_CONTROL = 0x08
_TEXT, _BINARY = FIN | Opcode.TEXT, FIN | Opcode.BINARY
_PING, _PONG, _CLOSE = FIN | Opcode.PING, FIN | Opcode.PONG, FIN | Opcode.CLOSE
_READING = (SessionState.OPEN, SessionState.CLOSE_SENT)


class ClientSession:
    """One connection after its handshake. `entropy` yields the masks (RFC 6455 section 5.3).

    `receive` returns events and never raises for what a peer sends; `send_*` return the bytes to
    send, and raise StateError once a close frame was sent or received. Not thread-safe.
    """

    __slots__ = ("_entropy", "_fragments", "_limits", "_message_bytes", "_needed", "_parts", "_tail",
                 "_wsproto", "state")  # fmt: skip

    def __init__(self, entropy: Callable[[int], bytes], limits: Limits = DEFAULT_LIMITS) -> None:
        self.state = SessionState.OPEN
        self._entropy = entropy
        self._limits = limits
        self._tail: bytearray | None = None
        self._needed = 0
        self._wsproto: FrameProtocol | None = None
        self._parts: Pieces[Any] | None = None
        self._message_bytes = self._fragments = 0

    # -- in ----------------------------------------------------------------------------------

    def receive(self, data: bytes) -> list[Event]:
        """Take what arrived; return what it makes. After CloseReceived or Failed, all is dropped."""
        if self._tail is not None:
            self._tail += data
            if len(self._tail) < self._needed:
                return []
            data, self._tail = bytes(self._tail), None
        events: list[Event] = []
        offset, size = 0, len(data)
        while offset < size and self.state in _READING:
            end = self._take_plain(data, offset, events) or self._take_other(data, offset, events)
            if not end:
                self._tail = bytearray(data[offset:])
                break
            offset = end
        return events

    def receive_eof(self) -> None:
        """Take note that the stream has ended."""
        self._step(SessionStep.END)
        self._tail = self._parts = None
        self._drop_wsproto()

    def _take_plain(self, data: bytes, offset: int, events: list[Event]) -> int:
        """Take a whole, final, flawless frame between messages; return where it ends, 0 for any other."""
        if self._fragments or len(data) < offset + 2:
            return 0
        first, length = data[offset], data[offset + 1]
        start = offset + 2
        if length == 126 and not first & _CONTROL and len(data) >= start + 2:
            length = data[start] << 8 | data[start + 1]
            start += 2
            if length <= MAX_CONTROL_BYTES:
                return 0
        elif length > MAX_CONTROL_BYTES:
            return 0
        end = start + length
        if end > len(data) or length > self._limits.message_bytes:
            return 0
        payload = data[start:end]
        event = _plain_event(first, payload)
        if event is None:
            return 0
        if isinstance(event, CloseReceived):
            self._step(SessionStep.RECEIVE_CLOSE)
        if self.state is not SessionState.CLOSE_SENT:
            events.append(event)
        return end

    def _take_other(self, data: bytes, offset: int, events: list[Event]) -> int:
        """Give wsproto the frame at `offset`; return where it ends, 0 if it is not whole."""
        header = parse_header(data, offset)
        self._needed = 0
        if header is None:
            return 0
        first, header_bytes, payload_bytes, _ = header
        if not first & _CONTROL:
            if self._message_bytes + payload_bytes > self._limits.message_bytes:
                return self._fail(CloseCode.MESSAGE_TOO_BIG, "a message is too large", data, events)
            if self._fragments >= self._limits.fragments:
                return self._fail(CloseCode.POLICY_VIOLATION, "too many fragments", data, events)
        end = offset + header_bytes + payload_bytes
        if end > len(data):
            self._needed = end - offset
            return 0
        if not first & _CONTROL:
            self._message_bytes += payload_bytes
            self._fragments += 1
        if self._wsproto is None:
            self._wsproto = FrameProtocol(client=True, extensions=[])
        self._wsproto.receive_bytes(data[offset:end])
        try:
            for frame in self._wsproto.received_frames():
                self._on_frame(frame, events)
        except ParseFailed as error:
            return self._fail(error.code, "the server broke the protocol", data, events)
        if not self._fragments:
            self._drop_wsproto()
        return end

    def _on_frame(self, frame: Frame, events: list[Event]) -> None:
        payload = frame.payload
        if isinstance(payload, tuple):
            self._step(SessionStep.RECEIVE_CLOSE)
            events.append(CloseReceived(int(payload[0]), payload[1]))
        elif frame.opcode is ParsedOpcode.PING or frame.opcode is ParsedOpcode.PONG:
            if self.state is SessionState.OPEN and isinstance(payload, bytes):
                events.append((Ping if frame.opcode is ParsedOpcode.PING else Pong)(payload))
        else:
            if self._parts is None:
                self._parts = Pieces(payload[:0])
            self._parts.append(payload)
            if frame.message_finished:
                message, self._parts = self._parts.join(), None
                self._message_bytes = self._fragments = 0
                if self.state is SessionState.OPEN:
                    events.append(
                        TextMessage(message) if isinstance(message, str) else BinaryMessage(message)
                    )

    def _fail(self, code: int, reason: str, data: bytes, events: list[Event]) -> int:
        """Fail the connection (RFC 6455 section 7.1.7); all of `data` counts as taken."""
        self._step(SessionStep.FAIL)
        self._drop_wsproto()
        self._parts = None
        events.append(Failed(int(code), reason))
        return len(data)

    def _drop_wsproto(self) -> None:
        """Let go of wsproto's parser, which holds itself: it is a generator that knows its owner."""
        if self._wsproto is not None:
            vars(self._wsproto).clear()
            self._wsproto = None

    # -- out ---------------------------------------------------------------------------------

    def send_text(self, text: str) -> bytes:
        """Return a text message in one frame."""
        self._step(SessionStep.SEND)
        return self._frame(Opcode.TEXT, text.encode())

    def send_binary(self, data: bytes) -> bytes:
        """Return a binary message in one frame."""
        self._step(SessionStep.SEND)
        return self._frame(Opcode.BINARY, data)

    def send_ping(self, payload: bytes = b"") -> bytes:
        """Return a ping; `payload` has 125 bytes at most, else ValueError."""
        self._step(SessionStep.SEND)
        return self._frame(Opcode.PING, payload)

    def answer_ping(self, payload: bytes) -> bytes:
        """Return the pong that is due for a Ping; b"" if a close frame was sent meanwhile."""
        if SessionStep.SEND not in SESSION_TRANSITIONS[self.state]:
            return b""
        return self._frame(Opcode.PONG, payload)

    def send_close(self, code: int, reason: str = "") -> bytes:
        """Return a close frame: ours, or the answer that is due after CloseReceived or Failed.

        Raises ValueError for a code that may not be sent.
        """
        payload = encode_close(code, reason)
        self._step(SessionStep.SEND_CLOSE)
        return self._frame(Opcode.CLOSE, payload)

    def _frame(self, opcode: Opcode, payload: bytes) -> bytes:
        header = encode_header(opcode, len(payload))
        mask = self._entropy(MASK_BYTES)
        return b"%b%c%b%b%b" % (header[:1], header[1] | 0x80, header[2:], mask, unmask(payload, mask))

    def _step(self, step: SessionStep) -> None:
        try:
            self.state = SESSION_TRANSITIONS[self.state][step]
        except KeyError:
            raise StateError(f"{step.value} is illegal while {self.state.value}") from None


def _plain_event(first: int, payload: bytes) -> Event | None:
    """Return what a final, unmasked frame says; None if wsproto must judge it."""
    if first == _TEXT:
        try:
            return TextMessage(payload.decode())
        except UnicodeDecodeError:
            return None
    if first == _BINARY:
        return BinaryMessage(payload)
    if first == _PING:
        return Ping(payload)
    if first == _PONG:
        return Pong(payload)
    if first != _CLOSE:
        return None
    if not payload:
        return CloseReceived(int(CloseCode.NO_STATUS_RECEIVED), "")
    code = int.from_bytes(payload[:2], "big")
    try:
        return CloseReceived(code, payload[2:].decode()) if is_valid_received(code) else None
    except UnicodeDecodeError:
        return None
