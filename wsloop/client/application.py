"""The operator's own application, reached over HTTP: its decisions, and what it is told.

Puts the rooms of this folder together on a server's ports: one HTTP client for questions, one for
hooks, so that neither keeps the other waiting; the helper thread for names and fsync, where there
is a wakeup for it to call back by. `daemon/compose.py` makes the options.
"""

from __future__ import annotations

import contextlib
import functools
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wsloop.client.backend import HttpBackend
from wsloop.client.breaker import BreakerRules, BreakerState
from wsloop.client.endpoint import Endpoint
from wsloop.client.hooks import HookOptions, HttpHooks
from wsloop.client.http import HttpClient
from wsloop.client.names import OnlyAddresses, SystemNames
from wsloop.client.pool import HttpLimits
from wsloop.client.spool import NoStore, Overflow, Spool, SpoolError
from wsloop.client.spool_file import FileStore, orphans
from wsloop.errors import StartupError
from wsloop.loop.threads import HelperThread

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wsloop.client.names import Names
    from wsloop.client.spool import SpoolStore
    from wsloop.client.urls import Url
    from wsloop.loop.histogram import Histogram
    from wsloop.loop.reactor import Reactor
    from wsloop.server.assembly import Ports

log = logging.getLogger("wsloop.client")

SPOOL_BYTES = 4 * 1024 * 1024
"""Events that may wait: some 25,000, a quarter of an hour of a receiver's absence at 30 a second."""

ORPHAN_AFTER_S = 10.0
"""Spools that were not written to for so long, and that nobody has, are taken in; looked for as often. A
worker that died is back sooner."""

LOOK_EVERY_S = 1.0
"""How often a successor looks whether its predecessor, which drains, has let go of the spool."""

HOOK_LIMITS = HttpLimits(max_in_flight=1, max_waiting=1)
"""One batch at a time, so that the order holds."""


@dataclass(frozen=True, slots=True)
class ProxyOptions:
    """Where questions go, by their name (`backend.QUESTIONS`), and how."""

    urls: Mapping[str, Url]
    timeout_s: float = 1.0
    limits: HttpLimits = field(default_factory=HttpLimits)
    rules: BreakerRules = field(default_factory=BreakerRules)
    ca_file: str = ""


@dataclass(frozen=True, slots=True)
class SpoolOptions:
    """Where events wait: in the file `path`, or in memory if that is "".

    `family`: the name from which those of all processes of the daemon are made (`spool_file.orphans`); what
    processes that are gone have left is told too. "": there are no others.
    """

    path: str = ""
    family: str = ""
    max_bytes: int = SPOOL_BYTES
    overflow: Overflow = Overflow.NEWEST


@dataclass(frozen=True, slots=True)
class TellOptions:
    """Where events go, how, and where they wait. `store` is used instead of a file, if given."""

    url: Url
    hooks: HookOptions = field(default_factory=HookOptions)
    spool: SpoolOptions = field(default_factory=SpoolOptions)
    store: SpoolStore | None = None
    ca_file: str = ""


class Application:
    """What `assemble` calls `Outside`.

    `proxy` or `tell` None: there are no questions, or no events. One that `is_successor` may find its spool
    in use by the process whose place it takes, which drains: until that has let go of it, events are kept
    in memory. Raises StartupError if the spool or the certificates cannot be used.
    """

    def __init__(
        self,
        reactor: Reactor,
        ports: Ports,
        *,
        proxy: ProxyOptions | None,
        tell: TellOptions | None,
        is_successor: bool = False,
    ) -> None:
        self._reactor = reactor
        self._ports = ports
        self._tell = tell
        self._is_successor = is_successor
        self._is_waiting = False
        self._helper = HelperThread(reactor)
        self._clients: list[HttpClient] = []
        names: Names = OnlyAddresses() if ports.wakeup is None else SystemNames(self._helper, self._now)
        self.backend = None if proxy is None else self._make_backend(proxy, names)
        self.hooks = None if tell is None else self._make_hooks(tell, names)
        if tell is not None and tell.spool.path and tell.spool.family:
            reactor.call_later(ORPHAN_AFTER_S, self._adopt)

    def numbers(self) -> dict[str, float | Mapping[str, float | Histogram]]:
        """Return what was asked and told, by the names of metrics; nothing of what there is not."""
        numbers: dict[str, float | Mapping[str, float | Histogram]] = {}
        if self.backend is not None:
            endpoints = self.backend.endpoints
            is_open = {name: float(each.state is BreakerState.OPEN) for name, each in endpoints.items()}
            numbers |= {
                "wsloop_backend_question_seconds": {name: each.duration for name, each in endpoints.items()},
                "wsloop_backend_failures_total": {name: each.failures for name, each in endpoints.items()},
                "wsloop_backend_breaker_open": is_open,
            }
        if self.hooks is not None:
            numbers |= {
                "wsloop_hook_events_waiting": self.hooks.waiting,
                "wsloop_hook_events_delivered_total": self.hooks.delivered,
                "wsloop_hook_events_dropped_total": self.hooks.dropped,
                "wsloop_hook_failures_total": self.hooks.failed_posts,
            }
        return numbers

    def close(self) -> None:
        """Fail what is under way, and put what was not told into the spool. Idempotent."""
        for client in self._clients:
            client.close()
        self._look()
        if self._is_waiting and self.hooks is not None and self.hooks.waiting:
            log.error("%d events are lost: the spool is still in use", self.hooks.waiting)
        self._is_waiting = False
        if self.hooks is not None:
            self.hooks.close()
        self._helper.close()

    def _now(self) -> float:
        return self._reactor.now

    def _client(self, names: Names, limits: HttpLimits, ca_file: str) -> HttpClient:
        client = HttpClient(self._reactor, self._ports.network, names, limits, ca_file=ca_file)
        self._clients.append(client)
        return client

    def _make_backend(self, proxy: ProxyOptions, names: Names) -> HttpBackend:
        client = self._client(names, proxy.limits, proxy.ca_file)
        return HttpBackend(
            {
                name: Endpoint(
                    client,
                    url,
                    name=f"proxy.{name}",
                    timeout_s=proxy.timeout_s,
                    now=self._now,
                    entropy=self._ports.entropy,
                    rules=proxy.rules,
                )
                for name, url in proxy.urls.items()
            }
        )

    def _make_hooks(self, tell: TellOptions, names: Names) -> HttpHooks:
        return HttpHooks(
            self._reactor,
            self._client(names, HOOK_LIMITS, tell.ca_file),
            tell.url,
            self._first_spool(tell),
            tell.hooks,
            unix_s=self._ports.unix_s,
            entropy=self._ports.entropy,
        )

    def _first_spool(self, tell: TellOptions) -> Spool:
        try:
            return self._open_spool(tell)
        except BlockingIOError:
            path = tell.spool.path
            if not self._is_successor:
                hint = "each daemon needs a hooks.spool of its own"
                raise StartupError(f"{path} is in use by another process", hint) from None
        log.info("events are kept in memory until the process that drains has let go of %s", path)
        self._is_waiting = True
        self._reactor.call_later(LOOK_EVERY_S, self._look)
        return Spool(NoStore(), tell.spool.max_bytes, tell.spool.overflow, self._ports.entropy)

    def _look(self) -> None:
        """Take the spool over from the predecessor, if it has let go of it by now."""
        if not self._is_waiting:
            return
        assert self.hooks is not None
        assert self._tell is not None
        try:
            self._is_waiting = not self.hooks.move(functools.partial(self._open_spool, self._tell))
        except BlockingIOError:
            pass
        except StartupError as error:
            log.error("%s: events are kept in memory only", error.message)
            self._is_waiting = False
        if self._is_waiting:
            self._reactor.call_later(LOOK_EVERY_S, self._look)

    def _adopt(self) -> None:
        """Take in what processes have left that are gone for good: there are fewer now, or others."""
        assert self._tell is not None
        options = self._tell.spool
        self._reactor.call_later(ORPHAN_AFTER_S, self._adopt)
        before_s = self._ports.unix_s() - ORPHAN_AFTER_S
        with contextlib.suppress(OSError):  # ENOENT: another process was quicker; EACCES
            for path in orphans(options.family, options.path, before_s):
                self._take_in(path)

    def _take_in(self, path: str) -> None:
        assert self.hooks is not None
        try:
            store = FileStore(path, self._helper, self._reactor.call_later)
        except OSError:  # EAGAIN: its process lives
            return
        try:
            orphan = Spool(store, SPOOL_BYTES, Overflow.NEWEST, self._ports.entropy)
            if self.hooks.take_in(orphan):
                store.remove()
                log.log(
                    logging.INFO if orphan else logging.DEBUG, "%d events of %s are told", len(orphan), path
                )
        except SpoolError:  # somebody's file that is called like ours
            log.debug("%s is no spool", path)
        finally:
            store.close()

    def _open_spool(self, tell: TellOptions) -> Spool:
        """Return the spool; raises BlockingIOError if another process has it, StartupError as above."""
        store = tell.store or self._store(tell.spool.path)
        try:
            return Spool(store, tell.spool.max_bytes, tell.spool.overflow, self._ports.entropy)
        except SpoolError as error:
            store.close()
            raise StartupError(f"{tell.spool.path}: {error}", "give hooks.spool a path of its own") from None
        except OSError as error:
            store.close()
            raise StartupError(
                f"cannot read {tell.spool.path}: {error.strerror}", "hooks.spool is a plain file"
            ) from error

    def _store(self, path: str) -> SpoolStore:
        if not path:
            return NoStore()
        try:
            return FileStore(path, self._helper, self._reactor.call_later)
        except BlockingIOError:
            raise
        except OSError as error:
            raise StartupError(
                f"cannot open {path}: {error.strerror}", "check hooks.spool; its directory must exist"
            ) from error
