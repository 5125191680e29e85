"""Nothing is left at rest: the server knows those who are there, and nobody else.

Three times: half a minute after the last fault, with everybody connected and quiet; some seconds after all
have gone home; and when the processes have been closed. Walks over everything, once in a history.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from wsloop.server.lifecycle import State

if TYPE_CHECKING:
    from wsloop.hub.memory_broker import MemoryBroker
    from wsloop.hub.presence import MemoryPresence
    from wsloop.server.assembly import House
    from wsloop.server.connection import Connection
    from wsloop.testing.simulator.model.scene import Scene

Presences = Mapping[str, Collection[str]]
"""Channel -> the clients in it."""


def check_equal(scene: Scene, where: str, what: str, found: object, expected: object) -> None:
    """Judge that what is found is what should be."""
    if found != expected:
        scene.broken("rest", f"{where} has {what} {found}, not {expected}")


def check_connection(scene: Scene, where: str, connection: Connection) -> None:
    """Judge one connection that nothing was said to for a while."""
    name = f"connection {connection.id} of {where}"
    check_equal(scene, name, "the state", connection.state, State.OPEN)
    check_equal(scene, name, "bytes waiting:", connection.queued_bytes, 0)
    check_equal(scene, name, "a mailbox:", connection._mailbox is not None, False)
    check_equal(scene, name, "rest:", connection.is_at_rest, True)


def check_house(scene: Scene, where: str, house: House, members: Mapping[str, Collection[str]]) -> None:
    """Judge one process that serves clients; `members`: client -> the channels it is in."""
    hub, server = house.hub, house.server
    check_equal(scene, where, "clients", sorted(hub._clients), sorted(members))
    for client_id, channels in members.items():
        client = hub._clients[client_id]
        check_equal(scene, where, f"{client_id} in", sorted(client.subscriptions), sorted(channels))
        check_equal(scene, where, "active all of", all(s.active for s in client.subscriptions.values()), True)
    expected = sorted({channel for channels in members.values() for channel in channels})
    check_equal(scene, where, "channels", sorted(hub.channel_names()), expected)
    count = sum(len(channels) for channels in members.values())
    check_equal(scene, where, "subscriptions:", hub.subscription_count, count)
    waiting = [name for name in hub.channel_names() if (channel := hub.channel(name)) and channel.waiting]
    check_equal(scene, where, "channels that are waited for:", waiting, [])
    leases = sum(client.lease is not None for client in hub._clients.values())
    check_equal(scene, where, "leases:", hub.expiries._running, leases)
    check_equal(scene, where, "sends to come:", hub.fan_out.pending_sends, 0)  # type: ignore[attr-defined]
    check_equal(scene, where, "held publishers:", hub.fan_out._held, [])  # type: ignore[attr-defined]
    check_equal(scene, where, "rings lent:", server.pool.lent, 0)
    check_equal(scene, where, "turns of work left:", len(server.turn._continuations), 0)
    check_equal(scene, where, "connections:", len(server.registry), len(members))
    for connection in server.registry.snapshot():
        check_connection(scene, where, connection)


def check_loop(scene: Scene, where: str, house: House, own_timers: int) -> None:
    """Judge a process's loop: a timer for each connection, besides its own."""
    statistics = house.reactor.statistics()
    check_equal(scene, where, "timers:", statistics.timers, own_timers + len(house.server.registry))
    check_equal(scene, where, "faults of callbacks:", statistics.errors, 0)
    check_equal(scene, where, "callbacks waiting:", statistics.callbacks, 0)


def check_descriptors(scene: Scene, where: str, found: int, own: int, connections: int) -> None:
    """Judge what a process has open: a descriptor for each connection, besides its own."""
    check_equal(scene, where, "descriptors:", found, own + connections)


def check_domain(
    scene: Scene, where: str, broker: MemoryBroker, presence: MemoryPresence, members: Presences
) -> None:
    """Judge what the processes share: who is in which channel, and which channels are listened to."""
    found = {channel: sorted(each.infos) for channel, each in presence._channels.items()}
    expected = {channel: sorted(clients) for channel, clients in members.items() if clients}
    check_equal(scene, where, "presence", found, expected)
    check_equal(scene, where, "interest in", sorted(broker._interests), sorted(expected))
