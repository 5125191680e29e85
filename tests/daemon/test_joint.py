"""What joins several processes, and that one process pays nothing for it."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import msgspec
import pytest

from tests.observe.kit import Samples, parsed
from wsloop.cluster.domain import HubDomain, WorkerDomain
from wsloop.daemon import joint, observing
from wsloop.daemon.crew_steering import CrewSteering, Roster
from wsloop.daemon.roles import Kind, Role
from wsloop.daemon.steering import WorkerRow
from wsloop.hub.operations import table
from wsloop.hub.operations.results import EmptyResult
from wsloop.observe.ledger import Ledger
from wsloop.observe.snapshot import snapshot_of
from wsloop.protocol.events import Request
from wsloop.server.assembly import Ports
from wsloop.testing.cluster import MemoryCluster
from wsloop.testing.poller import FakePoller
from wsloop.testing.server import MemoryServer
from wsloop.transport.bind import UnixBind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wsloop.daemon.steward import Done
    from wsloop.observe.service import MetricsService
    from wsloop.server.app import Response

NOWHERE = UnixBind("/nowhere.sock")


@pytest.fixture
def house() -> Iterator[MemoryServer]:
    with MemoryServer() as made:
        yield made


def ports_of(house: MemoryServer) -> Ports:
    return Ports(house.clock, FakePoller(house.network, house.clock), house.network, os.urandom)


def test_a_worker_tells_how_often_it_reached_the_hub_process_again(house: MemoryServer) -> None:
    ports, role = ports_of(house), Role(Kind.WORKER, slot=3)
    made = dataclasses.replace(house.house, domain=WorkerDomain(house.reactor, ports, NOWHERE, 3))
    observer = observing.observe(made, ports, role)
    joint.join_as_worker(made, observer)
    values = observer.snapshot().values
    assert "wsloop_link_up" not in values  # it could not be asked while it is not
    assert values["wsloop_link_reconnects_total"] == {"": [0]}
    packed = msgspec.msgpack.encode(values)
    assert msgspec.msgpack.decode(packed, type=dict[str, dict[str, list[float]]]) == values


def scraped(made: MemoryServer, metrics: MetricsService) -> Samples:
    """Return what a scrape would get, as Prometheus' own library reads it."""
    answers: list[Response] = []
    metrics.answer(Request("GET", "/metrics", "/metrics", "", ()), answers.append)
    made.run_until(lambda: answers)
    return parsed(answers[0].body.decode())


class Asked:
    """A supervisor that answers with its numbers, and keeps what is left with it."""

    is_daemon_stopping = False

    def __init__(self) -> None:
        self.deaths = 0
        self.kept = b""

    def ask(self, what: str, argument: str, done: Done) -> None:
        numbers = snapshot_of([{"wsloop_worker_deaths_total": self.deaths}], "supervisor", "41")
        done(True, msgspec.json.encode(Roster(numbers=numbers)).decode())

    def keep(self, left: bytes) -> None:
        self.kept = left


class Hub:
    """A hub process, with a supervisor that has outlived others of them."""

    def __init__(self, supervisor: Asked) -> None:
        self.server = MemoryServer()
        self.ports, self.role = ports_of(self.server), Role(Kind.HUB)
        self.domain = HubDomain(self.server.reactor, self.ports, NOWHERE)
        made = dataclasses.replace(self.server.house, domain=self.domain)
        observer = observing.observe(made, self.ports, self.role)
        self.crew = CrewSteering(self.server.reactor, supervisor)
        self.metrics = joint.join_as_hub(made, observer, self.crew, Ledger(supervisor.kept), supervisor.keep)
        self.house = made

    def die(self) -> None:
        self.domain.close()
        self.server.close()


def test_the_hub_process_tells_what_it_and_the_supervisor_count_and_another_one_goes_on() -> None:
    supervisor = Asked()
    before: Samples = {}
    for life in range(1, 4):
        hub = Hub(supervisor)
        hub.server.connect().close()
        first = scraped(hub.server, hub.metrics)  # the supervisor was not asked yet
        assert first.get(("wsloop_worker_deaths_total", ()), 0) == supervisor.deaths
        supervisor.deaths = life
        hub.crew.begin()
        now = scraped(hub.server, hub.metrics)
        assert now["wsloop_workers", ()] == 0
        assert now["wsloop_worker_deaths_total", ()] == life
        assert now["wsloop_websockets_opened_total", ()] == life
        assert {
            key for key, value in before.items() if "process" not in dict(key[1]) and first[key] < value
        } == set()
        before = {
            key: value for key, value in now.items() if key[0].endswith(("_total", "_bucket", "_count"))
        }
        assert hub.house.health.reasons() == ["no worker serves"]
        hub.die()


def test_the_hub_process_tells_whom_it_does_not_hear() -> None:
    states = ("serving", "serving", "starting", "draining")
    rows = [WorkerRow(f"worker-{slot}", 41 + slot, state, 0) for slot, state in enumerate(states)]
    with MemoryCluster(2) as cluster:
        domain = cluster.hub.house.domain
        assert isinstance(domain, HubDomain)
        up = {"worker-0": True, "worker-1": True, "worker-3": False}
        assert joint.links_up(domain.service, rows) == {"wsloop_link_up": up}
        cluster.cut(0)
        up["worker-0"] = False
        cluster.run_until(lambda: joint.links_up(domain.service, rows) == {"wsloop_link_up": up})


def join_up(server: MemoryServer, kind: Kind) -> MemoryServer:
    observer = observing.observe(server.house, ports_of(server), Role(kind))
    if kind is Kind.HUB:
        supervisor = Asked()
        crew = CrewSteering(server.reactor, supervisor)
        joint.join_as_hub(server.house, observer, crew, Ledger(), supervisor.keep)
    else:
        joint.join_as_worker(server.house, observer)
    return server


def take_back(cluster: MemoryCluster, method: str, **params: object) -> None:
    answers: list[object] = []
    table.call(cluster.hub.house.operations, method, msgspec.json.encode(params), answers.append)
    cluster.run_until(lambda: answers)
    assert answers == [EmptyResult()]


def blocked(server: MemoryServer) -> set[str]:
    return set(server.house.hub.revocations.snapshot().blocked)


def test_who_is_blocked_stays_so_when_the_hub_process_dies() -> None:
    with MemoryCluster(2) as cluster:
        join_up(cluster.hub, Kind.HUB)
        for worker in cluster.workers.values():
            join_up(worker, Kind.WORKER)
        for slot in cluster.workers:
            cluster.cut(slot)  # so that each is told who the hub process is
        cluster.run_for(5)
        for user in ("ann", "ben"):
            take_back(cluster, "block_user", user=user)
        take_back(cluster, "unblock_user", user="ben")
        cluster.kill_hub()
        join_up(cluster.start_hub(), Kind.HUB)
        assert blocked(cluster.hub) == set()
        cluster.run_for(10)
        late = join_up(cluster.start_worker(2), Kind.WORKER)
        cluster.run_for(5)
        everybody = [cluster.hub, *cluster.workers.values()]
        assert late in everybody
        assert [blocked(each) for each in everybody] == [{"ann"}] * 4
        take_back(cluster, "unblock_user", user="ann")
        cluster.cut(0)
        cluster.run_for(5)
        assert [blocked(each) for each in everybody] == [set()] * 4


SERVE_A_MOMENT = """
import os, signal, sys
from wsloop.daemon.steward import Steward
from wsloop.daemon import serving
from wsloop.daemon.roles import Role
from wsloop.daemon.settings import Settings

class Brief(Steward):
    def attach(self, house, drain, resize):
        house.reactor.call_soon(drain)

code = serving.serve(Settings(dev=True), Role(steward=Brief()))
several = [name for name in sys.modules if name.startswith(("wsloop.cluster", "wsloop.daemon.joint"))]
sys.exit(f"{code} {several}" if code or several else 0)
"""


def test_a_single_worker_loads_nothing_of_the_cluster() -> None:
    done = subprocess.run([sys.executable, "-c", SERVE_A_MOMENT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "stopped" in done.stderr  # so it did serve


def test_numbers_that_cannot_be_read_are_none_and_told(caplog: pytest.LogCaptureFixture) -> None:
    assert joint._snapshot(b"\xc1") is None
    assert [message.partition(":")[0] for message in caplog.messages] == ["a worker's numbers cannot be read"]
