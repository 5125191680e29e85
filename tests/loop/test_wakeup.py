"""Waking a loop that sleeps, from a thread and from a signal."""

from __future__ import annotations

import select
import signal
import threading

from wsloop.loop.clock import MonotonicClock
from wsloop.loop.poller import make_poller
from wsloop.loop.reactor import Reactor
from wsloop.loop.wakeup import SocketpairWakeup


def is_ready(wakeup: SocketpairWakeup) -> bool:
    return bool(select.select([wakeup.fileno()], [], [], 0)[0])


def test_notify_makes_it_ready_and_drain_makes_it_quiet() -> None:
    wakeup = SocketpairWakeup()
    assert not is_ready(wakeup)
    wakeup.notify()
    wakeup.notify()
    assert is_ready(wakeup)
    wakeup.drain()
    assert not is_ready(wakeup)
    wakeup.drain()
    wakeup.close()


def test_a_full_socket_is_no_error_and_still_wakes() -> None:
    wakeup = SocketpairWakeup()
    for _ in range(100_000):
        wakeup.notify()
    assert is_ready(wakeup)
    wakeup.close()


def test_after_close_notify_does_nothing() -> None:
    wakeup = SocketpairWakeup()
    wakeup.close()
    wakeup.close()
    wakeup.notify()


def test_a_thread_wakes_a_loop_that_would_sleep_for_ever() -> None:
    reactor = Reactor(MonotonicClock(), make_poller(), wakeup=SocketpairWakeup())
    seen: list[int] = []

    def from_a_thread() -> None:
        for number in range(100):
            reactor.call_soon_threadsafe(lambda number=number: seen.append(number))  # type: ignore[misc]
        reactor.call_soon_threadsafe(reactor.stop)

    thread = threading.Thread(target=from_a_thread)
    thread.start()
    reactor.run()
    thread.join()
    reactor.close()
    assert seen == list(range(100))


def test_a_real_signal_wakes_a_loop_that_would_sleep_for_ever() -> None:
    wakeup = SocketpairWakeup()
    reactor = Reactor(MonotonicClock(), make_poller(), wakeup=wakeup)
    before_fd = signal.set_wakeup_fd(wakeup.write_fileno())
    before = signal.signal(signal.SIGALRM, lambda _number, _frame: reactor.call_soon_threadsafe(reactor.stop))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        reactor.run()  # returns only if the signal got through
    finally:
        signal.signal(signal.SIGALRM, before)
        signal.set_wakeup_fd(before_fd)
        reactor.close()


def test_stop_from_another_thread_ends_the_loop() -> None:
    reactor = Reactor(MonotonicClock(), make_poller(), wakeup=SocketpairWakeup())
    reactor.call_later(0.0, lambda: threading.Thread(target=reactor.stop).start())
    reactor.run()
    reactor.close()
