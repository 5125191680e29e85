"""The fast path: whole, plain frames decoded where they lie, in one loop over what a read brought.

Nearly all that clients send are short, masked, unfragmented messages, and whole when they are
read. For these a parser needs no state: the loop below keeps everything in local variables, and
calls nothing for a frame but what makes its payload and its event. That is a tenth of what
wsproto takes (`python -m tools.bench.protocol`).

The loop judges nothing. It checks exactly what makes a frame plain: at a message boundary, final,
no reserved bit, text, binary, ping or pong, masked, length in the shortest form and within the
limit, text that is UTF-8. The first frame that is not plain, or not whole, is left untouched to
`session.py`, and the loop goes on behind it. A property holds a `FastSession` to the very
events, states and bytes of a `Session`, for every stream and every cut. A close frame that keeps
every rule is taken here, too, outside of the loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsloop.errors import ProtocolError
from wsloop.protocol.close import CloseCode, is_valid_received
from wsloop.protocol.events import BinaryMessage, Ping, Pong, TextMessage
from wsloop.protocol.frames import MAX_CONTROL_BYTES, RSV1, parse_header
from wsloop.protocol.inflate import max_wire_bytes
from wsloop.protocol.masking import unmask
from wsloop.protocol.session import BUDGET, NOT_UTF8, Session

if TYPE_CHECKING:
    from wsloop.protocol.frames import Buffer

_CONTROL = 0x08
_MASKED, _MASKED_126 = 0x80, 0xFE
_FIN_TEXT, _FIN_BINARY, _FIN_PING, _FIN_PONG = _PLAIN = (0x81, 0x82, 0x89, 0x8A)
_FIN_CLOSE = 0x88
_COMPRESSED_TEXT, _ = _COMPRESSED = (0xC1, 0xC2)

INLINE_BYTES = 256
"""Payloads up to here are unmasked without a call, which would take a tenth of the frame's time."""

_REPEAT = tuple(sum(1 << 32 * word for word in range(words)) for words in range(INLINE_BYTES // 4 + 2))
"""Multiplies a key of four bytes, as a number, so that it stands in that many words in a row."""

_from_bytes = int.from_bytes


class FastSession(Session):
    """A `Session` with the fast path, and with long frames received in place (`large.py`)."""

    __slots__ = ()

    is_fast = True

    def receive(self, data: Buffer, budget: int = BUDGET) -> int:  # noqa: PLR0912, PLR0915 - calls cost
        """See `Session.receive`. Cheapest for `bytes`; other buffers are copied where frames are plain."""
        size = len(data)
        offset = 0
        append = self._events.append
        message_bytes = self._limits.message_bytes
        while True:
            if self._is_plain and (type(data) is bytes or _holds_whole_frame(data, offset)):
                if type(data) is not bytes:
                    data = bytes(data)
                # The shortest frame has a header of 2 bytes and a mask of 4.
                start = offset + 6
                while start <= size and budget > 0:
                    first = data[offset]
                    length = data[offset + 1]
                    if length == _MASKED_126:
                        if start + 2 > size or first & _CONTROL:
                            break
                        length = data[offset + 2] << 8 | data[offset + 3]
                        if length < 126:
                            break
                        start += 2
                    elif _MASKED <= length < _MASKED_126:
                        length -= _MASKED
                    else:
                        break
                    end = start + length
                    if end > size or first not in _PLAIN or length > message_bytes:
                        break
                    if length <= INLINE_BYTES:
                        # Key and payload as one number: its lowest word is the key, for all the others.
                        number = _from_bytes(data[start - 4 : end], "little")
                        words = (length + 7) >> 2
                        number ^= (number & 0xFFFFFFFF) * _REPEAT[words]
                        payload = number.to_bytes(words << 2, "little")[4 : length + 4]
                    else:
                        payload = unmask(data[start:end], data[start - 4 : start])
                    if first == _FIN_TEXT:
                        try:
                            append(TextMessage(payload.decode()))
                        except UnicodeDecodeError:
                            break
                    elif first == _FIN_BINARY:
                        append(BinaryMessage(payload))
                    else:
                        append(Ping(payload) if first == _FIN_PING else Pong(payload))
                    budget -= 1
                    offset = end
                    start = end + 6
            if offset == size or budget <= 0:
                break
            taken = (
                self._take_plain_close(data, offset)
                or self._take_compressed(data, offset)
                or self._receive_one(self, data, offset)
            )
            if not taken:
                break
            offset += taken
            budget -= self._weigh()
        self.is_spent = budget <= 0 and offset < size
        return offset

    def _take_plain_close(self, data: Buffer, offset: int) -> int:
        """Take a close frame that leaves nothing to judge; return how much of the input ends with it, or 0.

        It is most connections' last frame. To make a wsproto object for it, as for their first
        that is not plain, costs ten times as much.
        """
        close = decode_close(data, offset) if self._is_plain else None
        if close is None:
            return 0
        self._on_close(*close)
        return len(data) - offset

    def _take_compressed(self, data: Buffer, offset: int) -> int:
        """Take a compressed message that stands whole in `data`; return how much ends with it, or 0.

        A quarter of what wsproto takes. What breaks a rule on the wire is left to that.
        """
        if self._deflate is None or not self._is_plain:
            return 0
        header = parse_header(data, offset, RSV1)
        if header is None:
            return 0
        first, header_bytes, length, doubtful = header
        start = offset + header_bytes
        end = start + length
        if first not in _COMPRESSED or doubtful or end > len(data) or length > max_wire_bytes(self._limits):
            return 0
        payload = unmask(bytes(data[start:end]), bytes(data[start - 4 : start]))
        try:
            message = self._own_inflater(self._deflate).message(payload)
            self._events.append(
                TextMessage(message.decode()) if first == _COMPRESSED_TEXT else BinaryMessage(message)
            )
        except ProtocolError as error:
            self._fail(error.close_code, error.reason)
        except UnicodeDecodeError:
            self._fail(CloseCode.INVALID_DATA, NOT_UTF8)
        else:
            return end - offset
        return len(data) - offset


def decode_close(data: Buffer, offset: int) -> tuple[int, str] | None:
    """Return code and reason of a flawless close frame that stands whole in `data` at `offset`, else None.

    The code is 1005 if the frame names none (RFC 6455 section 7.1.5).
    """
    start = offset + 6
    if len(data) < start or data[offset] != _FIN_CLOSE:
        return None
    length = data[offset + 1] - 128
    if not 0 <= length <= MAX_CONTROL_BYTES or length == 1 or len(data) < start + length:
        return None
    if not length:
        return int(CloseCode.NO_STATUS_RECEIVED), ""
    payload = unmask(bytes(data[start : start + length]), bytes(data[start - 4 : start]))
    code = payload[0] << 8 | payload[1]
    try:
        return (code, payload[2:].decode()) if is_valid_received(code) else None
    except UnicodeDecodeError:
        return None


def _holds_whole_frame(data: Buffer, offset: int) -> bool:
    """Tell whether the frame at `offset` is whole."""
    header = parse_header(data, offset)
    return header is not None and header[1] + header[2] <= len(data) - offset
