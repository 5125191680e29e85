"""Turns are measured from the wake-up to the next sleep."""

from __future__ import annotations

import pytest

from wsloop.loop.lag import TurnWatch
from wsloop.loop.reactor import Reactor
from wsloop.testing.clock import FakeClock
from wsloop.testing.network import MemoryNetwork
from wsloop.testing.poller import FakePoller


class Loop:
    """A reactor whose callbacks can let time pass."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.reactor = Reactor(self.clock, FakePoller(MemoryNetwork(self.clock, 0), self.clock))
        self.watch = TurnWatch(self.reactor, self.clock, 0.1)

    def block(self, duration_s: float) -> None:
        """Have a callback take so long, and turn until it has."""
        self.reactor.call_later(1.0, lambda: self.clock.advance(duration_s))
        self.turn(3)

    def turn(self, count: int) -> None:
        for _ in range(count):
            self.reactor.call_later(5.0, lambda: None)
            self.reactor.run_once()


@pytest.fixture
def loop() -> Loop:
    made = Loop()
    made.turn(1)
    return made


def test_a_turn_that_takes_too_long_is_counted_and_told(loop: Loop, caplog: pytest.LogCaptureFixture) -> None:
    loop.block(0.25)
    statistics = loop.watch.statistics()
    assert statistics.slow_turns_total == 1
    assert statistics.longest_s == pytest.approx(0.25)
    assert "lasted 250 ms" in caplog.text


def test_sleep_is_no_work(loop: Loop, caplog: pytest.LogCaptureFixture) -> None:
    loop.turn(10)
    assert loop.watch.statistics().slow_turns_total == 0
    assert loop.watch.statistics().longest_s == 0.0
    assert not caplog.records


def test_the_flush_before_the_sleep_belongs_to_the_turn(loop: Loop) -> None:
    loop.reactor.call_later(1.0, lambda: loop.reactor.request_flush(lambda: loop.clock.advance(0.3)))
    loop.turn(3)
    assert loop.watch.statistics().longest_s == pytest.approx(0.3)


def test_the_longest_is_kept(loop: Loop) -> None:
    for duration_s in (0.05, 0.4, 0.2):
        loop.block(duration_s)
    assert loop.watch.statistics().slow_turns_total == 2
    assert loop.watch.statistics().longest_s == pytest.approx(0.4)


def test_while_a_turn_lasts_its_beginning_can_be_read(loop: Loop) -> None:
    seen: list[float] = []
    loop.reactor.call_later(1.0, lambda: seen.append(loop.watch.began_s))
    loop.reactor.call_later(1.0, lambda: seen.append(loop.reactor.now))
    loop.turn(2)
    assert seen[0] == seen[1] > 0


def test_an_alarm_rings_once_at_the_next_wake_up(loop: Loop) -> None:
    rung: list[float] = []
    loop.watch.alarm = lambda: rung.append(loop.watch.began_s)
    loop.turn(3)
    assert len(rung) == 1
    assert rung[0] > 0
