"""The sections `[proxy]` and `[hooks]`: what they may not say. What they mean is in `application.py`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from wsloop.client.urls import parse_url
from wsloop.errors import ConfigError

Place = Callable[[str, str], str]
"""`place(table, key)` says where a key stands, "file:line: ", or ""."""

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wsloop.client.application import Application
    from wsloop.daemon.settings import Settings
    from wsloop.hub.options import HubOptions


QUESTIONS = ("connect", "refresh", "subscribe", "publish", "sub_refresh", "rpc", "send")

BY_NAMESPACE = ("subscribe", "publish", "sub_refresh")
"""Asked where a namespace has the option of that name with `_proxy` behind it."""

SPOOL_DESCRIPTORS = 4
"""The lock, the file, its successor, and the one that is being synced."""

NOT_FORWARDED = frozenset(
    {
        "accept", "connection", "content-encoding", "content-length", "content-type", "expect", "forwarded",
        "host", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te",
        "trailer", "transfer-encoding", "upgrade", "user-agent",
    }
)  # fmt: skip
"""What speaks of one connection or one body (RFC 9110 section 7.6.1), or is said by us already."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+\Z")


def check(settings: Settings, place: Place) -> None:
    """Raise ConfigError for what contradicts itself."""
    for table, key, fault, hint in _mistakes(settings):
        raise ConfigError(f"{place(table, key)}{table}.{key}: {fault}", hint)
    for table, key, url in _urls(settings):
        try:
            parse_url(url, f"{table}.{key}")
        except ConfigError as error:
            raise ConfigError(place(table, key) + error.message, error.hint) from None


def hub_options(settings: Settings) -> HubOptions:
    """Return the hub's options, with the questions that the backend is asked."""
    proxy = settings.proxy
    return msgspec.structs.replace(
        settings.client.hub_options(),
        connect_proxy=bool(proxy.connect),
        refresh_proxy=bool(proxy.refresh),
        rpc_proxy=bool(proxy.rpc),
        send_proxy=bool(proxy.send),
    )


def maker(
    settings: Settings, *, spools: str = "", is_successor: bool = False
) -> Callable[..., Application] | None:
    """Return what makes the application on a server's reactor and ports; None if there is none.

    `spools`: the name from which those of all processes of the daemon are made. `is_successor`: this daemon
    takes the place of another, which drains.
    """
    if not any(_urls(settings)):
        return None
    # Imported here: a server without an application of its own does not pay for it.
    from wsloop.daemon import application  # noqa: PLC0415

    return application.maker(settings.proxy, settings.hooks, spools=spools, is_successor=is_successor)


def descriptors(settings: Settings) -> int:
    """Return how many descriptors the application may take: its connections, and the spool's files."""
    questions = sum(table == "proxy" for table, _, _ in _urls(settings))
    hooks = 1 + SPOOL_DESCRIPTORS if settings.hooks.url else 0
    return questions * settings.proxy.max_in_flight + hooks


def _urls(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Yield the table, the key and the text of each URL that is given."""
    for name in QUESTIONS:
        url = getattr(settings.proxy, name)
        if url:
            yield "proxy", name, url
    if settings.hooks.url:
        yield "hooks", "url", settings.hooks.url


def _mistakes(settings: Settings) -> Iterator[tuple[str, str, str, str]]:
    """Yield the table, the key, what is wrong with it and what to do."""
    proxy, hooks = settings.proxy, settings.hooks
    namespaces = settings.all_namespaces()
    for name in BY_NAMESPACE:
        option = f"{name}_proxy"
        users = [namespace for namespace, options in namespaces.items() if getattr(options, option)]
        if users and not getattr(proxy, name):
            table = f"namespaces.{users[0]}" if users[0] else "channels"
            yield table, option, "there is nobody to ask", f"set proxy.{name} to a URL"
        if getattr(proxy, name) and not users:
            yield "proxy", name, "is never asked", f"set {option} in a namespace, or in [channels]"
    if proxy.refresh and not proxy.connect:
        yield "proxy", "refresh", "is never asked without proxy.connect", "tokens are renewed by the client"
    for name in proxy.headers:
        if not _TOKEN.match(name):
            yield "proxy", "headers", f"{name!r} is not a header's name in lower case", 'such as "cookie"'
        if name in NOT_FORWARDED or name.startswith("sec-websocket-"):
            yield "proxy", "headers", f"{name!r} cannot be forwarded", "it belongs to one connection, or body"
    if hooks != type(hooks)() and not hooks.url:
        yield "hooks", "url", "is missing", "the other keys have no effect without it"
