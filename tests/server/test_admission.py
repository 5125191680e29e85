"""Who may connect: each limit against a model of it."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsloop.server.admission import BURST_S, Admission, Refusal, TokenBucket, key_of

ROUNDING = Fraction(1, 10**6)

gaps = st.one_of(st.just(0.0), st.floats(0, 0.1), st.floats(0, 30), st.sampled_from((1 / 128, 0.005, 1.0)))


class Model:
    """A token bucket in exact arithmetic."""

    def __init__(self, rate: float, burst: float) -> None:
        self.rate, self.burst = Fraction(rate), Fraction(burst)
        self.tokens = self.burst
        self.at = Fraction(0)

    def wait_until(self, now_s: float) -> None:
        now = Fraction(now_s)
        self.tokens = min(self.burst, self.tokens + (now - self.at) * self.rate)
        self.at = now


@settings(max_examples=300)
@given(st.floats(0.1, 1000), st.floats(1, 500), st.lists(gaps, max_size=200))
def test_a_bucket_passes_what_the_model_has_tokens_for(rate: float, burst: float, waits: list[float]) -> None:
    bucket, model, now_s = TokenBucket(rate, burst, 0.0), Model(rate, burst), 0.0
    for wait_s in waits:
        now_s += wait_s
        model.wait_until(now_s)
        passes = bucket.take(now_s)
        if abs(model.tokens - 1) > ROUNDING:
            assert passes is (model.tokens > 1)
        model.tokens -= passes


@given(st.floats(0.1, 1000), st.integers(1, 500), st.lists(gaps, max_size=200), st.integers(0, 200))
def test_no_stretch_of_time_sees_more_than_the_burst_and_the_rate(
    rate: float, burst: int, waits: list[float], first: int
) -> None:
    bucket, now_s = TokenBucket(rate, burst, 0.0), 0.0
    passed: list[float] = []
    for wait_s in waits:
        now_s += wait_s
        if bucket.take(now_s):
            passed.append(now_s)
    stretch = passed[first:]
    if stretch:
        assert len(stretch) <= burst + rate * (stretch[-1] - stretch[0]) * (1 + 1e-9) + 1e-6


def test_a_bucket_is_full_at_first_and_no_fuller_after_a_rest() -> None:
    bucket = TokenBucket(200, 400, 0.0)
    assert sum(bucket.take(0.0) for _ in range(1000)) == 400
    assert sum(bucket.take(0.5) for _ in range(1000)) == 100
    assert sum(bucket.take(0.25) for _ in range(10)) == 0
    assert sum(bucket.take(0.5) for _ in range(10)) == 0
    bucket_at_rest = TokenBucket(1, 1, 10.0)
    assert bucket_at_rest.take(5.0)
    assert sum(bucket.take(3600.0) for _ in range(1000)) == 400


hosts = st.sampled_from(
    ["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", "::1", "unix"]
)


@given(st.integers(1, 6), st.integers(0, 3), st.lists(st.tuples(st.booleans(), hosts), max_size=60))
def test_hosts_and_all_are_counted_as_they_come_and_go(
    total: int, per_host: int, moves: list[tuple[bool, str]]
) -> None:
    admission = Admission(total, per_host, 0, 0.0)
    inside: Counter[str] = Counter()
    for comes, host in moves:
        key = key_of(host)
        if comes:
            refusal = admission.judge(key, inside.total(), 0.0)
            if inside.total() == total:
                assert refusal is Refusal.FULL
            elif per_host and key and inside[key] == per_host:
                assert refusal is Refusal.HOST
            else:
                assert refusal is None
                admission.enter(key)
                inside[key] += 1
        elif inside[key]:
            admission.leave(key)
            inside[key] -= 1


def test_who_is_refused_for_another_reason_takes_nobodys_turn() -> None:
    admission = Admission(10, 1, 1.0, 0.0)
    admission.enter("a")
    assert [admission.judge("a", 1, 0.0) for _ in range(50)] == [Refusal.HOST] * 50
    assert [admission.judge("b", 10, 0.0) for _ in range(50)] == [Refusal.FULL] * 50
    burst = int(BURST_S)
    assert [admission.judge("b", 1, 0.0) for _ in range(burst + 1)] == [None] * burst + [Refusal.RATE]


def test_a_rate_below_one_burst_still_lets_one_in() -> None:
    admission = Admission(10, 0, 0.1, 0.0)
    assert [admission.judge("", 0, now_s) for now_s in (0.0, 1.0, 10.0)] == [None, Refusal.RATE, None]


@pytest.mark.parametrize(
    ("host", "key"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("127.0.0.1", ""),
        ("127.8.9.10", ""),
        ("::1", ""),
        ("unix", ""),
        ("?", ""),
        ("2001:db8::1", "20010db800000000"),
        ("2001:db8:0:0:ffff::", "20010db800000000"),
        ("2001:db8:0:1::", "20010db800000001"),
        ("fe80::1%eth0", "fe80000000000000"),
    ],
)
def test_what_a_peer_is_counted_by(host: str, key: str) -> None:
    assert key_of(host) == key
