"""A thousand connections at once, through a full life, leave everything where it was.

Twice: with the house in this process, where all that it holds can be counted; and with a daemon
of its own process, as an operator would look at it.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.system.daemon import Daemon
from tests.system.guests import MESSAGES, Party, turn_until
from tests.system.peers import open_echo
from tests.system.peers import turn_until as echo_until
from wsloop.daemon import compose
from wsloop.daemon.settings import ServerSettings, Settings
from wsloop.loop.clock import MonotonicClock
from wsloop.loop.poller import make_poller
from wsloop.loop.reactor import Reactor
from wsloop.loop.wakeup import SocketpairWakeup
from wsloop.server.assembly import assemble
from wsloop.transport.bind import TcpBind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wsloop.server.assembly import House

pytestmark = pytest.mark.system

COUNT = 1000
ROOM_SIZE = 10
"""Ten guests with ten messages fill a room's history of 100: the next party's replace it, one for one."""

HISTORY_GONE_S = 7200.0
"""Longer than a room without visitors is remembered."""

TOLERATED_OBJECTS = COUNT // 2
"""Caches and free lists move a little: far less than one object a connection."""

TRIES = 3
"""What a connection leaves behind it leaves each time. What a process keeps once, such as the lines that
coverage sees for the first time, or the room for more at once than ever before, it does not."""

TOLERATED_RSS_BYTES = 1024 * COUNT
"""The kernel's count, in whole pages, of what an allocator keeps: less than a kilobyte a connection."""


class SkippingClock:
    """The machine's clock, which a test can put forward."""

    def __init__(self) -> None:
        self._clock = MonotonicClock()
        self.skipped_s = 0.0

    def now(self) -> float:
        return self._clock.now() + self.skipped_s


@dataclass(frozen=True)
class Census:
    """Everything a house holds that can be counted exactly."""

    open_descriptors: int
    watched_descriptors: int
    timers: int
    connections: int
    rings_lent: int
    clients: int
    channels: int
    subscriptions: int
    interests: int
    streams: int
    publications: int


@pytest.fixture
def clock() -> SkippingClock:
    return SkippingClock()


@pytest.fixture
def house(clock: SkippingClock) -> Iterator[House]:
    """The house on this machine's own poller and sockets."""
    if compose.descriptor_limit() < 2 * COUNT + compose.RESERVED_DESCRIPTORS:
        pytest.skip("needs 2,064 descriptors: ulimit -n")
    settings = Settings(dev=True, server=ServerSettings(limit_accept_rate=0))
    ports = replace(compose.real_ports(settings, SocketpairWakeup()), clock=clock)
    made = assemble(ports, compose.options(settings))
    try:
        yield made
    finally:
        made.server.close()
        made.reactor.stop()
        made.reactor.run_once()
        made.reactor.close()


def census(house: House) -> Census:
    server, hub, reactor = house.server.statistics(), house.hub.statistics(), house.reactor.statistics()
    assert reactor.errors == 0
    return Census(
        open_descriptors=len(os.listdir("/dev/fd")),
        watched_descriptors=reactor.descriptors,
        timers=reactor.timers,
        connections=server.connections,
        rings_lent=server.rings_lent,
        clients=hub.clients,
        channels=hub.channels,
        subscriptions=hub.subscriptions,
        interests=hub.broker.interests,
        streams=hub.broker.streams,
        publications=hub.broker.publications,
    )


def full_life(house: House, address: tuple[str, int]) -> None:
    with contextlib.closing(Party(house.reactor, address, COUNT, ROOM_SIZE)) as party:
        party.arrive()
        present = census(house)
        assert present.connections == present.clients == present.subscriptions == COUNT
        assert present.channels == present.interests == COUNT // ROOM_SIZE
        party.talk()
        party.say_goodbye()
    turn_until(house.reactor, lambda: not house.server.statistics().connections)


def sudden_end(house: House, address: tuple[str, int]) -> None:
    with contextlib.closing(Party(house.reactor, address, COUNT, ROOM_SIZE)) as party:
        party.arrive()
        party.talk()
        party.vanish()
    turn_until(house.reactor, lambda: not house.server.statistics().connections)


@contextlib.contextmanager
def no_collector() -> Iterator[None]:
    """Keep the cycle collector out, as a frozen heap does."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.mark.parametrize("live", [full_life, sudden_end])
def test_a_thousand_connections_leave_nothing_behind(
    house: House, clock: SkippingClock, live: Callable[[House, tuple[str, int]], None]
) -> None:
    bind = house.server.listen(TcpBind("127.0.0.1", 0)).bind
    assert isinstance(bind, TcpBind)
    empty = census(house)

    def live_and_be_forgotten() -> None:
        live(house, (bind.host, bind.port))
        after = census(house)
        assert after == replace(empty, streams=COUNT // ROOM_SIZE, publications=COUNT * MESSAGES)
        clock.skipped_s += HISTORY_GONE_S
        turn_until(house.reactor, lambda: not house.hub.statistics().broker.streams)
        # Leaves that are still handed round know their receivers, though these are gone.
        turn_until(house.reactor, lambda: not house.server.fan_out._jobs)
        assert census(house) == empty

    live_and_be_forgotten()
    kept_blocks = []
    for _ in range(TRIES):
        with no_collector():
            blocks = sys.getallocatedblocks()
            live_and_be_forgotten()
            assert gc.collect() < TOLERATED_OBJECTS, "a cycle in every connection"
            kept_blocks.append(sys.getallocatedblocks() - blocks)
        if kept_blocks[-1] < TOLERATED_OBJECTS:
            break
    assert min(kept_blocks) < TOLERATED_OBJECTS, f"each thousand keeps something: {kept_blocks} blocks"


def resident_bytes(daemon: Daemon) -> int:
    fields = Path(f"/proc/{daemon.pid}/statm").read_text(encoding="ascii").split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
def test_a_daemon_grows_with_no_thousand_after_the_first() -> None:
    reactor = Reactor(MonotonicClock(), make_poller())
    with Daemon("--limit-accept-rate", "0") as daemon, open_echo(daemon) as witness:
        descriptors = daemon.open_descriptors()

        def live() -> int:
            with contextlib.closing(Party(reactor, (daemon.host, daemon.port), COUNT, ROOM_SIZE)) as party:
                party.arrive()
                # A daemon that looks at its memory has one more for a moment.
                echo_until(witness, lambda: daemon.open_descriptors() == descriptors + COUNT)
                party.talk()
                party.say_goodbye()
            echo_until(witness, lambda: daemon.open_descriptors() == descriptors)
            return resident_bytes(daemon)

        live()
        # On a busy machine more is under way at once than ever before: an allocator keeps the room for it.
        resident = [live()]
        for _ in range(TRIES):
            resident.append(live())
            if resident[-1] - resident[-2] < TOLERATED_RSS_BYTES:
                break
        else:
            pytest.fail(f"each thousand leaves something: {resident} bytes resident")
        assert "Traceback" not in daemon.stderr()
    reactor.close()
