"""A hub process and two workers: one domain, for clients who do not know of it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from wsloop.cluster.departures import LEAVE_AFTER_S
from wsloop.cluster.domain import HubDomain, WorkerDomain
from wsloop.errors import StartupError
from wsloop.hub.namespaces import Namespace
from wsloop.hub.options import HubOptions
from wsloop.server.assembly import Options
from wsloop.server.following import follow
from wsloop.testing.cluster import LINK, MemoryCluster

if TYPE_CHECKING:
    from wsloop.testing.client import MessagingMemoryClient

OPEN = Namespace(
    presence=True,
    join_leave=True,
    force_push_join_leave=True,
    history_size=10,
    history_ttl_s=300.0,
    force_recovery=True,
    allow_wildcard=True,
    allow_subscribe_for_client=True,
    allow_subscribe_for_anonymous=True,
    allow_publish_for_client=True,
    allow_publish_for_anonymous=True,
    allow_presence_for_client=True,
    allow_presence_for_anonymous=True,
    allow_history_for_client=True,
    allow_history_for_anonymous=True,
)

OPTIONS = Options(namespaces={"": OPEN}, hub=HubOptions(allow_anonymous=True))


def joined(cluster: MemoryCluster, slot: int, channel: str = "c", **request: object) -> MessagingMemoryClient:
    server = cluster.workers[slot]
    client = server.join()
    server.ask(client, subscribe={"channel": channel, **request})
    return client


def result(cluster: MemoryCluster, slot: int, client: MessagingMemoryClient, **command: object) -> Any:
    reply: dict[str, Any] = cluster.workers[slot].ask(client, **command)
    (method,) = command
    return reply.get(method, reply.get("error"))


def pushed(client: MessagingMemoryClient, kind: str) -> list[Any]:
    return [push[kind] for push in client.pushes if kind in push]


def test_a_publication_reaches_the_clients_of_all_processes() -> None:
    with MemoryCluster() as cluster:
        ann, ben = cluster.workers[0].join("ann"), cluster.workers[1].join("ben")
        here = cluster.hub.join("here")
        for server, client in ((cluster.workers[0], ann), (cluster.workers[1], ben), (cluster.hub, here)):
            server.ask(client, subscribe={"channel": "chat:a"})
        cluster.workers[0].ask(ann, publish={"channel": "chat:a", "data": "hello"})
        cluster.hub.ask(here, publish={"channel": "chat:a", "data": "you"})
        cluster.run_for(0.1)
        for client in (ann, ben, here):
            assert client.publications("chat:a") == ["hello", "you"]


def test_one_history_one_order_and_one_key_for_all_workers() -> None:
    with MemoryCluster(options=OPTIONS) as cluster:
        ann, ben = joined(cluster, 0), joined(cluster, 1)
        placed = [
            result(cluster, slot, client, publish={"channel": "c", "data": data, "idem": key})
            for slot, client, data, key in ((0, ann, 1, "k1"), (1, ben, 2, "k2"), (1, ben, 3, "k3"))
        ]
        assert [place["offset"] for place in placed] == [1, 2, 3]
        assert len({place["epoch"] for place in placed}) == 1
        for slot, client in ((0, ann), (1, ben)):
            found = result(cluster, slot, client, history={"channel": "c", "limit": 10})
            assert [publication["data"] for publication in found["publications"]] == [1, 2, 3]
            assert client.publications("c") == [1, 2, 3]
        late = cluster.workers[0].join()
        request = {"channel": "c", "recover": True, "epoch": placed[0]["epoch"], "offset": 1}
        back = result(cluster, 0, late, subscribe=request)
        assert [publication["data"] for publication in back["publications"]] == [2, 3]


def test_a_pattern_is_heard_over_all_workers() -> None:
    with MemoryCluster(options=OPTIONS) as cluster:
        ann, ben = joined(cluster, 0, "a.*"), cluster.workers[1].join()
        result(cluster, 1, ben, publish={"channel": "a.b", "data": 1})
        result(cluster, 1, ben, publish={"channel": "b.b", "data": 2})
        cluster.run_for(0.1)
        assert [push["data"] for push in pushed(ann, "pub")] == [1]


def test_presence_is_of_all_workers_and_forgets_a_dead_ones_clients_at_once() -> None:
    with MemoryCluster(options=OPTIONS) as cluster:
        ann = joined(cluster, 0)
        joined(cluster, 1)
        joined(cluster, 1)
        cluster.run_for(0.1)
        stats = {"presence_stats": {"channel": "c"}}
        assert result(cluster, 0, ann, **stats) == {"num_clients": 3, "num_users": 1}
        assert len(result(cluster, 0, ann, presence={"channel": "c"})["presence"]) == 3
        cluster.kill_worker(1)
        cluster.run_for(0.01)
        assert result(cluster, 0, ann, **stats) == {"num_clients": 1, "num_users": 1}
        assert pushed(ann, "leave") == []
        cluster.run_for(LEAVE_AFTER_S)
        assert len(pushed(ann, "leave")) == 2
        cluster.start_worker(1)
        cluster.run_until(cluster.is_linked)
        joined(cluster, 1)
        assert result(cluster, 0, ann, **stats) == {"num_clients": 2, "num_users": 1}


def test_a_link_that_breaks_is_noticed_by_whoever_missed_something_only() -> None:
    with MemoryCluster(options=OPTIONS) as cluster:
        ann, ben = joined(cluster, 0), joined(cluster, 1)
        quiet = joined(cluster, 1, "quiet")
        cluster.cut(1)
        cluster.run_for(0.01)
        result(cluster, 0, ann, publish={"channel": "c", "data": "missed"})
        cluster.run_for(5)
        assert cluster.is_linked()
        assert [push["code"] for push in pushed(ben, "unsubscribe")] == [2500]
        assert pushed(quiet, "unsubscribe") == pushed(ann, "unsubscribe") == []
        assert len(pushed(ann, "leave")) == 1  # ben's, who is out until he subscribes again
        back = result(cluster, 1, ben, subscribe={"channel": "c", "recover": True, "epoch": "", "offset": 0})
        assert [publication["data"] for publication in back["publications"]] == ["missed"]


def test_without_a_hub_process_clients_are_told_to_try_again() -> None:
    with MemoryCluster(options=OPTIONS) as cluster:
        ann = joined(cluster, 0)
        cluster.kill_hub()
        cluster.run_for(1)
        domain = cluster.domain(0)
        assert not domain.link_up
        assert domain.reasons() == ["no link to the broker"]
        for command in (
            {"publish": {"channel": "c", "data": 1}},
            {"subscribe": {"channel": "d"}},
            {"history": {"channel": "c"}},
            {"presence": {"channel": "c"}},
        ):
            assert result(cluster, 0, ann, **command)["code"] == 100
        cluster.start_hub()
        cluster.run_until(cluster.is_linked)
        assert domain.reasons() == []
        assert result(cluster, 0, ann, subscribe={"channel": "d"})["epoch"]
        cluster.run_for(3)
        assert [push["code"] for push in pushed(ann, "unsubscribe")] == [2500]


def test_a_stopped_hub_process_is_told_of_and_nothing_is_lost() -> None:
    with MemoryCluster(options=OPTIONS) as cluster:
        ann, ben = joined(cluster, 0), joined(cluster, 1)
        cluster.machine.stop(cluster.hub.reactor)
        asked = ann.command(publish={"channel": "c", "data": "late", "idem": "k"})
        cluster.run_for(7)
        assert ann.replies[asked]["error"]["code"] == 100
        assert cluster.domain(0).reasons()[0].startswith("the broker has not answered for ")
        cluster.machine.go_on(cluster.hub.reactor)
        cluster.run_for(0.1)
        again = result(cluster, 0, ann, publish={"channel": "c", "data": "late", "idem": "k"})
        assert (again["offset"], again["dup"]) == (1, True)
        assert ann.publications("c") == ben.publications("c") == ["late"]
        assert pushed(ann, "unsubscribe") == pushed(ben, "unsubscribe") == []


def test_everything_is_released() -> None:
    cluster = MemoryCluster(options=OPTIONS)
    joined(cluster, 0)
    servers = [cluster.hub, *cluster.workers.values()]
    cluster.close()
    assert cluster.machine.network.open_descriptors() == {}
    assert sum(server.reactor.statistics().errors for server in servers) == 0


def test_a_hub_process_that_cannot_listen_does_not_start() -> None:
    with MemoryCluster(workers=0) as cluster, pytest.raises(StartupError, match="already in use"):
        cluster.start_hub()


def test_the_kinds_of_domains() -> None:
    with MemoryCluster() as cluster:
        assert isinstance(cluster.hub_domain, HubDomain)
        assert cluster.hub_domain.link_up
        assert cluster.hub_domain.reasons() == []
        assert isinstance(cluster.domain(0), WorkerDomain)
        assert cluster.domain(1).link_up
        assert LINK.path


def test_the_ceiling_of_history_is_the_hub_processs_whoever_publishes() -> None:
    def held() -> int:
        return cluster.hub_domain.broker.statistics().bytes

    with MemoryCluster(options=OPTIONS) as cluster:
        ann = joined(cluster, 0)
        for number in range(20):
            result(cluster, 0, ann, publish={"channel": f"c{number}", "data": "x" * 1000})
        before = held()
        for domain in (cluster.domain(0), cluster.domain(1)):
            domain.limit_history(1)
        result(cluster, 0, ann, publish={"channel": "c0", "data": "y"})
        assert held() >= before
        cluster.hub_domain.limit_history(before // 4)
        result(cluster, 0, ann, publish={"channel": "c0", "data": "z"})
        assert held() <= before // 4


def test_workers_follow_other_namespaces_and_the_presence_of_all_is_complete() -> None:
    silent = msgspec.structs.replace(
        OPEN, presence=False, allow_presence_for_client=False, allow_presence_for_anonymous=False
    )
    with MemoryCluster(options=dataclasses.replace(OPTIONS, namespaces={"": silent})) as cluster:
        clients = [joined(cluster, slot) for slot in (0, 1, 1)]
        for server in (cluster.hub, *cluster.workers.values()):
            follow(server.house, OPTIONS)
        found = result(cluster, 0, clients[0], presence={"channel": "c"})
        assert len(found["presence"]) == 3
        for server in (cluster.hub, *cluster.workers.values()):
            follow(server.house, dataclasses.replace(OPTIONS, namespaces={}))
        cluster.run_for(1.0)
        assert [pushed(client, "unsubscribe")[0]["code"] for client in clients] == [2502] * 3
        assert not any(client.is_gone for client in clients)
