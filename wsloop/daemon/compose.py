"""The one place where the machine's own clock, poller, sockets and entropy enter the house.

Nothing else in the package makes them. What is built on them is `server/assembly.py`'s.
"""

from __future__ import annotations

import logging
import os
import resource
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wsloop.daemon import outside, process
from wsloop.daemon.environment import KEY_PASSWORD
from wsloop.errors import ConfigError
from wsloop.hub.memory_broker import BrokerLimits
from wsloop.hub.rate_limits import Operation, Rate, RateLimits
from wsloop.loop.clock import MonotonicClock
from wsloop.loop.poller import make_poller
from wsloop.protocol.deflate import DeflateOptions
from wsloop.protocol.limits import Limits
from wsloop.server.assembly import Options, Ports
from wsloop.server.auth import UpgradeAuth
from wsloop.server.forwarded import Proxies
from wsloop.server.lifecycle import Deadlines
from wsloop.server.server import OutboxMarks
from wsloop.transport.bind import SocketNetwork

if TYPE_CHECKING:
    from wsloop.daemon.settings import (
        AuthSettings,
        RateLimitSettings,
        ServerSettings,
        Settings,
        TlsSettings,
        WsSettings,
    )
    from wsloop.daemon.tokens import Tokens
    from wsloop.loop.wakeup import SocketpairWakeup
    from wsloop.server.overload import MemoryGauge
    from wsloop.transport.certificates import Certificates

log = logging.getLogger("wsloop.daemon")

RESERVED_DESCRIPTORS = 256
"""Descriptors not given to clients: standard streams, poller, wakeup, two for each listener, up to 32
peers that linger while they are refused, 128 of the operator's own connections; the rest, some 80, is
for what libraries open. What the server asks and tells the operator's application comes on top."""

SELECT_DESCRIPTORS = 1024
"""FD_SETSIZE: from this number up select(2) can watch no descriptor."""

ACCEPTS_PER_S = 200
"""Default of `--limit-accept-rate`: the handshakes take 2 % of a core then, 20 % over TLS. Development
mode has no such limit: who loads a server on the own machine wants to see what it can do."""

UNIT_S = {"s": 1.0, "m": 60.0, "h": 3600.0}
"""Of the intervals of rate limits."""

ECHO_MESSAGE_BYTES = 1024 * 1024
MESSAGING_MESSAGE_BYTES = 64 * 1024
"""Defaults of the largest message; a chat needs less than a file. `--ws-max-size` sets both."""


def real_ports(settings: Settings, wakeup: SocketpairWakeup, memory: MemoryGauge | None = None) -> Ports:
    """Return the ports of this machine; a reactor built on them closes poller and wakeup.

    `memory` measures the process; None: there is no ceiling.
    """
    return Ports(
        clock=MonotonicClock(),
        poller=make_poller(settings.server.poller),
        network=SocketNetwork(),
        entropy=os.urandom,
        wakeup=wakeup,
        process=process.usage,
        traffic=process.traffic,
        memory=memory,
    )


def tokens(settings: Settings) -> Tokens | None:
    """Return what tokens are judged with, None where none are configured; raises ConfigError for bad keys."""
    if not settings.has_token_keys:
        if settings.auth.required:
            raise ConfigError("auth.required is on without a key for tokens", "set a key in [token]")
        return None
    # Imported here: PyJWT and cryptography take some 50 ms and 10 MB.
    from wsloop.daemon.tokens import build  # noqa: PLC0415

    return build(settings)


@dataclass(frozen=True, slots=True)
class Secrets:
    """What is made of files with keys and certificates.

    A supervisor makes it once for all processes that it forks: one that takes the place of another goes by
    what was judged to be good at the start or at the last reload, whatever lies in the files by then.
    """

    tokens: Tokens | None
    certificates: Certificates | None


def secrets(settings: Settings) -> Secrets:
    """Read the files that hold keys and certificates; raises ConfigError for bad ones."""
    return Secrets(tokens(settings), certificates(settings.tls))


def options(
    settings: Settings,
    judges: Tokens | None = None,
    shown: Certificates | None = None,
    *,
    spools: str = "",
    is_successor: bool = False,
) -> Options:
    """Return the settings in the server's own terms.

    `judges` from `tokens`, `shown` from `certificates`; without it they are loaded here, which raises
    ConfigError for bad ones. `spools` and `is_successor`: see `outside.maker`.
    """
    server, ws = settings.server, settings.ws
    accept_rate = server.limit_accept_rate
    if accept_rate is None:
        accept_rate = 0 if settings.dev else ACCEPTS_PER_S
    return Options(
        dev=settings.dev,
        deadlines=Deadlines(ping_interval_s=ws.ping_interval, pong_timeout_s=ws.ping_timeout),
        outbox=_marks(ws),
        messages_per_frame=ws.messages_per_frame,
        batch_delay_s=ws.batch_delay / 1000,
        echo_limits=_limits(settings, ECHO_MESSAGE_BYTES),
        messaging_limits=_limits(settings, MESSAGING_MESSAGE_BYTES),
        echo_deflate=DeflateOptions() if ws.per_message_deflate == "on" else None,
        messaging_deflate=None if ws.per_message_deflate == "off" else DeflateOptions(),
        max_connections=_room(server, RESERVED_DESCRIPTORS + outside.descriptors(settings)),
        max_per_host=server.limit_per_ip,
        max_accepts_per_s=accept_rate,
        backlog=server.backlog,
        allowed_origins=frozenset(server.allowed_origins),
        loopback_only=settings.dev,
        certificates=shown or certificates(settings.tls),
        proxies=_proxies(server),
        namespaces=settings.all_namespaces(),
        hub=outside.hub_options(settings),
        outside=outside.maker(settings, spools=spools, is_successor=is_successor),
        forwarded_headers=frozenset(settings.proxy.headers),
        broker=BrokerLimits(memory_bytes=settings.history.memory_limit),
        api_key=api_key(settings),
        verifier=judges.verifier if judges is not None else None,
        auth=_auth(settings.auth),
        rate_limits=_rate_limits(settings.rate_limits),
        slow_turn_s=settings.server.watchdog,
        node_name=f"{socket.gethostname()}_{server.port}",
    )


def api_key(settings: Settings) -> str | None:
    """Return what callers of the server API must show, "" for nothing; None if the API is not served."""
    key = settings.admin.api_key
    if key is None and (settings.dev or settings.admin.api_insecure):
        return ""
    return key


def _proxies(server: ServerSettings) -> Proxies:
    """Return the proxies whose word on their clients counts; nobody's, unless some are listed."""
    is_on = server.proxy_headers is not False
    return Proxies(server.forwarded_allow_ips if is_on else (), server.forwarded_header)


def _auth(auth: AuthSettings) -> UpgradeAuth | None:
    """Return where tokens are looked for in upgrade requests, None for nowhere."""
    if not (auth.bearer or auth.cookie or auth.query):
        return None
    return UpgradeAuth(auth.bearer, auth.cookie, auth.query, auth.required)


def _rate_limits(limits: RateLimitSettings) -> RateLimits | None:
    """Return the rate limits, None where there are none."""
    scopes = {
        scope: [rate(getattr(limits, f"{scope}_{operation.name.lower()}", "")) for operation in Operation]
        for scope in ("client", "user", "ip")
    }
    if not any(each for rates in scopes.values() for each in rates):
        return None
    return RateLimits(**{scope: tuple(rates) for scope, rates in scopes.items()})


def rate(text: str) -> Rate | None:
    """Return what "60/1s" means, None for ""; the form was checked with the settings."""
    if not text:
        return None
    count, _, interval = text.partition("/")
    return Rate(int(count), float(interval[:-1] or 1) * UNIT_S[interval[-1]])


def _room(server: ServerSettings, reserved: int) -> int:
    """Return how many connections may be open: as many as asked for, or as descriptors reach."""
    descriptors = descriptor_limit()
    if server.poller == "select":
        descriptors = min(descriptors, SELECT_DESCRIPTORS)
    most = max(1, descriptors - reserved)
    asked = server.limit_concurrency or most
    if asked > most:
        log.warning(
            "limit_concurrency is %d, but %d descriptors less a reserve of %d are enough for %d connections",
            asked, descriptors, reserved, most,
        )  # fmt: skip
    return min(asked, most)


def certificates(tls: TlsSettings) -> Certificates | None:
    """Return what the server shows of itself, None without TLS; raises ConfigError for bad files."""
    if not tls.certfile:
        return None
    # Imported here: a plain server need not load OpenSSL, 1.3 MB of memory and some milliseconds.
    from wsloop.transport.certificates import Certificates  # noqa: PLC0415

    return Certificates(tls.certfile, tls.keyfile, os.environb.get(KEY_PASSWORD.encode()))


def _limits(settings: Settings, default_message_bytes: int) -> Limits:
    return Limits(
        message_bytes=settings.ws.max_size or default_message_bytes,
        fragments=settings.ws.max_fragments,
    )


def _marks(ws: WsSettings) -> OutboxMarks:
    """Return the marks for the hard limits: a quarter of the bytes is the soft one, as by default."""
    hard_bytes = ws.send_limit
    high_bytes = max(2, min(OutboxMarks().high_bytes, hard_bytes // 4))
    return OutboxMarks(
        max(hard_bytes, high_bytes),
        high_bytes,
        max(1, high_bytes // 4),
        hard_messages=ws.send_limit_messages,
        age_s=ws.send_limit_age,
    )


def descriptor_limit() -> int:
    """Raise the soft limit of open descriptors to the hard one, and return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
        except (ValueError, OSError):  # macOS caps it below an unlimited hard limit: EINVAL
            pass
    return soft if soft != resource.RLIM_INFINITY else 1_000_000
