"""What a process of the daemon tells of itself: its numbers, those of all, and whether it is ready.

Puts `wsloop/observe` on a house, with what only a process has: its memory, its descriptors, and the
operator's application. Other parts of the daemon add their numbers to the observer made here.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING

import msgspec

from wsloop.daemon import process
from wsloop.daemon.roles import Kind
from wsloop.observe import service
from wsloop.observe.observer import Observer
from wsloop.observe.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from wsloop.cluster.uplink import Uplink
    from wsloop.daemon.roles import Role
    from wsloop.observe.service import Gather
    from wsloop.observe.snapshot import Numbers
    from wsloop.server.assembly import House, Ports

    CallAll = Callable[[str, bytes, float, Callable[[Mapping[int, bytes | None]], object]], object]
    """`Service.call_all`: name, body, seconds, and a completion with slot -> answer, None for none."""


GATHER_S = 2.0
"""How long the other processes may take to tell their numbers: less than the 10 s that Prometheus waits. One
that is late is left out of the gauges; what it has counted before stays in the sum."""

METRICS_CALL = "metrics"
"""What workers are asked for by the hub process; the answer is a Snapshot in MessagePack."""


def observe(house: House, ports: Ports, role: Role) -> Observer:
    """Have the numbers of this process collected from its next turn on."""
    has_broker = role.kind is not Kind.WORKER
    observer = Observer(house, ports.clock, role.name, ports.entropy(8).hex(), has_broker=has_broker)
    observer.add(functools.partial(_process_numbers, role.name, ports.unix_s()))
    if house.outside is not None:
        observer.add(house.outside.numbers)
    if role.kind is Kind.WORKER:
        # Imported here: a daemon of one process has no use for links.
        from wsloop.cluster.domain import WorkerDomain  # noqa: PLC0415

        if isinstance(house.domain, WorkerDomain):
            observer.add(functools.partial(_link_numbers, role.name, house.domain.link))
    return observer


def packed(observer: Observer) -> bytes:
    """Return a worker's answer to METRICS_CALL."""
    return msgspec.msgpack.encode(observer.snapshot())


def gather_all(observer: Observer, call_all: CallAll) -> Gather:
    """Return what gathers the numbers of this process, the hub process, and of all workers."""

    def gather(done: Callable[[list[Snapshot]], object]) -> None:
        def answered(answers: Mapping[int, bytes | None]) -> None:
            told = [msgspec.msgpack.decode(each, type=Snapshot) for each in answers.values() if each]
            done([observer.snapshot(), *told])

        call_all(METRICS_CALL, b"", GATHER_S, answered)

    return gather


def with_metrics(house: House, observer: Observer, gather: Gather | None = None) -> House:
    """Return the house with health and metrics on what it serves to the operator's software.

    `gather` asks all processes for their numbers; None: there is this one only.
    """
    services = service.services(gather or (lambda done: done([observer.snapshot()])), house.health)
    admin = dataclasses.replace(house.admin, services={**house.admin.services, **services})
    return dataclasses.replace(house, admin=admin)


def _link_numbers(name: str, link: Uplink) -> Numbers:
    return {
        "wsloop_link_up": {name: link.is_up},
        "wsloop_link_reconnects_total": max(0, link.statistics().links - 1),
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
