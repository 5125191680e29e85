"""What a process of the daemon tells of itself: its numbers, those of all, and whether it is ready.

Puts `wsloop/observe` on a house, with what only a process has: its memory, its descriptors, and the
operator's application. Other parts of the daemon add their numbers to the observer made here.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING

from wsloop.daemon import logs, process
from wsloop.daemon.roles import Kind
from wsloop.observe import service
from wsloop.observe.observer import Observer
from wsloop.server.overload import Level

if TYPE_CHECKING:
    from wsloop.daemon.roles import Role
    from wsloop.observe.service import MetricsService
    from wsloop.observe.snapshot import Numbers
    from wsloop.server.assembly import House, Ports


LEVELS = (Level.NORMAL, Level.REFUSING, Level.SHEDDING)
"""As the metric has them: 0, 1, 2."""


def observe(house: House, ports: Ports, role: Role) -> Observer:
    """Have the numbers of this process collected from its next turn on."""
    has_broker = role.kind is not Kind.WORKER
    observer = Observer(house, ports.clock, role.name, ports.entropy(8).hex(), has_broker=has_broker)
    observer.add(functools.partial(_process_numbers, role.name, ports.unix_s()))
    observer.add(functools.partial(_strain, house))
    house.health.add_warning(logs.complaint)
    if house.outside is not None:
        observer.add(house.outside.numbers)
    return observer


def with_metrics(house: House, metrics: MetricsService) -> House:
    """Return the house with health and metrics on what it serves to the operator's software."""
    services = service.services(metrics, house.health)
    admin = dataclasses.replace(house.admin, services={**house.admin.services, **services})
    return dataclasses.replace(house, admin=admin)


def metrics_of(observer: Observer) -> MetricsService:
    """Return the metrics of a daemon that is one process."""
    return service.MetricsService(lambda done: done([observer.snapshot()]))


def _strain(house: House) -> Numbers:
    """Return what tells that the process is at its limits: memory, the loop, the log."""
    overload = house.overload.statistics() if house.overload is not None else None
    return {
        "wsloop_log_lines_lost_total": logs.statistics().lost_total,
        "wsloop_loop_blocked_total": house.lag.statistics().slow_turns_total if house.lag is not None else 0,
        "wsloop_overload": LEVELS.index(overload.level) if overload is not None else 0,
        "wsloop_connections_shed_total": overload.shed_total if overload is not None else 0,
    }


def _process_numbers(name: str, started_unix_s: float) -> Numbers:
    used = process.resources()
    return {
        "wsloop_process_resident_memory_bytes": {name: used.resident_bytes},
        "wsloop_process_cpu_seconds_total": {name: used.cpu_s},
        "wsloop_process_open_descriptors": {name: used.descriptors},
        "wsloop_process_max_descriptors": {name: used.max_descriptors},
        "wsloop_process_start_time_seconds": {name: started_unix_s},
    }
