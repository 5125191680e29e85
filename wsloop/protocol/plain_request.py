"""The upgrade request that nearly every client sends, recognised without h11.

h11 stays the judge of what a request is. This file knows a small part of what h11 and
`upgrade.py` accept, so plain that there is nothing left to judge, and answers "I do not know"
to everything else: the untouched bytes then go to h11. So a mistake here can only be to accept
too much, and a differential property (`tests/protocol/test_plain_request.py`) holds it against
that: requests, refusals and answers are the same with this file and without it.

What is plain:

- the whole head in one read, no longer than one line of it may be, so that no limit is near;
- `GET`, a path, `HTTP/1.1`; every line ends in CRLF; `Name: value` with one space and no other
  white space around the value; printable ASCII throughout; no header twice;
- no header that concerns a body (Content-Length, Transfer-Encoding, Expect);
- every rule of RFC 6455 section 4.2.1 kept, in the spelling that clients use.

Measured by tools/bench/handshake.py: some 9 us for a browser's request, where h11 and the rules
of `upgrade.py` take 100. Next: `handshake.py`.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

from wsloop.errors import HandshakeError
from wsloop.protocol import upgrade
from wsloop.protocol.events import Request

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wsloop.protocol.frames import Buffer
    from wsloop.protocol.limits import Limits

# One pass, with no way back: no input is looked at twice. What is repeated is possessive or, if it is a
# group, in an atomic one: up to Python 3.11.4 a possessive group that fails half-way keeps its place (CPython
# issue 106052). A path has no "#" (upgrade.py refuses it); a name is a token (RFC 9110 section 5.6.2).
_HEAD = re.compile(
    rb"GET (/[!\"$-~]*+) HTTP/1\.1\r\n"
    rb"((?>(?:[-!#$%&'*+.^_`|~0-9A-Za-z]++: [!-~][ -~]*+(?<! )\r\n)+))\r\n"
)

_NOT_PLAIN = frozenset({b"content-length", b"transfer-encoding", b"expect"})
"""Headers that h11 itself looks at, or that `upgrade.py` has rules for beyond the upgrade."""

_CONNECTION = frozenset({b"upgrade", b"keep-alive, upgrade"})
"""In lower case: what libraries send, and what Firefox does."""


_EXTRA_LINES = re.compile(rb"(?>(?:Sec-WebSocket-(?:Protocol|Extensions): [!-~]++(?>(?: [!-~]++)*)\r\n)+)")
"""What may stand in a 101 behind the accept token without a doubt."""

_ANSWER = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: %s\r\n%s\r\n"
)


def parse(data: Buffer, limits: Limits) -> tuple[Request, int] | None:
    """Return the upgrade request at the start of `data` and its length in bytes; None if in doubt.

    None says nothing about `data`: it may be incomplete, another kind of request, or wrong.
    """
    head = _HEAD.match(data, 0, limits.line_bytes)
    if head is None:
        return None
    target_bytes, block = head.groups()
    lines = block.split(b"\r\n")
    lines.pop()
    pairs = [(name.lower(), value) for name, _, value in [line.partition(b": ") for line in lines]]
    values = dict(pairs)
    if len(values) != len(pairs) or len(pairs) > limits.headers or not _is_plain_upgrade(values):
        return None
    headers = tuple(pairs)
    try:
        subprotocols = upgrade.subprotocols(headers) if b"sec-websocket-protocol" in values else ()
    except HandshakeError:
        return None
    offered = values.get(b"sec-websocket-extensions")
    extensions = () if offered is None else _offers(offered)
    if extensions is None:
        return None
    target = target_bytes.decode("ascii")
    path, _, query = target.partition("?")
    return Request("GET", target, path, query, headers, True, subprotocols, extensions, "1.1"), head.end()


def switching_protocols(token: bytes, extra: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the 101 with an accept token and `extra` headers, as h11 writes it; b"" if in doubt."""
    lines = b"".join([b"%s: %s\r\n" % header for header in extra]) if extra else b""
    return _ANSWER % (token, lines) if not lines or _EXTRA_LINES.fullmatch(lines) else b""


@functools.lru_cache(maxsize=64)
def _offers(value: bytes) -> tuple[str, ...] | None:
    """Return what Sec-WebSocket-Extensions offers, None if it is malformed: clients differ little in it."""
    try:
        return upgrade.extensions(((b"sec-websocket-extensions", value),))
    except HandshakeError:
        return None


def _is_plain_upgrade(values: dict[bytes, bytes]) -> bool:
    """Tell whether the headers, none of them there twice, are those of a flawless upgrade."""
    return (
        values.get(b"upgrade", b"").lower() == b"websocket"
        and values.get(b"connection", b"").lower() in _CONNECTION
        and values.get(b"sec-websocket-version") == upgrade.WEBSOCKET_VERSION
        and upgrade.is_key(values.get(b"sec-websocket-key", b""))
        and upgrade.is_host(values.get(b"host", b""))
        and _NOT_PLAIN.isdisjoint(values)
    )
