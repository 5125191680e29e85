"""Rest as a check: on a real server in memory, which is at rest, and then is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.testing.simulator.checkers.by_hand import broken, scene
from wsloop.hub.memory_broker import MemoryBroker
from wsloop.hub.presence import MemoryPresence
from wsloop.testing.server import MemoryServer
from wsloop.testing.simulator.checkers import rest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def server() -> Iterator[MemoryServer]:
    with MemoryServer(1) as made:
        yield made


def test_a_server_with_one_member_is_at_rest(server: MemoryServer) -> None:
    own = server.reactor.statistics().timers
    ann = server.join("ann")
    server.ask(ann, subscribe={"channel": "chat:a"})
    server.run_for(1.0)
    (client,) = server.hub.all_clients()
    rest.check_house(scene(), "server", server.house, {client.id: ["chat:a"]})
    rest.check_loop(scene(), "server", server.house, own)
    broker, presence = server.house.domain.broker, server.house.domain.presence
    assert isinstance(broker, MemoryBroker)
    assert isinstance(presence, MemoryPresence)
    rest.check_domain(scene(), "server", broker, presence, {"chat:a": [client.id]})
    with broken("rest", "server has presence", "not {}"):
        rest.check_domain(scene(), "server", broker, presence, {})
    with broken("rest", "server has clients", "not []"):
        rest.check_house(scene(), "server", server.house, {})
    with broken("rest", f"{client.id} in", "['chat:a'], not ['chat:b']"):
        rest.check_house(scene(), "server", server.house, {client.id: ["chat:b"]})
    server.reactor.call_later(5.0, lambda: None)
    with broken("rest", "server has timers:"):
        rest.check_loop(scene(), "server", server.house, own)


def test_what_a_peer_does_not_take_is_no_rest(server: MemoryServer) -> None:
    echo = server.connect()
    echo.stop_reading()
    for _ in range(3):
        echo.send_text("x" * 40_000)
    server.run_until(lambda: any(each.queued_bytes for each in server.server.registry.snapshot()))
    (connection,) = server.server.registry.snapshot()
    with broken("rest", f"connection {connection.id} of server has bytes waiting:"):
        rest.check_connection(scene(), "server", connection)


def test_a_descriptor_that_nobody_needs_is_found() -> None:
    rest.check_descriptors(scene(), "server", 5, 3, 2)
    with broken("rest", "server has descriptors: 6, not 5"):
        rest.check_descriptors(scene(), "server", 6, 3, 2)
