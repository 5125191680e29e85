"""When to ping a quiet peer and when to give it up, as pure functions of time.

Reads no clock and owns no timer: the server stores two timestamps per connection, asks
`decide` when its timer fires, and arms the timer for the answer. So a message costs one
stored number, not a timer operation.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class HeartbeatAction(Enum):
    """What the caller must do now."""

    NONE = "none"
    PING = "ping"
    TIMEOUT = "timeout"


class Heartbeat(NamedTuple):
    """An action, and when to ask again (seconds on the caller's clock; later than its now)."""

    action: HeartbeatAction
    next_deadline_s: float


def decide(
    now_s: float, last_received_s: float, ping_sent_s: float | None, interval_s: float, timeout_s: float
) -> Heartbeat:
    """Return what to do at `now_s`.

    `last_received_s`: when the peer last showed life. `ping_sent_s`: when the last ping was sent,
    or None. `interval_s`: silence before a ping; `timeout_s`: silence after one before the peer
    is lost; both positive. A caller that must ping at a fixed pace passes the time of the last
    answer instead of the last byte.

    Anything received at or after the ping answers it. "At" is safe: a ping is only sent after
    `interval_s` of silence, so a byte with the same timestamp came later in time.
    """
    if ping_sent_s is not None and last_received_s < ping_sent_s:
        timeout_at_s = ping_sent_s + timeout_s
        if now_s < timeout_at_s:
            return Heartbeat(HeartbeatAction.NONE, timeout_at_s)
        return Heartbeat(HeartbeatAction.TIMEOUT, now_s + timeout_s)
    ping_at_s = last_received_s + interval_s
    if now_s < ping_at_s:
        return Heartbeat(HeartbeatAction.NONE, ping_at_s)
    return Heartbeat(HeartbeatAction.PING, now_s + timeout_s)


def first_ping_delay(interval_s: float, random_fraction: float) -> float:
    """Return the delay of a connection's first ping, in [interval_s / 2, interval_s).

    `random_fraction` is in [0, 1). The spread keeps clients that came back together after a
    restart from being pinged together for ever. Until the first ping, pass the result to
    `decide` as its `interval_s`.
    """
    return interval_s * (0.5 + random_fraction / 2)
