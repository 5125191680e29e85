"""Settings: defaults, then the TOML file, then the flags; frozen and typed.

Every key has one place, here; its comment is its documentation. An unknown key or a wrong
type is a `ConfigError` that names the file, the line and, where one is near, the right key.
"""

from __future__ import annotations

import difflib
import functools
import re
import tomllib
import typing
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from wsloop.daemon import addresses, outside
from wsloop.daemon.bounds import (
    MAX_COUNT,
    MAX_DELAY_MS,
    MAX_FRAME_MESSAGES,
    MAX_SECONDS,
    MAX_SPOOL_BYTES,
    MIN_SPOOL_BYTES,
)
from wsloop.daemon.environment import API_KEY_PATTERN
from wsloop.daemon.places import place
from wsloop.errors import ConfigError, UsageError
from wsloop.hub.namespace_checks import client_mistake, name_mistake, namespace_mistake
from wsloop.hub.namespaces import Namespace, dev_namespaces
from wsloop.hub.options import HubOptions

if TYPE_CHECKING:
    from pathlib import Path

Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=MAX_SECONDS)]
Grace = Annotated[float, msgspec.Meta(ge=0, le=MAX_SECONDS)]
Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)]
Positive = Annotated[int, msgspec.Meta(gt=0, le=MAX_COUNT)]
FrameMessages = Annotated[int, msgspec.Meta(ge=1, le=MAX_FRAME_MESSAGES)]
Delay = Annotated[float, msgspec.Meta(ge=0, le=MAX_DELAY_MS)]
RateText = Annotated[str, msgspec.Meta(pattern=r"^([1-9][0-9]{0,8}/([1-9][0-9]{0,4})?[smh])?\Z")]
Algorithm = Literal[
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384",
    "ES512", "EdDSA",
]  # fmt: skip
Memory = Annotated[int, msgspec.Meta(ge=1024 * 1024)]
FilePath = Annotated[str, msgspec.Meta(min_length=1)]
LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["auto", "text", "json"]
Backend = Literal["auto", "epoll", "kqueue", "poll", "select"]
Deflate = Literal["off", "on", "auto"]
HookName = Literal["disconnect", "unsubscribe", "occupied", "vacated"]
HOOK_EVENTS: tuple[HookName, ...] = ("disconnect", "unsubscribe", "occupied", "vacated")
SpoolSize = Annotated[int, msgspec.Meta(ge=MIN_SPOOL_BYTES, le=MAX_SPOOL_BYTES)]
ApiKey = Annotated[str, msgspec.Meta(pattern=API_KEY_PATTERN)]


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the file."""


Origins = tuple[str, ...]


class ServerSettings(_Section, frozen=True):
    """`[server]`: where to listen and for how many."""

    host: str = "127.0.0.1"  # name or address
    port: Port = 8765  # 0 lets the kernel choose; the banner tells
    bind: tuple[str, ...] = ()  # "host:port", "unix:path", "fd://3"; replaces host and port
    backlog: Positive = 1024  # connections the kernel queues before accept
    limit_concurrency: Positive | None = None  # connections; at most and by default: descriptor limit - 256
    limit_per_ip: Count = 100  # connections from one address, 0: any; loopback and Unix sockets: any
    limit_accept_rate: Count | None = None  # new connections a second, 0: any; default 200, any with --dev
    timeout_graceful_shutdown: Seconds = 30.0  # s, the drain window
    allowed_origins: Origins = ()  # "https://example.org": pages that may connect; --dev adds its own page
    poller: Backend = "auto"  # which readiness interface of the kernel


class WsSettings(_Section, frozen=True):
    """`[ws]`: limits and heartbeat of WebSocket connections."""

    max_size: Positive | None = None  # bytes a message; default 1 MiB on /echo, 64 KiB for messaging
    max_fragments: Positive = 1024  # frames a message may come in
    ping_interval: Seconds = 25.0  # s between signs of life
    ping_timeout: Seconds = 10.0  # s an answer may take
    send_limit: Positive = 1024 * 1024  # bytes waiting for one peer besides its largest message
    send_limit_messages: Positive = 10_000  # messages of others waiting for one peer
    send_limit_age: Grace = 60.0  # s that one of them may wait; 0: any time
    messages_per_frame: FrameMessages = 16  # messages that share a frame, 1: none do
    batch_delay: Delay = 0.0  # ms that a push waits for others to share its frame; 0: what one turn brings
    per_message_deflate: Deflate = "auto"  # compression: auto for messaging only, on for every route, off


class AdminSettings(_Section, frozen=True):
    """`[admin]`: the listener for the operator's own software: health, and the server API."""

    enabled: bool = True  # whether there is one
    host: str = "127.0.0.1"  # name or address
    port: Port | None = None  # default 8766, which --dev does without if it is in use; 0: any free one
    tls: bool = False  # speak TLS with the certificate of `[tls]`
    api_key: ApiKey | None = None  # what callers of the API show; also from WSLOOP_ADMIN__API_KEY
    api_insecure: bool = False  # whoever reaches the listener may call the API; on with --dev without a key


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
    user_connection_limit: Count = 0  # connections of one user at a time, 0: any; one more is 3504
    channel_limit: Positive = 128  # subscriptions of one client
    recovery_limit: Positive = 300  # publications in one subscribe reply; who missed more reloads
    history_limit: Positive = 300  # publications in one history reply
    recovery_limit_bytes: Positive = 4 * 1024 * 1024  # bytes of them in one reply; or it reloads
    history_limit_bytes: Positive = 1024 * 1024  # bytes of them in a history reply; one at least

    def hub_options(self) -> HubOptions:
        """Return them in the hub's terms; what comes from other sections is left at its default."""
        return HubOptions(**msgspec.structs.asdict(self))


class ProxySettings(_Section, frozen=True):
    """`[proxy]`: the application's URLs that are asked for decisions, such as "http://127.0.0.1:3000/connect"."""

    connect: str = ""  # asked who a client without a token is
    refresh: str = ""  # asked whether a connection that `connect` let in may go on when its time ends
    subscribe: str = ""  # asked who may subscribe, in namespaces with `subscribe_proxy`
    publish: str = ""  # asked who may publish, and what, in namespaces with `publish_proxy`
    sub_refresh: str = ""  # asked whether a subscription may go on, in namespaces with `sub_refresh_proxy`
    rpc: str = ""  # called with the `rpc` commands of clients
    send: str = ""  # given their `send` messages, which get no answer
    headers: tuple[str, ...] = ()  # headers of the upgrade request that go along, such as "cookie"
    timeout: Seconds = 1.0  # s that an answer may take, waiting for a connection included
    max_in_flight: Positive = 16  # questions of one kind, and connections for them, at a time
    max_waiting: Count = 256  # questions that wait for one of them; one more fails at once
    max_response: Positive = 1024 * 1024  # bytes of an answer
    breaker_failures: Positive = 5  # failures in a row after which a URL is left alone
    breaker_pause: Seconds = 1.0  # s of the first pause; doubled up to 30 s, and jittered
    ca_file: FilePath | None = None  # PEM file that https URLs are checked against; default: the system's


class HookSettings(_Section, frozen=True):
    """`[hooks]`: the application's URL that is told what happens."""

    url: str = ""  # where batches of events are posted
    events: tuple[HookName, ...] = HOOK_EVENTS  # which of them
    batch_events: Positive = 100  # most events in a batch
    batch_delay: Grace = 0.1  # s that the first waits for others
    timeout: Seconds = 5.0  # s that an answer may take
    vacated_grace: Grace = 5.0  # s that a channel must be empty before it is told
    spool: FilePath | None = None  # file that keeps events until they are delivered; default: memory
    spool_size: SpoolSize = 4 * 1024 * 1024  # bytes of events that may wait
    spool_full: Literal["newest", "oldest"] = "newest"  # which events are dropped when there is no room
    ca_file: FilePath | None = None  # PEM file that an https URL is checked against; default: the system's


class TokenSettings(_Section, frozen=True):
    """`[token]`: which tokens (JWT) are good. Each kind of key judges its own algorithms only."""

    hmac_secret_key: str = ""  # secret of HS256, HS384, HS512; $WSLOOP_TOKEN__HMAC_SECRET_KEY goes first
    rsa_public_key: str = ""  # PEM, or the path of a PEM file: RS256 to RS512, PS256 to PS512
    ecdsa_public_key: str = ""  # the same: ES256, ES384 or ES512, as the key's curve says
    eddsa_public_key: str = ""  # the same: EdDSA with Ed25519 or Ed448
    jwks_file: str = ""  # path of a JSON key set; its keys are found by `kid`
    jwks_url: str = ""  # address of one, fetched at the start and every jwks_interval
    jwks_ca_file: str = ""  # PEM file of who signed that address's certificate; empty: the system's
    jwks_interval: Seconds = 300.0  # s between fetches; a failure keeps the keys
    algorithms: tuple[Algorithm, ...] = ()  # only these; empty: all that the keys are for
    audience: str = ""  # must be in `aud`; empty: any
    issuer: str = ""  # must be `iss`; empty: any

    @property
    def has_keys(self) -> bool:
        """Whether any setting names a key."""
        named = (self.hmac_secret_key, self.rsa_public_key, self.ecdsa_public_key, self.eddsa_public_key)
        return any((*named, self.jwks_file, self.jwks_url))


class AuthSettings(_Section, frozen=True):
    """`[auth]`: tokens that come with the upgrade request, judged before there is a WebSocket."""

    bearer: bool = False  # in `Authorization: Bearer TOKEN`
    cookie: str = ""  # in the cookie of this name
    query: str = ""  # in the query parameter of this name; proxies in front may log it
    required: bool = False  # who has none is answered 401

    def mistake(self) -> str:
        """Return what is wrong, "" if nothing is."""
        for name, value in (("cookie", self.cookie), ("query", self.query)):
            if not re.fullmatch(r"[-._~0-9A-Za-z]*", value):
                return f"auth.{name}: a name of letters, digits, -, ., _ and ~ is needed"
        if self.required and not (self.bearer or self.cookie or self.query):
            return "auth.required: there is no place where a token could be: bearer, cookie or query"
        return ""


class RateLimitSettings(_Section, frozen=True):
    """`[rate_limits]`: "60/1s" is 60 at once and 60 a second on average; empty: any number."""

    client_total: RateText = ""  # commands of one connection
    client_subscribe: RateText = ""  # subscribe and sub_refresh
    client_publish: RateText = ""  # publish
    client_history: RateText = ""  # history, presence, presence_stats
    client_rpc: RateText = ""  # rpc and send
    user_total: RateText = ""  # commands of all connections of one user
    user_connect: RateText = ""  # connect and refresh
    user_subscribe: RateText = ""  # subscribe and sub_refresh
    user_publish: RateText = ""  # publish
    user_history: RateText = ""  # history, presence, presence_stats
    user_rpc: RateText = ""  # rpc and send
    ip_total: RateText = ""  # commands of all connections from one address, of IPv6 a /64; loopback: any
    ip_connect: RateText = ""  # also of upgrade requests that bring a token
    ip_subscribe: RateText = ""  # subscribe and sub_refresh
    ip_publish: RateText = ""  # publish
    ip_history: RateText = ""  # history, presence, presence_stats
    ip_rpc: RateText = ""  # rpc and send


class HistorySettings(_Section, frozen=True):
    """`[history]`: what the process keeps for all channels together."""

    memory_limit: Memory = 256 * 1024 * 1024  # bytes; of channels not used for long the oldest go first


class Settings(_Section, frozen=True):
    """All settings of a daemon."""

    dev: bool = False
    server: ServerSettings = ServerSettings()
    ws: WsSettings = WsSettings()
    admin: AdminSettings = AdminSettings()
    tls: TlsSettings = TlsSettings()
    log: LogSettings = LogSettings()
    client: ClientSettings = ClientSettings()
    proxy: ProxySettings = ProxySettings()
    hooks: HookSettings = HookSettings()
    token: TokenSettings = TokenSettings()
    subscription_token: TokenSettings | None = None
    auth: AuthSettings = AuthSettings()
    rate_limits: RateLimitSettings = RateLimitSettings()
    history: HistorySettings = HistorySettings()
    channels: Namespace | None = None
    namespaces: dict[str, Namespace] = {}

    def all_namespaces(self) -> dict[str, Namespace]:
        """Return the options of each namespace by name, those of the default one as ""."""
        default = dev_namespaces() if self.dev else {"": Namespace()}
        own = {} if self.channels is None else {"": self.channels}
        return {**default, **own, **self.namespaces}


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
    if settings.admin.tls and not settings.tls.certfile:
        raise ConfigError("admin.tls is on without a certificate", "set tls.certfile")
    if settings.tls.keyfile and not settings.tls.certfile:
        raise ConfigError("tls.keyfile is given without tls.certfile", "a key needs its certificate")
    if settings.auth.mistake():
        raise ConfigError(settings.auth.mistake())
    _check_namespaces(settings, text, path)
    outside.check(settings, functools.partial(place, path, text) if path is not None else None)
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
    namespaces = tree.get("namespaces")
    # One by one, as a mistake inside a dict is told without the key that leads to it.
    for name, options in namespaces.items() if isinstance(namespaces, dict) else ():
        _convert(options, Namespace, text, path, f"namespaces.{name}")
    _convert(tree, Settings, text, path, "")


def _convert(tree: object, kind: type, text: str, path: Path | None, above: str) -> None:
    """Raise ConfigError if `tree`, the table `above`, is not of a kind; UsageError without a file."""
    try:
        msgspec.convert(tree, kind)
    except msgspec.ValidationError as error:
        message = str(error)
        unknown = re.search(r"unknown field `([^`]*)`(?: - at `\$\.?([^`]*)`)?", message)
        if unknown and path is not None:
            key, table = unknown[1], _joined(above, unknown[2] or "")
            hint = _did_you_mean(key, table)
            raise ConfigError(f"{place(path, text, table, key)}unknown key {key!r}", hint) from None
        found = re.search(r"(.*) - at `\$\.?([^`]*)`", message)
        reason, where = (found[1], _joined(above, found[2])) if found else (message, above)
        fault = f"{where}: {reason[0].lower()}{reason[1:]}"
        if path is None:
            raise UsageError(fault, "see wsloop serve --help") from None
        table, _, key = where.rpartition(".")
        raise ConfigError(place(path, text, table, key.partition("[")[0]) + fault) from None


def _joined(table: str, key: str) -> str:
    return f"{table}.{key}".strip(".")


def _check_namespaces(settings: Settings, text: str, path: Path | None) -> None:
    """Raise ConfigError for options of namespaces or of `[client]` that contradict each other."""
    namespaces = settings.all_namespaces()
    found = client_mistake(settings.client.hub_options(), namespaces)
    table = "client"
    for name, options in namespaces.items():
        mistake = (name_mistake(name) if name else None) or namespace_mistake(options)
        if mistake is not None:
            found, table = mistake, f"namespaces.{name}" if name else "channels"
            break
    if found is not None:
        where = place(path, text, table, found.key) if path is not None else ""
        raise ConfigError(f"{where}{_joined(table, found.key)}: {found.fault}", found.hint)


def _did_you_mean(key: str, table: str) -> str:
    in_namespace = table.startswith("namespaces.")
    kind: type[msgspec.Struct] = Namespace if in_namespace else Settings
    for name in () if in_namespace else filter(None, table.split(".")):
        kind = section_type(next(field.type for field in msgspec.structs.fields(kind) if field.name == name))
    known = [field.name for field in msgspec.structs.fields(kind) if field.name != "dev"]
    near = difflib.get_close_matches(key, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"


def section_type(declared: Any) -> type[msgspec.Struct]:  # noqa: ANN401 - of a field: anything
    """Return the struct that a section is declared as, whether it may be absent or not."""
    kinds = [declared, *typing.get_args(declared)]
    return next(kind for kind in kinds if isinstance(kind, type) and issubclass(kind, msgspec.Struct))
