"""The asking side's opening handshake (RFC 6455 section 4.1): a request out, 101 or a refusal in. No I/O.

h11 judges the syntax; what a 101 must say is checked here. Nothing that was not offered is accepted:
no extension is, so that what follows is plain frames, for `client_session.py`.
"""

from __future__ import annotations

import base64
from http import HTTPStatus

import h11
from wsproto.utilities import generate_accept_token

from wsloop.errors import HandshakeError

NONCE_BYTES = 16
"""RFC 6455 section 4.1: what the key is made of."""

MAX_HEAD_BYTES = 16 * 1024
"""The answer's status line and headers; the same as a server takes of a request (`limits.py`)."""

Headers = tuple[tuple[str, str], ...]


class RefusedError(HandshakeError):
    """The server answered, but not with a WebSocket. `retry_after_s`: what it asks to wait, 0 for nothing."""

    def __init__(self, status: int, reason: str, retry_after_s: float = 0.0) -> None:
        super().__init__(status, reason)
        self.retry_after_s = retry_after_s


class ClientHandshake:
    """One opening handshake. Send `request`, then `receive` until it returns.

    `target` and `host` as in the request line and in Host; `nonce`: 16 bytes of entropy; `headers` in
    Latin-1. Raises ValueError for a header that HTTP cannot carry.
    """

    __slots__ = ("_accept", "_h11", "_subprotocols", "request", "subprotocol")

    def __init__(
        self, host: str, target: str, nonce: bytes, headers: Headers = (), subprotocols: tuple[str, ...] = ()
    ) -> None:
        key = base64.b64encode(nonce)
        self._accept = generate_accept_token(key)
        self._subprotocols = subprotocols
        self._h11 = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD_BYTES)
        self.subprotocol = ""
        """What the server chose of `subprotocols`, once `receive` has returned."""
        fields = [
            ("Host", host),
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Key", key.decode()),
            ("Sec-WebSocket-Version", "13"),
            *headers,
        ]
        if subprotocols:
            fields.append(("Sec-WebSocket-Protocol", ", ".join(subprotocols)))
        try:
            pairs = [(name.encode("ascii"), value.encode("latin-1")) for name, value in fields]
            sent = self._h11.send(h11.Request(method="GET", target=target, headers=pairs))
            ended = self._h11.send(h11.EndOfMessage())
        except (h11.LocalProtocolError, UnicodeEncodeError):
            raise ValueError("the request is not valid HTTP") from None
        self.request = (sent or b"") + (ended or b"")

    def receive(self, data: bytes) -> bytes | None:
        """Take what arrived, b"" for the end of the stream; return the first bytes of frames once it is open.

        None: more is needed. Raises RefusedError if it is not a WebSocket that was answered with.
        """
        try:
            self._h11.receive_data(data)
            event = self._h11.next_event()
            while isinstance(event, h11.InformationalResponse) and event.status_code != 101:
                event = self._h11.next_event()
        except h11.RemoteProtocolError:
            reason = "the answer is not valid HTTP" if data else "closed during the handshake"
            raise RefusedError(0, reason) from None
        if event is h11.NEED_DATA:
            return None
        if isinstance(event, h11.InformationalResponse):
            self._check(event)
            return self._h11.trailing_data[0]
        raise self._refusal(event)

    def _check(self, answer: h11.InformationalResponse) -> None:
        """Raise RefusedError unless the 101 says what RFC 6455 section 4.1 demands, points 2 to 6."""
        upgrade = _value(answer, b"upgrade").lower()
        connection = [part.strip() for part in _value(answer, b"connection").lower().split(b",")]
        accept = _value(answer, b"sec-websocket-accept")
        chosen = _value(answer, b"sec-websocket-protocol").decode("latin-1")
        if upgrade != b"websocket" or b"upgrade" not in connection or accept != self._accept:
            raise RefusedError(101, "the answer is no answer to this handshake")
        if _value(answer, b"sec-websocket-extensions") or (chosen and chosen not in self._subprotocols):
            raise RefusedError(101, "the server chose what was not offered")
        self.subprotocol = chosen

    def _refusal(self, event: object) -> RefusedError:
        assert isinstance(event, h11.Response), "h11 raises for an end that comes before the answer"
        status = event.status_code
        try:
            phrase = HTTPStatus(status).phrase
        except ValueError:
            phrase = "refused"
        after = _value(event, b"retry-after")
        return RefusedError(status, phrase, float(after) if after.isdigit() and len(after) < 6 else 0.0)


def _value(answer: h11.InformationalResponse | h11.Response, name: bytes) -> bytes:
    """Return a header's value, several joined; b"" if there is none."""
    return b", ".join(bytes(value) for key, value in answer.headers if key == name).strip()
