"""A broker service and its workers' links, without servers: on virtual time, or on real sockets."""

from __future__ import annotations

import os
import random
import tempfile
from typing import TYPE_CHECKING

from wsloop.cluster.link_states import LinkLimits
from wsloop.cluster.remote import RemoteBroker, RemotePresence
from wsloop.cluster.service import Service
from wsloop.cluster.uplink import Uplink
from wsloop.cluster.uplink_states import UplinkRules
from wsloop.loop.poller import make_poller
from wsloop.loop.reactor import Reactor
from wsloop.testing.clock import FakeClock
from wsloop.testing.machine import Machine
from wsloop.transport.bind import SocketNetwork, UnixBind

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.hub.memory_broker import BrokerLimits
    from wsloop.testing.network import NetworkFaults

LINK = UnixBind("/run/link.sock")

PATIENT = LinkLimits(stalled_s=1e9, dead_s=1e9)
PATIENT_RULES = UplinkRules(answer_s=1e9)
"""For tests that move the clock by minutes between two turns."""


class End:
    """One worker's end: the uplink and the ports on it."""

    def __init__(self, uplink: Uplink) -> None:
        self.uplink = uplink
        self.broker = RemoteBroker(uplink)
        self.presence = RemotePresence(uplink)


class VirtualRig:
    """A service and as many workers as are linked with `link`, each on a loop of its own on one machine."""

    def __init__(
        self,
        clock: FakeClock | None = None,
        *,
        seed: int = 0,
        faults: NetworkFaults | None = None,
        broker_limits: BrokerLimits | None = None,
        limits: LinkLimits | None = None,
        rules: UplinkRules | None = None,
    ) -> None:
        self.machine = Machine(seed, faults=faults, clock=clock)
        self.clock = self.machine.clock
        self.entropy = random.Random(seed).randbytes
        self.run_for, self.run_until = self.machine.run_for, self.machine.run_until
        self._broker_limits = broker_limits
        self._limits = limits
        self._rules = rules
        self.ends: dict[int, End] = {}
        self.reactors: dict[int, Reactor] = {}
        self.start_service()

    def loop(self) -> Reactor:
        poller = self.machine.poller()
        reactor = Reactor(self.clock, poller)
        self.machine.add(reactor, poller)
        return reactor

    def start_service(self) -> None:
        self.service_reactor = self.loop()
        self.service = Service(
            self.service_reactor, self.entropy, broker_limits=self._broker_limits, limits=self._limits
        )
        self.service.listen(self.machine.network.listen(LINK), self.machine.network.spare())

    def kill_service(self) -> None:
        self.machine.kill(self.service_reactor)

    def link(self, slot: int = 0, *, waits: bool = True) -> End:
        self.reactors[slot] = reactor = self.loop()
        uplink = Uplink(
            reactor,
            self.machine.network,
            LINK,
            slot=slot,
            entropy=self.entropy,
            limits=self._limits,
            rules=self._rules,
        )
        self.ends[slot] = end = End(uplink)
        uplink.start()
        if waits:
            self.run_until(lambda: uplink.is_up)
        return end

    def kill(self, slot: int) -> None:
        self.machine.kill(self.reactors.pop(slot))
        del self.ends[slot]

    def cut(self, slot: int) -> None:
        for sock in self.machine.sockets(self.reactors[slot]):
            sock.reset()

    def settle(self) -> None:
        """Run until all that was said has been answered; a network without delays takes no time."""
        for end in self.ends.values():
            settle(end.uplink, self.run_until)

    def close(self) -> None:
        for end in self.ends.values():
            end.uplink.close()
        self.service.close()


class RealRig:
    """A service and one worker over a real Unix socket, in one thread; time is `clock`'s and stands still."""

    def __init__(self, clock: FakeClock | None = None, *, broker_limits: BrokerLimits | None = None) -> None:
        self._clock = clock or FakeClock()
        self._directory = tempfile.TemporaryDirectory()
        address = UnixBind(os.path.join(self._directory.name, "link.sock"))
        network = SocketNetwork()
        self._pollers = [make_poller(), make_poller()]
        self._reactors = [Reactor(self._clock, poller) for poller in self._pollers]
        entropy = random.Random(0).randbytes
        self.service = Service(self._reactors[0], entropy, broker_limits=broker_limits, limits=PATIENT)
        self.service.listen(network.listen(address))
        uplink = Uplink(
            self._reactors[1], network, address, slot=0, entropy=entropy, limits=PATIENT, rules=PATIENT_RULES
        )
        self.end = End(uplink)
        uplink.start()
        self.run_until(lambda: uplink.is_up)

    def run_until(self, condition: Callable[[], object]) -> None:
        """Turn both loops, neither of which may sleep."""
        for _ in range(100_000):
            if condition():
                return
            for reactor in self._reactors:
                reactor.call_soon(_nothing)
                reactor.run_once()
        raise TimeoutError("not so after 100,000 turns")

    def settle(self) -> None:
        settle(self.end.uplink, self.run_until)

    def close(self) -> None:
        self.end.uplink.close()
        self.service.close()
        for reactor in self._reactors:
            reactor.close()
        self._directory.cleanup()


def settle(uplink: Uplink, run_until: Callable[[Callable[[], object]], None]) -> None:
    """Have a question answered: behind everything that was said before it, the pong included."""
    answers: list[bytes | None] = []
    uplink.ping()
    uplink.ask("are you there", b"", answers.append)
    run_until(lambda: answers)


def _nothing() -> None:
    """Keep a loop from sleeping."""
