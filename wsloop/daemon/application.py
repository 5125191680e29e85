"""The sections `[proxy]` and `[hooks]` in the terms of `wsloop.client`. Loaded only where one is used."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from wsloop.client.application import Application, ProxyOptions, SpoolOptions, TellOptions
from wsloop.client.backend import QUESTIONS
from wsloop.client.breaker import BreakerRules
from wsloop.client.hooks import HookOptions
from wsloop.client.pool import HttpLimits
from wsloop.client.spool import Overflow
from wsloop.client.urls import parse_url

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.daemon.settings import HookSettings, ProxySettings


def maker(
    proxy: ProxySettings, hooks: HookSettings, *, spools: str, is_successor: bool
) -> Callable[..., Application]:
    """Return what makes the application on a server's reactor and ports; see `Application`."""
    proxy_options = _proxy_options(proxy)
    return functools.partial(
        Application,
        proxy=proxy_options if proxy_options.urls else None,
        tell=_tell_options(hooks, spools) if hooks.url else None,
        is_successor=is_successor,
    )


def _proxy_options(proxy: ProxySettings) -> ProxyOptions:
    given = {name: getattr(proxy, name) for name in QUESTIONS}
    return ProxyOptions(
        {name: parse_url(url, f"proxy.{name}") for name, url in given.items() if url},
        timeout_s=proxy.timeout,
        limits=HttpLimits(
            max_in_flight=proxy.max_in_flight,
            max_waiting=proxy.max_waiting,
            max_response_bytes=proxy.max_response,
        ),
        rules=BreakerRules(
            max_failures=proxy.breaker_failures,
            open_s=proxy.breaker_pause,
            max_open_s=max(proxy.breaker_pause, BreakerRules().max_open_s),
        ),
        ca_file=proxy.ca_file or "",
    )


def _tell_options(hooks: HookSettings, spools: str) -> TellOptions:
    return TellOptions(
        parse_url(hooks.url, "hooks.url"),
        HookOptions(
            events=frozenset(hooks.events),
            batch_events=hooks.batch_events,
            batch_delay_s=hooks.batch_delay,
            timeout_s=hooks.timeout,
            vacated_grace_s=hooks.vacated_grace,
        ),
        SpoolOptions(hooks.spool or "", spools, hooks.spool_size, Overflow(hooks.spool_full)),
        ca_file=hooks.ca_file or "",
    )
