"""Who reads too slowly, for an operator's eyes: counters, and a list of the worst."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wsloop.server.connection import Connection

SLOWEST = 20
"""How many slow peers are shown at once: a screenful."""


class SlowTotals:
    """Counters that only grow: peers warned of and closed, messages dropped, subscriptions ended."""

    __slots__ = ("closed_total", "cut_total", "dropped_total", "warned_total")

    def __init__(self) -> None:
        self.warned_total = self.closed_total = self.dropped_total = self.cut_total = 0


@dataclass(frozen=True, slots=True)
class SlowPeer:
    """A connection for which something waits, or of whose messages some were dropped.

    `client` and `user` are "" where it is not messaging. `queued_messages` are those of others that
    wait besides what is on its way; `age_s`: how long the oldest of them has waited, or the
    kernel has been full. `dropped` messages since it was opened.
    """

    connection: int
    client: str
    user: str
    queued_bytes: int
    queued_messages: int
    age_s: float
    dropped: int


def slow_peers(connections: Iterable[Connection], now_s: float, count: int) -> list[SlowPeer]:
    """Return the `count` worst: those with most bytes waiting; among equals, most messages dropped."""
    behind = (each for each in connections if each.queued_bytes or each.dropped)
    worst = heapq.nlargest(count, behind, key=lambda each: (each.queued_bytes, each.dropped))
    return [_slow_peer(connection, now_s) for connection in worst]


def _slow_peer(connection: Connection, now_s: float) -> SlowPeer:
    client, user = connection.member.identity if connection.member is not None else ("", "")
    since_s = connection.behind_since_s()
    return SlowPeer(
        connection=connection.id,
        client=client,
        user=user,
        queued_bytes=connection.queued_bytes,
        queued_messages=connection.queued_messages,
        age_s=0.0 if since_s is None else now_s - since_s,
        dropped=connection.dropped,
    )
