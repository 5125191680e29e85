"""The one place where the machine's own clock, poller, sockets and entropy enter the house.

Nothing else in the package makes them. What is built on them is `server/assembly.py`'s.
"""

from __future__ import annotations

import os
import resource
from typing import TYPE_CHECKING

from wsloop.loop.clock import MonotonicClock
from wsloop.loop.poller import make_poller
from wsloop.protocol.limits import Limits
from wsloop.server.assembly import Options, Ports
from wsloop.server.lifecycle import Deadlines
from wsloop.server.server import OutboxMarks
from wsloop.transport.bind import SocketNetwork

if TYPE_CHECKING:
    from wsloop.daemon.config import Settings, TlsSettings
    from wsloop.loop.wakeup import SocketpairWakeup
    from wsloop.transport.certificates import Certificates

RESERVED_DESCRIPTORS = 64
"""Descriptors not given to connections: standard streams, listeners, poller, wakeup, log, spare."""

KEY_PASSWORD_VARIABLE = b"WSLOOP_TLS__KEY_PASSWORD"
"""Of an encrypted key. In no file and on no command line, where others could read it."""

ECHO_MESSAGE_BYTES = 1024 * 1024
MESSAGING_MESSAGE_BYTES = 64 * 1024
"""Defaults of the largest message; a chat needs less than a file. `--ws-max-size` sets both."""


def real_ports(settings: Settings, wakeup: SocketpairWakeup) -> Ports:
    """Return the ports of this machine; a reactor built on them closes poller and wakeup."""
    return Ports(
        clock=MonotonicClock(),
        poller=make_poller(settings.server.poller),
        network=SocketNetwork(),
        entropy=os.urandom,
        wakeup=wakeup,
    )


def options(settings: Settings) -> Options:
    """Return the settings in the server's own terms."""
    server, ws = settings.server, settings.ws
    room = server.limit_concurrency or max(1, descriptor_limit() - RESERVED_DESCRIPTORS)
    return Options(
        dev=settings.dev,
        deadlines=Deadlines(ping_interval_s=ws.ping_interval, pong_timeout_s=ws.ping_timeout),
        outbox=_marks(ws.send_limit),
        echo_limits=_limits(settings, ECHO_MESSAGE_BYTES),
        messaging_limits=_limits(settings, MESSAGING_MESSAGE_BYTES),
        max_connections=room,
        backlog=server.backlog,
        allowed_origins=frozenset(server.allowed_origins),
        loopback_only=settings.dev,
        certificates=certificates(settings.tls),
    )


def certificates(tls: TlsSettings) -> Certificates | None:
    """Return what the server shows of itself, None without TLS; raises ConfigError for bad files."""
    if not tls.certfile:
        return None
    # Imported here: a plain server need not load OpenSSL, 1.3 MB of memory and some milliseconds.
    from wsloop.transport.certificates import Certificates  # noqa: PLC0415

    return Certificates(tls.certfile, tls.keyfile, os.environb.get(KEY_PASSWORD_VARIABLE))


def _limits(settings: Settings, default_message_bytes: int) -> Limits:
    return Limits(
        message_bytes=settings.ws.max_size or default_message_bytes,
        fragments=settings.ws.max_fragments,
    )


def _marks(hard_bytes: int) -> OutboxMarks:
    """Return the marks for a hard limit: a quarter of it is the soft one, as by default."""
    high_bytes = max(2, min(OutboxMarks().high_bytes, hard_bytes // 4))
    return OutboxMarks(max(hard_bytes, high_bytes), high_bytes, max(1, high_bytes // 4))


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
