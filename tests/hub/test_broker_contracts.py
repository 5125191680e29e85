"""The twins of this process pass the suites that every broker and presence must pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.hub.support import CountedEntropy, LateBroker
from wsloop.hub.memory_broker import BrokerLimits, MemoryBroker
from wsloop.hub.presence import MemoryPresence, Presence
from wsloop.testing.contracts.broker import BoundedBrokerContract, BrokerContract
from wsloop.testing.contracts.presence import PresenceContract

if TYPE_CHECKING:
    from wsloop.hub.broker import Broker
    from wsloop.testing.clock import FakeClock


class TestMemoryBroker(BrokerContract):
    def make_broker(self, clock: FakeClock) -> Broker:
        return MemoryBroker(clock.now, CountedEntropy())


class TestBoundedMemoryBroker(BoundedBrokerContract):
    def make_bounded_broker(self, clock: FakeClock, memory_bytes: int) -> Broker:
        return MemoryBroker(clock.now, CountedEntropy(), BrokerLimits(memory_bytes=memory_bytes))


class TestLateBroker(BrokerContract):
    """The stand-in for a broker behind a socket must itself keep the contract."""

    def make_broker(self, clock: FakeClock) -> Broker:
        self.late = LateBroker(MemoryBroker(clock.now, CountedEntropy()))
        return self.late

    def settle(self) -> None:
        self.late.deliver()


class TestMemoryPresence(PresenceContract):
    def make_presence(self) -> Presence:
        return MemoryPresence()
