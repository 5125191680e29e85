"""One open connection's heartbeat: when it was heard, when it was pinged.

Keeps the timestamps that `protocol/heartbeat.py` decides by. A message costs one stored
flag; neither the clock nor the timer is touched. Pings come at a fixed pace, busy or not, because the SDKs
of the messaging protocol take a missing ping for a dead server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsloop.protocol.heartbeat import HeartbeatAction, decide, first_ping_delay

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.protocol.heartbeat import Heartbeat
    from wsloop.server.lifecycle import Deadlines


DRAWN_BYTES = 512
"""Entropy for 256 connections: one system call for all of them."""


class Jitter:
    """Random fractions for first pings, two bytes of `entropy` each."""

    __slots__ = ("_at", "_bytes", "_entropy")

    def __init__(self, entropy: Callable[[int], bytes]) -> None:
        self._entropy = entropy
        self._bytes = b""
        self._at = 0

    def draw(self) -> float:
        """Return the next fraction, in [0, 1), in steps of 1/65536."""
        if self._at == len(self._bytes):
            self._bytes = self._entropy(DRAWN_BYTES)
            self._at = 0
        self._at += 2
        return (self._bytes[self._at - 2] << 8 | self._bytes[self._at - 1]) / 65536


class Pulse:
    """Timestamps in seconds of the loop's clock; `fraction` in [0, 1) jitters the first ping.

    The pace is that of `deadlines` to the end: it was promised to the client, which goes by it.
    """

    __slots__ = ("_began_s", "_deadlines", "_first_delay_s", "_looked_s", "_ping_sent_s", "heard_s")

    def __init__(self, now_s: float, deadlines: Deadlines, fraction: float) -> None:
        self._began_s = self._looked_s = self.heard_s = now_s
        self._ping_sent_s: float | None = None
        self._deadlines = deadlines
        self._first_delay_s = first_ping_delay(deadlines.ping_interval_s, fraction)

    def note_heard(self) -> None:
        """Take note that something was received since the last `beat`: when, does not matter.

        That beat's own time is taken, the earliest it can have been: at or after a ping that was
        sent by it, and before one that the next beat sends.
        """
        self.heard_s = self._looked_s

    @property
    def first_ping_s(self) -> float:
        """When the first ping is due."""
        return self._began_s + self._first_delay_s

    def beat(self, now_s: float) -> Heartbeat:
        """Return what is due now and when to ask again; a PING is taken as sent."""
        sent_s, deadlines = self._ping_sent_s, self._deadlines
        if sent_s is None:
            last_s, interval_s = self._began_s, self._first_delay_s
        else:
            # An answered ping counts as life at the time it was sent: that keeps the pace.
            last_s, interval_s = (
                (sent_s if self.heard_s >= sent_s else self._began_s),
                deadlines.ping_interval_s,
            )
        due = decide(now_s, last_s, sent_s, interval_s, deadlines.pong_timeout_s)
        self._looked_s = now_s
        if due.action is HeartbeatAction.PING:
            self._ping_sent_s = now_s
        return due
