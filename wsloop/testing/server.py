"""A whole server with its clients in one process: no socket, no thread, no sleep.

The reactor, the sessions, the connections and the hub are the real ones; clock, poller,
sockets and entropy are virtual. One seed is one history: the same turns, bytes and times.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Self, TypeVar, overload

from wsloop.server.assembly import CONNECTION_PATH, Options, Ports, assemble
from wsloop.testing.client import MemoryClient, MessagingMemoryClient
from wsloop.testing.clock import FakeClock
from wsloop.testing.machine import StillPoller
from wsloop.testing.network import MemoryNetwork, NetworkFaults
from wsloop.testing.poller import FakePoller
from wsloop.transport.bind import TcpBind, UnixBind

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.server.overload import MemoryGauge
    from wsloop.testing.machine import Machine

SOURCE = "127.0.0.1"
ADDRESS = TcpBind("127.0.0.1", 8765)

AnyClient = TypeVar("AnyClient", bound=MemoryClient)


class MemoryServer:
    """A server in development mode on virtual ports.

    Arguments: `seed` of all chance; `faults` of the network; `options` of the server; `memory`, which is
    not watched if None.
    `clock`, `network`, `reactor`, `server` and `hub` are there to be looked at and moved; `admin` is
    what an admin listener would serve, `house` all that was put together. With a `machine` it is one of its
    processes, and turning it turns them all; `at` is where it listens, and then its `address`.
    """

    def __init__(
        self,
        seed: int = 0,
        *,
        faults: NetworkFaults | None = None,
        options: Options | None = None,
        memory: MemoryGauge | None = None,
        machine: Machine | None = None,
        at: TcpBind = ADDRESS,
    ) -> None:
        self.clock = machine.clock if machine is not None else FakeClock()
        self.network = (
            machine.network if machine is not None else MemoryNetwork(self.clock, seed, faults=faults)
        )
        poller = machine.poller() if machine is not None else FakePoller(self.network, self.clock)
        self._chance = random.Random(f"clients of {seed}")
        self._clients: list[MemoryClient] = []
        ports = Ports(
            clock=self.clock,
            poller=poller,
            network=self.network,
            entropy=random.Random(f"entropy of {seed}").randbytes,
            unix_s=self.clock.unix_s,
            memory=memory,
        )
        self.house = house = assemble(ports, options or Options(dev=True))
        self.reactor, self.server, self.hub, self.admin = house.reactor, house.server, house.hub, house.admin
        self.server.listen(at)
        self.address = at
        self._turn: Callable[[], None] = self.reactor.run_once
        if machine is not None:
            assert isinstance(poller, StillPoller)
            machine.add(self.reactor, poller)
            self._turn = machine.turn

    @overload
    def dial(self, *, at: TcpBind | UnixBind | None = None, source_host: str = SOURCE) -> MemoryClient: ...

    @overload
    def dial(
        self, kind: type[AnyClient], *, at: TcpBind | UnixBind | None = None, source_host: str = SOURCE
    ) -> AnyClient: ...

    def dial(
        self,
        kind: type[MemoryClient] = MemoryClient,
        *,
        at: TcpBind | UnixBind | None = None,
        source_host: str = SOURCE,
    ) -> MemoryClient:
        """Return a client that is connected, to the listener at `at`, but has not said a word yet.

        `source_host` is the address that it comes from.
        """
        client = kind(self.reactor, self.network.connect(at or self.address, source_host), self._chance)
        self._clients.append(client)
        return client

    def connect(self, path: str = "/echo") -> MemoryClient:
        """Return a client whose WebSocket to `path` is open."""
        client = self.dial()
        client.upgrade(path)
        self.run_until(lambda: client.is_open or client.is_gone)
        return client

    def join(self, name: str = "") -> MessagingMemoryClient:
        """Return a messaging client whose `connect` was answered, or refused with a close."""
        client = self.dial(MessagingMemoryClient)
        client.upgrade(CONNECTION_PATH)
        number = client.command(connect={"data": {"name": name}} if name else {})
        self.run_until(lambda: number in client.replies or client.is_gone)
        return client

    def ask(self, client: MessagingMemoryClient, **command: object) -> dict[str, object]:
        """Send a command and run until it is answered; return the reply."""
        number = client.command(**command)
        self.run_until(lambda: number in client.replies)
        return client.replies[number]

    def run_until(
        self, condition: Callable[[], object], *, within_s: float = 60.0, unless: str = "not so"
    ) -> None:
        """Turn the loop until `condition()` is true.

        Raises TimeoutError, which begins with `unless`, if it is not so after `within_s` virtual seconds.
        """
        deadline_s = self.clock.now() + within_s
        while not condition():
            if self.clock.now() > deadline_s:
                raise TimeoutError(f"{unless} after {within_s} s of virtual time")
            self._turn()

    def run_for(self, duration_s: float) -> None:
        """Turn the loop until `duration_s` of virtual time have passed."""
        alarm: list[None] = []
        self.reactor.call_later(duration_s, lambda: alarm.append(None))
        self.run_until(lambda: alarm, within_s=duration_s + 1.0)

    def close(self) -> None:
        """Drop everything and close the loop; afterwards no descriptor is open."""
        for client in self._clients:
            client.close()
        self.server.close()
        self.reactor.run_once()
        if self.house.outside is not None:
            self.house.outside.close()
        self.house.domain.close()
        self.reactor.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()
