"""The helper thread, on a real reactor: results come back on the loop."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from wsloop.loop.clock import MonotonicClock
from wsloop.loop.poller import make_poller
from wsloop.loop.reactor import Reactor
from wsloop.loop.threads import HelperThread
from wsloop.loop.wakeup import SocketpairWakeup

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def reactor() -> Iterator[Reactor]:
    reactor = Reactor(MonotonicClock(), make_poller(), wakeup=SocketpairWakeup())
    yield reactor
    reactor.close()


def run_until(reactor: Reactor, found: list[object], count: int) -> None:
    reactor.call_later(10.0, reactor.stop)
    while len(found) < count:
        reactor.run_once()


def test_a_result_comes_back_on_the_loops_thread(reactor: Reactor) -> None:
    helper = HelperThread(reactor)
    found: list[object] = []
    assert helper.run(threading.get_ident, lambda ident: found.append((ident, threading.get_ident())))
    run_until(reactor, found, 1)
    assert found[0] != (threading.get_ident(), threading.get_ident())
    assert found[0][1] == threading.get_ident()  # type: ignore[index] # a pair
    helper.close()


def test_an_exception_is_a_result(reactor: Reactor) -> None:
    helper = HelperThread(reactor)
    found: list[object] = []
    helper.run(lambda: int("x"), found.append)
    helper.run(lambda: 2, found.append)
    run_until(reactor, found, 2)
    assert isinstance(found[0], ValueError)
    assert found[1] == 2
    helper.close()


def test_too_many_jobs_are_refused_and_after_the_end_none_is_told(reactor: Reactor) -> None:
    helper = HelperThread(reactor, max_jobs=2)
    gate, started = threading.Event(), threading.Event()
    found: list[object] = []

    def wait() -> None:
        started.set()
        gate.wait(10)

    assert helper.run(wait, found.append)
    assert started.wait(10)
    assert helper.run(int, found.append)
    assert helper.run(int, found.append)
    assert not helper.run(int, found.append)
    helper.close()
    helper.close()
    assert not helper.run(int, found.append)
    gate.set()
    reactor.call_later(0.05, lambda: None)
    reactor.run_once()
    assert found == []
