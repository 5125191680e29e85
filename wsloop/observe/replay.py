"""A recorded conversation, played again: each frame as it lay on the wire, and what the core makes of it.

The client's bytes go through the very `FastSession` that the server uses, cut where they were cut; the
server's are read frame by frame. Offline and pure: lines in, lines of text out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsloop.errors import ProtocolError
from wsloop.protocol.close import CloseCode
from wsloop.protocol.deflate import DeflateOptions, compressor_for
from wsloop.protocol.deflate_offers import Agreement, parse_offer
from wsloop.protocol.events import BinaryMessage, Failed, TextMessage
from wsloop.protocol.fast_path import FastSession
from wsloop.protocol.frames import RSV1, Opcode
from wsloop.protocol.inflate import Inflater
from wsloop.protocol.limits import Limits
from wsloop.protocol.walk import SWITCHING, frame_at, head_end

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wsloop.hub.operations.results import RecordedLine
    from wsloop.protocol.events import Event
    from wsloop.protocol.walk import Frame

SHOWN_CHARS = 200
"""Of a payload, unless all of it is asked for: two lines of a terminal."""

LARGEST_BYTES = 64 * 1024 * 1024
"""A message, where the recording does not tell the limit; what the server sent is not judged by one."""

FULL_WINDOW_BYTES = 32 * 1024

ARROWS = {False: ">", True: "<"}
"""From the client, from the server."""

_NAMES = {each.value: each.name.lower() for each in Opcode}


def replayed(lines: Sequence[RecordedLine], began_s: float, shown_chars: int = SHOWN_CHARS) -> Iterator[str]:
    """Yield the conversation of one connection, its lines in their order; times count from `began_s`.

    Texts are the peers': whoever prints them escapes them. `shown_chars` 0 shows payloads whole.
    """
    about: dict[str, str | int | bool] = {}
    for line in lines:
        about |= line.about
    is_whole = bool(about.get("is_whole"))
    yield _title(lines, about, is_whole=is_whole)
    conversation = _Conversation(about, is_whole=is_whole, shown_chars=shown_chars)
    last_s = began_s
    for line in lines:
        last_s = line.t
        if line.kind in ("in", "out"):
            for text in conversation.take(line.data, is_answer=line.kind == "out"):
                yield f"{line.t - began_s:10.3f} {text}"
    for text in conversation.finish():
        yield f"{last_s - began_s:10.3f} {text}"
    is_over = any(line.kind == "end" for line in lines)
    yield f"{last_s - began_s:10.3f} " + ("- closed" if is_over else "- the recording ends here")


def _title(lines: Sequence[RecordedLine], about: dict[str, str | int | bool], *, is_whole: bool) -> str:
    known = [f"{name} {about[name]}" for name in ("user", "client") if about.get(name)]
    start = "from its first byte" if is_whole else "from the middle of its life"
    return ", ".join([f"connection {lines[0].c}", *known, f"from {about.get('address', '?')}", start])


class _Conversation:
    """Both directions of a connection."""

    def __init__(self, about: dict[str, str | int | bool], *, is_whole: bool, shown_chars: int) -> None:
        self._limits = Limits(message_bytes=int(about.get("message_bytes", 0)) or LARGEST_BYTES)
        self._shown_chars = shown_chars
        self._client = _Side(is_answer=False)
        self._server = _Side(is_answer=True)
        self._session: FastSession | None = None
        self._undecoded = b""
        self._inflater = Inflater(LARGEST_BYTES)
        if not is_whole:
            self._open(str(about.get("extensions", "")))

    def _open(self, extensions: str) -> None:
        self._client.is_open = self._server.is_open = True
        self._session = FastSession(self._limits, agreement_of(extensions))

    def take(self, data: bytes, *, is_answer: bool) -> Iterator[str]:
        """Yield what a piece of the stream completes."""
        side = self._server if is_answer else self._client
        side.buffer += data
        if not side.is_open:
            yield from self._take_heads(side)
            if is_answer and not side.is_open:
                yield from self._take_heads(self._client)  # one that was sent behind the other
        if side.is_open:
            yield from self._take_frames(side)
            if is_answer and self._client.buffer:  # what came right behind the request
                yield from self._take_frames(self._client)

    def finish(self) -> Iterator[str]:
        """Yield what is left unfinished."""
        for side in (self._client, self._server):
            left = len(side.buffer)
            if left:
                yield f"{side.arrow} {left:,} bytes of what is not whole"

    # -- HTTP ------------------------------------------------------------------------------

    def _take_heads(self, side: _Side) -> Iterator[str]:
        while not side.is_open and (end := head_end(side.buffer, is_answer=side.is_answer)) >= 0:
            head = bytes(side.buffer[:end]).rstrip(b"\r\n")
            del side.buffer[:end]
            start = max(head.find(b"HTTP/1.1 "), 0) if side.is_answer else 0
            if start:
                yield f"{side.arrow} {start:,} bytes of a body"
            first, *others = head[start:].decode("latin-1").replace("\r\n", "\n").split("\n")
            yield f"{side.arrow} {first}"
            for each in others:
                yield f"{side.arrow}     {each}"
            if side.is_answer and head[start:].startswith(SWITCHING):
                self._open(_value(others, "sec-websocket-extensions"))
            if not side.is_answer:
                return  # what follows is the answer's to say

    # -- frames ----------------------------------------------------------------------------

    def _take_frames(self, side: _Side) -> Iterator[str]:
        while not side.is_lost:
            try:
                frame = frame_at(side.buffer, 0)
            except ValueError:
                side.is_lost = True
                yield f"{side.arrow} what no frame begins with: {bytes(side.buffer[:8]).hex(' ')}"
                break
            if frame is None or frame.end > len(side.buffer):
                break
            payload = frame.payload(side.buffer)
            yield f"{side.arrow} {self._described(frame, payload, side)}"
            if side.is_answer:
                yield from self._read_answer(side, frame, payload)
            else:
                yield from self._judge(frame.end, is_plain=_is_plain(frame))
            side.drop(frame.end)
        if not side.is_answer:
            yield from self._judge(len(side.buffer), is_plain=True)

    def _judge(self, end: int, *, is_plain: bool) -> Iterator[str]:
        """Give the core the client's bytes up to `end`; yield what the frame alone does not tell."""
        data = bytes(self._client.buffer[self._client.given : end])
        self._client.given = max(self._client.given, end)
        for event in self._decoded(data):
            if isinstance(event, Failed):
                yield f"! the server fails the connection: {event.code} {event.reason}"
            elif isinstance(event, TextMessage | BinaryMessage) and not is_plain:
                message = event.data.encode() if isinstance(event, TextMessage) else bytes(event.data)
                yield f"= {self._message(isinstance(event, TextMessage), message)}"

    def _decoded(self, data: bytes) -> list[Event]:
        """Return the events that the server's own core makes of bytes."""
        session = self._session
        if session is None:
            return []
        self._undecoded += data
        while True:
            consumed = session.receive(self._undecoded)
            self._undecoded = self._undecoded[consumed:]
            if not session.is_spent:
                return session.take_events()

    def _read_answer(self, side: _Side, frame: Frame, payload: bytes) -> Iterator[str]:
        """Yield a message of the server's that is not plain to see in its last frame."""
        if frame.is_control:
            return
        if frame.opcode != Opcode.CONTINUATION:
            side.message, side.first = bytearray(), frame.first
        side.message += payload
        if not frame.is_final or _is_plain(frame):
            return
        message = bytes(side.message)
        if side.first & RSV1:
            try:
                message = self._inflater.message(message)
            except ProtocolError as error:
                yield f"! {error.reason}"
                return
        yield f"= {self._message(side.first & 0x0F == Opcode.TEXT, message)}"

    # -- in words ----------------------------------------------------------------------------

    def _described(self, frame: Frame, payload: bytes, side: _Side) -> str:
        notes = [f"{len(payload):,} B"]
        if bool(frame.mask) is side.is_answer:
            notes.append("masked" if frame.mask else "not masked")
        if frame.is_compressed:
            notes.append("compressed")
        if not frame.is_final:
            notes.append("more follows")
        name = _NAMES[frame.opcode]
        if frame.opcode == Opcode.CLOSE:
            text = _close_in_words(payload)
        elif frame.is_compressed or not payload:
            text = ""
        else:
            text = self._shown(payload, is_text=frame.opcode in (Opcode.TEXT, Opcode.CONTINUATION))
        return f"{name} ({', '.join(notes)})" + (f": {text}" if text else "")

    def _message(self, is_text: bool, message: bytes) -> str:
        name = "text" if is_text else "binary"
        return f"whole {name} ({len(message):,} B): {self._shown(message, is_text=is_text)}"

    def _shown(self, payload: bytes, *, is_text: bool) -> str:
        text = payload.decode("utf-8", "backslashreplace") if is_text else payload.hex(" ")
        if self._shown_chars and len(text) > self._shown_chars:
            return f"{text[: self._shown_chars]} ..."
        return text


class _Side:
    """One direction. `buffer` is what is not told yet; the core was given the first `given` bytes of it."""

    def __init__(self, *, is_answer: bool) -> None:
        self.is_answer = is_answer
        self.arrow = ARROWS[is_answer]
        self.buffer = bytearray()
        self.given = 0
        self.is_open = self.is_lost = False
        self.message = bytearray()
        self.first = 0

    def drop(self, count: int) -> None:
        """Forget what was told."""
        del self.buffer[:count]
        self.given = max(0, self.given - count)


def agreement_of(extensions: str) -> Agreement | None:
    """Return the agreement that the value of a 101's Sec-WebSocket-Extensions stands for."""
    parameters = parse_offer(extensions) if extensions else None
    if parameters is None:
        return None
    kept_bytes = 0 if "client_no_context_takeover" in parameters else FULL_WINDOW_BYTES
    return Agreement(extensions.encode("latin-1"), compressor_for(DeflateOptions(), 15), kept_bytes)


def _is_plain(frame: Frame) -> bool:
    """Tell whether a frame is all of its message, and readable as it is."""
    return frame.is_control or (
        frame.is_final and not frame.is_compressed and frame.opcode != Opcode.CONTINUATION
    )


def _close_in_words(payload: bytes) -> str:
    if len(payload) < 2:
        return "no code"
    code = int.from_bytes(payload[:2], "big")
    known = next((each.name.lower().replace("_", " ") for each in CloseCode if each == code), "")
    reason = payload[2:].decode("utf-8", "backslashreplace")
    return " ".join(part for part in (str(code), f"({known})" if known else "", reason) if part)


def _value(headers: Sequence[str], name: str) -> str:
    """Return the value of a header among the lines of a head, "" if it is not there."""
    for each in headers:
        key, _, value = each.partition(":")
        if key.lower() == name:
            return value.strip()
    return ""
