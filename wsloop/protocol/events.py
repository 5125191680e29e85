"""What the protocol core tells its caller: one immutable struct per thing that happened.

The events carry data only; no event refers to a connection, a session or a library object,
so they may outlive all of these. None can be part of a reference cycle, therefore the garbage
collector does not track them (`gc=False`). `handshake.py` makes `Request`, `session.py` the rest.
"""

from __future__ import annotations

import msgspec

HeaderPairs = tuple[tuple[bytes, bytes], ...]
"""(name, value) pairs in the order received; names in lower case, values stripped."""


class Request(msgspec.Struct, frozen=True, gc=False):
    """A complete, well-formed HTTP request.

    `target` is the request-target as sent; `path` and `query` are its parts, still
    percent-encoded ("*" for `OPTIONS *`). `is_upgrade` is true only if every rule of RFC 6455
    section 4.2.1 holds, so that `Handshake.accept` may follow. `subprotocols` are the client's
    offers in its order of preference; `extensions` its offers, one per item, unparsed. `body` is
    its content if it was wanted (`Handshake`); else it was read and dropped.
    """

    method: str
    target: str
    path: str
    query: str
    headers: HeaderPairs
    is_upgrade: bool = False
    subprotocols: tuple[str, ...] = ()
    extensions: tuple[str, ...] = ()
    http_version: str = "1.1"
    body: bytes = b""

    def header(self, name: bytes) -> bytes | None:
        """Return the value of a header, or None; several are joined (RFC 9110 section 5.3).

        `name` is in lower case. The value is the client's: escape it before it is printed.
        """
        found = None
        for key, value in self.headers:
            if key == name:
                found = value if found is None else b"%s, %s" % (found, value)
        return found


class TextMessage(msgspec.Struct, frozen=True, gc=False):
    """A whole text message, its fragments joined; `data` was valid UTF-8."""

    data: str


class BinaryMessage(msgspec.Struct, frozen=True, gc=False):
    """A whole binary message, its fragments joined; `data` is the receiver's to keep.

    A bytearray if the message came in one long frame: the buffer it was received into, which
    nobody else refers to.
    """

    data: bytes | bytearray


class Ping(msgspec.Struct, frozen=True, gc=False):
    """A ping of at most 125 bytes; the pong is due (`Session.answer_ping`)."""

    payload: bytes


class Pong(msgspec.Struct, frozen=True, gc=False):
    """A pong of at most 125 bytes, asked for or not (RFC 6455 section 5.5.3)."""

    payload: bytes


class CloseReceived(msgspec.Struct, frozen=True, gc=False):
    """The peer closes; both close frames have now been seen or queued.

    `code` is 1005 if the peer's frame named none (RFC 6455 section 7.1.5).
    """

    code: int
    reason: str


class Failed(msgspec.Struct, frozen=True, gc=False):
    """The session failed the connection for the peer's fault (RFC 6455 section 7.1.7).

    A close frame with this code and reason is in the output, unless one had been sent before.
    It is the last event of a session.
    """

    code: int
    reason: str


Event = TextMessage | BinaryMessage | Ping | Pong | CloseReceived | Failed
"""What `Session.take_events` returns a list of."""
