"""Which signal means what, in the first process and in its children."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from wsloop.daemon.signals import SignalHandling
from wsloop.loop.clock import MonotonicClock
from wsloop.loop.poller import make_poller
from wsloop.loop.reactor import Reactor
from wsloop.loop.wakeup import SocketpairWakeup

if TYPE_CHECKING:
    from collections.abc import Iterator


class Scene:
    """A loop that writes down what the signals of this process mean to it."""

    def __init__(self, *, is_child: bool) -> None:
        self.told: list[str] = []
        wakeup = SocketpairWakeup()
        self.reactor = Reactor(MonotonicClock(), make_poller(), wakeup=wakeup)
        self.handling = SignalHandling(
            self.reactor,
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
    assert scene.send(signal.SIGTERM) == ["drain", "drain" if is_child(scene) else "stop"]


def test_quit_stops_now(scene: Scene) -> None:
    assert scene.send(signal.SIGQUIT) == ["stop"]


def test_int_is_for_the_first_process_alone(scene: Scene) -> None:
    assert scene.send(signal.SIGINT) == ([] if is_child(scene) else ["drain"])


def test_notices_come_through_to_all(scene: Scene) -> None:
    assert scene.send(signal.SIGHUP) == ["reload"]
    assert scene.send(signal.SIGUSR1) == ["reload", "reopen"]
