"""The numbers that only a process has, and where a daemon of one process serves them."""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING, Any, cast

import pytest

from wsloop import __version__
from wsloop.daemon import observing, process
from wsloop.daemon.roles import Kind, Role
from wsloop.observe.metrics import METRICS
from wsloop.server.assembly import Options, Ports
from wsloop.server.overload import Memory
from wsloop.testing.poller import FakePoller
from wsloop.testing.server import MemoryServer

if TYPE_CHECKING:
    from collections.abc import Iterator

LATER = {
    "wsloop_last_reload_failed", "wsloop_last_reload_success_timestamp_seconds",
    "wsloop_link_reconnects_total", "wsloop_link_up", "wsloop_reload_failures_total",
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


def test_strain_is_told() -> None:
    class Full:
        """Memory of which 95 % are used."""

        def read(self) -> Memory:
            return Memory(95, 100)

        def give_back(self) -> None:
            """Nothing is free."""

    with MemoryServer(options=Options(dev=True, slow_turn_s=0.1), memory=Full()) as house:
        observer = observing.observe(house.house, ports_of(house), Role())
        house.reactor.call_later(0.5, lambda: house.clock.advance(0.3))
        house.run_for(1.5)
        values = observer.snapshot().values
        assert values["wsloop_overload"] == {"": [2]}
        assert values["wsloop_loop_blocked_total"] == {"": [1]}


def test_two_lives_of_a_process_can_be_told_apart(house: MemoryServer) -> None:
    ports = ports_of(house)
    lives = {observing.observe(house.house, ports, Role()).snapshot().life for _ in range(2)}
    assert len(lives) == 2


def test_the_admin_app_has_more_and_loses_nothing(house: MemoryServer) -> None:
    observer = observing.observe(house.house, ports_of(house), Role())
    admin = observing.with_metrics(house.house, observing.metrics_of(observer)).admin
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


def test_the_application_tells_its_numbers_too(house: MemoryServer) -> None:
    class Outside:
        def numbers(self) -> dict[str, dict[str, int]]:
            return {name: {"": 7}}

    name = min(APPLICATION)

    lived_in = dataclasses.replace(house.house, outside=cast("Any", Outside()))
    observer = observing.observe(lived_in, ports_of(house), Role(Kind.ALONE))
    assert observer.snapshot().values[name] == {"": [7]}
