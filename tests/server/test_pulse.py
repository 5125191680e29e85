"""The heartbeat of a connection: a fixed pace, and exactly one ping in flight."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wsloop.protocol.heartbeat import HeartbeatAction
from wsloop.server.lifecycle import Deadlines
from wsloop.server.pulse import DRAWN_BYTES, Jitter, Pulse

DEADLINES = Deadlines(ping_interval_s=25.0, pong_timeout_s=10.0)


@given(st.floats(0, 1, exclude_max=True), st.lists(st.floats(0, 9.5), max_size=20))
def test_pings_keep_their_pace_however_late_the_pongs_come(fraction: float, delays: list[float]) -> None:
    pulse = Pulse(0.0, DEADLINES, fraction)
    due = pulse.beat(0.0)
    assert due.action is HeartbeatAction.NONE
    assert 12.5 <= due.next_deadline_s <= 25.0
    ping_s = due.next_deadline_s
    for delay in delays:
        assert pulse.beat(ping_s).action is HeartbeatAction.PING
        pulse.heard_s = ping_s + delay
        due = pulse.beat(ping_s + 10.0)
        assert due.action is HeartbeatAction.NONE
        assert due.next_deadline_s == ping_s + 25.0
        ping_s = due.next_deadline_s


@given(st.floats(0, 1, exclude_max=True), st.floats(0.001, 12))
def test_a_peer_silent_since_before_the_ping_is_timed_out_after_it(fraction: float, before: float) -> None:
    pulse = Pulse(0.0, DEADLINES, fraction)
    ping_s = pulse.beat(0.0).next_deadline_s
    pulse.heard_s = ping_s - before
    assert pulse.beat(ping_s).action is HeartbeatAction.PING
    early = pulse.beat(ping_s + 9.9)
    assert early.action is HeartbeatAction.NONE
    assert early.next_deadline_s == ping_s + 10.0
    assert pulse.beat(ping_s + 10.0).action is HeartbeatAction.TIMEOUT


def test_the_first_ping_is_due_when_it_says() -> None:
    pulse = Pulse(100.0, DEADLINES, 0.25)
    assert pulse.first_ping_s == 100.0 + 25.0 * 0.625
    assert pulse.beat(pulse.first_ping_s).action is HeartbeatAction.PING


@given(st.binary(min_size=1, max_size=4), st.integers(1, 600))
def test_fractions_are_the_entropys_sixteen_bits_each_used_once(seed: bytes, count: int) -> None:
    asked: list[int] = []

    def entropy(size: int) -> bytes:
        asked.append(size)
        return (seed * size)[:size]

    jitter = Jitter(entropy)
    drawn = [jitter.draw() for _ in range(count)]
    assert all(0 <= fraction < 1 for fraction in drawn)
    assert asked == [DRAWN_BYTES] * -(-2 * count // DRAWN_BYTES)
    doubled = seed * 2
    pairs = {int.from_bytes(doubled[at : at + 2], "big") / 65536 for at in range(len(seed))}
    assert set(drawn) <= pairs
