"""A hub process and two workers: one domain, for clients who do not know of it."""

from __future__ import annotations

from wsloop.testing.cluster import MemoryCluster


def test_a_publication_reaches_the_clients_of_all_workers() -> None:
    with MemoryCluster() as cluster:
        ann, ben = cluster.workers[0].join("ann"), cluster.workers[1].join("ben")
        here = cluster.hub.join("here")
        for server, client in ((cluster.workers[0], ann), (cluster.workers[1], ben), (cluster.hub, here)):
            server.ask(client, subscribe={"channel": "chat:a"})
        cluster.workers[0].ask(ann, publish={"channel": "chat:a", "data": "hello"})
        cluster.run_for(0.1)
        for client in (ann, ben, here):
            assert client.publications("chat:a") == ["hello"]
