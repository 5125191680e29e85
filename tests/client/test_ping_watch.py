"""Pings that come, come late, and stay away, in virtual time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wsloop.client.ping_watch import MAX_PING_DELAY_S, PingWatch
from wsloop.loop.reactor import Reactor
from wsloop.testing.clock import FakeClock
from wsloop.testing.network import MemoryNetwork
from wsloop.testing.poller import FakePoller

EVERY_S = 25.0
DUE_S = EVERY_S + MAX_PING_DELAY_S
TICK_S = 0.1
"""What the timer may be late, which is the wheel's to choose."""


class Scene:
    """A loop whose time passes, and when silence was told."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.reactor = Reactor(self.clock, FakePoller(MemoryNetwork(self.clock), self.clock))
        self.told: list[float] = []
        self.watch = PingWatch(self.reactor, lambda: self.told.append(self.reactor.now))

    def run_for(self, duration_s: float) -> None:
        alarm: list[None] = []
        self.reactor.call_later(duration_s, lambda: alarm.append(None))
        while not alarm:
            self.reactor.run_once()


@given(st.lists(st.floats(0.0, 2 * DUE_S), max_size=8))
def test_silence_is_told_once_when_a_ping_is_too_late_and_not_before(pauses: list[float]) -> None:
    scene = Scene()
    scene.run_for(1.0)
    scene.watch.arm(EVERY_S)
    heard_s = scene.reactor.now
    for pause_s in pauses:
        scene.run_for(pause_s)
        if scene.told:
            break
        scene.watch.note()
        heard_s = scene.reactor.now
    scene.run_for(2 * DUE_S)
    (told_s,) = scene.told
    assert told_s - heard_s + TICK_S >= DUE_S
    assert told_s - heard_s <= DUE_S + TICK_S


def test_a_server_without_pings_is_not_waited_for() -> None:
    scene = Scene()
    scene.watch.arm(0.0)
    scene.run_for(1000.0)
    assert scene.told == []


def test_after_a_stop_nothing_is_told_until_it_is_armed_again() -> None:
    scene = Scene()
    scene.watch.arm(EVERY_S)
    scene.watch.stop()
    scene.watch.stop()
    scene.run_for(2 * DUE_S)
    assert scene.told == []
    scene.watch.arm(EVERY_S)
    scene.run_for(DUE_S + 1)
    assert len(scene.told) == 1
