"""Plays a conversation with a server over a socket. Knows what to send and when to wait; judges nothing."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from wsloop.testing.judge.agreements import IllegalAnswerError, agreement
from wsloop.testing.judge.conversation import (
    BYE,
    ENDED,
    MARKER,
    OPEN,
    RESET,
    Answer,
    Transcript,
    by_client,
    by_server,
)
from wsloop.testing.oracle import Pong, Reading, read

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.testing.deflating import DeflateParameters
    from wsloop.testing.judge.conversation import Conversation
    from wsloop.testing.requests import UpgradeRequest

PATIENCE_S = 2.0
"""How long a server may be silent when it should say something; loopback needs a thousandth of it."""

PROBE_AFTER_S = 0.3
"""A server that has not failed a connection by then is sent a close frame: does it go on?"""

PIECE_PAUSE_S = 0.0005
PAUSES = 16
"""So many pieces are sent apart, in the hope that each arrives alone; the others right behind each other."""

READ_BYTES = 65536
LATE_READS = 64
"""How often at most what has already come is read when time is over: a server may never stop talking."""

BUSY = (429, 503)
RETRIES, RETRY_S = 20, 0.25
"""A server that limits new connections is asked again: five seconds in all."""

URL_CHARS = "/?%:@!$&'()*+,;=[]"
"""What stays as it is in a request's target; what else may not be there is percent-encoded."""

HEAD_END = b"\r\n\r\n"


@dataclass(frozen=True)
class Address:
    """Where the server is. With TLS its certificate is not verified: it is a server under test."""

    host: str
    port: int
    target: str
    is_tls: bool = False

    @property
    def authority(self) -> str:
        """What the Host header says (RFC 3986 section 3.2.2: an IPv6 address in brackets)."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(url: str) -> Address:
    """Return the address in a URL; raises ValueError, with a text, if it is not one of a WebSocket."""
    parts = urlsplit(url)
    if parts.scheme not in ("ws", "wss") or not parts.hostname or parts.port == 0:
        raise ValueError(f"{url!r} is not a WebSocket address such as ws://127.0.0.1:8765/echo")
    try:
        host = parts.hostname.encode("idna").decode()
    except UnicodeError:
        raise ValueError(f"{parts.hostname!r} is not the name of a host") from None
    is_tls = parts.scheme == "wss"
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Address(host, parts.port or (443 if is_tls else 80), quote(target, URL_CHARS), is_tls)


def dial(address: Address, patience_s: float = PATIENCE_S) -> socket.socket:
    """Return a socket that is connected to the server, with TLS if its address says so; raises OSError."""
    sock = socket.create_connection((address.host, address.port), patience_s)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if not address.is_tls:
        return sock
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(sock, server_hostname=address.host)


class Player:
    """Has conversations, each on a connection of its own.

    `dial` returns a connected socket; `patience_s` is how long an answer is waited for; `sleep` waits for so
    many seconds. Attributes: `played`, how many there were; `agreed`, how many with permessage-deflate.
    """

    def __init__(
        self,
        dial: Callable[[], socket.socket],
        patience_s: float = PATIENCE_S,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.played = self.agreed = 0
        self._dial = dial
        self._patience_s = patience_s
        self._sleep = sleep

    def play(self, said: Conversation) -> Transcript:
        """Have the conversation; raises OSError if there is no connection at all."""
        request = said.request if said.offer is None else said.request.offering(said.offer.header())
        for _ in range(RETRIES):
            with self._dial() as sock:
                talk = _Talk(sock, self._patience_s, self._sleep)
                answer = talk.shake_hands(request, said)
                if answer.status in BUSY:
                    self._sleep(RETRY_S)
                    continue
                self.played += 1
                if answer.status != 101 or said.request.wrong:
                    return Transcript(answer, end=talk.end)
                agreed = agreed_by(answer)
                self.agreed += agreed is not None
                return replace(talk.converse(said, agreed), answer=answer)
        return Transcript(answer, end=ENDED)


def agreed_by(answer: Answer) -> DeflateParameters | None:
    """Return what the server agreed to, or None; what it may not agree to counts as nothing."""
    try:
        return agreement(answer)
    except IllegalAnswerError:
        return None


class _Talk:
    """One connection."""

    def __init__(self, sock: socket.socket, patience_s: float, sleep: Callable[[float], object]) -> None:
        self.end = OPEN
        self._sleep = sleep
        self._sock = sock
        self._patience_s = patience_s
        self._received = b""
        self._agreed: DeflateParameters | None = None

    def shake_hands(self, request: UpgradeRequest, said: Conversation) -> Answer:
        """Send the request, cut as the conversation says if it is all there is; return the answer."""
        data = request.encode()
        self._send([data] if said.frames else said.cutting.pieces(data))
        self._wait(lambda: HEAD_END in self._received)
        head, found, rest = self._received.partition(HEAD_END)
        if not found:
            return Answer()
        self._received = rest
        first, *lines = head.decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        headers = tuple((name.strip().lower(), value.strip()) for name, _, value in pairs)
        words = first.split()
        status = int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
        return Answer(status, headers)

    def converse(self, said: Conversation, agreed: DeflateParameters | None) -> Transcript:
        """Send the frames, wait where the conversation is patient, end it; return what was heard."""
        self._agreed = agreed
        right, ending = said.parts(agreed)
        asked = read(right + (ending or BYE.encode()), deflate=by_client(agreed))
        expected = asked.messages
        were_answered = True
        if said.at_once:
            self._send(said.cutting.pieces(right + (ending or BYE.encode())))
        else:
            self._send([*said.cutting.pieces(right), MARKER.encode()])
            self._wait(lambda: self._has_marker() and len(self._heard().messages) >= len(expected))
            were_answered = self._has_marker() and len(self._heard().messages) >= len(expected)
            if self.end == OPEN:
                self._send(said.cutting.pieces(ending or BYE.encode()))
        self._wait_for_end(is_due=asked.fault is not None)
        return Transcript(Answer(), asked, self._heard(), not said.at_once, were_answered, self.end)

    def _wait_for_end(self, *, is_due: bool) -> None:
        """Wait until the server ends the connection; `is_due`: the close frame that it waits for."""
        if is_due:
            self._wait(lambda: self._heard().close is not None, PROBE_AFTER_S)
            if self.end == OPEN:
                self._send([BYE.encode()])
        self._wait(lambda: False)

    def _heard(self) -> Reading:
        return read(self._received, by_client=False, deflate=by_server(self._agreed))

    def _has_marker(self) -> bool:
        return Pong(MARKER.payload) in self._heard().said

    def _send(self, pieces: list[bytes]) -> None:
        """Send pieces; what a server that has ended the connection does not take is lost."""
        with contextlib.suppress(OSError):
            for number, piece in enumerate(pieces):
                self._sock.settimeout(self._patience_s)
                self._sock.sendall(piece)
                if number + 1 < min(len(pieces), PAUSES):
                    self._sleep(PIECE_PAUSE_S)

    def _wait(self, condition: Callable[[], bool], patience_s: float | None = None) -> None:
        """Read until `condition()` holds, the connection ends, or patience does.

        What has come by then is read, however long this machine took to get here.
        """
        deadline_s = time.monotonic() + (self._patience_s if patience_s is None else patience_s)
        late = 0
        while self.end == OPEN and late < LATE_READS and not condition():
            left_s = deadline_s - time.monotonic()
            late += left_s <= 0
            self._sock.settimeout(max(left_s, 0.0))
            try:
                data = self._sock.recv(READ_BYTES)
            except (TimeoutError, BlockingIOError, ssl.SSLWantReadError):
                return
            except OSError:  # ECONNRESET; EPIPE is a sender's; with TLS, SSLEOFError
                self.end = RESET
                return
            if not data:
                self.end = ENDED
            self._received += data
