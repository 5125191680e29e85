"""Which signal means what, in the first process and in its children."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsloop.daemon.signals import SAME_WITHIN_S, SignalHandling
from wsloop.loop.clock import MonotonicClock
from wsloop.loop.poller import make_poller
from wsloop.loop.reactor import Reactor
from wsloop.loop.wakeup import SocketpairWakeup
from wsloop.testing.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import Iterator


class Scene:
    """A loop that writes down what the signals of this process mean to it."""

    def __init__(self, *, is_child: bool) -> None:
        self.told: list[str] = []
        self.clock = FakeClock()
        wakeup = SocketpairWakeup()
        self.reactor = Reactor(MonotonicClock(), make_poller(), wakeup=wakeup)
        self.handling = SignalHandling(
            self.reactor,
            self.clock,
            wakeup.write_fileno(),
            lambda: self.told.append("drain"),
            lambda: self.told.append("stop"),
            lambda: self.told.append("reload"),
            {signal.SIGUSR1: lambda: self.told.append("reopen")},
            is_child=is_child,
        )

    def send(self, *numbers: signal.Signals) -> list[str]:
        for number in numbers:
            os.kill(os.getpid(), number)
        for _ in range(3):
            self.reactor.call_soon(lambda: None)  # so that no turn sleeps
            self.reactor.run_once()
        return self.told


@pytest.fixture(params=[False, True], ids=["first", "child"])
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    made = Scene(is_child=request.param)
    yield made
    made.handling.restore()
    signal.signal(signal.SIGINT, before)
    made.reactor.close()


def is_child(scene: Scene) -> bool:
    return signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_a_second_term_stops_the_first_process_and_is_the_same_to_a_child(scene: Scene) -> None:
    assert scene.send(signal.SIGTERM) == ["drain"]
    scene.clock.advance(SAME_WITHIN_S)
    assert scene.send(signal.SIGTERM) == ["drain", "drain" if is_child(scene) else "stop"]


def test_the_same_wish_told_twice_by_two_does_not_cut_the_drain_short(scene: Scene) -> None:
    assert scene.send(signal.SIGTERM, signal.SIGTERM, signal.SIGTERM) == ["drain"] * len(scene.told)
    scene.clock.advance(SAME_WITHIN_S - 0.001)
    assert set(scene.send(signal.SIGTERM)) == {"drain"}


@given(
    wishes=st.lists(
        st.tuples(
            st.floats(0.0, 2 * SAME_WITHIN_S),
            st.sampled_from([signal.SIGTERM, signal.SIGINT, signal.SIGQUIT]),
        ),
        max_size=8,
    )
)
def test_only_a_wish_that_comes_later_than_the_first_and_quit_stop_the_first_process(
    wishes: list[tuple[float, signal.Signals]],
) -> None:
    scene = Scene(is_child=False)
    try:
        first_s: float | None = None
        for pause_s, number in wishes:
            scene.clock.advance(pause_s)
            now_s = scene.clock.now()
            if number is not signal.SIGQUIT and first_s is None:
                first_s = now_s
            is_later = first_s is not None and now_s - first_s >= SAME_WITHIN_S
            before = len(scene.told)
            expected = "stop" if number is signal.SIGQUIT or is_later else "drain"
            assert scene.send(number)[before:] == [expected]
    finally:
        scene.handling.restore()
        scene.reactor.close()


def test_quit_stops_now(scene: Scene) -> None:
    assert scene.send(signal.SIGQUIT) == ["stop"]


def test_int_is_for_the_first_process_alone(scene: Scene) -> None:
    assert scene.send(signal.SIGINT) == ([] if is_child(scene) else ["drain"])


def test_notices_come_through_to_all(scene: Scene) -> None:
    assert scene.send(signal.SIGHUP) == ["reload"]
    assert scene.send(signal.SIGUSR1) == ["reload", "reopen"]
