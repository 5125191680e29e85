"""The breaker: a model says what it must do, whatever comes."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsloop.client.breaker import (
    BREAKER_TRANSITIONS,
    Breaker,
    BreakerRules,
    BreakerState,
    BreakerStep,
)
from wsloop.errors import StateError

RULES = BreakerRules(max_failures=3, open_s=1.0, max_open_s=8.0)


def tripped(now_s: float = 0.0, chance: float = 0.5) -> Breaker:
    breaker = Breaker(RULES)
    for _ in range(RULES.max_failures):
        ticket = breaker.admit(now_s)
        assert ticket is not None
        breaker.report(ticket, False, now_s, chance)
    assert breaker.state is BreakerState.OPEN
    return breaker


@given(st.lists(st.booleans(), max_size=60))
def test_it_opens_with_that_many_failures_in_a_row_and_not_before(outcomes: list[bool]) -> None:
    breaker = Breaker(RULES)
    in_a_row = 0
    for is_ok in outcomes:
        ticket = breaker.admit(0.0)
        if in_a_row >= RULES.max_failures:
            assert ticket is None
            return
        assert ticket is not None
        breaker.report(ticket, is_ok, 0.0, 0.0)
        in_a_row = 0 if is_ok else in_a_row + 1


@given(chances=st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=40))
def test_the_time_it_stays_open_doubles_within_its_jitter(chances: list[float]) -> None:
    now_s = 0.0
    breaker = tripped(now_s, chances[0])
    for trips, (chance, following) in enumerate(itertools.pairwise([*chances, 0.0])):
        open_s = min(RULES.max_open_s, RULES.open_s * 2.0**trips) * (0.5 + chance)
        assert breaker.admit(now_s + open_s - 1e-6) is None
        now_s += open_s + 1e-6
        ticket = breaker.admit(now_s)
        assert ticket is not None
        assert breaker.admit(now_s) is None, "one probe at a time"
        breaker.report(ticket, False, now_s, following)


def test_a_probe_that_was_never_made_leaves_the_next_call_to_be_one() -> None:
    breaker = tripped()
    ticket = breaker.admit(1.5)
    assert ticket is not None
    breaker.give_back(ticket)
    assert breaker.state is BreakerState.OPEN
    assert breaker.admit(1.5) is not None


def test_a_good_probe_closes_it_and_begins_anew() -> None:
    breaker = tripped()
    ticket = breaker.admit(1.5)
    assert ticket is not None
    assert breaker.report(ticket, True, 1.5, 0.0)
    assert breaker.state is BreakerState.CLOSED
    assert breaker.admit(1.5) is not None


@given(st.lists(st.booleans(), min_size=1, max_size=20))
def test_what_was_asked_before_it_opened_says_nothing_any_more(late: list[bool]) -> None:
    breaker = Breaker(RULES)
    tickets = [breaker.admit(0.0) for _ in late]
    for _ in range(RULES.max_failures):
        ticket = breaker.admit(0.0)
        assert ticket is not None
        breaker.report(ticket, False, 0.0, 0.5)
    probe = breaker.admit(5.0)
    assert probe is not None
    for ticket, is_ok in zip(tickets, late, strict=True):
        assert ticket is not None
        assert not breaker.report(ticket, is_ok, 5.0, 0.5)
        assert breaker.state is BreakerState.HALF_OPEN
    assert breaker.report(probe, True, 5.0, 0.5)


@given(
    st.lists(
        st.tuples(st.floats(0, 10), st.booleans(), st.floats(0, 1, exclude_max=True), st.integers(0, 5)),
        max_size=80,
    )
)
def test_it_always_lets_somebody_through_in_the_end(steps: list[tuple[float, bool, float, int]]) -> None:
    breaker = Breaker(RULES)
    now_s, under_way = 0.0, list[int]()
    for delay_s, is_ok, chance, index in steps:
        now_s += delay_s
        ticket = breaker.admit(now_s)
        if ticket is not None:
            under_way.append(ticket)
        if under_way and index < len(under_way):
            breaker.report(under_way.pop(index), is_ok, now_s, chance)
    for ticket in under_way:
        breaker.report(ticket, False, now_s, 0.0)
    assert breaker.admit(now_s + RULES.max_open_s * 1.5) is not None


def test_what_is_not_in_the_table_is_a_bug() -> None:
    breaker = Breaker(RULES)
    with pytest.raises(StateError):
        breaker._step(BreakerStep.PROBE)
    assert set(BREAKER_TRANSITIONS) == set(BreakerState)
