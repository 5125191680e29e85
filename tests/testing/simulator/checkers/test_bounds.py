"""Bounds as a check, on stand-ins that hold too much."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.testing.simulator.checkers.by_hand import broken, scene
from wsloop.testing.simulator.checkers import bounds


def mailbox(messages: int = 3, size: int = 300, firm: int = 100) -> Any:
    return SimpleNamespace(messages=messages, size=size, firm_bytes=firm)


def connection(queued: int = 0, box: Any = None, waiting: Any = None) -> Any:
    return SimpleNamespace(id=5, queued_bytes=queued, _send_limit_bytes=1000, _mailbox=box, _waiting=waiting)


class Connections(tuple[Any, ...]):
    """As much of a registry as is looked at."""

    __slots__ = ()

    def snapshot(self) -> list[Any]:
        return list(self)


def house(*connections: Any, lent: int = 0, sends: int = 0, clients: int = 0, timers: int = 1) -> Any:
    registry = Connections(connections)
    server = SimpleNamespace(
        registry=registry, outbox=SimpleNamespace(hard_messages=10), pool=SimpleNamespace(lent=lent)
    )
    hub = SimpleNamespace(_clients=range(clients), fan_out=SimpleNamespace(pending_sends=sends))
    reactor = SimpleNamespace(statistics=lambda: SimpleNamespace(timers=timers))
    return SimpleNamespace(server=server, hub=hub, reactor=reactor)


def test_what_is_within_its_bounds_passes() -> None:
    ring: Any = object()
    made = house(connection(1000, mailbox()), connection(0, None, ring), lent=1, clients=2)
    bounds.check_house(scene(), "server", made, 0)
    bounds.check_timers(scene(), "server", house(connection(), timers=2), 1, 0)
    bounds.check_timers(scene(), "hub", house(connection(), timers=12), 1, 8)


def test_a_queue_without_an_end_is_found() -> None:
    with broken("bounds", "connection 5 of server has", "bytes waiting"):
        bounds.check_connection(scene(), "server", connection(1001 + bounds.SLACK_BYTES), 10)
    with broken("bounds", "connection 5 of server has 11 messages waiting"):
        bounds.check_connection(scene(), "server", connection(0, mailbox(11)), 10)


@pytest.mark.parametrize("box", [mailbox(size=-1, firm=-1), mailbox(messages=-1), mailbox(firm=301)])
def test_a_mailbox_that_counts_wrong_is_found(box: Any) -> None:
    with broken("bounds", "connection 5 of server counts"):
        bounds.check_connection(scene(), "server", connection(0, box), 10)


def test_what_is_shared_is_bounded_as_well() -> None:
    with broken("bounds", "server has lent 2 rings, and its connections hold 0"):
        bounds.check_house(scene(), "server", house(connection(), lent=2), 0)
    with broken("bounds", "server counts -1 sends to come"):
        bounds.check_house(scene(), "server", house(sends=-1), 0)
    with broken("bounds", "server knows 3 clients with 1 connections"):
        bounds.check_house(scene(), "server", house(connection(), clients=3), 0)
    with broken("bounds", "server has 12 timers with 1 connections"):
        bounds.check_timers(scene(), "server", house(connection(), timers=12), 1, 0)
