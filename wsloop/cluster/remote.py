"""The ports `Broker` and `Presence` of a worker: what they are asked is said on its uplink."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from wsloop.cluster import messages
from wsloop.cluster.codec import bounded
from wsloop.hub.broker import (
    Appended,
    Broker,
    BrokerEvents,
    BrokerStatistics,
    Done,
    Draft,
    Retention,
    Unavailable,
)
from wsloop.hub.history import HistoryQuery, Publication, StreamPosition, StreamView
from wsloop.hub.presence import Presence, PresenceStats

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wsloop.cluster.uplink import Uplink


class RemoteBroker(Broker):
    """The broker of the hub process, for the one hub of this worker.

    What has an answer is answered `Unavailable` while there is no link; joins and leaves are lost then. It
    knows its interests itself, and tells them again on each link. A link is one stream, which loses nothing
    but by its end, and that the hub is told of: so it need not look for losses. Of the statistics, all but
    the interests are the hub process's, a second old.
    """

    may_lose_events = False

    def __init__(self, uplink: Uplink) -> None:
        self._uplink = uplink
        self._standing = uplink.standing
        self._said = self._confirmed = 0  # the numbers of the last interest said, and of the last that holds
        self._confirmed_on = 0  # the link, by its number, on which it does

    def attach(self, events: BrokerEvents) -> None:
        """See `Broker.attach`."""
        self._uplink.events = events

    def subscribe(self, channel: str) -> None:
        """See `Broker.subscribe`."""
        channels = self._standing.channels
        if channel not in channels and self._uplink.say(messages.Interests((channel,))):
            channels[channel] = self._next_number()

    def unsubscribe(self, channel: str) -> None:
        """See `Broker.unsubscribe`."""
        if channel in self._standing.channels:
            del self._standing.channels[channel]
            self._uplink.say(messages.Disinterest(channel))

    def subscribe_pattern(self, pattern: str) -> None:
        """See `Broker.subscribe_pattern`."""
        patterns = self._standing.patterns
        if pattern not in patterns and self._uplink.say(messages.Interests((), (pattern,))):
            patterns[pattern] = self._next_number()

    def unsubscribe_pattern(self, pattern: str) -> None:
        """See `Broker.unsubscribe_pattern`."""
        if pattern in self._standing.patterns:
            del self._standing.patterns[pattern]
            self._uplink.say(messages.Disinterest(pattern, is_pattern=True))

    def confirm(self, name: str, done: Done[None]) -> None:
        """See `Broker.confirm`: of interests said since the last answer the hub process is asked."""
        standing, said, link = self._standing, self._said, self._uplink.links
        if self._confirmed_on != link:
            self._confirmed_on, self._confirmed = link, 0
        number = standing.channels.get(name) or standing.patterns.get(name, 0)
        if number <= self._confirmed:
            done(None)
            return

        def answered(answer: Unavailable | None) -> None:
            if answer is None:
                self._confirmed = max(self._confirmed, said)
            done(answer)

        self._uplink.ask_broker(
            lambda question: messages.Confirm(question, name), messages.Confirmed, _nothing, answered
        )

    def _next_number(self) -> int:
        self._said += 1
        return self._said

    def publish(self, channel: str, draft: Draft, retention: Retention, done: Done[Appended]) -> None:
        """See `Broker.publish`."""
        self._uplink.ask_broker(
            lambda number: messages.Publish(
                number,
                channel,
                draft.data,
                bounded(retention.size),
                retention.ttl_s,
                retention.meta_ttl_s,
                draft.info,
                draft.tags,
                draft.key,
                bounded(draft.version),
                draft.version_epoch,
                draft.delta,
            ),
            messages.Placed,
            _appended,
            done,
        )

    def publish_join(self, channel: str, info: bytes) -> None:
        """See `Broker.publish_join`."""
        if self._uplink.say(messages.JoinSaid(channel, info)):
            self._standing.joins.add(channel, info)

    def publish_leave(self, channel: str, info: bytes) -> None:
        """See `Broker.publish_leave`."""
        self._standing.joins.remove(channel, info)
        self._uplink.say(messages.LeaveSaid(channel, info))

    def history(
        self, channel: str, query: HistoryQuery, retention: Retention, done: Done[StreamView]
    ) -> None:
        """See `Broker.history`."""
        self._uplink.ask_broker(
            lambda number: messages.ReadHistory(
                number,
                channel,
                bounded(query.limit),
                None if query.since is None else bounded(query.since),
                query.reverse,
                None if query.max_bytes is None else bounded(query.max_bytes),
                bounded(retention.size),
                retention.ttl_s,
                retention.meta_ttl_s,
            ),
            messages.View,
            _view,
            done,
        )

    def remove_history(self, channel: str, done: Done[StreamPosition]) -> None:
        """See `Broker.remove_history`."""
        self._uplink.ask_broker(
            lambda number: messages.RemoveHistory(number, channel), messages.View, _position, done
        )

    def expire(self, now_s: float, limit: int) -> int:
        """See `Broker.expire`: it is the hub process that does it."""
        return 0

    def statistics(self) -> BrokerStatistics:
        """See `Broker.statistics`."""
        told = self._uplink.broker_statistics
        return msgspec.structs.replace(told, interests=len(self._standing.channels))


class RemotePresence(Presence):
    """The presence of the hub process; it knows its own clients itself, and tells them again on each link."""

    def __init__(self, uplink: Uplink) -> None:
        self._uplink = uplink

    def add(self, channel: str, client: str, user: str, info: bytes) -> None:
        """See `Presence.add`."""
        if self._uplink.say(messages.Members((messages.Member(channel, client, user, info),))):
            self._uplink.standing.add_member(channel, client, user, info)

    def remove(self, channel: str, client: str) -> None:
        """See `Presence.remove`."""
        self._uplink.standing.remove_member(channel, client)
        self._uplink.say(messages.Absence(channel, client))

    def members(self, channel: str, done: Done[Mapping[str, bytes]]) -> None:
        """See `Presence.members`."""
        self._uplink.ask_broker(
            lambda number: messages.ListMembers(number, channel), messages.MemberList, _members, done
        )

    def stats(self, channel: str, done: Done[PresenceStats]) -> None:
        """See `Presence.stats`."""
        self._uplink.ask_broker(
            lambda number: messages.CountMembers(number, channel), messages.MemberCount, _stats, done
        )


def _nothing(_answer: messages.Confirmed) -> None:
    return None


def _appended(answer: messages.Placed) -> Appended:
    return Appended(answer.offset, answer.epoch, answer.duplicate)


def _position(answer: messages.View) -> StreamPosition:
    return StreamPosition(answer.offset, answer.epoch)


def _view(answer: messages.View) -> StreamView:
    publications = tuple(
        Publication(line.offset, line.data, line.info, line.tags, line.delta) for line in answer.publications
    )
    return StreamView(StreamPosition(answer.offset, answer.epoch), publications)


def _members(answer: messages.MemberList) -> Mapping[str, bytes]:
    return answer.members


def _stats(answer: messages.MemberCount) -> PresenceStats:
    return PresenceStats(answer.clients, answer.users)
