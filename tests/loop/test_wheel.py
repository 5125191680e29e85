"""The timer wheel against a sorted list: the same timers, in the same order, at the same times."""

from __future__ import annotations

import gc
import math
import weakref
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from wsloop.errors import StateError
from wsloop.loop.wheel import LAST_TICK, SLOTS, STALE_MIN, TICK_S, Timer, TimerWheel

if TYPE_CHECKING:
    from collections.abc import Callable

TICK = 1 / 128

# From a fraction of a tick to far beyond the third level, and with the borders of the levels.
delays = st.one_of(
    st.floats(0, 3 * TICK),
    st.floats(0, 2),
    st.floats(0, 1e5),
    st.integers(0, 4).map(lambda level: TICK * SLOTS**level),
    st.integers(1, 4).flatmap(lambda level: st.integers(-2, 2).map(lambda n: TICK * (SLOTS**level + n))),
)


def drain(wheel: TimerWheel, now_s: float) -> list[Timer]:
    wheel.advance(now_s)
    fired = []
    while (timer := wheel.pop()) is not None:
        fired.append(timer)
    return fired


def nothing() -> None:
    """Be a callback."""


class WheelMachine(RuleBasedStateMachine):
    """The model is a dict of active timers: number -> (deadline, order, timer)."""

    @initialize(start=st.sampled_from([0.0, 0.3, 1000.0, 123456.789]))
    def begin(self, start: float) -> None:
        self.now = start
        self.wheel = TimerWheel(start)
        self.model: dict[int, tuple[float, int, Timer]] = {}
        self.fired: list[Timer] = []
        self.order = 0

    def note(self, timer: Timer, deadline: float) -> None:
        self.order += 1
        self.model[id(timer)] = (deadline, self.order, timer)

    def some(self, pick: int) -> Timer:
        return list(self.model.values())[pick % len(self.model)][2]

    @rule(delay=delays)
    def schedule(self, delay: float) -> None:
        timer = self.wheel.schedule(self.now + delay, nothing)
        self.note(timer, self.now + delay)

    @precondition(lambda self: self.model)
    @rule(pick=st.integers(0, 1000), delay=delays)
    def rearm(self, pick: int, delay: float) -> None:
        timer = self.some(pick)
        self.wheel.rearm(timer, self.now + delay)
        self.note(timer, self.now + delay)

    @precondition(lambda self: self.fired)
    @rule(pick=st.integers(0, 1000), delay=delays)
    def rearm_fired(self, pick: int, delay: float) -> None:
        timer = self.fired.pop(pick % len(self.fired))
        self.wheel.rearm(timer, self.now + delay)
        self.note(timer, self.now + delay)

    @precondition(lambda self: self.model)
    @rule(pick=st.integers(0, 1000))
    def cancel(self, pick: int) -> None:
        timer = self.some(pick)
        self.wheel.cancel(timer)
        self.wheel.cancel(timer)
        del self.model[id(timer)]

    @rule(delay=delays, act=st.sampled_from(["", "cancel", "move later", "move earlier", "again", "new"]))
    def advance(self, delay: float, act: str) -> None:
        self.now += delay
        due = sorted((entry for entry in self.model.values() if entry[0] <= self.now), key=lambda e: e[:2])
        # Due by the clock, but in a tick that has only begun: these may come one tick later.
        late = [entry for entry in due if math.ceil(entry[0] * 128) > math.floor(self.now * 128)]
        self.wheel.advance(self.now)
        fired: list[Timer] = []
        moved: set[int] = set()
        while (timer := self.wheel.pop()) is not None:
            assert id(timer) not in moved, "before the next advance"
            deadline, _, _ = self.model.pop(id(timer))
            assert deadline <= self.now, "early"
            fired.append(timer)
            act = self.act_as_a_callback(act, timer, due, moved)
        missing = [entry for entry in due if id(entry[2]) in self.model and id(entry[2]) not in moved]
        assert all(entry in late for entry in missing), "later than a tick"
        order = {id(entry[2]): number for number, entry in enumerate(due)}
        assert [order[id(timer)] for timer in fired] == sorted(order[id(timer)] for timer in fired)
        self.fired += [timer for timer in fired if not timer.active]

    def act_as_a_callback(
        self, act: str, timer: Timer, due: list[tuple[float, int, Timer]], moved: set[int]
    ) -> str:
        """Do once to the wheel what a callback of `timer` may; `moved` must not fire any more now."""
        rest = [entry[2] for entry in due if entry[2] is not timer and id(entry[2]) in self.model]
        if act == "again":
            self.wheel.rearm(timer, self.now)
            self.note(timer, self.now)
            moved.add(id(timer))
        elif act == "new":
            new = self.wheel.schedule(self.now - 1, nothing)
            self.note(new, self.now - 1)
            moved.add(id(new))
        elif act and not rest:
            return act
        elif act == "cancel":
            self.wheel.cancel(rest[0])
            del self.model[id(rest[0])]
        elif act == "move later":
            self.wheel.rearm(rest[0], self.now + 5 * TICK)
            self.note(rest[0], self.now + 5 * TICK)
            moved.add(id(rest[0]))
        elif act == "move earlier":
            self.wheel.rearm(rest[0], self.now - 1)
            self.note(rest[0], self.now - 1)
        return ""

    @invariant()
    def it_counts_right_and_wakes_in_time(self) -> None:
        if not hasattr(self, "wheel"):
            return
        assert len(self.wheel) == len(self.model)
        assert all(entry[2].active for entry in self.model.values())
        wake = self.wheel.next_deadline()
        if self.model:
            assert wake is not None
            assert wake <= max(min(entry[0] for entry in self.model.values()), self.now) + TICK
        assert self.wheel.entries < 2 * max(len(self.model), STALE_MIN) + 1


TestWheelAgainstASortedList = WheelMachine.TestCase
TestWheelAgainstASortedList.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@given(st.floats(0, 1e6), delays)
def test_following_next_deadline_alone_fires_each_timer_within_a_tick(start: float, delay: float) -> None:
    wheel = TimerWheel(start)
    timer = wheel.schedule(start + delay, nothing)
    for _ in range(20):
        now = wheel.next_deadline()
        assert now is not None
        if drain(wheel, now) == [timer]:
            assert start + delay <= now <= max(start + delay + TICK, start)
            assert wheel.next_deadline() is None
            return
    raise AssertionError("not fired after twenty wake-ups, one for each level would do")


@given(st.integers(0, 10**6), st.lists(st.integers(1, 300), min_size=1, max_size=30))
def test_every_tick_of_every_slot_is_exact(first: int, steps: list[int]) -> None:
    """Deadlines on ticks, advanced tick by tick, across the borders of the levels."""
    wheel = TimerWheel(first * TICK)
    deadlines = []
    tick = first
    for step in steps:
        tick += step
        deadlines.append(tick)
        wheel.schedule(tick * TICK, nothing)
    for now in range(first, tick + 1):
        expected = deadlines.count(now)
        assert len(drain(wheel, now * TICK)) == expected
    assert len(wheel) == 0


def test_a_deadline_that_has_passed_is_due_at_the_next_advance_of_no_time() -> None:
    wheel = TimerWheel(50.0)
    timer = wheel.schedule(49.0, nothing)
    assert wheel.next_deadline() == 50.0
    assert drain(wheel, 50.0) == [timer]


def test_the_far_future_and_infinity_wait_without_harm() -> None:
    wheel = TimerWheel(0.0)
    far = wheel.schedule(1e12, nothing)
    never = wheel.schedule(math.inf, nothing)
    assert drain(wheel, 1e9) == []
    assert drain(wheel, 1e12 + 1) == [far]
    assert never.active
    wake = wheel.next_deadline()
    assert wake is not None
    assert 1e12 < wake <= LAST_TICK * TICK_S


@pytest.mark.parametrize("never_s", [math.inf, math.nan])
def test_time_may_pass_the_end_of_the_last_level(never_s: float) -> None:
    wheel = TimerWheel(0.0)
    never = wheel.schedule(never_s, nothing)
    assert drain(wheel, LAST_TICK * TICK_S * 2) == []
    after = wheel.schedule(LAST_TICK * TICK_S * 3, nothing)
    assert drain(wheel, LAST_TICK * TICK_S * 3) == [after]
    assert never.active


def test_what_is_scheduled_for_the_past_while_timers_fire_waits_for_the_next_advance() -> None:
    wheel = TimerWheel(10.0)
    for past_s in (10.0, 9.0, -math.inf):
        wheel.schedule(past_s, nothing)
        wheel.advance(10.0)
        fired = wheel.pop()
        assert fired is not None
        again = wheel.schedule(past_s, nothing)
        assert wheel.pop() is None
        assert wheel.next_deadline() == 10.0
        assert drain(wheel, 10.0) == [again]


def test_what_an_advance_left_over_comes_before_what_the_next_one_finds() -> None:
    wheel = TimerWheel(0.0)
    first, second = wheel.schedule(1.0, nothing), wheel.schedule(2.0, nothing)
    wheel.advance(2.0)
    assert wheel.pop() is first
    third = wheel.schedule(0.5, nothing)
    assert wheel.next_deadline() == 2.0
    assert drain(wheel, 2.0) == [second, third]


def test_a_sweep_finds_the_dead_wherever_they_lie() -> None:
    wheel = TimerWheel(0.0)
    doubled = wheel.schedule(100.5, nothing)
    wheel.rearm(doubled, 100.0)
    moved = wheel.schedule(200.0, nothing)
    wheel.rearm(moved, 150.0)
    overdue = [wheel.schedule(1.0, nothing) for _ in range(STALE_MIN)]
    wheel.advance(1.0)
    passed = [wheel.schedule(0.5, nothing) for _ in range(STALE_MIN)]
    far = [wheel.schedule(1e5, nothing) for _ in range(STALE_MIN)]
    for timer in overdue[1:] + passed[1:] + far[1:]:
        wheel.cancel(timer)
    assert wheel.entries < 2 * STALE_MIN
    assert drain(wheel, 1.0) == [overdue[0], passed[0]]
    assert drain(wheel, 1e5) == [doubled, moved, far[0]]
    assert wheel.entries == 0
    assert wheel.next_deadline() is None


def test_a_sweep_that_leaves_nothing_leaves_nothing_to_wake_up_for() -> None:
    wheel = TimerWheel(0.0)
    for timer in [wheel.schedule(5.0, nothing) for _ in range(STALE_MIN)]:
        assert wheel.next_deadline() is not None
        wheel.cancel(timer)
    assert wheel.next_deadline() is None


def test_a_forgotten_entry_of_a_moved_timer_does_not_fire_it_twice() -> None:
    wheel = TimerWheel(0.0)
    timer = wheel.schedule(50 * TICK, nothing)
    wheel.rearm(timer, 10 * TICK)
    assert drain(wheel, 10 * TICK) == [timer]
    wheel.rearm(timer, 80 * TICK)
    assert drain(wheel, 60 * TICK) == []
    wheel.advance(80 * TICK)
    assert wheel.pop() is timer
    wheel.rearm(timer, 80 * TICK)
    assert wheel.pop() is None
    assert drain(wheel, 80 * TICK) == [timer]
    assert wheel.entries == 0


def test_time_that_goes_back_is_taken_for_the_last_time() -> None:
    wheel = TimerWheel(10.0)
    timer = wheel.schedule(11.0, nothing)
    wheel.advance(10.5)
    wheel.advance(3.0)
    assert drain(wheel, 10.9) == []
    assert drain(wheel, 11.0) == [timer]


def test_equal_deadlines_fire_in_the_order_they_were_scheduled() -> None:
    wheel = TimerWheel(0.0)
    timers = [wheel.schedule(5.0, nothing) for _ in range(10)]
    wheel.rearm(timers[0], 5.0)
    assert drain(wheel, 5.0) == [*timers[1:], timers[0]]


def test_a_timer_rearmed_in_its_own_callback_is_the_same_object() -> None:
    wheel = TimerWheel(0.0)
    timer = wheel.schedule(1.0, nothing)
    for second in range(1, 100):
        assert drain(wheel, float(second)) == [timer]
        wheel.rearm(timer, second + 1.0)
    assert len(wheel) == 1
    assert wheel.entries == 1


def test_a_timer_in_the_due_queue_can_be_moved_and_moved_back() -> None:
    wheel = TimerWheel(0.0)
    first, second = wheel.schedule(1.0, nothing), wheel.schedule(1.0, nothing)
    wheel.advance(1.0)
    assert wheel.pop() is first
    wheel.rearm(second, 2.0)
    assert wheel.pop() is None
    wheel.rearm(second, 0.5)
    assert wheel.pop() is None
    assert drain(wheel, 1.0) == [second]
    assert drain(wheel, 5.0) == []
    assert wheel.entries == 0


def test_moving_a_timer_later_stores_a_number_and_no_entry() -> None:
    wheel = TimerWheel(0.0)
    timer = wheel.schedule(10.0, nothing)
    for step in range(1000):
        wheel.rearm(timer, 10.0 + step)
    assert wheel.entries == 1
    assert drain(wheel, 1008.9) == []
    assert drain(wheel, 1009.0) == [timer]


def test_a_hundred_thousand_timers_fire_once_each_and_leave_nothing() -> None:
    wheel = TimerWheel(0.0)
    count = 100_000
    timers = [wheel.schedule(25.0 + number % 1000 / 100, nothing) for number in range(count)]
    assert len(wheel) == count
    for timer in timers[::2]:
        wheel.cancel(timer)
    fired = 0
    now = 0.0
    while (wake := wheel.next_deadline()) is not None:
        now = max(now, wake)
        fired += len(drain(wheel, now))
    assert fired == count // 2
    assert wheel.entries == 0
    assert now <= 35.0 + TICK


def test_cancelled_timers_do_not_pile_up() -> None:
    wheel = TimerWheel(0.0)
    kept = [wheel.schedule(1000.0, nothing) for _ in range(10)]
    for _ in range(50_000):
        wheel.cancel(wheel.schedule(500.0, nothing))
        assert wheel.entries <= STALE_MIN + len(kept) + 1
    assert drain(wheel, 1000.0) == kept


def test_moved_timers_do_not_pile_up() -> None:
    wheel = TimerWheel(0.0)
    timer = wheel.schedule(1e6, nothing)
    for step in range(20_000):
        wheel.rearm(timer, 1e6 - step)
        assert wheel.entries <= STALE_MIN + 2
    assert drain(wheel, 1e6 - 19_999) == [timer]


def test_a_cancelled_timer_lets_go_of_its_callback_and_cannot_come_back() -> None:
    class Owner:
        def on_timer(self) -> None:
            """Be a bound method."""

    wheel = TimerWheel(0.0)
    owner = Owner()
    watch = weakref.ref(owner)
    timer = wheel.schedule(1.0, owner.on_timer)
    gc.disable()
    try:
        wheel.cancel(timer)
        del owner
        assert watch() is None
    finally:
        gc.enable()
    with pytest.raises(StateError):
        wheel.rearm(timer, 2.0)


def test_a_spent_timer_is_in_no_reference_cycle() -> None:
    class Watched(Timer):
        __slots__ = ("__weakref__",)

    gc.disable()
    try:
        for cancelled in (False, True):
            wheel = TimerWheel(0.0)
            timer = Watched(1.0, nothing, 0)
            wheel.rearm(wheel.schedule(3.0, nothing), 4.0)
            wheel._active += 1
            wheel._place(timer)
            if cancelled:
                wheel.cancel(timer)
            drain(wheel, 2.0)
            watch = weakref.ref(timer)
            del timer
            assert watch() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("tick_s", [0.01, 0.3, 3.0])
def test_a_tick_must_be_a_power_of_two(tick_s: float) -> None:
    with pytest.raises(ValueError, match="power of two"):
        TimerWheel(0.0, tick_s)


def test_a_callback_is_kept_as_it_is() -> None:
    seen: list[int] = []
    callbacks: list[Callable[[], object]] = [lambda: seen.append(1), lambda: seen.append(2)]
    wheel = TimerWheel(0.0, tick_s=0.5)
    for callback in callbacks:
        wheel.schedule(1.0, callback)
    for timer in drain(wheel, 1.0):
        timer.callback()
    assert seen == [1, 2]


def test_a_forgotten_entry_on_a_higher_level_is_dropped_when_its_slot_comes() -> None:
    wheel = TimerWheel(0.0)
    timer = wheel.schedule(200 * TICK, nothing)
    wheel.rearm(timer, 10 * TICK)
    assert drain(wheel, 10 * TICK) == [timer]
    wheel.rearm(timer, 1000 * TICK)
    assert wheel.entries == 2
    assert drain(wheel, 300 * TICK) == []
    assert wheel.entries == 1
    assert drain(wheel, 1000 * TICK) == [timer]
