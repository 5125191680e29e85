"""Workers whose link has ended, and that are dead or about to come back.

Presence has forgotten their clients already. Their leaves wait for LEAVE_AFTER_S: a worker that is alive
links again within it, and then nobody has heard that a thousand clients left and joined. A new
process in the worker's slot proves that the old one is dead, and does not wait.
"""

from __future__ import annotations

import functools
from collections import deque
from typing import TYPE_CHECKING

from wsloop.cluster.messages import Announcement

if TYPE_CHECKING:
    from wsloop.cluster.session import Session
    from wsloop.cluster.shared import SharedBroker
    from wsloop.cluster.standing import Joins
    from wsloop.loop.reactor import Reactor
    from wsloop.loop.wheel import Timer

LEAVE_AFTER_S = 2.0
"""The first attempts of a worker to link again come after 0.1, 0.2, 0.4 and 0.8 s, and half as much more."""

PER_TURN = 500
"""Joins and leaves handed out in one turn: some milliseconds."""


class Departures:
    """Sessions that have ended and may be taken up again, by the `uid` of the worker."""

    def __init__(self, reactor: Reactor, shared: SharedBroker) -> None:
        self._reactor = reactor
        self._shared = shared
        self._timers: dict[str, Timer] = {}
        self._sessions: dict[str, list[Session]] = {}
        self._to_tell: deque[tuple[Announcement, bool]] = deque()
        self._is_telling = False

    def slots(self) -> list[int]:
        """Return the slots of workers that may still come back."""
        return [sessions[-1].slot for uid, sessions in self._sessions.items() if uid in self._timers]

    def add(self, session: Session) -> None:
        """Note that a session that was greeted has ended."""
        uid = session.uid
        self._sessions.setdefault(uid, []).append(session)
        if uid not in self._timers:
            bury = functools.partial(self.bury, uid)
            self._timers[uid] = self._reactor.call_later(LEAVE_AFTER_S, bury)

    def take(self, uid: str) -> Joins | None:
        """Return the joins that others have heard of a worker that has come back; None if it was given up.

        What it had an interest in is kept until `settle`.
        """
        timer = self._timers.pop(uid, None)
        if timer is None:
            return None
        self._reactor.cancel(timer)
        return self._sessions[uid][-1].heard

    def settle(self, session: Session) -> None:
        """Tell the difference between what a restored worker holds and what others have heard."""
        for earlier in self._sessions.pop(session.uid, ()):
            earlier.lose_interest()
        told, session.told = session.told, None
        if told is None:
            return
        said = session.said
        for join in told.all():
            self._tell(join, told.count(join.channel, join.info) - said.count(join.channel, join.info))
        for join in said.all():
            if not told.count(join.channel, join.info):
                self._tell(join, -join.count)

    def bury_slot(self, slot: int, uid: str) -> None:
        """Give up all workers of a slot but the one with this uid."""
        gone = [each for each, sessions in self._sessions.items() if sessions[-1].slot == slot]
        for each in gone:
            if each != uid:
                self.bury(each)

    def bury(self, uid: str) -> None:
        """Give up a worker: all its clients have left."""
        timer = self._timers.pop(uid, None)
        if timer is not None:
            self._reactor.cancel(timer)
        sessions = self._sessions.pop(uid)
        for join in sessions[-1].heard.all():
            self._tell(join, join.count)
        for session in sessions:
            session.lose_interest()

    def hand_out(self, channel: str, info: bytes, *, is_leave: bool) -> None:
        """Hand out a join or leave that a worker says now, behind those that wait: it may revoke one."""
        if self._to_tell:
            self._to_tell.append((Announcement(channel, info, 1), is_leave))
        else:
            self._publish(channel, info, is_leave=is_leave)

    def close(self) -> None:
        """Forget everything."""
        for timer in self._timers.values():
            self._reactor.cancel(timer)
        self._timers.clear()
        self._sessions.clear()
        self._to_tell.clear()

    def _tell(self, join: Announcement, surplus: int) -> None:
        """Have leaves handed out for joins that are too many, joins for those that are too few."""
        for _ in range(abs(surplus)):
            self._to_tell.append((join, surplus > 0))
        if self._to_tell and not self._is_telling:
            self._is_telling = True
            self._reactor.call_soon(self._go_on)

    def _go_on(self) -> None:
        for _ in range(min(PER_TURN, len(self._to_tell))):
            join, is_leave = self._to_tell.popleft()
            self._publish(join.channel, join.info, is_leave=is_leave)
        self._is_telling = bool(self._to_tell)
        if self._is_telling:
            self._reactor.call_soon(self._go_on)

    def _publish(self, channel: str, info: bytes, *, is_leave: bool) -> None:
        broker = self._shared.broker
        (broker.publish_leave if is_leave else broker.publish_join)(channel, info)
