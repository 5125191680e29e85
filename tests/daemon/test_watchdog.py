"""The watchdog, with a real loop on a real clock: conditions are waited for, times are not asserted."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

import pytest

from wsloop.daemon import watchdog
from wsloop.loop.clock import MonotonicClock
from wsloop.loop.lag import TurnWatch
from wsloop.loop.poller import make_poller
from wsloop.loop.reactor import Reactor
from wsloop.loop.wakeup import SocketpairWakeup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE_S = 30.0


class Lines(logging.Handler):
    """Keeps records; `has` waits for one."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self._changed = threading.Condition()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        with self._changed:
            self.records.append(record)
            self._changed.notify_all()

    def wait_for_stack(self, text: str) -> None:
        """Wait until a record has a stack with `text` in it."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.stacks(text), PATIENCE_S)

    def stacks(self, text: str) -> list[str]:
        stacks = [
            record.stack_info for record in self.records if "the loop is held up" in record.getMessage()
        ]
        return [stack for stack in stacks if stack and text in stack]


@pytest.fixture
def lines() -> Iterator[Lines]:
    made = Lines()
    log = logging.getLogger("wsloop")
    log.addHandler(made)
    yield made
    log.removeHandler(made)


@pytest.fixture
def reactor() -> Iterator[Reactor]:
    made = Reactor(MonotonicClock(), make_poller(), wakeup=SocketpairWakeup())
    yield made
    made.close()


def run(reactor: Reactor, watch: TurnWatch, *callbacks: Callable[[], object]) -> None:
    """Run the loop with a watchdog until all callbacks were called, each in a turn of its own."""
    left = [*callbacks, reactor.stop][::-1]

    def go_on() -> None:
        left.pop()()
        if left:
            reactor.call_later(0.02, go_on)

    reactor.call_later(0.02, go_on)
    stop = watchdog.start(watch)
    reactor.run()
    stop()


def a_slow_callback(lines: Lines) -> None:
    """Take as long as it needs for the stack to be told while this runs."""
    lines.wait_for_stack("in a_slow_callback")


def test_the_stack_is_told_while_the_turn_lasts_and_its_length_when_it_ends(
    reactor: Reactor, lines: Lines
) -> None:
    run(reactor, TurnWatch(reactor, MonotonicClock(), 0.05), lambda: a_slow_callback(lines))
    (stack,) = lines.stacks("in a_slow_callback")
    assert "in run_once" in stack
    told = [record.getMessage() for record in lines.records]
    assert any("a turn of the loop lasted" in text for text in told)


def test_a_quick_loop_is_left_alone(reactor: Reactor, lines: Lines) -> None:
    run(reactor, TurnWatch(reactor, MonotonicClock(), PATIENCE_S), lambda: None, lambda: None)
    assert lines.records == []


def test_one_stack_a_second_is_enough(
    reactor: Reactor, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "STACK_EVERY_S", PATIENCE_S)

    def hold_up() -> None:
        until_s = time.monotonic() + 0.03
        while time.monotonic() < until_s:
            pass

    watch = TurnWatch(reactor, MonotonicClock(), 0.01)
    run(reactor, watch, lambda: lines.wait_for_stack(""), hold_up, hold_up)
    assert len(lines.stacks("")) == 1
    assert watch.statistics().slow_turns_total >= 2


def test_without_a_watch_there_is_no_thread() -> None:
    before = threading.active_count()
    stop = watchdog.start(None)
    assert threading.active_count() == before
    stop()


def test_it_sleeps_as_long_as_the_loop_does_and_can_be_ended(reactor: Reactor) -> None:
    watch = TurnWatch(reactor, MonotonicClock(), 0.1)
    stop = watchdog.start(watch)
    until_s = time.monotonic() + PATIENCE_S
    while watch.alarm is None and time.monotonic() < until_s:
        pass  # it has gone to sleep once the alarm is there
    assert watch.alarm is not None
    stop()
    assert not [thread for thread in threading.enumerate() if thread.name == "wsloop-watchdog"]


def test_a_turn_that_is_done_is_not_told_of_and_to_ring_twice_is_to_ring(
    reactor: Reactor, lines: Lines
) -> None:
    watch = TurnWatch(reactor, MonotonicClock(), 0.1)
    idle = watchdog.Watchdog(watch)
    idle._tell(watch.began_s - 1.0)
    assert lines.records == []
    idle._ring()
    idle._ring()
