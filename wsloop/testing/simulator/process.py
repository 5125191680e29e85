"""A simulated process: a whole server on ports of its own, which can be stopped, killed and started anew."""

from __future__ import annotations

import functools
import math
from dataclasses import replace
from typing import TYPE_CHECKING

from wsloop.cluster.domain import HubDomain, WorkerDomain
from wsloop.server.assembly import Ports, assemble, own_domain
from wsloop.testing.simulator import setting
from wsloop.testing.simulator.broker import UnrulyDomain
from wsloop.testing.simulator.network import ProcessNetwork
from wsloop.testing.simulator.poller import MAX_EVENTS, SimulatedPoller
from wsloop.transport.bind import TcpBind, UnixBind

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.loop.reactor import Reactor
    from wsloop.server.assembly import Domain, House
    from wsloop.testing.simulator.sockets import SimulatedSocket
    from wsloop.testing.simulator.world import World

LINK = UnixBind("/run/wsloop/link.sock")

HUB = "hub"
"""The hub process's name; the others are "server", or "worker 0" and "worker 1"."""


class Process:
    """One of a world's processes, through all its lives.

    `house` is what runs in it, None while it is dead; `life` counts its lives; `bind` is where clients
    connect. `stopped_until_s` is above now while it is stopped. `messages`: what it received of clients in
    the lives that are over. `busy_turns`: those since it was last given anything. `due_s`: when its queues
    and timers are due; None once these may have changed, since it had a turn or somebody meddled with it.
    """

    def __init__(self, world: World, name: str, port: int, slot: int | None = None) -> None:
        self.name = name
        self.slot = slot
        self.bind = TcpBind("127.0.0.1", port)
        self.life = 0
        self.messages = 0
        self.house: House | None = None
        self.stopped_until_s = -math.inf
        self.on_started: Callable[[Process], object] | None = None
        self._world = world
        self.due_s: float | None = None
        self.busy_turns = 0
        self.start()

    def start(self) -> None:
        """Begin a life, which knows nothing of those before. No effect on one that lives."""
        if self.house is not None:
            return
        world = self._world
        self.life += 1
        self.due_s = None
        self.stopped_until_s = -math.inf
        self.network = ProcessNetwork(world.cable, self.name)
        self.poller = SimulatedPoller(
            self.network.descriptors,
            world.storm,
            functools.partial(world.sleep, self),
            world.choices.stream(f"poller of {self.name}").choice(MAX_EVENTS),
        )
        entropy = world.choices.stream(f"entropy of {self.name} {self.life}")
        ports = Ports(
            clock=world.clock,
            poller=self.poller,
            network=self.network,
            entropy=entropy.randbytes,
            unix_s=world.clock.unix_s,
        )
        self.house = assemble(ports, replace(setting.OPTIONS, domain=self._domain()))
        self.reactor = self.house.reactor
        self.house.server.listen(self.bind)
        world.trace.note("start", self.name, self.life)
        if self.on_started is not None:
            self.on_started(self)

    def kill(self) -> None:
        """End it without a word (SIGKILL)."""
        if self.house is not None:
            self._world.trace.note("kill", self.name, self.life)
            self.messages += self.house.server.tally.messages_received
            self.house = None
            self.network.die()

    def close(self) -> None:
        """End it in good order; afterwards nothing of it is open."""
        house, self.house = self.house, None
        if house is None:
            return
        self.messages += house.server.tally.messages_received
        house.server.close()
        house.reactor.run_once()
        if house.outside is not None:
            house.outside.close()
        house.domain.close()
        house.reactor.close()

    def is_running(self, now_s: float) -> bool:
        """Whether it lives, and is not stopped."""
        return self.house is not None and self.stopped_until_s <= now_s

    def wake_s(self, now_s: float) -> float:
        """Return when it has something to do: `now_s` or before for now, infinity for never."""
        if self.house is None:
            return math.inf
        if self.stopped_until_s > now_s:
            return self.stopped_until_s
        if self.poller.maybe and self.poller.collect():
            return now_s
        due_s = self.due_s
        return due_s if due_s is not None else self._look()

    def _look(self) -> float:
        deadline_s = self.reactor.next_deadline()
        due_s = math.inf if deadline_s is None else deadline_s
        self.due_s = due_s = -math.inf if self.reactor.is_busy else due_s
        return due_s

    def links(self) -> list[SimulatedSocket]:
        """Return its ends of links."""
        return [sock for sock in self.network.sockets() if LINK in (sock.bound, sock.peer_bound)]

    def _domain(self) -> Callable[[Reactor, Ports], Domain] | None:
        """Return what makes its domain: the hub process's, a worker's, or None for the server's own."""
        limits = setting.LINK_LIMITS
        make: Callable[[Reactor, Ports], Domain] | None = None
        if self.name == HUB:
            return functools.partial(HubDomain, bind=LINK, broker_limits=setting.BROKER_LIMITS, limits=limits)
        if self.slot is not None:
            make = functools.partial(WorkerDomain, address=LINK, slot=self.slot, limits=limits)
        storm = self._world.storm
        if not storm.has_unruly_broker:
            return make
        made = make or functools.partial(own_domain, limits=setting.BROKER_LIMITS)
        return lambda reactor, ports: UnrulyDomain(made(reactor, ports), reactor, storm)
