"""A hub process and its workers on one virtual machine, with the clients of all of them.

Each process is a whole server (`MemoryServer`) with a reactor of its own; between them is the real link over
the network in memory. Processes can be stopped, killed and started anew, links cut.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from wsloop.cluster.domain import HubDomain, WorkerDomain
from wsloop.server.assembly import Options
from wsloop.testing.machine import Machine
from wsloop.testing.server import MemoryServer
from wsloop.transport.bind import TcpBind, UnixBind

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.cluster.link_states import LinkLimits
    from wsloop.cluster.uplink_states import UplinkRules
    from wsloop.loop.reactor import Reactor
    from wsloop.server.assembly import Domain, Ports
    from wsloop.testing.network import NetworkFaults

LINK = UnixBind("/run/wsloop/link.sock")

FIRST_PORT = 9000
"""Of the worker in slot 0; the hub process listens on the one below."""


class MemoryCluster:
    """A hub process and `workers` workers, linked.

    Arguments: `seed` of all chance; `faults` of the network; `options` of every server; `limits` and
    `rules` of the links. `hub` is the hub process, `workers` those that run, by slot.
    """

    def __init__(
        self,
        workers: int = 2,
        seed: int = 0,
        *,
        faults: NetworkFaults | None = None,
        options: Options | None = None,
        limits: LinkLimits | None = None,
        rules: UplinkRules | None = None,
    ) -> None:
        self.machine = Machine(seed, faults=faults)
        self.clock = self.machine.clock
        self.run_until, self.run_for = self.machine.run_until, self.machine.run_for
        self._seed = seed * 1000
        self._options = options or Options(dev=True)
        self._limits = limits
        self._rules = rules
        self.hub = self.start_hub()
        self.workers: dict[int, MemoryServer] = {}
        for slot in range(workers):
            self.start_worker(slot)
        self.run_until(self.is_linked)

    def start_hub(self) -> MemoryServer:
        """Start the hub process, which knows nothing of an earlier one."""
        make = functools.partial(HubDomain, bind=LINK, limits=self._limits)
        self.hub = self._start(FIRST_PORT - 1, make)
        return self.hub

    def start_worker(self, slot: int) -> MemoryServer:
        """Start a worker in a slot."""
        make = functools.partial(
            WorkerDomain, address=LINK, slot=slot, limits=self._limits, rules=self._rules
        )
        self.workers[slot] = worker = self._start(FIRST_PORT + slot, make)
        return worker

    def domain(self, slot: int) -> WorkerDomain:
        """Return a worker's domain."""
        domain = self.workers[slot].house.domain
        assert isinstance(domain, WorkerDomain)
        return domain

    @property
    def hub_domain(self) -> HubDomain:
        """The hub process's domain."""
        domain = self.hub.house.domain
        assert isinstance(domain, HubDomain)
        return domain

    def is_linked(self) -> bool:
        """Tell whether all workers reach the broker."""
        return all(self.domain(slot).link_up for slot in self.workers)

    def kill_worker(self, slot: int) -> None:
        """End a worker without a word; its clients are gone with it."""
        self.machine.kill(self.workers.pop(slot).reactor)

    def kill_hub(self) -> None:
        """End the hub process without a word, with all it knew."""
        self.machine.kill(self.hub.reactor)

    def cut(self, slot: int) -> None:
        """Break a worker's link, if there is one: both ends find it reset."""
        for sock in self.machine.sockets(self.workers[slot].reactor):
            if sock.peer_bound == LINK:
                sock.reset()

    def close(self) -> None:
        """End all processes; afterwards nothing of them is open."""
        for slot in list(self.workers):
            self._end(self.workers.pop(slot))
        self._end(self.hub)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _end(self, server: MemoryServer) -> None:
        if self.machine.runs(server.reactor):
            server.close()
            self.machine.remove(server.reactor)

    def _start(self, port: int, domain: Callable[[Reactor, Ports], Domain]) -> MemoryServer:
        self._seed += 1
        options = replace(self._options, domain=domain)
        return MemoryServer(self._seed, options=options, machine=self.machine, at=TcpBind("127.0.0.1", port))
