"""Settings: defaults, then the TOML file, then the flags; frozen and typed.

Every key has one place, here; its comment is its documentation. An unknown key or a wrong
type is a `ConfigError` that names the file, the line and, where one is near, the right key.
"""

from __future__ import annotations

import difflib
import re
import tomllib
import typing
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from wsloop.daemon import addresses
from wsloop.daemon.places import place
from wsloop.errors import ConfigError, UsageError
from wsloop.hub.namespace_checks import client_mistake, name_mistake, namespace_mistake
from wsloop.hub.namespaces import Namespace, dev_namespaces
from wsloop.hub.options import HubOptions

if TYPE_CHECKING:
    from pathlib import Path

MAX_SECONDS = 86_400 * 365
MAX_COUNT = 2**31 - 1
"""What is larger is a slip of the finger, and no longer fits the system calls it ends in."""

Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=MAX_SECONDS)]
Grace = Annotated[float, msgspec.Meta(ge=0, le=MAX_SECONDS)]
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


class ClientSettings(_Section, frozen=True):
    """`[client]`: what holds for all clients of the messaging protocol."""

    allow_anonymous: bool = False  # clients without a token may connect; on with --dev
    anonymous_info: bool = False  # their `connect.data` is shown to others, for demonstrations; on with --dev
    info_limit_bytes: Count = 1024  # the longest such object that is shown; longer ones are ignored
    personal_channel: bool = False  # each user is subscribed at connect to its own channel, `#user`
    personal_namespace: str = ""  # the namespace that those channels are in
    broadcast_channel: str = ""  # a channel that everybody is subscribed to at connect
    expired_grace_s: Grace = 25.0  # s after its end in which a connection or subscription may be renewed
