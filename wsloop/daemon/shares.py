"""What of the settings each process goes by, where several make up the daemon.

All of them read the same settings. What has to be done once is the hub process's: it tells the application
that channels are occupied and vacated, since only it knows of all subscribers; and it asks the
application nothing, since it has no clients. What is written has a file for each process.
Limits hold for each worker, but that of memory, which is divided by as many as there are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from wsloop.daemon import memory
from wsloop.daemon.roles import Kind
from wsloop.daemon.settings import ProxySettings

if TYPE_CHECKING:
    from wsloop.daemon.kinds import HookName
    from wsloop.daemon.memory import ProcessMemory
    from wsloop.daemon.roles import Role
    from wsloop.daemon.settings import HookSettings, Settings

CHANNEL_EVENTS: frozenset[HookName] = frozenset({"occupied", "vacated"})
"""What only the hub process knows."""


class Share:
    """The part of a process with this role. `workers`: how many there are now."""

    __slots__ = ("_gauge", "_role", "workers")

    def __init__(self, role: Role) -> None:
        self._role = role
        self._gauge: ProcessMemory | None = None
        self.workers = role.workers

    def of(self, settings: Settings) -> Settings:
        """Return what of `settings` the process goes by; all of them if it is the only one."""
        role = self._role
        if role.kind is Kind.ALONE:
            return settings
        hooks = _hooks(settings.hooks, role)
        memory_limit = self._memory_bytes(settings)
        server = msgspec.structs.replace(settings.server, memory_limit=memory_limit)
        if role.kind is Kind.WORKER:
            return msgspec.structs.replace(settings, hooks=hooks, server=server)
        proxy = _without_questions(settings.proxy)
        return msgspec.structs.replace(settings, hooks=hooks, server=server, proxy=proxy)

    def gauge(self, settings: Settings) -> ProcessMemory | None:
        """Return what compares the memory of this process to its part, however many workers come."""
        self._gauge = memory.gauge(self._memory_bytes(settings))
        return self._gauge

    def resize(self, workers: int, settings: Settings) -> None:
        """Go by another number of workers: TTIN and TTOU, or `wsloop ctl workers`.

        The memory of one that leaves is divided at once, though it has it until its clients have gone.
        """
        self.workers = workers
        if self._gauge is not None:
            self._gauge.limit_bytes = self._memory_bytes(settings)

    def _memory_bytes(self, settings: Settings) -> int | None:
        """Return an equal part for each worker and the hub process; the supervisor's 30 MB are theirs."""
        limit_bytes = settings.server.memory_limit
        if limit_bytes is None or self._role.kind is Kind.ALONE:
            return limit_bytes
        return limit_bytes // (self.workers + 1)


def _hooks(hooks: HookSettings, role: Role) -> HookSettings:
    """Return the events that this process tells; without any it tells none, and needs no URL."""
    is_hub = role.kind is Kind.HUB
    events = tuple(event for event in hooks.events if (event in CHANNEL_EVENTS) is is_hub)
    if not events or not hooks.url:
        return type(hooks)()
    spool = f"{hooks.spool}.{role.name}" if hooks.spool else None
    return msgspec.structs.replace(hooks, events=events, spool=spool)


def _without_questions(proxy: ProxySettings) -> ProxySettings:
    """Return the section with no URL to ask."""
    urls = {name: "" for name in proxy.__struct_fields__ if isinstance(getattr(ProxySettings(), name), str)}
    return msgspec.structs.replace(proxy, **urls)
