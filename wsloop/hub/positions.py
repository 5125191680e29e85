"""Does everybody stand where the broker does? Asked of quiet channels, from time to time.

On a busy channel a lost publication is found by the next one, whose offset does not fit. On a quiet
one nothing would tell. So each channel that keeps history is compared with the broker's top every
CHECK_EVERY_S seconds, and whoever stands elsewhere is told that something is missing: promise P6,
within 10 s. The broker's order makes it a plain comparison: a read that reports top k completes behind
the event of k.

Channels are walked in their order, a portion each second, so the questions are spread evenly
and no two processes that started together ask all of theirs at one moment. A broker that
loses no event without saying so is asked when it says so, and then until it has answered for every channel.
"""

from __future__ import annotations

import functools
from collections import deque
from math import ceil
from typing import TYPE_CHECKING

from wsloop.hub import joining
from wsloop.hub.broker import Unavailable
from wsloop.hub.history import HistoryQuery

if TYPE_CHECKING:
    from wsloop.hub.channels import Channel
    from wsloop.hub.history import StreamView
    from wsloop.hub.hub import Hub

CHECK_EVERY_S = 4.0
"""Seconds in which all channels are asked about once. A channel's turn may move from the beginning to
the end of a round, so two looks at it are eight seconds apart at most, which leaves two of the promised
ten for the answer. Centrifugo's default is 40."""

URGENT_S = 1.0
"""Seconds in which all are asked about once events are known to have been lost: not all at one moment,
since every process that has this broker asks."""

BATCH = 1000
"""Questions asked in one `run`: some milliseconds."""


class PositionCheck:
    """Compares a hub's positions with its broker's; `run` it every second or so."""

    __slots__ = ("_asked_s", "_ends_s", "_hub", "_round")

    def __init__(self, hub: Hub, now_s: float) -> None:
        self._hub = hub
        self._round: deque[str] = deque()
        self._asked_s = self._ends_s = now_s

    def begin_now(self, now_s: float) -> None:
        """Begin a round that takes only URGENT_S, whatever is left of the present one."""
        self._round = deque(self._hub.channel_names())
        self._asked_s, self._ends_s = now_s, now_s + URGENT_S

    def run(self, now_s: float) -> int:
        """Ask about the channels whose turn it is.

        Returns how many were looked at; BATCH means that there are more.
        """
        if not self._round and not self._hub.broker.may_lose_events:
            return 0
        if now_s >= self._ends_s and not self._round:
            self._round.extend(self._hub.channel_names())
            self._ends_s = now_s + CHECK_EVERY_S
            self._asked_s = now_s
        left_s = self._ends_s - self._asked_s
        share = min(1.0, (now_s - self._asked_s) / left_s) if left_s > 0 else 1.0
        count = min(BATCH, ceil(len(self._round) * share))
        for _ in range(count):
            self._ask(self._round.popleft())
        self._asked_s = now_s
        return count

    def _ask(self, name: str) -> None:
        channel = self._hub.channel(name)
        if channel is None or not len(channel) or not channel.rules.has_history:
            return
        done = functools.partial(self._compare, channel)
        self._hub.broker.history(name, HistoryQuery(), channel.rules.retention, done)

    def _compare(self, channel: Channel, view: StreamView | Unavailable) -> None:
        if isinstance(view, Unavailable):
            if not self._hub.broker.may_lose_events:  # there is no next round
                self._round.append(channel.name)
        elif len(channel):
            joining.end_broken(channel.compare(view.top))
