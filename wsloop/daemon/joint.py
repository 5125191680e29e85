"""One messaging domain out of several processes: what each asks the others, and answers them.

Workers ask the hub process for broker and presence, by the ports that the hub (`wsloop/hub`) knows. The hub
process asks workers for what is about connections: methods of the server API, and numbers. Whom the
operator has blocked is known to the hub process and told to every worker that links; a hub process that was
started anew learns it from them.
"""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING

import msgspec

from wsloop.cluster.desk import API, Desk, Survey
from wsloop.cluster.domain import HubDomain, WorkerDomain
from wsloop.cluster.messages import Cast
from wsloop.daemon.observing import metrics_of
from wsloop.daemon.roles import Kind
from wsloop.hub import blocking
from wsloop.hub.operations import table
from wsloop.hub.revocations import RevocationList
from wsloop.observe.service import MetricsService
from wsloop.observe.snapshot import Snapshot
from wsloop.transport.bind import FdBind, UnixBind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from wsloop.cluster.desk import Done
    from wsloop.cluster.service import Service
    from wsloop.cluster.uplink import Uplink
    from wsloop.daemon.crew_steering import CrewSteering
    from wsloop.daemon.roles import Role
    from wsloop.daemon.steering import WorkerRow
    from wsloop.hub.hub import Hub
    from wsloop.hub.memory_broker import BrokerLimits
    from wsloop.loop.reactor import Reactor
    from wsloop.observe.ledger import Ledger
    from wsloop.observe.observer import Observer
    from wsloop.observe.snapshot import Numbers
    from wsloop.server.assembly import Domain, House, Ports

log = logging.getLogger("wsloop.daemon")

METRICS = "metrics"
RIGHTS = "rights"
"""Kinds of questions: a process's numbers; what was taken back, which is told and not asked."""

METRICS_TIMEOUT_S = 2.0
"""For all workers to tell their numbers; Prometheus waits 10 s. Who is later is left out."""


def domain(role: Role, limits: BrokerLimits) -> Callable[[Reactor, Ports], Domain]:
    """Return what makes the domain of a process with this role, one of several."""
    if role.kind is Kind.WORKER:
        return lambda reactor, ports: WorkerDomain(reactor, ports, UnixBind(role.link_path), role.slot)
    assert role.kind is Kind.HUB, "a daemon of one process keeps all by itself"
    return lambda reactor, ports: HubDomain(reactor, ports, FdBind(role.link_fd), broker_limits=limits)


def join_as_worker(house: House, observer: Observer) -> MetricsService:
    """Have a worker answer the hub process, and count what is between them; return its own metrics."""
    joined = house.domain
    assert isinstance(joined, WorkerDomain)
    observer.add(functools.partial(_link_numbers, joined.link))
    _answer_the_hub(house, joined, observer)
    return metrics_of(observer)


def join_as_hub(
    house: House, observer: Observer, crew: CrewSteering, ledger: Ledger, keep: Callable[[bytes], object]
) -> MetricsService:
    """Have the hub process ask the workers and answer for all of them; return the metrics of all.

    `crew` tells of the others. `ledger` adds up, and `keep` is given what it needs in the next hub process.
    """
    joined = house.domain
    assert isinstance(joined, HubDomain)
    observer.add(lambda: {"wsloop_workers": len(joined.service.slots)})
    observer.add(lambda: links_up(joined.service, crew.roster.rows))
    house.health.add_of_others(crew.reason)
    house.health.add_warning_of_others(crew.warning)
    _ask_the_workers(house, joined)

    def gather(done: Callable[[list[Snapshot]], object]) -> None:
        def answered(answers: dict[int, bytes | None]) -> None:
            told = (_snapshot(each) for each in answers.values() if each is not None)
            everybody = (observer.snapshot(), crew.roster.numbers, *told)
            done([each for each in everybody if each is not None])

        joined.service.call_all(METRICS, b"", METRICS_TIMEOUT_S, answered)

    return MetricsService(gather, ledger, keep)


def _link_numbers(link: Uplink) -> Numbers:
    return {"wsloop_link_reconnects_total": max(0, link.statistics().links - 1)}


def links_up(service: Service, rows: Iterable[WorkerRow]) -> Numbers:
    """Return which of `rows` the hub process hears; a worker that it does not hear could not tell it so."""
    heard = {f"worker-{slot}" for slot in service.heard()}
    return {"wsloop_link_up": {row.name: row.name in heard for row in rows if row.state != "starting"}}


class _TakenBack(msgspec.Struct, frozen=True, array_like=True):
    """What a hub process has noted, and its life: another one begins with nothing."""

    life: str
    noted: RevocationList


class _Rights:
    """What was taken back, as a worker knows it: what the hub process says, and what an earlier one said.

    Else whoever is blocked would be let in again after the death of a process that is none of his.
    """

    def __init__(self, hub: Hub, link: Uplink) -> None:
        self._hub = hub
        self._link = link
        self._life = ""

    def take(self, _name: str, body: bytes, _done: Done) -> None:
        """Note what the hub process says; tell one that was started anew what it cannot know."""
        told = msgspec.msgpack.decode(body, type=_TakenBack)
        known = self._hub.revocations.snapshot()
        blocking.replace(self._hub, told.noted)
        if self._life not in ("", told.life) and self._hub.revocations.add(known, self._hub.unix_s()):
            self._link.say(Cast(RIGHTS, msgspec.msgpack.encode(known)))
        self._life = told.life


def _answer_the_hub(house: House, joined: WorkerDomain, observer: Observer) -> None:
    desk = Desk()

    def answer(name: str, body: bytes, done: Done) -> None:
        table.answer(house.operations, name, body, done)

    def tell_numbers(_name: str, _body: bytes, done: Done) -> None:
        done(msgspec.msgpack.encode(observer.snapshot()))

    desk.add(API, answer)
    desk.add(METRICS, tell_numbers)
    desk.add(RIGHTS, _Rights(house.hub, joined.link).take)
    joined.link.handler = desk
    house.health.add(lambda: "; ".join(joined.reasons()))


def _ask_the_workers(house: House, joined: HubDomain) -> None:
    service, hub = joined.service, house.hub
    house.operations.everywhere = Survey(service)

    def rights() -> bytes:
        return msgspec.msgpack.encode(_TakenBack(service.uid, hub.revocations.snapshot()))

    def learn(_name: str, body: bytes, _done: Done) -> None:
        if hub.revocations.add(msgspec.msgpack.decode(body, type=RevocationList), hub.unix_s()):
            service.cast_all(RIGHTS, rights())

    service.handler = desk = Desk()
    desk.add(RIGHTS, learn)
    service.on_link = lambda _slot: [(RIGHTS, rights())]
    service.shared.on_occupied = hub.hooks.on_channel_occupied
    service.shared.on_vacated = hub.hooks.on_channel_vacated
    house.health.add(lambda: "; ".join(joined.reasons()))
    house.health.add_of_others(lambda: "" if service.slots else "no worker serves")


def _snapshot(answer: bytes) -> Snapshot | None:
    """Return a worker's numbers; None, and a line in the log, for what is none."""
    try:
        return msgspec.msgpack.decode(answer, type=Snapshot)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        log.error("a worker's numbers cannot be read: %s", error)
        return None
