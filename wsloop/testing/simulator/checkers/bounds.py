"""Every queue has an end: what waits for a peer, who is connected, what is lent.

Costs a walk over all connections. Those of streams are judged at the broker, at every append (`taps.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsloop.server.assembly import House
    from wsloop.server.connection import Connection
    from wsloop.testing.simulator.model.scene import Scene

SLACK_BYTES = 64 * 1024
"""A message that was let in with little room left, the answers to one read, control frames."""

JOINS = 32
"""Comings and goings that one turn tells of: everybody's, when a server drains."""

TIMERS_APART = 6
"""Of what comes and goes besides connections and links: a listener's pause, refusals, a drain, attempts."""


def check_connection(scene: Scene, name: str, connection: Connection, most_messages: int) -> None:
    """Judge what waits for one peer; of others' messages `most_messages` at most."""
    queued, most = connection.queued_bytes, connection._send_limit_bytes + SLACK_BYTES
    if queued > most:
        scene.broken("bounds", f"connection {connection.id} of {name} has {queued} bytes waiting, not {most}")
    mailbox = connection._mailbox
    if mailbox is None:
        return
    if mailbox.messages > most_messages:
        scene.broken(
            "bounds", f"connection {connection.id} of {name} has {mailbox.messages} messages waiting"
        )
    if mailbox.size < 0 or mailbox.messages < 0 or not 0 <= mailbox.firm_bytes <= mailbox.size:
        scene.broken(
            "bounds", f"connection {connection.id} of {name} counts {mailbox.size} bytes in its mailbox"
        )


def check_house(scene: Scene, name: str, house: House, peak: int) -> None:
    """Judge one process: each of its connections, then what they share.

    `peak`: most publications that one turn has handed out so far.
    """
    server = house.server
    # Room is asked for before what one turn has published is queued, all of it together.
    most = server.outbox.hard_messages + peak + JOINS
    rings = 0
    for connection in server.registry.snapshot():
        check_connection(scene, name, connection, most)
        waiting = connection._waiting
        rings += waiting is not None and not isinstance(waiting, bytes)
    if server.pool.lent != rings:
        scene.broken("bounds", f"{name} has lent {server.pool.lent} rings, and its connections hold {rings}")
    if house.hub.fan_out.pending_sends < 0:  # type: ignore[attr-defined]
        scene.broken("bounds", f"{name} counts {house.hub.fan_out.pending_sends} sends to come")  # type: ignore[attr-defined]
    clients = len(house.hub._clients)
    if clients > len(server.registry):
        scene.broken("bounds", f"{name} knows {clients} clients with {len(server.registry)} connections")


def check_timers(scene: Scene, name: str, house: House, own: int, links: int) -> None:
    """Judge that a process has one timer for each connection and link, besides `own` ones.

    So none outlives its owner. A hub process that was stopped finds all attempts of the meantime at once.
    """
    timers, connections = house.reactor.statistics().timers, len(house.server.registry)
    if timers > own + connections + links + TIMERS_APART:
        scene.broken("bounds", f"{name} has {timers} timers with {connections} connections, {links} links")
