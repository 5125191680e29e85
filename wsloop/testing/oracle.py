"""A second opinion on what bytes mean: RFC 6455 and RFC 7692, read slowly.

It shares no line with `wsloop.protocol`, nor with wsproto, and is written to be checked against the two
documents: nothing is fast, nothing is kept but what the rules ask for, and each fault names its section.
It reads a whole stream at once; whoever has it in pieces asks again with all of it. Tests compare it with
wsloop's own sessions and with wsproto; `judge/` believes it.
"""

from __future__ import annotations

import codecs
import zlib
from dataclasses import dataclass, replace

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
DATA = (CONTINUATION, TEXT, BINARY)
CONTROL = (CLOSE, PING, PONG)

PROTOCOL_ERROR, NOT_CONSISTENT, TOO_BIG = 1002, 1007, 1009
"""Close codes (RFC 6455 section 7.4.1)."""

NO_CODE = 1005
"""What a close frame without a code is reported as (section 7.1.5)."""

SAYABLE = frozenset((*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)))
"""Codes that may stand in a close frame: section 7.4, and the registry, which has 1014 (bad gateway)."""

WINDOW_BYTES = 32 * 1024
"""How far back a deflate stream can refer at most (RFC 1951 section 2)."""

EMPTY_BLOCK_TAIL = b"\x00\x00\xff\xff"
"""What a sender removes from a compressed message's end, and a receiver puts back (RFC 7692 section 7.2)."""

LAST_BLOCK = b"\x01\x00\x00\xff\xff"
"""An empty block that ends a deflate stream (RFC 1951 section 3.2.4)."""


@dataclass(frozen=True)
class Text:
    """A whole text message."""

    data: str


@dataclass(frozen=True)
class Binary:
    """A whole binary message."""

    data: bytes


@dataclass(frozen=True)
class Ping:
    """A ping."""

    data: bytes = b""


@dataclass(frozen=True)
class Pong:
    """A pong."""

    data: bytes = b""


@dataclass(frozen=True)
class Close:
    """A close frame; nothing is read behind it (RFC 6455 section 1.4)."""

    code: int = NO_CODE
    reason: str = ""


Said = Text | Binary | Ping | Pong | Close


@dataclass(frozen=True)
class Fault:
    """Why the connection has to be failed, and with which code.

    `section` is where the rule stands. `must_fail` tells whether it is the receiver who is told to fail the
    connection; if not, the rule binds the sender only, and a lenient receiver breaks none. `is_cut` tells
    whether a part of the frame's payload was still missing: a receiver may wait for it before it judges.
    """

    code: int
    rule: str
    section: str
    must_fail: bool
    is_cut: bool = False


@dataclass(frozen=True)
class Reading:
    """What a stream says: whole messages and control frames in order, and where it goes wrong, if it does."""

    said: tuple[Said, ...]
    fault: Fault | None
    is_finished: bool
    """Whether it ends between two messages, or with a close frame or a fault."""

    @property
    def messages(self) -> list[Text | Binary]:
        """The data messages."""
        return [each for each in self.said if isinstance(each, Text | Binary)]

    @property
    def close(self) -> Close | None:
        """The close frame, if there was one."""
        return self.said[-1] if self.said and isinstance(self.said[-1], Close) else None


@dataclass(frozen=True)
class Deflate:
    """What was agreed on for the sender of a stream (RFC 7692 section 7.1): window and context takeover.

    With `is_strict` it is a fault to refer back farther than the window, even within a message; who has zlib
    inflate a message in one piece does not notice.
    """

    bits: int = 15
    takeover: bool = True
    is_strict: bool = False


DAMAGED = Fault(NOT_CONSISTENT, "compressed data is damaged", "RFC 7692, 7.2.2", must_fail=False)
TOO_FAR = Fault(
    NOT_CONSISTENT, "compressed data refers back beyond the agreed window", "RFC 7692, 7.1.2", must_fail=False
)


class _BrokenError(Exception):
    """Carries a fault to where the stream ends."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self.fault = fault


@dataclass
class _Frame:
    fin: bool
    rsv1: bool
    opcode: int
    payload: bytes


def read(
    stream: bytes,
    *,
    by_client: bool = True,
    deflate: Deflate | None = None,
    max_message_bytes: int | None = None,
) -> Reading:
    """Read what a client (else: a server) has sent behind its handshake; bytes never raise.

    `deflate` is what was agreed on for this direction, None without the extension. A message larger than
    `max_message_bytes`, inflated, is a fault with code 1009.
    """
    reader = _Reader(stream, by_client, deflate, max_message_bytes)
    try:
        reader.read()
    except _BrokenError as error:
        return Reading(tuple(reader.said), error.fault, is_finished=True)
    closed = bool(reader.said) and isinstance(reader.said[-1], Close)
    return Reading(tuple(reader.said), None, closed or (not reader.rest and reader.opcode is None))


class _Reader:
    """One pass over a stream."""

    def __init__(
        self, stream: bytes, by_client: bool, deflate: Deflate | None, max_message_bytes: int | None
    ) -> None:
        self.said: list[Said] = []
        self.rest = stream
        self.opcode: int | None = None  # of the message that is under way, None between two
        self._by_client = by_client
        self._deflate = deflate
        self._max = max_message_bytes
        self._is_compressed = False
        self._wire = b""  # the message's payload so far, as sent
        self._window = b""  # what earlier messages inflated to

    def read(self) -> None:
        while (frame := self._next_frame()) is not None:
            if frame.opcode in CONTROL:
                self._take_control(frame)
            else:
                self._take_data(frame)
            if frame.opcode == CLOSE:
                return

    # -- frames: RFC 6455 section 5.2 ---------------------------------------------------------

    def _next_frame(self) -> _Frame | None:
        """Take one frame off the stream, or nothing while it is not whole."""
        data = self.rest
        if len(data) < 2:
            return None
        fin, rsv, opcode = data[0] >= 0x80, data[0] >> 4 & 7, data[0] & 0x0F
        is_masked, length, at = data[1] >= 0x80, data[1] & 0x7F, 2
        if length >= 126:
            at += 2 if length == 126 else 8
            if len(data) < at:
                return None
            length = int.from_bytes(data[2:at], "big")
        end = at + 4 * is_masked + length
        fault = self._fault_of_header(fin, rsv, opcode, is_masked, length, data[1] & 0x7F)
        if fault is not None:
            raise _BrokenError(Fault(*fault, is_cut=len(data) < end))
        payload = data[at:end]
        if is_masked:
            mask, payload = payload[:4], payload[4:]
            payload = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
        if len(data) < end:
            self._look_ahead(_Frame(False, bool(rsv & 4), opcode, payload))
            return None
        self.rest = data[end:]
        return _Frame(fin, bool(rsv & 4), opcode, payload)

    def _look_ahead(self, begun: _Frame) -> None:
        """Judge what is there of a frame of data that is not whole: text may already be wrong."""
        try:
            if begun.opcode in DATA and begun.payload:
                self._take_data(begun)
        except _BrokenError as error:
            raise _BrokenError(replace(error.fault, is_cut=True)) from None

    def _fault_of_header(
        self, fin: bool, rsv: int, opcode: int, is_masked: bool, length: int, short_length: int
    ) -> tuple[int, str, str, bool] | None:
        """Return (code, rule, section, whether the receiver must fail) of the first rule that is broken."""
        may_have_rsv1 = self._deflate is not None and opcode in (TEXT, BINARY)
        shortest = 125 if length <= 125 else 126 if length <= 65535 else 127
        rules = (
            (opcode in DATA + CONTROL, "an opcode is reserved", "RFC 6455, 5.2", True),
            (not rsv & 3, "a reserved bit is set", "RFC 6455, 5.2", True),
            (not rsv & 4 or may_have_rsv1, "RSV1 is set where it has no meaning", "RFC 6455, 5.2", True),
            (is_masked or not self._by_client, "a client's frame is not masked", "RFC 6455, 5.1", True),
            (not is_masked or self._by_client, "a server's frame is masked", "RFC 6455, 5.1", True),
            (length < 2**63, "a length has its highest bit set", "RFC 6455, 5.2", False),
            (short_length <= shortest, "a length is not in its shortest form", "RFC 6455, 5.2", False),
            (opcode in DATA or fin, "a control frame is fragmented", "RFC 6455, 5.5", False),
            (opcode in DATA or length <= 125, "a control frame is too long", "RFC 6455, 5.5", False),
            (
                opcode != CONTINUATION or self.opcode is not None,
                "nothing to continue",
                "RFC 6455, 5.4",
                False,
            ),
            (
                opcode not in (TEXT, BINARY) or self.opcode is None,
                "a message begins inside another",
                "RFC 6455, 5.4",
                False,
            ),
        )
        broken = next((rule for rule in rules if not rule[0]), None)
        return None if broken is None else (PROTOCOL_ERROR, *broken[1:])

    # -- control frames: section 5.5 ----------------------------------------------------------

    def _take_control(self, frame: _Frame) -> None:
        if frame.opcode == PING:
            self.said.append(Ping(frame.payload))
        elif frame.opcode == PONG:
            self.said.append(Pong(frame.payload))
        else:
            self.said.append(_close(frame.payload))

    # -- messages: section 5.4, and RFC 7692 section 6 ----------------------------------------

    def _take_data(self, frame: _Frame) -> None:
        if frame.opcode != CONTINUATION:
            self.opcode, self._is_compressed, self._wire = frame.opcode, frame.rsv1, b""
        self._wire += frame.payload
        message = self._inflate(is_whole=frame.fin) if self._is_compressed else self._wire
        if self._max is not None and len(message) > self._max:
            raise _BrokenError(Fault(TOO_BIG, "a message is too large", "RFC 6455, 7.4.1", must_fail=False))
        said = _utf8(message, is_whole=frame.fin, what="a text message") if self.opcode == TEXT else ""
        if not frame.fin:
            return
        self.said.append(Text(said) if self.opcode == TEXT else Binary(message))
        self.opcode = None
        if self._is_compressed and self._deflate is not None and self._deflate.takeover:
            self._window = (self._window + message)[-WINDOW_BYTES:]

    def _inflate(self, *, is_whole: bool) -> bytes:
        """Return what the payload so far inflates to (RFC 7692 section 7.2.2).

        A sender may end a block with BFINAL (section 7.2.3.4); what follows is another stream of blocks,
        which may still refer back. Blocks begin at a byte there, and at each message, so that all that is
        needed to go on is the window.
        """
        assert self._deflate is not None
        wire = self._wire + (EMPTY_BLOCK_TAIL if is_whole else b"")
        message = b""
        # Nothing at all is taken as an empty message, though its sender should have said one byte.
        while self._wire:
            window = (self._window + message)[-WINDOW_BYTES:]
            inflater = zlib.decompressobj(-max(self._deflate.bits, 9), zdict=window)
            try:
                message += _inflated(inflater, wire, is_strict=self._deflate.is_strict)
                is_complete = inflater.eof or not is_whole or _is_between_blocks(inflater)
            except zlib.error as error:
                if self._deflate.is_strict and "too far back" in str(error):
                    raise _BrokenError(TOO_FAR) from None
                is_complete = False
            if not is_complete:
                raise _BrokenError(DAMAGED)
            wire = inflater.unused_data
            # A final block may be a message's end, though its sender should have added a byte behind it.
            if not wire or (is_whole and wire == EMPTY_BLOCK_TAIL):
                break
        return message


def _inflated(inflater: zlib._Decompress, wire: bytes, *, is_strict: bool) -> bytes:
    """Return what `wire` inflates to; if strict, byte by byte, so that zlib has nothing but its window."""
    if not is_strict:
        return inflater.decompress(wire)
    found = bytearray()
    while byte := inflater.decompress(wire, 1):
        found += byte
        wire = inflater.unconsumed_tail
    return bytes(found)


def _is_between_blocks(inflater: zlib._Decompress) -> bool:
    """Tell whether a stream is complete so far: an empty last block would end it."""
    said = inflater.decompress(LAST_BLOCK)
    return inflater.eof and not said and not inflater.unused_data


def _close(payload: bytes) -> Close:
    """Return what a close frame says (section 5.5.1)."""
    if not payload:
        return Close()
    code = int.from_bytes(payload[:2], "big")
    if len(payload) == 1:
        fault = Fault(PROTOCOL_ERROR, "a close frame has half a code", "RFC 6455, 5.5.1", must_fail=False)
        raise _BrokenError(fault)
    if code not in SAYABLE:
        fault = Fault(PROTOCOL_ERROR, "a close code must not be sent", "RFC 6455, 7.4", must_fail=False)
        raise _BrokenError(fault)
    return Close(code, _utf8(payload[2:], is_whole=True, what="a close reason"))


def _utf8(data: bytes, *, is_whole: bool, what: str) -> str:
    """Decode text, which may end inside of a character unless it `is_whole` (section 8.1)."""
    try:
        return codecs.getincrementaldecoder("utf-8")().decode(data, is_whole)
    except UnicodeDecodeError:
        fault = Fault(NOT_CONSISTENT, f"{what} is not UTF-8", "RFC 6455, 8.1", must_fail=True)
        raise _BrokenError(fault) from None
