"""Settings: defaults, then the TOML file, then the flags; frozen and typed.

Every key has one place, here; its comment is its documentation. An unknown key or a wrong
type is a `ConfigError` that names the file, the line and, where one is near, the right key.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from wsloop.daemon import addresses
from wsloop.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

MAX_SECONDS = 86_400 * 365
MAX_COUNT = 2**31 - 1
"""What is larger is a slip of the finger, and no longer fits the system calls it ends in."""

Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=MAX_SECONDS)]
Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)]
Positive = Annotated[int, msgspec.Meta(gt=0, le=MAX_COUNT)]
FilePath = Annotated[str, msgspec.Meta(min_length=1)]
LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["auto", "text", "json"]
Backend = Literal["auto", "epoll", "kqueue", "poll", "select"]
Deflate = Literal["off", "on", "auto"]


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the file."""


Origins = tuple[str, ...]


class ServerSettings(_Section, frozen=True):
    """`[server]`: where to listen and for how many."""

    host: str = "127.0.0.1"  # name or address
    port: Port = 8765  # 0 lets the kernel choose; the banner tells
    bind: tuple[str, ...] = ()  # "host:port", "unix:path", "fd://3"; replaces host and port
    backlog: Positive = 1024  # connections the kernel queues before accept
    limit_concurrency: Positive | None = None  # connections; at most and by default: descriptor limit - 128
    limit_per_ip: Count = 100  # connections from one address, 0: any; loopback and Unix sockets: any
    limit_accept_rate: Count | None = None  # new connections a second, 0: any; default 200, any with --dev
    timeout_graceful_shutdown: Seconds = 30.0  # s, the drain window
    allowed_origins: Origins = ()  # browser origins besides the page's own, such as "https://example.org"
    poller: Backend = "auto"  # which readiness interface of the kernel


class WsSettings(_Section, frozen=True):
    """`[ws]`: limits and heartbeat of WebSocket connections."""

    max_size: Positive | None = None  # bytes a message; default 1 MiB on /echo, 64 KiB for messaging
    max_fragments: Positive = 1024  # frames a message may come in
    ping_interval: Seconds = 25.0  # s between signs of life
    ping_timeout: Seconds = 10.0  # s an answer may take
    send_limit: Positive = 1024 * 1024  # bytes waiting for one peer besides its largest message
    per_message_deflate: Deflate = "auto"  # compression: auto for messaging only, on for every route, off


class TlsSettings(_Section, frozen=True):
    """`[tls]`: with a certificate, TCP ports speak TLS; Unix sockets do not."""

    certfile: FilePath | None = None  # PEM file: the server's certificate, then those that signed it
    keyfile: FilePath | None = None  # PEM file of its private key; default: it is in certfile


class LogSettings(_Section, frozen=True):
    """`[log]`: what is told, and how."""

    level: LogLevel = "info"  # debug, info, warning or error
    format: LogFormat = "auto"  # text on a terminal and in dev mode, json otherwise


class Settings(_Section, frozen=True):
    """All settings of a daemon."""

    dev: bool = False
    server: ServerSettings = ServerSettings()
    ws: WsSettings = WsSettings()
    tls: TlsSettings = TlsSettings()
    log: LogSettings = LogSettings()


def load(path: Path | None, overrides: dict[str, dict[str, Any]], *, dev: bool = False) -> Settings:
    """Return the settings from `path` (None: no file), with `overrides` ({section: {key: value}}) on top.

    Raises ConfigError: the file cannot be read or parsed, or a key or value is wrong. Raises
    UsageError: a value in `overrides` is.
    """
    text = _read(path)
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}", "the file must be TOML; strings need quotes") from None
    if "dev" in tree:
        raise ConfigError(f"{path}: dev mode is switched on by the flag --dev only")
    _check(tree, text, path)
    for section, values in overrides.items():
        tree.setdefault(section, {}).update(values)
    _check(tree, "", None)
    settings = msgspec.convert({**tree, "dev": dev}, Settings)
    if settings.ws.ping_timeout >= settings.ws.ping_interval:
        raise ConfigError(
            "ws.ping_timeout must be less than ws.ping_interval",
            f"they are {settings.ws.ping_timeout:g} and {settings.ws.ping_interval:g} s",
        )
    if settings.tls.keyfile and not settings.tls.certfile:
        raise ConfigError("tls.keyfile is given without tls.certfile", "a key needs its certificate")
    addresses.check(settings.server, overrides.get("server", {}))
    return settings


def _read(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(f"cannot read {path}: {reason}", "check the path given to -c") from None


def _check(tree: dict[str, Any], text: str, path: Path | None) -> None:
    """Raise ConfigError for the first mistake of `tree`, with its line in `text`."""
    try:
        msgspec.convert(tree, Settings)
    except msgspec.ValidationError as error:
        message = str(error)
        unknown = re.search(r"unknown field `([^`]*)`(?: - at `\$\.?([^`]*)`)?", message)
        if unknown and path is not None:
            key = unknown[1]
            hint = _did_you_mean(key, unknown[2] or "")
            raise ConfigError(f"{_place(path, text, key)}unknown key {key!r}", hint) from None
        found = re.search(r"(.*) - at `\$\.?([^`]*)`", message)
        reason, where = (found[1], found[2]) if found else (message, "")
        fault = f"{where}: {reason[0].lower()}{reason[1:]}"
        if path is None:
            raise UsageError(fault, "see wsloop serve --help") from None
        key = where.rpartition(".")[2].partition("[")[0]
        raise ConfigError(_place(path, text, key) + fault) from None


def _place(path: Path, text: str, key: str) -> str:
    """Return "file:line: " of `key` where that can be told, else "file: "."""
    pattern = re.compile(rf"^\s*(\[{re.escape(key)}\]|[\"']?{re.escape(key)}[\"']?\s*=)")
    for number, line in enumerate(text.splitlines(), 1):
        if key and pattern.match(line):
            return f"{path}:{number}: "
    return f"{path}: "


def _did_you_mean(key: str, section: str) -> str:
    sections = {field.name: field.type for field in msgspec.structs.fields(Settings)}
    if section in sections:
        known = [field.name for field in msgspec.structs.fields(sections[section])]
    else:
        known = [name for name in sections if name != "dev"]
    near = difflib.get_close_matches(key, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
