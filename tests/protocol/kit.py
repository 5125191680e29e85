"""What the tests of this room share: a client's frames, and drivers that cut bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st

from wsloop.errors import HandshakeError
from wsloop.protocol.events import CloseReceived, Event, Failed, Ping, Request
from wsloop.protocol.handshake import Handshake, HandshakeState
from wsloop.protocol.limits import Limits
from wsloop.testing.wire import Frame, cut_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from wsloop.protocol.session import Session
    from wsloop.protocol.session_states import SessionState

UPGRADE_HEADERS = {
    "Host": "chat.example:8765",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}


def client_frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    key: bytes | None = b"\x01\x80\xfe\x3c",
    length: int | None = None,
    width: int | None = None,
) -> bytes:
    """One frame as a client sends it; `length` and `width` (7, 16, 64) can be made to lie."""
    return Frame(opcode, payload, fin, rsv, key, length, width).encode()


def request_bytes(
    method: str = "GET",
    target: str = "/chat",
    version: str = "1.1",
    headers: Mapping[str, str | None] | None = None,
    extra: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
) -> bytes:
    """An upgrade request; `headers` replaces headers of it, or removes those set to None."""
    merged: dict[str, str | None] = {**UPGRADE_HEADERS, **(headers or {})}
    pairs = [(name, value) for name, value in merged.items() if value is not None]
    lines = [f"{method} {target} HTTP/{version}", *(f"{name}: {value}" for name, value in [*pairs, *extra])]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def get(target: str = "/", **headers: str) -> bytes:
    lines = [f"GET {target} HTTP/1.1", "Host: h", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def cuts(data: bytes, positions: Iterable[int]) -> list[bytes]:
    """Cut `data` at the positions (taken modulo its length)."""
    return cut_at(*positions).pieces(data)


def state_of(machine: Session | Handshake) -> SessionState | HandshakeState:
    """Read the state without letting a type checker believe that it stays."""
    return machine.state


cut_positions = st.lists(st.integers(min_value=0, max_value=1 << 20), max_size=12)


def run_session_on(session: Session, data: bytes, budget: int = 256) -> tuple[list[Event], bytes, bytes]:
    """Present bytes, answer what must be answered; return events, output and what was not consumed."""
    events: list[Event] = []
    output: list[bytes | bytearray] = []
    while True:
        consumed = session.receive(data, budget)
        assert 0 <= consumed <= len(data)
        data = data[consumed:]
        new = session.take_events()
        # One more, if `commit` has just completed a long frame.
        assert len(new) <= budget + 1
        events += new
        for event in new:
            if isinstance(event, Ping):
                session.answer_ping(event.payload)
            elif isinstance(event, CloseReceived | Failed):
                session.answer_close()
        output += session.take_output()
        if not session.is_spent:
            return events, b"".join(output), data


def run_session(session: Session, pieces: Iterable[bytes], budget: int = 256) -> tuple[list[Event], bytes]:
    """Present the pieces as a connection would: what was not consumed comes again, in front."""
    events: list[Event] = []
    output = tail = b""
    for piece in pieces:
        new, more, tail = run_session_on(session, tail + piece, budget)
        events += new
        output += more
    return events, output + b"".join(session.take_output())


Outcome = tuple[list[Request | tuple[int, str]], bytes, HandshakeState, bytes]


def accept(handshake: Handshake, _request: Request) -> bytes:
    return handshake.accept()


def run_handshake(
    pieces: Iterable[bytes],
    limits: Limits | None = None,
    *,
    eof: bool = False,
    is_plain: bool = True,
    on_upgrade: Callable[[Handshake, Request], bytes] = accept,
) -> Outcome:
    """Answer everything: upgrades as `on_upgrade` says, plain requests get 200; return what came out."""
    handshake = Handshake(limits or Limits(), is_plain=is_plain)
    seen: list[Request | tuple[int, str]] = []
    output: list[bytes] = []
    behind: list[bytes] = []

    def answer(request: Request | None) -> None:
        while request is not None:
            seen.append(request)
            if request.is_upgrade:
                output.append(on_upgrade(handshake, request))
                behind.append(handshake.trailing)
                if not handshake.keep_alive:
                    return
            else:
                output.append(handshake.respond(200, (), b"fine"))
            request = handshake.next_request()

    try:
        for piece in pieces:
            if handshake.state is HandshakeState.UPGRADED:
                behind.append(piece)
            else:
                answer(handshake.receive(piece))
        if eof and handshake.state is not HandshakeState.UPGRADED:
            handshake.receive_eof()
    except HandshakeError as error:
        seen.append((error.status, error.reason))
        output.append(handshake.refuse(error))
    return seen, b"".join(output), handshake.state, b"".join(behind)
