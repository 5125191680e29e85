"""Addresses in the settings: what a type cannot tell about where to listen, origins and listed proxies.

Most mistakes here would otherwise be silent: an origin that no browser sends lets nobody in, a port
beside a list of addresses is not opened, and an address cannot be listened on twice.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NoReturn

from wsloop.errors import ConfigError, UsageError
from wsloop.server.forwarded import UNIX, network_of
from wsloop.transport.bind import PATH_HINT, UNIX_PATH_BYTES, TcpBind, UnixBind, parse_bind

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from wsloop.daemon.outside import Place
    from wsloop.daemon.settings import ServerSettings

_SCHEME = r"[a-z][a-z0-9+.-]*"
_HOST = r"(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])"
_ORIGIN = re.compile(rf"file://|{_SCHEME}://{_HOST}(?::[1-9][0-9]{{0,4}})?")
_DEFAULT_PORT = re.compile(r"http://.*:80|https://.*:443")
"""RFC 6454 section 6.2: a browser writes scheme and host in lower case and leaves a default port away."""


def check(server: ServerSettings, flags: Container[str], place: Place) -> None:
    """Raise for addresses that do not go together or are none.

    `flags` are the keys that flags set, `place(table, key)` says where a key stands.
    UsageError if flags are wrong, ConfigError if it is the file.
    """
    if server.bind and ("port" in flags or "host" in flags):
        raise UsageError(
            "--host and --port name the only address, and do not go with a list of them",
            f"write --bind {TcpBind(server.host, server.port)}, beside the others",
        )
    _check_binds(server, flags, place)
    _check_proxies(server, flags)
    for origin in server.allowed_origins:
        if not _is_origin(origin):
            fault = f"server.allowed_origins: {origin!r} is not an origin"
            raise ConfigError(place("server", "allowed_origins") + fault, _origin_hint(origin))


def _check_binds(server: ServerSettings, flags: Container[str], place: Place) -> None:
    """Raise for an address that is none, is there twice, or is a Unix path that no kernel takes."""

    def fail(key: str, fault: str, hint: str) -> NoReturn:
        if key in flags:
            raise UsageError(fault, hint)
        raise ConfigError(place("server", key) + fault, hint)

    for text in server.bind:
        try:
            bind = parse_bind(text)
        except ConfigError as error:
            fail("bind", error.message, error.hint)
        if isinstance(bind, UnixBind) and _is_too_long(bind.path):
            fail("bind", f"the socket path {bind.path} is too long", PATH_HINT)
    twice = _named_twice(server.bind)
    if twice:
        fail("bind", f"{twice} is named twice as an address to listen on", "name it once")
    if server.control and _is_too_long(server.control):
        fail("control", f"the control socket's path {server.control} is too long", PATH_HINT)


def _is_too_long(path: str) -> bool:
    return len(os.fsencode(path)) > UNIX_PATH_BYTES


def _check_proxies(server: ServerSettings, flags: Container[str]) -> None:
    """Raise for a proxy that cannot be listed, or if nobody is and somebody should be."""
    if server.proxy_headers and not server.forwarded_allow_ips:
        kind = UsageError if "proxy_headers" in flags else ConfigError
        raise kind(
            "server.proxy_headers is on, but no proxy is listed",
            "name those in front, such as --forwarded-allow-ips 127.0.0.1",
        )
    for text in server.forwarded_allow_ips:
        try:
            if text != UNIX:
                network_of(text)
        except ValueError as error:
            kind = UsageError if "forwarded_allow_ips" in flags else ConfigError
            raise kind(f"server.forwarded_allow_ips: {error}", _proxy_hint(text)) from None


def _proxy_hint(text: str) -> str:
    if text == "*":
        return "who trusts everybody lets everybody choose an address: list the proxies, or their network"
    return 'an address such as 10.0.0.1, a network such as 10.0.0.0/8, or "unix"'


def _named_twice(texts: Iterable[str]) -> str:
    """Return the first address that is there before, or ""; port 0 is another one each time."""
    seen = set()
    for text in texts:
        bind = parse_bind(text)
        if bind in seen:
            return text
        if not (isinstance(bind, TcpBind) and bind.port == 0):
            seen.add(bind)
    return ""


def _is_origin(text: str) -> bool:
    return bool(_ORIGIN.fullmatch(text)) and not _DEFAULT_PORT.fullmatch(text)


def _origin_hint(text: str) -> str:
    found = re.match(rf"{_SCHEME}://[^/?#\s]+", text.strip().lower())
    near = found[0] if found else ""
    if _DEFAULT_PORT.fullmatch(near):
        near = near.rpartition(":")[0]
    if _is_origin(near):
        return f"did you mean {near!r}?"
    return "write it as browsers send it, such as https://example.org or http://localhost:3000"
