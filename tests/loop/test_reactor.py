"""The turn: eight phases in their order, and what each promises."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from wsloop.loop.instrument import Instrument, Phase
from wsloop.loop.poller import READ, WRITE
from wsloop.loop.reactor import Reactor
from wsloop.testing.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable


class ScriptedPoller:
    """Returns the batches it was given, and records what it was asked; moves the clock as it waits."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.batches: list[list[tuple[int, int]]] = []
        self.timeouts: list[float | None] = []
        self.interests: dict[int, int] = {}
        self.events: list[str] = []
        self.closed = False

    def register(self, fd: int, interest: int) -> None:
        assert fd not in self.interests
        self.interests[fd] = interest

    def modify(self, fd: int, interest: int) -> None:
        assert fd in self.interests
        self.interests[fd] = interest

    def unregister(self, fd: int) -> None:
        del self.interests[fd]

    def poll(self, timeout_s: float | None) -> list[tuple[int, int]]:
        self.timeouts.append(timeout_s)
        self.events.append("poll")
        if self.batches:
            return self.batches.pop(0)
        if timeout_s:
            self.clock.advance(timeout_s)
        return []

    def close(self) -> None:
        self.closed = True

    def __len__(self) -> int:
        return len(self.interests)


class Loop:
    """A reactor on scripted ports, and a record of what happened."""

    def __init__(self, timer_budget: int = 1024) -> None:
        self.clock = FakeClock(100.0)
        self.poller = ScriptedPoller(self.clock)
        self.errors: list[tuple[str, str]] = []
        self.reactor = Reactor(
            self.clock,
            self.poller,
            timer_budget=timer_budget,
            on_error=lambda error, where: self.errors.append((str(error), where)),
        )
        self.seen = self.poller.events

    def say(self, what: str) -> Callable[[], None]:
        return lambda: self.seen.append(what)

    def fail(self) -> None:
        raise RuntimeError("broken")

    def turn(self) -> list[str]:
        self.seen.clear()
        self.reactor.run_once()
        return list(self.seen)


@pytest.fixture
def loop() -> Loop:
    return Loop()


def test_the_phases_come_in_their_order(loop: Loop) -> None:
    reactor = loop.reactor
    reactor.request_flush(loop.say("1 flush"))
    reactor.before_sleep.append(loop.say("before sleep"))
    reactor.after_sleep.append(loop.say("after sleep"))
    reactor.register(5, READ, lambda _events: loop.seen.append("5 dispatch"))
    loop.poller.batches.append([(5, READ)])
    reactor.call_at(100.0, loop.say("6 timer"))
    reactor.call_soon(loop.say("7 callback"))
    reactor.reap(loop.say("8 reap"))
    assert loop.turn() == [
        "1 flush", "before sleep", "poll", "after sleep", "5 dispatch", "6 timer", "7 callback", "8 reap",
    ]  # fmt: skip


def test_an_instrument_sees_every_phase_of_the_same_turn(loop: Loop) -> None:
    class Recorder(Instrument):
        def on_turn_start(self, turn: int) -> None:
            loop.seen.append(f"turn {turn}")

        def on_phase(self, phase: Phase) -> None:
            loop.seen.append(phase.name.lower())

        def on_poll(self, timeout_s: float | None, ready: int) -> None:
            loop.seen.append(f"{ready} ready in {timeout_s}")

        def on_turn_end(self, turn: int) -> None:
            loop.seen.append(f"end {turn}")

    loop.reactor.instrument = Recorder()
    loop.reactor.call_soon(loop.say("called"))
    assert loop.turn() == [
        "turn 1", "flush", "timeout", "poll", "poll", "0 ready in 0.0", "clock", "dispatch", "timers",
        "callbacks", "called", "reap", "end 1",
    ]  # fmt: skip
    assert [phase.value for phase in Phase] == list(range(1, 9))
    loop.reactor.instrument = Instrument()
    loop.reactor.call_soon(loop.say("called"))
    assert loop.turn() == ["poll", "called"]


def test_a_broken_instrument_is_reported_and_changes_nothing(loop: Loop) -> None:
    class Broken(Instrument):
        def on_phase(self, phase: Phase) -> None:
            raise RuntimeError("broken")

    loop.reactor.instrument = Broken()
    loop.reactor.call_soon(loop.say("called"))
    assert loop.turn() == ["poll", "called"]
    assert loop.errors == [("broken", "instrument")] * 8


def test_phase_1_what_a_flush_requests_waits_for_the_next_turn_which_does_not_sleep(loop: Loop) -> None:
    loop.reactor.request_flush(lambda: loop.reactor.request_flush(loop.say("second")))
    assert loop.turn() == ["poll"]
    assert loop.turn() == ["second", "poll"]
    assert loop.poller.timeouts == [0.0, None]


@pytest.mark.parametrize("work", ["call_soon", "request_flush", "reap", "call_soon_threadsafe"])
def test_phase_2_does_not_sleep_while_work_waits(loop: Loop, work: str) -> None:
    # request_flush before the turn is served in phase 1, so it is asked for by a before_sleep hook.
    ask = getattr(loop.reactor, work)
    loop.reactor.before_sleep.append(lambda: ask(loop.say("work")) if not loop.poller.timeouts else None)
    loop.reactor.run_once()
    assert loop.poller.timeouts == [0.0]


def test_phase_2_sleeps_until_the_next_timer_or_for_ever(loop: Loop) -> None:
    loop.turn()
    timer = loop.reactor.call_later(3.0, loop.say("rang"))
    assert loop.turn() == ["poll"] or loop.seen == ["poll", "rang"]
    while timer.active:
        loop.turn()
    assert loop.poller.timeouts[0] is None
    assert 103.0 <= loop.clock.now() <= 103.01
    assert loop.reactor.now == loop.clock.now()


def test_phase_4_reads_the_clock_once_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = Loop()
    reads: list[float] = []

    def now() -> float:
        reads.append(0.0)
        return 100.0 + len(reads)

    monkeypatch.setattr(FakeClock, "now", lambda _self: now())
    for _ in range(3):
        loop.reactor.call_later(0.0, loop.say("timer"))
        loop.reactor.run_once()
    assert len(reads) == 3


def test_phase_5_a_handler_gets_its_events(loop: Loop) -> None:
    got: list[int] = []
    loop.reactor.register(5, READ | WRITE, got.append)
    loop.poller.batches += [[(5, READ)], [(5, READ | WRITE)]]
    loop.turn()
    loop.turn()
    assert got == [READ, READ | WRITE]
    loop.reactor.set_interest(5, 0)
    assert loop.poller.interests == {5: 0}


def test_phase_5_an_event_of_a_descriptor_closed_earlier_in_the_turn_reaches_nobody(loop: Loop) -> None:
    loop.reactor.register(5, READ, lambda _events: loop.reactor.unregister(6))
    loop.reactor.register(6, READ, lambda _events: loop.seen.append("too late"))
    loop.poller.batches.append([(5, READ), (6, READ)])
    assert loop.turn() == ["poll"]


def test_phase_5_an_event_of_the_old_owner_does_not_reach_the_new_one_of_the_number(loop: Loop) -> None:
    def close_and_accept(_events: int) -> None:
        loop.reactor.unregister(6)
        loop.reactor.register(6, READ, lambda _events: loop.seen.append("the new one"))

    loop.reactor.register(5, READ, close_and_accept)
    loop.reactor.register(6, READ, lambda _events: loop.seen.append("the old one"))
    loop.poller.batches += [[(5, READ), (6, READ)], [(6, READ)]]
    assert loop.turn() == ["poll"]
    assert loop.turn() == ["poll", "the new one"]


def test_phase_5_the_new_owner_may_even_have_the_same_handler(loop: Loop) -> None:
    def handler(_events: int) -> None:
        loop.seen.append("handler")

    def close_and_accept(_events: int) -> None:
        loop.reactor.unregister(6)
        loop.reactor.register(6, READ, handler)

    loop.reactor.register(5, READ, close_and_accept)
    loop.reactor.register(6, READ, handler)
    loop.poller.batches += [[(5, READ), (6, READ)], [(6, READ)]]
    assert loop.turn() == ["poll"]
    assert loop.turn() == ["poll", "handler"]


def test_phase_5_a_hook_after_the_poll_may_close_a_ready_descriptor(loop: Loop) -> None:
    loop.reactor.register(6, READ, lambda _events: loop.seen.append("too late"))
    loop.reactor.after_sleep.append(lambda: loop.reactor.unregister(6))
    loop.poller.batches.append([(6, READ)])
    assert loop.turn() == ["poll"]
    assert loop.errors == []


def test_phase_5_a_number_reused_between_two_turns_is_served(loop: Loop) -> None:
    def reopen() -> None:
        loop.reactor.unregister(6)
        loop.reactor.register(6, READ, lambda _events: loop.seen.append("the new one"))

    loop.reactor.register(6, READ, lambda _events: loop.seen.append("the old one"))
    loop.reactor.reap(reopen)
    loop.poller.batches += [[], [(6, READ)]]
    loop.turn()
    assert loop.turn() == ["poll", "the new one"]


def test_phase_6_has_a_budget_and_the_rest_comes_next_turn_without_sleep() -> None:
    loop = Loop(timer_budget=2)
    for number in range(5):
        loop.reactor.call_at(100.0, loop.say(str(number)))
    assert loop.turn() == ["poll", "0", "1"]
    assert loop.turn() == ["poll", "2", "3"]
    assert loop.turn() == ["poll", "4"]
    assert loop.poller.timeouts == [0.0] * 3


def test_phase_6_a_timer_that_schedules_for_now_waits_for_the_next_turn_which_does_not_sleep(
    loop: Loop,
) -> None:
    def again() -> None:
        loop.seen.append("again")
        loop.reactor.call_later(0.0, again)

    loop.reactor.call_later(0.0, again)
    assert loop.turn() == ["poll", "again"]
    assert loop.turn() == ["poll", "again"]
    assert loop.poller.timeouts == [0.0, 0.0]


def test_phase_6_a_timer_may_cancel_or_move_another_that_is_due_as_well(loop: Loop) -> None:
    def first() -> None:
        loop.reactor.cancel(second)
        loop.reactor.rearm(third, 200.0)

    loop.reactor.call_at(100.0, first)
    second = loop.reactor.call_at(100.0, loop.say("second"))
    third = loop.reactor.call_at(100.0, loop.say("third"))
    assert loop.turn() == ["poll"]
    assert third.active
    assert not second.active


def test_phase_7_a_callback_that_queues_itself_does_not_stop_the_loop(loop: Loop) -> None:
    def again() -> None:
        loop.seen.append("again")
        loop.reactor.call_soon(again)

    loop.reactor.call_soon(again)
    assert loop.turn() == ["poll", "again"]
    assert loop.turn() == ["poll", "again"]


def test_phase_7_takes_what_other_threads_queued_in_their_order(loop: Loop) -> None:
    loop.reactor.call_soon_threadsafe(loop.say("a"))
    loop.reactor.call_soon_threadsafe(loop.say("b"))
    assert loop.turn() == ["poll", "a", "b"]


def test_phase_8_comes_after_everything_and_what_it_closes_waits_a_turn(loop: Loop) -> None:
    def handler(_events: int) -> None:
        loop.reactor.reap(loop.say("reaped"))
        loop.reactor.reap(lambda: loop.reactor.reap(loop.say("second")))
        loop.seen.append("closed")

    loop.reactor.register(5, READ, handler)
    loop.reactor.call_soon(loop.say("callback"))
    loop.poller.batches.append([(5, READ)])
    assert loop.turn() == ["poll", "closed", "callback", "reaped"]
    assert loop.turn() == ["poll", "second"]


def test_whatever_raises_is_reported_and_the_turn_goes_on(loop: Loop) -> None:
    reactor = loop.reactor
    reactor.request_flush(loop.fail)
    reactor.request_flush(loop.say("flush"))
    reactor.before_sleep.append(loop.fail)
    reactor.after_sleep.append(loop.fail)
    reactor.register(5, READ, lambda _events: loop.fail())
    reactor.register(6, READ, lambda _events: loop.seen.append("handler"))
    loop.poller.batches.append([(5, READ), (6, READ)])
    reactor.call_at(100.0, loop.fail)
    reactor.call_at(100.0, loop.say("timer"))
    reactor.call_soon(loop.fail)
    reactor.call_soon(loop.say("callback"))
    reactor.reap(loop.fail)
    reactor.reap(loop.say("reap"))
    assert loop.turn() == ["flush", "poll", "handler", "timer", "callback", "reap"]
    places = [where for _, where in loop.errors]
    assert places[:3] == ["flush", "before_sleep hook", "after_sleep hook"]
    assert places[3:] == ["handler of descriptor 5", "timer", "callback", "reap"]
    assert reactor.statistics().errors == 7


def test_a_handler_that_raises_is_unregistered_since_it_would_spin(loop: Loop) -> None:
    loop.reactor.register(5, READ, lambda _events: loop.fail())
    loop.poller.batches.append([(5, READ)])
    loop.turn()
    assert loop.poller.interests == {}


def test_a_handler_that_unregisters_itself_and_then_raises_is_only_reported(loop: Loop) -> None:
    def handler(_events: int) -> None:
        loop.reactor.unregister(5)
        loop.fail()

    loop.reactor.register(5, READ, handler)
    loop.poller.batches.append([(5, READ)])
    loop.turn()
    assert len(loop.errors) == 1


def test_an_error_hook_that_raises_does_not_end_the_loop(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()

    def hook(_error: Exception, _where: str) -> None:
        raise RuntimeError("the hook too")

    reactor = Reactor(clock, ScriptedPoller(clock), on_error=hook)
    reactor.call_soon(lambda: 1 / 0)
    with caplog.at_level(logging.ERROR, "wsloop.loop"):
        reactor.run_once()
    assert "error hook raised" in caplog.text


def test_without_a_hook_a_fault_is_logged_once_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    reactor = Reactor(clock, ScriptedPoller(clock))
    reactor.call_soon(lambda: 1 / 0)
    with caplog.at_level(logging.ERROR, "wsloop.loop"):
        reactor.run_once()
    assert len(caplog.records) == 1
    assert "ZeroDivisionError" in caplog.text


def test_a_keyboard_interrupt_gets_out_and_the_loop_can_go_on(loop: Loop) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    loop.reactor.call_soon(interrupt)
    with pytest.raises(KeyboardInterrupt):
        loop.reactor.run_once()
    loop.reactor.call_soon(loop.say("alive"))
    assert loop.turn() == ["poll", "alive"]


@pytest.mark.parametrize("work", ["call_soon", "request_flush", "reap", "call_later"])
def test_an_interrupt_loses_nothing_of_what_waits_behind_it(loop: Loop, work: str) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    def ask(callback: Callable[[], None]) -> None:
        if work == "call_later":
            loop.reactor.call_later(0.0, callback)
        else:
            getattr(loop.reactor, work)(callback)

    ask(loop.say("before"))
    ask(interrupt)
    ask(loop.say("behind"))
    with pytest.raises(KeyboardInterrupt):
        loop.turn()
    assert "before" in loop.seen
    assert "behind" not in loop.seen
    assert "behind" in loop.turn()
    assert "behind" not in loop.turn()


def test_an_interrupted_handler_stays_registered(loop: Loop) -> None:
    def interrupt(_events: int) -> None:
        raise KeyboardInterrupt

    loop.reactor.register(5, READ, interrupt)
    loop.poller.batches.append([(5, READ)])
    with pytest.raises(KeyboardInterrupt):
        loop.reactor.run()
    assert loop.poller.interests == {5: READ}
    assert loop.errors == []


def test_a_stop_that_comes_before_run_is_not_lost(loop: Loop) -> None:
    loop.reactor.stop()
    loop.reactor.run()
    assert loop.seen == []
    loop.reactor.call_soon(loop.reactor.stop)
    loop.reactor.run()
    assert loop.seen == ["poll"]


def test_turns_made_by_hand_after_run_do_not_sleep(loop: Loop) -> None:
    loop.reactor.call_soon(loop.reactor.stop)
    loop.reactor.run()
    loop.reactor.call_later(5.0, loop.say("timer"))
    loop.turn()
    assert loop.poller.timeouts == [0.0, 0.0]


def test_run_ends_after_the_turn_in_which_stop_was_called(loop: Loop) -> None:
    loop.reactor.call_soon(loop.reactor.stop)
    loop.reactor.call_soon(loop.say("same turn"))
    loop.reactor.run()
    assert loop.seen == ["poll", "same turn"]
    loop.reactor.call_soon(loop.reactor.stop)
    loop.reactor.run()
    assert loop.reactor.statistics().turns == 2


def test_statistics_count_what_is_there(loop: Loop) -> None:
    loop.reactor.register(5, READ, lambda _events: None)
    loop.reactor.call_later(1.0, loop.say("timer"))
    loop.reactor.call_soon(loop.say("callback"))
    loop.reactor.call_soon_threadsafe(loop.say("callback"))
    statistics = loop.reactor.statistics()
    assert (statistics.descriptors, statistics.timers, statistics.callbacks) == (1, 1, 2)
    loop.reactor.close()
    assert loop.poller.closed
    assert loop.reactor.statistics().descriptors == 0
