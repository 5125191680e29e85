"""Opening handshakes as plain values (RFC 6455 section 4.1), and what the right answer to one is."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass

from wsloop.testing.wire import Shown

__all__ = [
    "SAMPLE_KEY",
    "UpgradeRequest",
    "accept_for",
    "upgrade_request",
    "usual_request",
]

SAMPLE_KEY = "dGhlIHNhbXBsZSBub25jZQ=="
"""The key of RFC 6455 section 1.3."""

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@dataclass(frozen=True, repr=False)
class UpgradeRequest(Shown):
    """A request, line by line; each header is (name, value), or one whole line where `value` is None.

    `wrong` says what is wrong with it (RFC 6455 section 4.2.1), or is empty.
    """

    line: str = "GET / HTTP/1.1"
    headers: tuple[tuple[str, str | None], ...] = ()
    wrong: str = ""

    def encode(self) -> bytes:
        """Return its bytes on the wire."""
        lines = [name if value is None else f"{name}: {value}" for name, value in self.headers]
        return "\r\n".join([self.line, *lines, "", ""]).encode("latin-1")

    def header(self, name: str) -> str | None:
        """Return the value of the first header of that name (in lower case), or None."""
        return next((value for key, value in self.headers if key.strip().lower() == name), None)

    def offering(self, offer: str) -> UpgradeRequest:
        """Return the same request with an offer of an extension."""
        return UpgradeRequest(self.line, (*self.headers, ("Sec-WebSocket-Extensions", offer)), self.wrong)

    def __repr__(self) -> str:
        lines = [name if value is None else f"{name}: {value}" for name, value in self.headers]
        wrong = [f"wrong={self.wrong!r}"] if self.wrong else []
        return f"upgrade_request({', '.join([*map(repr, [self.line, *lines]), *wrong])})"


def upgrade_request(line: str, /, *headers: str, wrong: str = "") -> UpgradeRequest:
    """Return a request of these lines; a header is `Name: value`, or anything else."""
    pairs = (header.partition(": ") for header in headers)
    return UpgradeRequest(
        line, tuple((name, value if colon else None) for name, colon, value in pairs), wrong
    )


def usual_request(host: str = "localhost", target: str = "/", key: str = SAMPLE_KEY) -> UpgradeRequest:
    """Return the plainest request that a server must accept."""
    headers = (
        ("Host", host),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", key),
        ("Sec-WebSocket-Version", "13"),
    )
    return UpgradeRequest(f"GET {target} HTTP/1.1", headers)


def accept_for(key: str) -> str:
    """Return the Sec-WebSocket-Accept that proves a key was read (RFC 6455 section 4.2.2)."""
    return base64.b64encode(hashlib.sha1((key.strip() + _GUID).encode()).digest()).decode()
