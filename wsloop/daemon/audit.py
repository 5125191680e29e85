"""What `check-config` warns of: settings that can be served with, but are hardly meant.

A literal table of what has no effect or lets in more than it should; then what only files, the clock and
the machine can tell. Everything that keeps a daemon from starting is an error, found by building it.
"""

from __future__ import annotations

import contextlib
import logging
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from wsloop.daemon import compose, validity
from wsloop.daemon.printing import present
from wsloop.daemon.run import worker_count
from wsloop.server.overload import REFUSE_UNTIL
from wsloop.transport.bind import UnixBind, parse_bind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wsloop.daemon.config import Loaded
    from wsloop.daemon.settings import Settings

NOTICE_S = 14 * 86_400
"""A certificate that ends sooner than this is told of: who renews it automatically does so 30 days before."""

OTHERS = stat.S_IRWXO
"""Rights of those who are neither owner nor in the group; a group may well be the one for keys."""

FILES = (
    "proxy.ca_file", "hooks.ca_file", "token.jwks_ca_file", "subscription_token.jwks_ca_file",
)  # fmt: skip
"""Files that are first read when something is asked of somebody."""

MADE = ("hooks.spool", "log.file", "server.pid_file")
"""Files that the daemon makes, in folders that must be there."""


IDLE_BYTES = 48 * 1024 * 1024
"""What a process takes that serves nobody yet, and has answered a scrape."""


class Check(msgspec.Struct, frozen=True):
    """`is_odd` tells whether the key `path`, if it is not at its default, should be warned of."""

    path: str
    is_odd: Callable[[Settings], bool]
    text: str


def _listens_elsewhere(settings: Settings) -> bool:
    return bool(settings.server.bind)


def _has_no_tcp(settings: Settings) -> bool:
    binds = [parse_bind(text) for text in settings.server.bind]
    return bool(binds) and not settings.admin.tls and all(isinstance(bind, UnixBind) for bind in binds)


def _has_no_auth_keys(settings: Settings) -> bool:
    return not settings.has_token_keys


def _leaves_no_room(settings: Settings) -> bool:
    """Whether the process that keeps history would refuse everybody once there is as much of it as may be."""
    workers = worker_count(settings.server.workers)
    share_bytes = (settings.server.memory_limit or 0) // (workers + 1 if workers > 1 else 1)
    return share_bytes * REFUSE_UNTIL < IDLE_BYTES + settings.history.memory_limit


CHECKS = (
    Check("server.memory_limit", _leaves_no_room,
          "leaves each process less than 48 MiB and history.memory_limit take: new clients would be refused"),
    Check("server.host", _listens_elsewhere, "has no effect beside server.bind"),
    Check("server.port", _listens_elsewhere, "has no effect beside server.bind"),
    Check("tls.certfile", _has_no_tcp, "has no effect: Unix sockets do not speak TLS"),
    Check("admin.host", lambda s: not s.admin.enabled, "has no effect with admin.enabled = false"),
    Check("admin.port", lambda s: not s.admin.enabled, "has no effect with admin.enabled = false"),
    Check("admin.tls", lambda s: not s.admin.enabled, "has no effect with admin.enabled = false"),
    Check("admin.api_key", lambda s: not s.admin.enabled, "has no effect with admin.enabled = false"),
    Check("admin.api_insecure", lambda s: s.admin.api_insecure and s.admin.api_key is not None,
          "has no effect beside admin.api_key"),
    Check("admin.api_insecure", lambda s: s.admin.api_insecure and s.admin.api_key is None,
          "whoever reaches the admin listener may call the API"),
    Check("server.limit_per_ip", lambda s: 0 < (s.server.limit_concurrency or 0) < s.server.limit_per_ip,
          "is more than server.limit_concurrency, and so has no effect"),
    Check("server.forwarded_header", lambda s: not s.server.forwarded_allow_ips,
          "has no effect without server.forwarded_allow_ips"),
    Check("client.personal_namespace", lambda s: not s.client.personal_channel,
          "has no effect without client.personal_channel"),
    Check("client.anonymous_info", lambda s: not s.client.allow_anonymous,
          "has no effect without client.allow_anonymous"),
    Check("auth.bearer", _has_no_auth_keys, "no token is good without a key in [token]"),
    Check("auth.cookie", _has_no_auth_keys, "no token is good without a key in [token]"),
    Check("auth.query", _has_no_auth_keys, "no token is good without a key in [token]"),
    Check("token.audience", _has_no_auth_keys, "has no effect without a key in [token]"),
    Check("token.issuer", _has_no_auth_keys, "has no effect without a key in [token]"),
    Check("token.jwks_interval", lambda s: not s.token.jwks_url, "has no effect without token.jwks_url"),
    Check("token.jwks_ca_file", lambda s: not s.token.jwks_url, "has no effect without token.jwks_url"),
)  # fmt: skip
"""A key at its default is not asked about."""


def warnings(loaded: Loaded, path: Path) -> list[str]:
    """Return what is odd about settings that were read from the file `path`.

    Builds what a daemon would build, and raises ConfigError as its start would: for certificates that do
    not match, keys that cannot be used, files that are not there.
    """
    settings = loaded.settings
    with _heard() as found:
        compose.options(settings, compose.tokens(settings))
    changed = {key.path for key, value in present(settings) if value != key.default}
    found += [
        f"{_where(loaded, check.path)}{check.path}: {check.text}"
        for check in CHECKS
        if check.path in changed and check.is_odd(settings)
    ]
    found += _of_ways_in(settings)
    found += _of_certificate(loaded)
    found += _of_files(loaded)
    found += _of_secrets(loaded, path)
    return found


def _of_ways_in(settings: Settings) -> Iterator[str]:
    if not (settings.client.allow_anonymous or settings.proxy.connect or settings.has_token_keys):
        ways = "token.hmac_secret_key, another key, proxy.connect or client.allow_anonymous"
        yield f"nobody can connect: set {ways}"


def _of_certificate(loaded: Loaded) -> Iterator[str]:
    certfile = loaded.settings.tls.certfile
    if certfile is None:
        return
    where = _where(loaded, "tls.certfile")
    try:
        begin_s, end_s = validity.dates(Path(certfile).read_text(encoding="ascii", errors="replace"))
    except (ValueError, OSError):
        yield f"{where}tls.certfile: the dates of {certfile} cannot be read"
        return
    now_s = time.time()
    if now_s < begin_s:
        yield f"{where}tls.certfile: {certfile} is not valid before {_date(begin_s)}"
    elif now_s >= end_s:
        yield f"{where}tls.certfile: {certfile} has expired on {_date(end_s)}"
    elif now_s >= end_s - NOTICE_S:
        yield f"{where}tls.certfile: {certfile} expires on {_date(end_s)}"


def _of_files(loaded: Loaded) -> Iterator[str]:
    for name in FILES:
        file = _value(loaded.settings, name)
        if file:
            try:
                Path(file).read_bytes()
            except OSError as error:
                yield f"{_where(loaded, name)}{name}: cannot read {file}: {error.strerror}"
    for name in MADE:
        file = _value(loaded.settings, name)
        if file and not Path(file).parent.is_dir():
            yield f"{_where(loaded, name)}{name}: there is no folder {Path(file).parent}"


def _of_secrets(loaded: Loaded, path: Path) -> Iterator[str]:
    """Warn of files with secrets that others on the machine can read."""
    tls = loaded.settings.tls
    keyfile = tls.keyfile or tls.certfile
    if keyfile is not None and Path(keyfile).stat().st_mode & OTHERS:
        yield f"others on this machine can read the private key in {keyfile}: chmod o= {keyfile}"
    held = [
        key.path
        for key, value in present(loaded.settings)
        if key.is_secret and value and loaded.origins.get(key.path, "").startswith(f"{path}:")
    ]
    if held and path.stat().st_mode & OTHERS:
        yield f"others on this machine can read {held[0]} in {path}: chmod o= {path}"


@contextlib.contextmanager
def _heard() -> Iterator[list[str]]:
    """Collect what building a server warns of in its log, instead of writing it."""
    found: list[str] = []
    log = logging.getLogger("wsloop")
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: found.append(record.getMessage())  # type: ignore[method-assign]
    propagate, log.propagate = log.propagate, False
    log.addHandler(handler)
    try:
        yield found
    finally:
        log.removeHandler(handler)
        log.propagate = propagate


def _value(settings: Settings, path: str) -> str | None:
    section, _, name = path.partition(".")
    table = getattr(settings, section)
    value: str | None = getattr(table, name) if table is not None else None
    return value


def _where(loaded: Loaded, path: str) -> str:
    origin = loaded.origins.get(path)
    return f"{origin}: " if origin else ""


def _date(unix_s: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(unix_s))
