from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wsloop.protocol.heartbeat import HeartbeatAction, decide, first_ping_delay

seconds = st.floats(min_value=0.1, max_value=1000)
times = st.floats(min_value=0, max_value=1e6)


@given(times, times, st.none() | times, seconds, seconds)
def test_the_next_deadline_is_always_later_than_now(
    now: float, last: float, ping: float | None, interval: float, timeout: float
) -> None:
    answer = decide(now, last, ping, interval, timeout)
    assert answer.next_deadline_s > now


@given(times, times, times, seconds, seconds)
def test_no_second_ping_while_one_is_unanswered(
    now: float, last: float, ping: float, interval: float, timeout: float
) -> None:
    answer = decide(now, last, ping, interval, timeout)
    if last < ping:
        assert answer.action is not HeartbeatAction.PING


@given(times, times, st.none() | times, seconds, seconds)
def test_a_timeout_needs_a_ping_and_all_of_its_silence(
    now: float, last: float, ping: float | None, interval: float, timeout: float
) -> None:
    if decide(now, last, ping, interval, timeout).action is HeartbeatAction.TIMEOUT:
        assert ping is not None
        assert last < ping
        assert now >= ping + timeout


@given(seconds, seconds, st.lists(st.floats(min_value=0, max_value=2000), max_size=20), st.floats(0, 0.999))
def test_a_life_alternates_pings_and_answers_until_silence_ends_it(
    interval: float, timeout: float, gaps: list[float], fraction: float
) -> None:
    """The peer speaks after each gap, as long as the connection lives; then it is silent."""
    now = last = 0.0
    ping: float | None = None
    speaks: list[float] = []
    for gap in gaps:
        speaks.append((speaks[-1] if speaks else 0.0) + gap)
    wait = first_ping_delay(interval, fraction)
    pings: list[float] = []
    while True:
        action, deadline = decide(now, last, ping, wait, timeout)
        if action is HeartbeatAction.TIMEOUT:
            break
        if action is HeartbeatAction.PING:
            assert ping is None or last >= ping, "two pings outstanding"
            assert now >= last + wait
            ping = now
            wait = interval
            pings.append(now)
        now = deadline
        while speaks and speaks[0] <= now:
            last = speaks.pop(0)
    assert pings
    assert now >= pings[-1] + timeout
    assert last < pings[-1]


def test_anything_received_answers_the_ping() -> None:
    assert decide(11.0, 10.0, 10.0, 25.0, 10.0) == (HeartbeatAction.NONE, 35.0)
    assert decide(30.0, 28.0, 25.0, 25.0, 10.0) == (HeartbeatAction.NONE, 53.0)


def test_a_quiet_peer_is_pinged_then_given_up() -> None:
    assert decide(24.9, 0.0, None, 25.0, 10.0) == (HeartbeatAction.NONE, 25.0)
    assert decide(25.0, 0.0, None, 25.0, 10.0) == (HeartbeatAction.PING, 35.0)
    assert decide(34.9, 0.0, 25.0, 25.0, 10.0) == (HeartbeatAction.NONE, 35.0)
    assert decide(35.0, 0.0, 25.0, 25.0, 10.0).action is HeartbeatAction.TIMEOUT


@given(seconds, st.floats(min_value=0, max_value=1, exclude_max=True))
def test_the_first_ping_is_spread_over_the_second_half_of_the_interval(
    interval: float, fraction: float
) -> None:
    assert interval / 2 <= first_ping_delay(interval, fraction) <= interval


def test_the_spread_of_the_default() -> None:
    assert first_ping_delay(25.0, 0.0) == 12.5
    assert first_ping_delay(25.0, 0.5) == 18.75
