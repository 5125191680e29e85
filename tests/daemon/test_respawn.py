"""Pauses before a respawn, and when the daemon gives up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wsloop.daemon.respawn import (
    FIRST_S,
    FORGIVEN_S,
    LONGEST_S,
    MOST_DEATHS,
    MOST_FAILURES,
    REMEMBERED_S,
    WITHIN_S,
    Backoff,
    Deaths,
    Reasons,
)

FRACTIONS = st.floats(0, 1, exclude_max=True)


@given(st.lists(st.tuples(st.floats(0, 1e6), FRACTIONS)))
def test_a_pause_is_never_shorter_than_the_first_or_longer_than_the_longest(
    deaths: list[tuple[float, float]],
) -> None:
    backoff = Backoff()
    for lived_s, fraction in deaths:
        assert FIRST_S <= backoff.next_s(lived_s, fraction) <= LONGEST_S


def test_who_dies_at_once_waits_twice_as_long_each_time() -> None:
    backoff = Backoff()
    pauses = [backoff.next_s(0.0, 0.0) for _ in range(12)]
    assert pauses[:9] == [FIRST_S * 2**number for number in range(9)]
    assert pauses[9:] == [LONGEST_S] * 3


@given(st.lists(st.floats(FORGIVEN_S, 100)))
def test_who_lives_a_few_seconds_each_time_is_back_at_once_each_time(lives_s: list[float]) -> None:
    backoff = Backoff()
    assert [backoff.next_s(lived_s, 0.0) for lived_s in lives_s] == [FIRST_S] * len(lives_s)


@given(st.integers(0, 100))
def test_a_minute_of_life_makes_up_for_any_number_of_deaths(deaths: int) -> None:
    backoff = Backoff()
    for _ in range(deaths):
        backoff.next_s(0.0, 0.0)
    assert backoff.next_s((MOST_FAILURES + 1) * FORGIVEN_S, 0.0) == FIRST_S


@given(st.lists(st.floats(0, 20), max_size=60))
def test_too_many_deaths_are_as_many_within_the_time(pauses_s: list[float]) -> None:
    deaths, times, now_s = Deaths(), [], 0.0
    for pause_s in pauses_s:
        now_s += pause_s
        times.append(now_s)
        recent = [time_s for time_s in times if now_s - time_s < WITHIN_S]
        assert deaths.add(now_s) == (len(recent) >= MOST_DEATHS)


@given(st.lists(FRACTIONS, min_size=MOST_DEATHS, max_size=MOST_DEATHS))
def test_one_process_that_dies_whenever_it_starts_is_too_many_deaths(chances: list[float]) -> None:
    backoff, deaths, now_s = Backoff(), Deaths(), 0.0
    verdicts = []
    for fraction in chances:
        verdicts.append(deaths.add(now_s))
        now_s += backoff.next_s(0, fraction)
    assert verdicts == [False] * (MOST_DEATHS - 1) + [True]


@given(st.lists(st.tuples(st.floats(0, 2 * REMEMBERED_S), st.sampled_from("abc"))))
def test_a_reason_is_counted_for_as_long_as_it_is_heard_again(deaths: list[tuple[float, str]]) -> None:
    reasons, now_s = Reasons(), 0.0
    heard: dict[str, list[float]] = {}
    for pause_s, reason in deaths:
        now_s += pause_s
        before = heard.get(reason, [])
        if before and now_s - before[-1] >= REMEMBERED_S:
            before = []
        heard[reason] = [*before, now_s]
        assert reasons.add(reason, now_s) == len(heard[reason])
