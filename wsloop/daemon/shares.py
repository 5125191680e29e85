"""What of the settings each process goes by, where several make up the daemon.

All of them read the same settings. What has to be done once is the hub process's: it tells the application
that channels are occupied and vacated, since only it knows of all subscribers; and it asks the
application nothing, since it has no clients. What is written has a file for each process.
Limits hold for each worker, but that of memory, which is divided.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from wsloop.daemon.roles import Kind
from wsloop.daemon.settings import ProxySettings

if TYPE_CHECKING:
    from wsloop.daemon.kinds import HookName
    from wsloop.daemon.roles import Role
    from wsloop.daemon.settings import HookSettings, Settings

CHANNEL_EVENTS: frozenset[HookName] = frozenset({"occupied", "vacated"})
"""What only the hub process knows."""


def share_of(settings: Settings, role: Role) -> Settings:
    """Return the settings of a process with this role; those of a daemon of one process are as they were."""
    if role.kind is Kind.ALONE:
        return settings
    hooks = _hooks(settings.hooks, role)
    server = msgspec.structs.replace(
        settings.server, memory_limit=_memory(settings.server.memory_limit, role)
    )
    if role.kind is Kind.WORKER:
        return msgspec.structs.replace(settings, hooks=hooks, server=server)
    proxy = _without_questions(settings.proxy)
    return msgspec.structs.replace(settings, hooks=hooks, server=server, proxy=proxy)


def _memory(limit_bytes: int | None, role: Role) -> int | None:
    """Return an equal part for each worker and the hub process; the supervisor's 30 MB are theirs."""
    return None if limit_bytes is None else limit_bytes // (role.workers + 1)


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
