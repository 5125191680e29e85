"""Where a request goes: a URL of the configuration, taken apart once, at start.

Three forms: `http://host[:port]/path`, `https://host[:port]/path`, and, for a Unix socket,
`http://unix:/run/app.sock:/path` as nginx writes it. No user, password or fragment.
"""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple

from wsloop.errors import ConfigError, UsageError
from wsloop.transport.bind import MAX_PORT, TcpBind, UnixBind

_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})\Z")
_PORT = re.compile(r"[0-9]{1,5}\Z")
_PATH = re.compile(r"/[!-~]*\Z")
_USER = re.compile(r"\A([A-Za-z0-9+.-]*://)?.*@", re.DOTALL)
_DEFAULT_PORTS = {"http": 80, "https": 443}
_WS_SCHEMES = {"ws": "http", "wss": "https"}


class Origin(NamedTuple):
    """Whom to connect to: the key of the connection pool."""

    address: TcpBind | UnixBind
    is_secure: bool

    def __str__(self) -> str:
        return f"{'https' if self.is_secure else 'http'}://{self.address}"


class Url(NamedTuple):
    """An origin, the target of the request line, and the value of Host."""

    origin: Origin
    target: str
    host: str

    def __str__(self) -> str:
        """Return it without the query, which may hold a secret."""
        return f"{self.origin}{self.target.partition('?')[0]}"


def parse_url(text: str, key: str) -> Url:
    """Return what `text`, the value of the setting `key`, names; raises ConfigError."""
    scheme, colon, rest = text.partition("://")
    if not colon or scheme not in _DEFAULT_PORTS:
        raise _bad(key, "it begins with http:// or https://")
    if rest.startswith("unix:"):
        return _unix(scheme, rest, key)
    authority, slash, path = rest.partition("/")
    target = slash + path or "/"
    if not _PATH.match(target) or "#" in target:
        raise _bad(key, "its path is printable ASCII without a fragment")
    host, port = _authority(authority, _DEFAULT_PORTS[scheme], key)
    return Url(Origin(TcpBind(host, port), scheme == "https"), target, authority)


def masked(text: str, mask: str) -> str:
    """Return a URL, or what was meant as one, `mask` standing for user, password and values in the query."""
    head, mark, query = text.partition("?")
    head = _USER.sub(rf"\1{mask}@", head)
    parts = (part.partition("=") for part in query.split("&"))
    return head + mark + "&".join(f"{name}={mask}" if equals else name and mask for name, equals, _ in parts)


def parse_ws_url(text: str, default_target: str) -> Url:
    """Return what a WebSocket address names; raises UsageError.

    `ws://host[:port][/path]`, `wss://...`, or `unix:/run/wsloop.sock[:/path]`. Without a path, or with "/",
    it is `default_target`.
    """
    hint = "write ws://host:port, wss://host or unix:/path/to.sock"
    if text.startswith("unix:"):
        path, _, target = text[5:].partition(":")
        text = f"http://unix:{path}:{target or '/'}"
    else:
        scheme, _, rest = text.partition("://")
        if scheme not in _WS_SCHEMES or not rest:
            raise UsageError("this is no address of a WebSocket", hint)
        text = f"{_WS_SCHEMES[scheme]}://{rest}"
    try:
        url = parse_url(text, "URL")
    except ConfigError:
        raise UsageError("this is no address of a WebSocket", hint) from None
    return url._replace(target=default_target) if url.target == "/" else url


def _unix(scheme: str, rest: str, key: str) -> Url:
    path, colon, target = rest[5:].partition(":")
    if scheme != "http" or not path.startswith("/") or not colon or not _PATH.match(target) or "#" in target:
        raise _bad(key, "write http://unix:/run/app.sock:/path")
    return Url(Origin(UnixBind(path), is_secure=False), target, "localhost")


def _authority(text: str, default_port: int, key: str) -> tuple[str, int]:
    """Return host and port; an IPv6 address stands in brackets."""
    host, port_text = text, ""
    if text.startswith("["):
        host, bracket, port_text = text[1:].partition("]")
        if not bracket or not _is_ipv6(host) or (port_text and not port_text.startswith(":")):
            raise _bad(key, "an IPv6 address stands in brackets: http://[::1]:8000/")
        port_text = port_text[1:]
    elif ":" in text:
        host, _, port_text = text.partition(":")
    if not text.startswith("[") and not _HOST.match(host):
        raise _bad(key, "its host is a name or an address; no user, no password")
    if port_text and not (_PORT.match(port_text) and 0 < int(port_text) <= MAX_PORT):
        raise _bad(key, f"its port is a number from 1 to {MAX_PORT}")
    return host, int(port_text) if port_text else default_port


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _bad(key: str, hint: str) -> ConfigError:
    """Return the error; the value is left out, since a URL may hold a secret."""
    return ConfigError(f"{key} is not a URL that can be asked", hint)
