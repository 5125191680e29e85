"""The suites that every broker and presence must pass, over the link: on virtual time and on real sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.cluster.kit import PATIENT, PATIENT_RULES, RealRig, VirtualRig
from tests.hub.support import CountedEntropy
from wsloop.cluster.shared import SharedBroker
from wsloop.hub.memory_broker import BrokerLimits, MemoryBroker
from wsloop.testing.contracts.broker import BoundedBrokerContract, BrokerContract
from wsloop.testing.contracts.presence import PresenceContract

if TYPE_CHECKING:
    from wsloop.hub.broker import Broker
    from wsloop.hub.presence import Presence
    from wsloop.testing.clock import FakeClock


class OnVirtualTime:
    """Where the suites run on a virtual machine."""

    rig: VirtualRig

    def settle(self) -> None:
        self.rig.settle()

    def teardown_method(self) -> None:
        self.rig.close()


class OnRealSockets:
    """Where the suites run over a Unix socket."""

    rig: RealRig

    def settle(self) -> None:
        self.rig.settle()

    def teardown_method(self) -> None:
        self.rig.close()


class TestRemoteBroker(OnVirtualTime, BrokerContract):
    def make_broker(self, clock: FakeClock) -> Broker:
        self.rig = VirtualRig(clock, limits=PATIENT, rules=PATIENT_RULES)
        return self.rig.link().broker


class TestRemoteBrokerOnRealSockets(OnRealSockets, BrokerContract):
    def make_broker(self, clock: FakeClock) -> Broker:
        self.rig = RealRig(clock)
        return self.rig.end.broker


class TestLocalBroker(BrokerContract):
    """The broker as the hub process itself has it."""

    def make_broker(self, clock: FakeClock) -> Broker:
        return SharedBroker(MemoryBroker(clock.now, CountedEntropy())).local


class TestBoundedRemoteBroker(OnVirtualTime, BoundedBrokerContract):
    def make_bounded_broker(self, clock: FakeClock, memory_bytes: int) -> Broker:
        self.rig = VirtualRig(clock, broker_limits=BrokerLimits(memory_bytes=memory_bytes))
        return self.rig.link().broker


class TestRemotePresence(OnVirtualTime, PresenceContract):
    def make_presence(self) -> Presence:
        self.rig = VirtualRig()
        return self.rig.link().presence


class TestRemotePresenceOnRealSockets(OnRealSockets, PresenceContract):
    def make_presence(self) -> Presence:
        self.rig = RealRig()
        return self.rig.end.presence
