"""What is secret in a conversation, blotted out: same bytes otherwise, same lengths, same cuts.

A recording must show how a client behaves, not what it may use to be let in. So every character of a token
becomes `*` in place: in request heads all values of query parameters, of headers that are not listed here as
harmless and of subprotocols that the server does not speak; in messages the values of JSON members named
like a secret, and whatever looks like a JWT. What cannot be read is blotted out whole. Pure.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from wsloop.errors import ProtocolError
from wsloop.protocol.frames import RSV1, Opcode
from wsloop.protocol.inflate import Inflater
from wsloop.protocol.masking import unmask
from wsloop.protocol.walk import LINE_END, SWITCHING, frame_at, head_end

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from wsloop.protocol.walk import Frame

STAR = b"*"

HARMLESS = frozenset(
    {
        b"accept",
        b"accept-encoding",
        b"accept-language",
        b"cache-control",
        b"connection",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"forwarded",
        b"host",
        b"origin",
        b"pragma",
        b"sec-fetch-dest",
        b"sec-fetch-mode",
        b"sec-fetch-site",
        b"sec-websocket-accept",
        b"sec-websocket-extensions",
        b"sec-websocket-key",
        b"sec-websocket-version",
        b"traceparent",
        b"transfer-encoding",
        b"upgrade",
        b"user-agent",
        b"via",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-proto",
        b"x-real-ip",
    }
)
"""Headers, in lower case, whose values nobody is let in by. All others are blotted out."""

SUBPROTOCOLS = b"sec-websocket-protocol"
"""Browsers can set no other header, so that some applications carry a token in it."""

FAULT_BYTES = 2
"""Of a header that nothing can follow: its opcode, and how long it says it is."""

MAX_INFLATED_BYTES = 16 * 1024 * 1024
"""A compressed message that inflates to more is not looked into, whatever the connection allows: it is
blotted out."""


NAMES = (
    b"token",
    b"jwt",
    b"password",
    b"passwd",
    b"secret",
    b"authorization",
    b"cookie",
    b"api_key",
    b"api-key",
    b"apikey",
)
"""A JSON member whose name has one of these in it, in any case, holds a secret."""

_NAME_END = re.compile(rb'[^"]{0,64}+"\s*+:\s*+"')
"""What follows such a name: the rest of the member's name, until its text."""

_TEXT = re.compile(rb'(?>(?:[^"\\]++|\\.){1,1000})', re.DOTALL)
"""A part of a text, which may be cut off: for each repetition `re` remembers a way back until it ends."""

_ESCAPED = re.compile(rb"\\u00(?:2[dD]|[46][1-9a-fA-F]|[57][0-9aA]|5[fF])")
"""A letter, `-` or `_` in a form that hides names (RFC 8259 section 7); no encoder writes them like this."""

_JWT = re.compile(rb"ey[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]{4,}+(?:\.[A-Za-z0-9_-]*+)?")
"""RFC 7519: a JSON object in base64url, and what follows."""

_LOGIN = re.compile(rb"(?<=//)[^/?#@\s]*+(?=@)")
"""What stands before the host in a whole URL (RFC 3986 section 3.2.1), which a request line may have."""

_QUERY = re.compile(rb"[?&]([^=&\s]*+=)?([^&\s]*+)")


def redacted_head(head: bytes, subprotocols: frozenset[bytes] = frozenset()) -> bytes:
    """Return a request's or a response's head, whole or cut off, with its secrets blotted out.

    `subprotocols` are those that the server speaks.
    """
    first, *others = LINE_END.split(head)  # every second one is a line's end
    first = _LOGIN.sub(_stars, _QUERY.sub(_without_value, first))
    kept = [
        _redacted_header(part, subprotocols) if number % 2 else part for number, part in enumerate(others)
    ]
    return b"".join((_JWT.sub(_stars, first), *kept))


def redacted_message(payload: bytes, *, is_text: bool) -> bytes:
    """Return a message, whole or cut off, with its secrets blotted out; as long as it was.

    Takes some milliseconds for each MiB, and a microsecond for each secret: names are searched for as they
    are, not by one expression.
    """
    if b"\\u00" in payload and _ESCAPED.search(payload):
        return STAR * len(payload)
    if b"ey" in payload:
        payload = _JWT.sub(_stars, payload)
    lowered = payload.lower()
    redacted = bytearray(payload)
    for name in NAMES:
        for start, end in _values_of(name, payload, lowered):
            redacted[start:end] = STAR * (end - start)
            is_text = True  # JSON, whatever its frame says
    if not is_text:
        # Another encoding than JSON: where its strings end is not known here.
        for name in NAMES:
            if (at := lowered.find(name)) >= 0:
                start = at + len(name)
                redacted[start:] = STAR * (len(payload) - start)
    return bytes(redacted)


def _values_of(name: bytes, payload: bytes, lowered: bytes) -> Iterator[tuple[int, int]]:
    """Yield where the texts of members with `name` in their names begin and end."""
    at = lowered.find(name)
    while at >= 0:
        at += len(name)
        if (name_end := _NAME_END.match(payload, at)) is not None:
            start = at = name_end.end()
            while (part := _TEXT.match(payload, at)) is not None:
                at = part.end()
            yield start, at
        at = lowered.find(name, at)


def _stars(match: re.Match[bytes]) -> bytes:
    return STAR * len(match[0])


def _without_value(match: re.Match[bytes]) -> bytes:
    kept = match[0][: len(match[0]) - len(match[2])]
    return kept + STAR * len(match[2])


def _redacted_header(line: bytes, subprotocols: frozenset[bytes]) -> bytes:
    name, colon, value = line.partition(b":")
    if name.lower() in HARMLESS and colon:
        return name + colon + _JWT.sub(_stars, value)
    if name.lower() == SUBPROTOCOLS and colon:
        items = value.split(b",")
        return (
            name
            + colon
            + b",".join(item if item.strip() in subprotocols else STAR * len(item) for item in items)
        )
    # Without a colon it is a header that was folded, or cut off: its own name is not known.
    return name + colon + STAR * len(value) if colon else STAR * len(line)


class Redactor:
    """One direction of a connection: recorded pieces in, the same pieces with their secrets blotted out.

    A piece is given out when the messages that it has a part in are whole. Arguments: `answers`, whether this
    is what the server says; `is_open`, whether the stream begins with a frame, not with HTTP; `kept_bytes`,
    how far a compressed message may refer back (`Inflater`); `message_bytes`, what one may inflate to that
    is looked into, for the connection takes no larger one; `subprotocols` as for `redacted_head`.
    """

    __slots__ = (
        "_answers", "_buffer", "_done", "_inflater", "_is_lost", "_message", "_pieces", "_scanned",
        "_subprotocols", "awaits_answer", "is_open",
    )  # fmt: skip

    def __init__(
        self,
        *,
        answers: bool,
        is_open: bool,
        kept_bytes: int = 0,
        message_bytes: int = MAX_INFLATED_BYTES,
        subprotocols: frozenset[bytes] = frozenset(),
    ) -> None:
        self._answers = answers
        self.is_open = is_open
        self.awaits_answer = False
        """Whether the other side is to say what follows, HTTP or frames: a request asked for an upgrade."""
        self._subprotocols = subprotocols
        self._inflater: Inflater | None = None
        self._expect(kept_bytes, message_bytes)
        self._buffer = bytearray()  # what was not given out yet
        self._pieces: list[tuple[int, int]] = []  # the number of each piece of it, and how long it is
        self._done = self._scanned = 0  # how much of it is redacted, how much was looked at
        self._message: list[Frame] = []  # the data frames of an unfinished message
        self._is_lost = False  # whether frames cannot be told apart any more

    def feed(self, number: int, data: bytes) -> list[tuple[int, bytes]]:
        """Take a piece; return those that are ready, in order, each with the number it was given."""
        self._buffer += data
        self._pieces.append((number, len(data)))
        return self._go_on()

    def open(self, kept_bytes: int, message_bytes: int = MAX_INFLATED_BYTES) -> list[tuple[int, bytes]]:
        """Take note that frames follow the request, which was granted; return what is ready."""
        self._expect(kept_bytes, message_bytes)
        self.is_open, self.awaits_answer = True, False
        return self._go_on()

    def _expect(self, kept_bytes: int, message_bytes: int) -> None:
        self._inflater = Inflater(min(message_bytes, MAX_INFLATED_BYTES), kept_bytes)

    def refuse(self) -> list[tuple[int, bytes]]:
        """Take note that more HTTP follows the request; return what is ready."""
        self.awaits_answer = False
        return self._go_on()

    def _go_on(self) -> list[tuple[int, bytes]]:
        while not self.is_open and not self.awaits_answer and self._take_head():
            pass
        if self.is_open:
            self._take_frames()
        return self._ready()

    def finish(self) -> list[tuple[int, bytes]]:
        """Return the rest at the end of the recording; of unfinished messages only the frames' headers."""
        if not self.is_open:
            head = bytes(self._buffer[self._done :])
            self._buffer[self._done :] = redacted_head(head, self._subprotocols)
        else:
            for frame in self._message:
                self._blot(frame)
            unfinished = None if self._is_lost else frame_at(self._buffer, self._scanned)
            if unfinished is not None:
                self._blot(unfinished)
            elif not self._is_lost:
                self._buffer[self._scanned :] = STAR * (len(self._buffer) - self._scanned)
        self._done = len(self._buffer)
        return self._ready()

    def _ready(self) -> list[tuple[int, bytes]]:
        """Give out the pieces that are redacted to their ends."""
        ready = []
        start = count = 0
        for number, size in self._pieces:
            if start + size > self._done:
                break
            ready.append((number, bytes(self._buffer[start : start + size])))
            start, count = start + size, count + 1
        if count:
            del self._pieces[:count]
            del self._buffer[:start]
            self._done -= start
            self._scanned -= start
            self._message = [frame.moved(start) for frame in self._message]
        return ready

    # -- HTTP ------------------------------------------------------------------------------

    def _take_head(self) -> bool:
        """Redact a head that is whole; return whether there was one."""
        end = head_end(self._buffer, self._done, is_answer=self._answers)
        if end < 0:
            return False
        head = bytes(self._buffer[self._done : end])
        self._buffer[self._done : end] = redacted_head(head, self._subprotocols)
        self._done = self._scanned = end
        if self._answers:
            self.is_open = SWITCHING in head
        else:
            self.awaits_answer = b"\nupgrade:" in head.lower()
        return True

    # -- frames ----------------------------------------------------------------------------

    def _take_frames(self) -> None:
        """Redact the messages that are whole."""
        while not self._is_lost:
            try:
                frame = frame_at(self._buffer, self._scanned)
            except ValueError:
                self._is_lost = True
                self._scanned += FAULT_BYTES
                break
            if frame is None or frame.end > len(self._buffer):
                return
            self._scanned = frame.end
            if not frame.is_control:
                self._message.append(frame)
                if frame.is_final:
                    self._redact_message()
            if not self._message:
                self._done = self._scanned
        self._lose_track()

    def _lose_track(self) -> None:
        """Give up telling frames apart: what follows is blotted out, after the bytes that were at fault."""
        for frame in self._message:
            self._blot(frame)
        self._message = []
        self._buffer[self._scanned :] = STAR * (len(self._buffer) - self._scanned)
        self._done = self._scanned = len(self._buffer)

    def _redact_message(self) -> None:
        frames, self._message = self._message, []
        payload = b"".join(frame.payload(self._buffer) for frame in frames)
        is_text = frames[0].opcode == Opcode.TEXT
        if frames[0].is_compressed:
            self._redact_compressed(frames, payload, is_text=is_text)
            return
        redacted = redacted_message(payload, is_text=is_text)
        if redacted != payload:
            self._write(frames, redacted)

    def _redact_compressed(self, frames: list[Frame], payload: bytes, *, is_text: bool) -> None:
        """Leave a compressed message without secrets as it is; of another one nothing is left.

        It becomes as many stars, uncompressed. If later ones may refer to it, they cannot be read either.
        """
        message = self._inflated(payload)
        if message is not None and redacted_message(message, is_text=is_text) == message:
            return
        if self._inflater is not None and self._inflater.keeps:
            self._inflater = None
        for frame in frames:
            self._blot(frame)

    def _inflated(self, payload: bytes) -> bytes | None:
        """Return what a compressed message says, None if that is not known."""
        if self._inflater is None:
            return None
        try:
            return self._inflater.message(payload)
        except ProtocolError:
            if self._inflater.keeps:
                self._inflater = None
            return None

    def _write(self, frames: Iterable[Frame], payload: bytes) -> None:
        """Put a message's payload in place of that of its frames."""
        start = 0
        for frame in frames:
            part = payload[start : start + frame.end - frame.start]
            self._buffer[frame.start : frame.end] = unmask(part, frame.mask) if frame.mask else part
            start += len(part)

    def _blot(self, frame: Frame) -> None:
        """Make stars of as much of a data frame's payload as there is."""
        if frame.is_control:
            return
        self._buffer[frame.at] = frame.first & ~RSV1
        present = min(frame.end, len(self._buffer)) - frame.start
        stars = STAR * present
        self._buffer[frame.start : frame.start + present] = unmask(stars, frame.mask) if frame.mask else stars
