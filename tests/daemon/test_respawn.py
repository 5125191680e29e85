from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wsloop.daemon.respawn import FIRST_S, HEALTHY_S, LONGEST_S, MOST_DEATHS, WITHIN_S, Backoff, Deaths

fractions = st.floats(0, 1, exclude_max=True)


@given(st.lists(st.tuples(st.floats(0, 2 * HEALTHY_S), fractions), max_size=60))
def test_every_pause_is_between_the_first_and_the_longest(lives: list[tuple[float, float]]) -> None:
    backoff = Backoff()
    for lived_s, fraction in lives:
        assert FIRST_S <= backoff.next_s(lived_s, fraction) <= LONGEST_S


@given(st.integers(0, 40), fractions)
def test_a_pause_is_at_least_half_of_what_it_would_be_without_chance(failures: int, fraction: float) -> None:
    with_chance, without = Backoff(), Backoff()
    for _ in range(failures):
        with_chance.next_s(0, 0)
        without.next_s(0, 0)
    longest_s = without.next_s(0, 0)
    assert longest_s / 2 <= with_chance.next_s(0, fraction) <= longest_s


def test_the_pauses_double_up_to_the_longest() -> None:
    backoff = Backoff()
    pauses = [backoff.next_s(0, 0) for _ in range(12)]
    assert pauses[:5] == [0.1, 0.2, 0.4, 0.8, 1.6]
    assert pauses[-3:] == [LONGEST_S] * 3


@given(st.integers(0, 40), st.floats(HEALTHY_S, 1e6), fractions)
def test_who_lived_well_is_back_at_once(failures: int, lived_s: float, fraction: float) -> None:
    backoff = Backoff()
    for _ in range(failures):
        backoff.next_s(0, 0)
    assert backoff.next_s(lived_s, fraction) == FIRST_S


@given(st.lists(st.floats(0, WITHIN_S), max_size=60))
def test_too_many_deaths_are_those_of_the_last_minute(gaps: list[float]) -> None:
    deaths, times, now_s = Deaths(), [], 0.0
    for gap_s in gaps:
        now_s += gap_s
        times.append(now_s)
        recent = [at_s for at_s in times[-MOST_DEATHS:] if now_s - at_s < WITHIN_S]
        assert deaths.add(now_s) == (len(recent) == MOST_DEATHS)


@given(st.lists(fractions, min_size=MOST_DEATHS, max_size=MOST_DEATHS))
def test_one_process_that_dies_whenever_it_starts_is_too_many_deaths(chances: list[float]) -> None:
    backoff, deaths, now_s = Backoff(), Deaths(), 0.0
    verdicts = []
    for fraction in chances:
        verdicts.append(deaths.add(now_s))
        now_s += backoff.next_s(0, fraction)
    assert verdicts == [False] * (MOST_DEATHS - 1) + [True]
