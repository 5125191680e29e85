"""All settings of the daemon, each with its type, its default and its meaning: the one table of them.

Every key has one place, here; its comment is its documentation. The reference, the flags' help, the
variables of the environment, the file that `wsloop config default` prints and the schema are made from it.
A key marked `Live` takes effect when the daemon is told to reload (HUP); any other needs a restart.
Where values come from is `config.py`'s; what they come to, `compose.py`'s.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from wsloop.daemon.kinds import (
    Algorithm,
    ApiKey,
    Backend,
    Bytes,
    BytesOrNone,
    Count,
    Deflate,
    Delay,
    FilePath,
    ForwardedHeader,
    FrameMessages,
    Grace,
    HookName,
    Live,
    LogFormat,
    LogLevel,
    Memory,
    Port,
    Positive,
    RateText,
    Seconds,
    Secret,
    SpoolSize,
    Texts,
    UrlText,
    Workers,
)
from wsloop.hub.namespaces import Namespace, dev_namespaces
from wsloop.hub.options import HubOptions

HOOK_EVENTS: tuple[HookName, ...] = ("disconnect", "unsubscribe", "occupied", "vacated")


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the file."""


class ServerSettings(Section, frozen=True):
    """`[server]`: where to listen and for how many."""

    host: str = "127.0.0.1"  # name or address to listen on
    port: Port = 8765  # TCP port to listen on; 0 lets the kernel choose; the banner tells
    bind: Texts = ()  # "host:port", "unix:path", "fd://3"; replaces host and port
    backlog: Positive = 1024  # connections that the kernel queues before accept
    limit_concurrency: Live[Positive | None] = None  # connections; at most, and by default: descriptors - 256
    limit_per_ip: Live[Count] = 100  # connections from one address, 0: any; loopback and Unix sockets: any
    limit_accept_rate: Live[Count | None] = None  # new ones a second, 0: any; default 200, any with --dev
    timeout_graceful_shutdown: Live[Seconds] = 30.0  # the drain window
    allowed_origins: Live[Texts] = ()  # pages that may connect: "https://example.org"; --dev adds its own
    memory_limit: Memory | None = None  # of all processes; at 80 % nobody new, at 90 % the slowest go
    watchdog: Grace = 0.1  # how long a turn may be held up before the stack is logged; 0: any time
    workers: Workers = 1  # processes that serve clients, or "auto": one a core; also $WEB_CONCURRENCY
    pid_file: FilePath | None = None  # where the number of the first process is written
    proxy_headers: bool | None = None  # believe listed proxies about clients; default: if any is listed
    forwarded_allow_ips: Texts = ()  # those: addresses, networks, "unix" for all Unix sockets
    forwarded_header: ForwardedHeader = "x-forwarded-for"  # their header, or proxy-protocol; no other counts
    control: str | None = None  # Unix socket of `wsloop ctl`, "" for none; default: below $XDG_RUNTIME_DIR
    poller: Backend = "auto"  # which readiness interface of the kernel


class WsSettings(Section, frozen=True):
    """`[ws]`: limits and heartbeat of WebSocket connections."""

    max_size: Bytes | None = None  # largest message; default 1 MiB on /echo, 64 KiB for messaging
    max_fragments: Positive = 1024  # frames that a message may come in
    ping_interval: Seconds = 25.0  # time between signs of life
    ping_timeout: Seconds = 10.0  # how long an answer may take
    send_limit: Bytes = 1024 * 1024  # what may wait for one peer besides its largest message
    send_limit_messages: Positive = 10_000  # messages of others waiting for one peer
    send_limit_age: Grace = 60.0  # how long one of them may wait; 0: any time
    messages_per_frame: FrameMessages = 16  # messages that share a frame, 1: none do
    batch_delay: Delay = 0.0  # wait of a push for others to share its frame, in ms; 0: none
    per_message_deflate: Deflate = "auto"  # compression: auto for messaging only, on for every route, off


class AdminSettings(Section, frozen=True):
    """`[admin]`: the listener for the operator's own software: health, and the server API."""

    enabled: bool = True  # whether there is an admin listener
    host: str = "127.0.0.1"  # name or address that it listens on
    port: Port | None = None  # its TCP port, 0: any; default 8766, and none with --dev if that is in use
    tls: bool = False  # speak TLS with the certificate of `[tls]`
    api_key: Live[ApiKey | None] = None  # what callers of the API show; without one it is off
    api_insecure: Live[bool] = False  # the API asks for no key; on with --dev if there is none


class TlsSettings(Section, frozen=True):
    """`[tls]`: with a certificate, TCP ports speak TLS; Unix sockets do not."""

    certfile: FilePath | None = None  # PEM file: the server's certificate, then those that signed it
    keyfile: FilePath | None = None  # PEM file of its private key; default: it is in certfile


class LogSettings(Section, frozen=True):
    """`[log]`: what is told, and how."""

    level: LogLevel = "info"  # the least level that is told
    format: LogFormat = "auto"  # text on a terminal and in dev mode, json otherwise
    file: FilePath | None = None  # lines are added to it, USR1 opens it again; default: standard error
    access: bool = False  # a line for each HTTP answer, and for the end of each WebSocket


class ClientSettings(Section, frozen=True):
    """`[client]`: what holds for all clients of the messaging protocol."""

    allow_anonymous: bool = False  # clients without a token may connect; on with --dev
    anonymous_info: bool = False  # their `connect.data` is shown to others, for demonstrations; on with --dev
    info_limit_bytes: BytesOrNone = 1024  # the longest such object that is shown; longer ones are ignored
    personal_channel: bool = False  # each user is subscribed at connect to its own channel, `#user`
    personal_namespace: str = ""  # the namespace that those channels are in
    broadcast_channel: str = ""  # a channel that everybody is subscribed to at connect
    expired_grace_s: Grace = 25.0  # how long after its end a connection or subscription may be renewed
    user_connection_limit: Count = 0  # connections of one user at a time, 0: any; one more is 3504
    channel_limit: Positive = 128  # subscriptions of one client
    recovery_limit: Positive = 300  # publications in one subscribe reply; who missed more reloads
    history_limit: Positive = 300  # publications in one history reply
    recovery_limit_bytes: Bytes = 4 * 1024 * 1024  # size of them in one reply; who missed more reloads
    history_limit_bytes: Bytes = 1024 * 1024  # size of them in a history reply; one at least

    def hub_options(self) -> HubOptions:
        """Return them in the hub's terms; what comes from other sections is left at its default."""
        return HubOptions(**msgspec.structs.asdict(self))


class ProxySettings(Section, frozen=True):
    """`[proxy]`: the application's URLs that are asked for decisions, such as "http://127.0.0.1:3000/connect"."""

    connect: UrlText = ""  # asked who a client without a token is
    refresh: UrlText = ""  # asked whether a connection that `connect` let in may go on when its time ends
    subscribe: UrlText = ""  # asked who may subscribe, in namespaces with `subscribe_proxy`
    publish: UrlText = ""  # asked who may publish, and what, in namespaces with `publish_proxy`
    sub_refresh: UrlText = ""  # asked if a subscription may go on, in namespaces with `sub_refresh_proxy`
    rpc: UrlText = ""  # called with the `rpc` commands of clients
    send: UrlText = ""  # given their `send` messages, which get no answer
    headers: Texts = ()  # headers of the upgrade request that go along, such as "cookie"
    timeout: Seconds = 1.0  # how long an answer may take, waiting for a connection included
    max_in_flight: Positive = 16  # questions of one kind, and connections for them, at a time
    max_waiting: Count = 256  # questions that wait for one of them; one more fails at once
    max_response: Bytes = 1024 * 1024  # size of an answer
    breaker_failures: Positive = 5  # failures in a row after which a URL is left alone
    breaker_pause: Seconds = 1.0  # the first pause; doubled up to 30 s, and jittered
    ca_file: FilePath | None = None  # PEM file that https URLs are checked against; default: the system's


class HookSettings(Section, frozen=True):
    """`[hooks]`: the application's URL that is told what happens."""

    url: UrlText = ""  # where batches of events are posted
    events: tuple[HookName, ...] = HOOK_EVENTS  # which of them
    batch_events: Positive = 100  # most events in a batch
    batch_delay: Grace = 0.1  # how long the first waits for others
    timeout: Seconds = 5.0  # how long an answer may take
    vacated_grace: Grace = 5.0  # how long a channel must be empty before it is told
    spool: FilePath | None = None  # file that keeps events until they are delivered; default: memory
    spool_size: SpoolSize = 4 * 1024 * 1024  # size of events that may wait
    spool_full: Literal["newest", "oldest"] = "newest"  # which events are dropped when there is no room
    ca_file: FilePath | None = None  # PEM file that an https URL is checked against; default: the system's


class TokenSettings(Section, frozen=True):
    """`[token]`: which tokens (JWT) are good. Each kind of key judges its own algorithms only."""

    hmac_secret_key: Live[Secret] = ""  # secret of HS256, HS384 and HS512
    rsa_public_key: Live[str] = ""  # PEM, or the path of a PEM file: RS256 to RS512, PS256 to PS512
    ecdsa_public_key: Live[str] = ""  # the same: ES256, ES384 or ES512, as the key's curve says
    eddsa_public_key: Live[str] = ""  # the same: EdDSA with Ed25519 or Ed448
    jwks_file: Live[str] = ""  # path of a JSON key set; its keys are found by `kid`
    jwks_url: UrlText = ""  # address of one, fetched at the start and every jwks_interval
    jwks_ca_file: str = ""  # PEM file of who signed that address's certificate; empty: the system's
    jwks_interval: Seconds = 300.0  # time between fetches; a failure keeps the keys
    algorithms: Live[tuple[Algorithm, ...]] = ()  # only these; empty: all that the keys are for
    audience: Live[str] = ""  # must be in `aud`; empty: any
    issuer: Live[str] = ""  # must be `iss`; empty: any

    @property
    def has_keys(self) -> bool:
        """Whether any setting names a key."""
        named = (self.hmac_secret_key, self.rsa_public_key, self.ecdsa_public_key, self.eddsa_public_key)
        return any((*named, self.jwks_file, self.jwks_url))


class AuthSettings(Section, frozen=True):
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


class RateLimitSettings(Section, frozen=True):
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


class HistorySettings(Section, frozen=True):
    """`[history]`: what the process keeps for all channels together."""

    memory_limit: Memory = 256 * 1024 * 1024  # of all; of channels not used for long the oldest go first


class Settings(Section, frozen=True):
    """All settings of a daemon."""

    dev: bool = False
    server: ServerSettings = ServerSettings()
    ws: Live[WsSettings] = WsSettings()
    admin: AdminSettings = AdminSettings()
    tls: Live[TlsSettings] = TlsSettings()
    log: Live[LogSettings] = LogSettings()
    client: Live[ClientSettings] = ClientSettings()
    proxy: ProxySettings = ProxySettings()
    hooks: HookSettings = HookSettings()
    token: TokenSettings = TokenSettings()
    subscription_token: TokenSettings | None = None
    auth: Live[AuthSettings] = AuthSettings()
    rate_limits: Live[RateLimitSettings] = RateLimitSettings()
    history: Live[HistorySettings] = HistorySettings()
    channels: Live[Namespace | None] = None
    namespaces: Live[dict[str, Namespace]] = {}

    @property
    def has_token_keys(self) -> bool:
        """Whether any key for tokens is configured."""
        sections = (self.token, self.subscription_token)
        return any(section is not None and section.has_keys for section in sections)

    def all_namespaces(self) -> dict[str, Namespace]:
        """Return the options of each namespace by name, those of the default one as ""."""
        default = dev_namespaces() if self.dev else {"": Namespace()}
        own = {} if self.channels is None else {"": self.channels}
        return {**default, **own, **self.namespaces}
