"""The numbers that only a process has, and where a daemon of one process serves them."""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING

import pytest

from wsloop import __version__
from wsloop.cluster.domain import WorkerDomain
from wsloop.daemon import observing, process
from wsloop.daemon.roles import Kind, Role
from wsloop.observe.metrics import METRICS
from wsloop.server.assembly import Ports
from wsloop.testing.poller import FakePoller
from wsloop.testing.server import MemoryServer
from wsloop.transport.bind import UnixBind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wsloop.observe.snapshot import Snapshot

LATER = {
    "wsloop_connections_shed_total", "wsloop_link_reconnects_total", "wsloop_link_up",
    "wsloop_log_lines_lost_total", "wsloop_loop_blocked_total", "wsloop_overload",
    "wsloop_worker_deaths_total", "wsloop_workers",
}  # fmt: skip
"""Told by the parts of the daemon that they are about, where these run."""

APPLICATION = {name for name in METRICS if "_backend_" in name or "_hook_" in name}


@pytest.fixture
def house() -> Iterator[MemoryServer]:
    with MemoryServer() as made:
        yield made


def ports_of(house: MemoryServer) -> Ports:
    return Ports(house.clock, FakePoller(house.network, house.clock), house.network, os.urandom)


@pytest.mark.parametrize("kind", list(Kind))
def test_every_process_tells_all_but_what_is_anothers(house: MemoryServer, kind: Kind) -> None:
    observer = observing.observe(house.house, ports_of(house), Role(kind, slot=3))
    told = set(observer.snapshot().values)
    brokers = {name for name in METRICS if "_broker_" in name} if kind is Kind.WORKER else set()
    assert told == METRICS.keys() - LATER - APPLICATION - brokers


def test_a_process_is_named_by_its_role(house: MemoryServer) -> None:
    observer = observing.observe(house.house, ports_of(house), Role(Kind.WORKER, slot=3))
    snapshot = observer.snapshot()
    assert snapshot.process == "worker-3"
    for name, metric in METRICS.items():
        if metric.label == "process" and name not in LATER:
            assert set(snapshot.values[name]) == {"worker-3"}
    assert snapshot.values["wsloop_build_info"] == {__version__: [1]}


def test_two_lives_of_a_process_can_be_told_apart(house: MemoryServer) -> None:
    ports = ports_of(house)
    lives = {observing.observe(house.house, ports, Role()).snapshot().life for _ in range(2)}
    assert len(lives) == 2


def test_the_admin_app_has_more_and_loses_nothing(house: MemoryServer) -> None:
    observer = observing.observe(house.house, ports_of(house), Role())
    admin = observing.with_metrics(house.house, observer).admin
    assert {"/metrics", "/readyz", "/healthz"} <= set(admin.services)
    assert admin.pages == house.admin.pages
    assert house.admin.services.items() <= admin.services.items()


def test_descriptors_are_counted() -> None:
    before = process.resources()
    extra = [os.open(os.devnull, os.O_RDONLY) for _ in range(10)]
    after = process.resources()
    for fd in extra:
        os.close(fd)
    assert after.descriptors - before.descriptors == 10
    assert before.descriptors < before.max_descriptors
    assert 0 < before.cpu_s <= after.cpu_s
    assert before.resident_bytes > 5_000_000


def test_without_proc_descriptors_are_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_arguments: object) -> object:
        raise FileNotFoundError

    monkeypatch.setattr(os, "stat", absent)
    assert process.resources().descriptors == 0


def test_a_worker_tells_whether_it_reaches_the_hub_process(house: MemoryServer) -> None:
    domain = WorkerDomain(house.reactor, ports_of(house), UnixBind("/nowhere.sock"), 3)
    made = dataclasses.replace(house.house, domain=domain)
    values = observing.observe(made, ports_of(house), Role(Kind.WORKER, slot=3)).snapshot().values
    assert values["wsloop_link_up"] == {"worker-3": [0]}
    assert values["wsloop_link_reconnects_total"] == {"": [0]}


def test_the_hub_process_asks_all_workers_and_goes_on_without_those_who_are_late(house: MemoryServer) -> None:
    ports = ports_of(house)
    hub = observing.observe(house.house, ports, Role(Kind.HUB))
    worker = observing.observe(house.house, ports, Role(Kind.WORKER, slot=1))
    asked: list[tuple[str, bytes]] = []

    def call_all(name: str, body: bytes, _timeout_s: float, done: object) -> None:
        asked.append((name, body))
        assert callable(done)
        done({0: None, 1: observing.packed(worker)})

    told: list[list[Snapshot]] = []
    observing.gather_all(hub, call_all)(told.append)
    assert asked == [(observing.METRICS_CALL, b"")]
    assert [snapshot.process for snapshot in told[0]] == ["hub", "worker-1"]
