"""The rules that a parsed request must satisfy, each a short function that cites its RFC.

Pure: takes what h11 parsed, returns an `events.Request` or raises HandshakeError. Whatever
wsproto's own handshake lets through or trips over (malformed keys, bodies on the upgrade,
bytes that are not ASCII, bad Host) is refused here. No text of a refusal repeats a byte of the
request. Next: `handshake.py`, which feeds this file.
"""

from __future__ import annotations

import re
from typing import NoReturn

from wsloop.errors import HandshakeError
from wsloop.protocol.events import HeaderPairs, Request

# Repeats are possessive or, of groups, atomic (plain_request.py says why): a hostile header of 8 KiB is
# matched in one pass, with no way back.
_TOKEN = r"[-!#$%&'*+.^_`|~0-9A-Za-z]++"
_PARAMETER = rf'{_TOKEN}(?>(?:[ \t]*+=[ \t]*+(?:{_TOKEN}|"{_TOKEN}"))?)'
_EXTENSION = rf"{_TOKEN}(?>(?:[ \t]*+;[ \t]*+{_PARAMETER})*)"

_token = re.compile(_TOKEN)
_extension = re.compile(_EXTENSION)
# 16 bytes are 22 digits and two pads; the unused bits of the last digit may be anything.
_key = re.compile(rb"[+/0-9A-Za-z]{22}==")
# RFC 3986 section 3.2.2, an address in brackets or a name, and an optional port.
_host = re.compile(
    rb"(?:\[(?:[0-9A-Fa-f:.]++|[vV][0-9A-Fa-f]++\.[-._~!$&'()*+,;=:0-9A-Za-z]++)\]"
    rb"|(?>(?:[-._~!$&'()*+,;=0-9A-Za-z]++|%[0-9A-Fa-f]{2})+))"
    rb"(?::[0-9]{0,5})?"
)
_absolute_form = re.compile(r"[A-Za-z][-+.0-9A-Za-z]*+://([^/?]*+)([^?]*+)(.*+)")

WEBSOCKET_VERSION = b"13"
"""RFC 6455 section 4.1; no other version was ever published as a standard."""

_UPGRADE_HEADERS = (
    (b"Upgrade", b"websocket"),
    (b"Sec-WebSocket-Version", WEBSOCKET_VERSION),
    (b"Connection", b"Upgrade"),
)


def upgrade_required(reason: str = "this address speaks WebSocket: send an upgrade") -> HandshakeError:
    """Return the 426 for a plain request to a WebSocket path, for the caller to refuse with.

    Carries Upgrade, as RFC 9110 section 15.5.22 demands, and the version (RFC 6455 section 4.4).
    """
    return HandshakeError(426, reason, _UPGRADE_HEADERS)


def examine(method: str, target: str, version: str, headers: HeaderPairs) -> Request:
    """Check a parsed request and return it as an event.

    Arguments: as h11 gives them, decoded from ASCII; header names in lower case. Raises
    HandshakeError: 505 for another HTTP than 1.x; 501 for CONNECT; 417 for an unknown
    expectation; 405, 426 or 400 for an upgrade that breaks a rule; 400 for anything else.
    """
    if not version.startswith("1."):
        raise HandshakeError(505, "only HTTP/1.1 is spoken here")
    if method == "CONNECT":
        raise HandshakeError(501, "this server is no proxy")
    _check_framing(version, headers)
    path, query, authority = split_target(method, target)
    _check_host(version, authority, headers)
    if authority is not None:
        headers = _with_host(headers, authority.encode("ascii"))
    _check_expectation(version, headers)
    is_upgrade = asks_for_websocket(version, headers)
    if is_upgrade:
        _check_upgrade(method, headers)
    return Request(
        method=method,
        target=target,
        path=path,
        query=query,
        headers=headers,
        is_upgrade=is_upgrade,
        subprotocols=subprotocols(headers) if is_upgrade else (),
        extensions=extensions(headers) if is_upgrade else (),
        http_version=version,
    )


def split_target(method: str, target: str) -> tuple[str, str, str | None]:
    """Split a request-target (RFC 9112 section 3.2) into path, query and authority.

    The authority is None except in absolute form. Raises HandshakeError 400 for any other form,
    and for a fragment, which belongs to no form.
    """
    if "#" in target:
        _bad("the request target holds a fragment")
    if target.startswith("/"):
        path, _, query = target.partition("?")
        return path, query, None
    if target == "*" and method == "OPTIONS":
        return "*", "", None
    match = _absolute_form.fullmatch(target)
    if match is None:
        _bad("the request target is neither a path nor a URL")
    authority, path, query = match.groups()
    return path or "/", query[1:], authority


def is_host(value: bytes) -> bool:
    """Tell whether `value` may stand in a Host header (RFC 9112 section 3.2); an empty one may not."""
    return _host.fullmatch(value) is not None


def is_key(value: bytes) -> bool:
    """Tell whether `value` is 16 bytes in base64, as a Sec-WebSocket-Key is (RFC 6455 section 4.1)."""
    return _key.fullmatch(value) is not None


def asks_for_websocket(version: str, headers: HeaderPairs) -> bool:
    """Tell whether the request wants to become a WebSocket.

    RFC 9110 section 7.8: Upgrade is ignored in HTTP/1.0, and other protocols in it are too.
    """
    return version != "1.0" and b"websocket" in _lower_items(headers, b"upgrade")


def _check_framing(version: str, headers: HeaderPairs) -> None:
    """RFC 9112 section 6.1: what could be read as two different bodies is an attack."""
    if not _values(headers, b"transfer-encoding"):
        return
    if version == "1.0":
        _bad("Transfer-Encoding does not exist in HTTP/1.0")
    if _values(headers, b"content-length"):
        _bad("Content-Length and Transfer-Encoding contradict each other")


def _check_host(version: str, authority: str | None, headers: HeaderPairs) -> None:
    """RFC 9112 section 3.2: one valid Host; RFC 9110 section 4.2.1: an http URL's is not empty."""
    hosts = _values(headers, b"host")
    if version != "1.0" and not hosts:
        _bad("the Host header is missing")
    if len(hosts) > 1:
        _bad("there is more than one Host header")
    if not all(map(is_host, hosts)):
        _bad("the Host header is not a host")
    if authority is not None and not is_host(authority.encode("ascii")):
        _bad("the request target names no valid host")


def _with_host(headers: HeaderPairs, authority: bytes) -> HeaderPairs:
    """RFC 9112 section 3.2.2: an absolute target's host replaces the one in Host."""
    return tuple((name, authority if name == b"host" else value) for name, value in headers)


def _check_expectation(version: str, headers: HeaderPairs) -> None:
    """RFC 9110 section 10.1.1: HTTP/1.0 has no expectations, HTTP/1.1 one."""
    if version != "1.0" and set(_lower_items(headers, b"expect")) - {b"100-continue"}:
        raise HandshakeError(417, "the only expectation known here is 100-continue")


def _check_upgrade(method: str, headers: HeaderPairs) -> None:
    """RFC 6455 section 4.2.1, items 1 and 4 to 6; the others were checked before."""
    if b"upgrade" not in _lower_items(headers, b"connection"):
        _bad("the Connection header lacks Upgrade: is a proxy in the way?")
    if method != "GET":
        raise HandshakeError(405, "a WebSocket is opened with GET", ((b"Allow", b"GET"),))
    if _values(headers, b"transfer-encoding") or any(map(int, _values(headers, b"content-length"))):
        _bad("a WebSocket upgrade has no body")
    if _values(headers, b"sec-websocket-version") != [WEBSOCKET_VERSION]:
        raise upgrade_required("only version 13 of the WebSocket protocol is spoken here")
    keys = _values(headers, b"sec-websocket-key")
    if len(keys) != 1:
        _bad("there must be exactly one Sec-WebSocket-Key")
    if not is_key(keys[0]):
        _bad("the Sec-WebSocket-Key is not 16 bytes in base64")


def subprotocols(headers: HeaderPairs) -> tuple[str, ...]:
    """Return the subprotocols offered (RFC 6455 section 4.1, item 10).

    Raises HandshakeError 400 unless they are tokens, all different.
    """
    names = _text_items(headers, b"sec-websocket-protocol")
    if len(set(names)) != len(names) or not all(map(_token.fullmatch, names)):
        _bad("Sec-WebSocket-Protocol is not a list of different tokens")
    return names


def extensions(headers: HeaderPairs) -> tuple[str, ...]:
    """Return the extensions offered (RFC 6455 section 9.1), one per item, unparsed.

    Raises HandshakeError 400 if they are malformed. A quoted value must be a token too, so a
    comma always separates.
    """
    offers = _text_items(headers, b"sec-websocket-extensions")
    if not all(map(_extension.fullmatch, offers)):
        _bad("Sec-WebSocket-Extensions is malformed")
    return offers


def _text_items(headers: HeaderPairs, name: bytes) -> tuple[str, ...]:
    """Return a list header's items as text; if it is present it must have one."""
    items = tuple(item.decode("latin-1") for item in _items(headers, name))
    if not items and _values(headers, name):
        _bad("a Sec-WebSocket header is empty")
    return items


def _lower_items(headers: HeaderPairs, name: bytes) -> list[bytes]:
    """Return a list header's items in lower case, for tokens that do not care."""
    return [item.lower() for item in _items(headers, name)]


def _items(headers: HeaderPairs, name: bytes) -> list[bytes]:
    """Return a list header's items; empty ones do not count (RFC 9110 section 5.6.1.2)."""
    items = b",".join(_values(headers, name)).split(b",")
    return [item for item in (item.strip(b" \t") for item in items) if item]


def _values(headers: HeaderPairs, name: bytes) -> list[bytes]:
    """Return the values of all headers of that name, in order; `name` is in lower case."""
    return [value for key, value in headers if key == name]


def _bad(reason: str) -> NoReturn:
    """Refuse with 400; `reason` must not hold anything of the request."""
    raise HandshakeError(400, reason)
