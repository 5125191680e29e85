"""The state of the loop in a screenful, for an operator who asks what it does (USR2).

Costs three walks over the connections, and tells numbers only, but for the names of clients and users of the
slowest. Nothing here is kept up for it: all is counted when it is asked for.
"""

from __future__ import annotations

import functools
from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.server.assembly import House
    from wsloop.server.slow_peers import SlowPeer

DESCRIPTORS_LOOKED_AT = 100_000
"""More than a process is given; some 10 ms."""

SLOWEST_SHOWN = 10

MAX_NAME = 64
"""Characters of a user's name."""


def state_of(house: House) -> str:
    """Return the state of a running server as lines of `name: values`."""
    lines = [*_loop(house), *_connections(house), *_hub(house)]
    return "\n".join(f"{name}: {text}" for name, text in lines)


def _loop(house: House) -> list[tuple[str, str]]:
    reactor = house.reactor
    loop = reactor.statistics()
    lag = house.lag.statistics() if house.lag is not None else None
    turns = f"{loop.turns:,}, {loop.errors} faults"
    if lag is not None:
        turns += f", {lag.slow_turns_total} too long, the longest {1000 * lag.longest_s:.0f} ms"
    deadline_s = reactor.next_deadline()
    timers = f"{loop.timers:,}"
    if deadline_s is not None:
        timers += f", the next in {max(0.0, deadline_s - reactor.now):.3f} s"
    return [
        ("turns", turns),
        ("descriptors", f"{loop.descriptors:,} ({_counts(_kinds(house))})"),
        ("timers", timers),
        ("callbacks that wait", str(loop.callbacks)),
    ]


def _kinds(house: House) -> Counter[str]:
    """Return how many descriptors each kind of object has registered."""
    return Counter(map(_kind, islice(house.reactor.handlers(), DESCRIPTORS_LOOKED_AT)))


def _kind(handler: Callable[..., object]) -> str:
    if isinstance(handler, functools.partial):
        return _kind(handler.func)
    owner = getattr(handler, "__self__", None)
    return handler.__qualname__ if owner is None else type(owner).__name__


def _counts(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.most_common())


def _connections(house: House) -> list[tuple[str, str]]:
    server = house.server
    seen, rings, slow = server.statistics(), server.pool.statistics(), server.slow
    memory = house.overload.statistics().memory if house.overload is not None else None
    slowest = server.slowest(SLOWEST_SHOWN)
    return [
        ("connections", _counts(Counter(seen.connections_by_state))),
        ("accepted, refused", f"{seen.accepted_total:,}, {seen.refused_total:,}"),
        ("draining", "yes" if server.draining else "no"),
        ("memory", str(memory) if memory is not None else "no limit, or not measured yet"),
        (
            "receive rings",
            f"{rings.lent} lent, {rings.idle} idle, {rings.peak_lent} peak, {rings.exhausted_total} denied",
        ),
        (
            "slow peers",
            f"{slow.warned_total} warned of, {slow.closed_total} closed, {slow.dropped_total} messages lost",
        ),
        *(("slow", _slow(peer)) for peer in slowest),
    ]


def _slow(peer: SlowPeer) -> str:
    name = f" of {peer.user[:MAX_NAME]}" if peer.user else ""
    return (
        f"connection {peer.connection}{name}: {peer.queued_bytes:,} bytes, {peer.queued_messages:,} messages"
        f", since {peer.age_s:.1f} s, {peer.dropped:,} dropped"
    )


def _hub(house: House) -> list[tuple[str, str]]:
    hub = house.hub.statistics()
    return [
        ("clients, channels, subscriptions", f"{hub.clients:,}, {hub.channels:,}, {hub.subscriptions:,}"),
        (
            "commands, publications, deliveries",
            f"{hub.commands_total:,}, {hub.publications_total:,}, {hub.deliveries_total:,}",
        ),
    ]
