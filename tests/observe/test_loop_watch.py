"""The loop's lag, and how long a fan-out of several portions takes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from wsloop.hub.codec import JSON
from wsloop.hub.fan_out import kept
from wsloop.loop.lag import TurnWatch
from wsloop.loop.reactor import Reactor
from wsloop.observe.loop_watch import LAG_EVERY_S, LoopWatch
from wsloop.server.fan_out import PacedFanOut
from wsloop.testing.clock import FakeClock
from wsloop.testing.network import MemoryNetwork
from wsloop.testing.poller import FakePoller

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wsloop.hub.fan_out import Packet

SEND_S = 0.01
"""What a send takes in these tests."""


class SlowReceiver:
    """A receiver to whom each send takes a while."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock

    def push(self, data: bytes, packets: Sequence[Packet]) -> None:
        self._clock.advance(SEND_S)


class Hall:
    """A reactor, a fan-out of ten sends a turn, and who watches both."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.reactor = Reactor(self.clock, FakePoller(MemoryNetwork(self.clock), self.clock))
        self.fan_out = PacedFanOut(self.reactor, 10)
        self.turns = TurnWatch(self.reactor, self.clock, math.inf)
        self.watch = LoopWatch(self.reactor, self.turns, self.fan_out)
        self.reactor.run_once()

    def publish(self, receivers: int) -> None:
        self.fan_out.send([SlowReceiver(self.clock) for _ in range(receivers)], b"x", kept(JSON))


def test_a_fan_out_of_one_portion_is_measured_to_its_last_send() -> None:
    hall = Hall()
    hall.publish(7)
    hall.reactor.run_once()
    assert sum(hall.watch.fan_out.counts) == 1
    assert hall.watch.fan_out.sum_s == pytest.approx(7 * SEND_S)


def test_a_fan_out_of_many_turns_is_one_measurement() -> None:
    hall = Hall()
    hall.publish(35)
    for _ in range(3):
        hall.reactor.run_once()
        assert not any(hall.watch.fan_out.counts)
        assert hall.fan_out.pending_sends
    hall.reactor.run_once()
    assert sum(hall.watch.fan_out.counts) == 1
    assert hall.watch.fan_out.sum_s == pytest.approx(35 * SEND_S)
    assert hall.fan_out.sent_total == 35


def test_nobody_who_watches_means_nothing_is_kept() -> None:
    clock = FakeClock()
    reactor = Reactor(clock, FakePoller(MemoryNetwork(clock), clock))
    fan_out = PacedFanOut(reactor)
    fan_out.send([SlowReceiver(clock)], b"x", kept(JSON))
    reactor.call_soon(lambda: None)
    reactor.run_once()
    assert (fan_out.sent_total, fan_out.ended) == (1, None)


def test_lag_is_how_late_a_timer_is() -> None:
    hall = Hall()
    for _ in range(4):
        hall.reactor.run_once()
    assert hall.watch.lag_s == pytest.approx(0.0, abs=0.01)
    hall.clock.advance(3.0)
    hall.reactor.run_once()
    assert hall.watch.lag_s == pytest.approx(3.0, abs=LAG_EVERY_S)
    assert sum(hall.watch.lag.counts) >= 2
