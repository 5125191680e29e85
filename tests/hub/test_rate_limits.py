"""Rate limits: one bucket against a model, sharing and forgetting, and what clients see."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.hub.support import World
from wsloop.hub import rate_limits
from wsloop.hub.grants import Identity
from wsloop.hub.options import HubOptions
from wsloop.hub.rate_limits import NO_RATES, REFUSALS_PER_MIN, Meter, Operation, Rate, RateLimits, Rates

TOTAL, CONNECT, PUBLISH = Operation.TOTAL, Operation.CONNECT, Operation.PUBLISH


def rates(**each: Rate) -> Rates:
    """Return rates for the operations named."""
    made = list(NO_RATES)
    for name, rate in each.items():
        made[Operation[name]] = rate
    return tuple(made)


@given(
    st.integers(1, 20),
    st.sampled_from((0.5, 1.0, 3.0, 60.0)),
    st.lists(st.floats(0, 5), max_size=60),
)
def test_a_bucket_is_a_token_bucket(count: int, interval_s: float, pauses_s: list[float]) -> None:
    limits, meter = RateLimits(client=rates(PUBLISH=Rate(count, interval_s))), Meter()
    tokens, now_s = float(count), 100.0
    for pause_s in pauses_s:
        now_s += pause_s
        tokens = min(count, tokens + pause_s * count / interval_s)
        passed = limits.admit(PUBLISH, now_s, meter, "", "")
        # In doubt by rounding either is right.
        assert passed == (tokens >= 1) or abs(tokens - 1) < 0.02
        tokens -= passed


@given(st.integers(1, 9), st.lists(st.floats(0, 2), max_size=80))
def test_in_no_interval_more_than_twice_the_count_pass(count: int, pauses_s: list[float]) -> None:
    limits, meter = RateLimits(client=rates(TOTAL=Rate(count, 1.0))), Meter()
    now_s, passed = 0.0, deque[float]()
    for pause_s in pauses_s:
        now_s += pause_s
        if limits.admit(TOTAL, now_s, meter, "", ""):
            passed.append(now_s)
        while passed and passed[0] < now_s - 1.0:
            passed.popleft()
        assert len(passed) <= 2 * count


def test_a_refused_command_costs_nothing_in_any_bucket() -> None:
    limits = RateLimits(client=rates(PUBLISH=Rate(1, 10.0)), user=rates(PUBLISH=Rate(5, 10.0)))
    impatient = Meter()
    passed = [limits.admit(PUBLISH, 1.0, impatient, "ann", "") for _ in range(9)]
    assert passed == [True] + [False] * 8
    assert [limits.admit(PUBLISH, 1.0, Meter(), "ann", "") for _ in range(5)] == [True] * 4 + [False]


def test_users_and_addresses_share_their_buckets_and_nobody_has_none() -> None:
    limits = RateLimits(user=rates(PUBLISH=Rate(2, 10.0)), ip=rates(CONNECT=Rate(2, 10.0)))
    assert [limits.admit(PUBLISH, 1.0, Meter(), "ann", "h") for _ in range(3)] == [True, True, False]
    assert limits.admit(PUBLISH, 1.0, Meter(), "bob", "h")
    assert all(limits.admit(PUBLISH, 1.0, Meter(), "", "h") for _ in range(9))
    assert [limits.admit(CONNECT, 1.0, Meter(), "", "h") for _ in range(3)] == [True, True, False]
    assert all(limits.admit(CONNECT, 1.0, Meter(), "", "") for _ in range(9))


def test_every_command_counts_as_one() -> None:
    limits, meter = RateLimits(client=rates(TOTAL=Rate(3, 10.0))), Meter()
    assert limits.admit(CONNECT, 1.0, meter, "", "")
    admitted = [limits.admit(each, 1.0, meter, "", "") for each in (TOTAL, PUBLISH, Operation.RPC, TOTAL)]
    assert admitted == [True, True, True, False]


def test_full_buckets_are_forgotten() -> None:
    limits = RateLimits(user=rates(TOTAL=Rate(10, 10.0)), ip=rates(TOTAL=Rate(10, 10.0)))
    for number in range(100):
        limits.admit(TOTAL, 1.0, Meter(), f"u{number}", f"h{number}")
    assert len(limits) == 200
    limits.expire(1.5, 1000)
    assert len(limits) == 200
    limits.expire(2.5, 30)
    assert len(limits) == 140
    for number in range(30):
        limits.admit(TOTAL, 2.5, Meter(), f"new{number}", "")
    assert len(limits) == 140 - 30
    limits.expire(9.0, 1000)
    assert len(limits) == 0


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "MAX_KEYS", 10)
    limits = RateLimits(user=rates(TOTAL=Rate(1, 1000.0)))
    for number in range(50):
        assert limits.admit(TOTAL, 1.0, Meter(), f"u{number}", "")
    assert len(limits) == 10
    assert not limits.admit(TOTAL, 1.0, Meter(), "u49", "")


# -- what clients see ---------------------------------------------------------------------------


def world_of(limits: RateLimits) -> World:
    return World(HubOptions(allow_anonymous=True, rpc_proxy=True), rate_limits=limits)


def test_too_many_commands_are_error_111_and_then_pass_again() -> None:
    world = world_of(RateLimits(client=rates(PUBLISH=Rate(2, 1.0))))
    peer = world.connect()
    outcomes = [peer.ask("publish", channel="c", data=number) for number in range(4)]
    assert outcomes[2:] == [111, 111]
    assert peer.ask("history", channel="c")["offset"] == 2
    world.clock.advance(0.51)
    assert peer.ask("publish", channel="c", data=1)["offset"] == 3


def test_the_reply_says_that_a_retry_helps() -> None:
    peer = world_of(RateLimits(client=rates(TOTAL=Rate(1, 1.0)))).connect()
    peer.say({"id": 2, "history": {"channel": "c"}}, {"id": 3, "novel": {}})
    error = {"code": 111, "message": "too many requests", "temporary": True}
    assert peer.take()[1:] == [{"id": 3, "error": error}]


def test_who_goes_on_is_closed_with_3013() -> None:
    peer = world_of(RateLimits(client=rates(PUBLISH=Rate(1, 1.0)))).connect()
    for number in range(REFUSALS_PER_MIN + 1):
        peer.ask("publish", channel="c", data=number)
    assert peer.close_code is None
    peer.ask("publish", channel="c", data=0)
    assert peer.close_code == 3013


@pytest.mark.parametrize("line", [{}, {"send": {"data": 1}}])
def test_what_has_no_reply_is_counted_too(line: object) -> None:
    world = World(
        HubOptions(allow_anonymous=True, send_proxy=True),
        rate_limits=RateLimits(client=rates(TOTAL=Rate(1, 1.0))),
    )
    peer = world.connect()
    for _ in range(REFUSALS_PER_MIN + 1):
        peer.say(line)
    assert (peer.close_code, peer.take()) == (None, [])
    peer.say(line)
    assert peer.close_code == 3013


def test_connects_of_a_user_are_limited_over_all_connections() -> None:
    world = world_of(RateLimits(user=rates(CONNECT=Rate(2, 10.0))))
    peers = [world.open(identity=Identity(user)) for user in ("ann", "ann", "ann", "bob")]
    outcomes = [peer.ask("connect") for peer in peers]
    assert [outcome if isinstance(outcome, int) else 0 for outcome in outcomes] == [0, 0, 111, 0]


def test_connects_from_an_address_are_limited_before_the_token_is_looked_at() -> None:
    world = world_of(RateLimits(ip=rates(CONNECT=Rate(1, 10.0))))
    assert isinstance(world.open(host="h").ask("connect"), dict)
    assert world.open(host="h").ask("connect", token="not a token") == 111
    assert isinstance(world.open(host="other").ask("connect"), dict)


def test_the_hub_forgets_full_buckets() -> None:
    limits = RateLimits(ip=rates(CONNECT=Rate(1, 10.0)))
    world = world_of(limits)
    world.open(host="h").ask("connect")
    assert len(limits) == 1
    world.hub.expire(world.clock.now() + 11.0)
    assert len(limits) == 0
