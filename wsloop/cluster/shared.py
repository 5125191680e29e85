"""The one memory broker of all processes, handed out to those who want to hear of it.

A `MemoryBroker` has one hub; this is that hub, and gives each publication, encoded once, to every consumer
that has an interest: sessions of workers, and the hub process's own hub by `LocalBroker`. The memory broker
is told of the first and the last interest in a channel, and so is whoever wants to know that a channel was
occupied or vacated, counted over all processes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import msgspec

from wsloop.cluster import messages
from wsloop.cluster.codec import MAX_MESSAGE_BYTES, LinkError, encode
from wsloop.cluster.interests import Registry
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

if TYPE_CHECKING:
    from wsloop.hub.history import HistoryQuery, Publication, StreamPosition, StreamView
    from wsloop.hub.memory_broker import MemoryBroker

log = logging.getLogger("wsloop.cluster")

ChannelHook = Callable[[str], object]

MAX_PAYLOAD_BYTES = MAX_MESSAGE_BYTES - 4096
"""Of a publication: its data, info and tags. What else is in the message takes less than 4 KiB."""


class Consumer(Protocol):
    """Who wants to hear of channels over a link. Never raises, whatever has become of the link."""

    def deliver(self, data: bytes, /) -> None:
        """Send an encoded event, shared with other consumers."""
        ...


class SharedBroker(BrokerEvents):
    """What `broker` does, for many consumers. `local` is the Broker of this process's own hub.

    `on_occupied` and `on_vacated` are called with a channel's name when the first interest in it comes, and
    when the last has gone.
    """

    def __init__(self, broker: MemoryBroker) -> None:
        self.broker = broker
        self.on_occupied: ChannelHook | None = None
        self.on_vacated: ChannelHook | None = None
        self._registry: Registry[Consumer | LocalBroker] = Registry()
        self.local = LocalBroker(self)
        broker.attach(self)

    def subscribe(self, channel: str, consumer: Consumer | LocalBroker) -> None:
        """Give a consumer the channel's events."""
        if self._registry.add(channel, consumer):
            self.broker.subscribe(channel)
            if self.on_occupied is not None:
                self.on_occupied(channel)

    def unsubscribe(self, channel: str, consumer: Consumer | LocalBroker) -> None:
        """Stop giving them."""
        if self._registry.remove(channel, consumer):
            self.broker.unsubscribe(channel)
            if self.on_vacated is not None:
                self.on_vacated(channel)

    def subscribe_pattern(self, pattern: str, consumer: Consumer | LocalBroker) -> None:
        """Give a consumer the publications of a pattern's channels."""
        if self._registry.add_pattern(pattern, consumer):
            self.broker.subscribe_pattern(pattern)

    def unsubscribe_pattern(self, pattern: str, consumer: Consumer | LocalBroker) -> None:
        """Stop giving what it has for this pattern only."""
        if self._registry.remove_pattern(pattern, consumer):
            self.broker.unsubscribe_pattern(pattern)

    # -- the memory broker calls -------------------------------------------------------------

    def on_publication(self, channel: str, publication: Publication, epoch: str) -> None:
        """See `BrokerEvents.on_publication`."""
        if self._hand_out(
            self._registry.of_publication(channel),
            lambda: messages.Published(
                channel,
                epoch,
                publication.offset,
                publication.data,
                publication.info,
                publication.tags,
                publication.delta,
            ),
        ):
            self.local.events.on_publication(channel, publication, epoch)

    def on_join(self, channel: str, info: bytes) -> None:
        """See `BrokerEvents.on_join`."""
        if self._hand_out(self._registry.of(channel), lambda: messages.Joined(channel, info)):
            self.local.events.on_join(channel, info)

    def on_leave(self, channel: str, info: bytes) -> None:
        """See `BrokerEvents.on_leave`."""
        if self._hand_out(self._registry.of(channel), lambda: messages.Left(channel, info)):
            self.local.events.on_leave(channel, info)

    def on_interrupted(self) -> None:
        """See `BrokerEvents.on_interrupted`: a memory broker loses nothing."""

    def _hand_out(
        self, consumers: tuple[Consumer | LocalBroker, ...], event: Callable[[], messages.Message]
    ) -> bool:
        """Send an event to all consumers over links; return whether this process's hub wants it as well.

        That hears it last: what it does then comes behind the event for all.
        """
        is_wanted_here = False
        data = b""
        for consumer in consumers:
            if isinstance(consumer, LocalBroker):
                is_wanted_here = True
                continue
            if not data:
                try:
                    data = encode(event())
                except LinkError as error:  # of a join: `LocalBroker` and workers bound publications
                    log.error("an event reaches no worker: %s", error.reason)
                    return self.local in consumers
            consumer.deliver(data)
        return is_wanted_here


class LocalBroker(Broker):
    """The Broker of the hub process's own hub: everything at hand, nothing ever lost."""

    may_lose_events = False
    events: BrokerEvents

    def __init__(self, shared: SharedBroker) -> None:
        self._shared = shared
        self._interests: set[str] = set()

    def attach(self, events: BrokerEvents) -> None:
        """See `Broker.attach`."""
        self.events = events

    def subscribe(self, channel: str) -> None:
        """See `Broker.subscribe`."""
        self._interests.add(channel)
        self._shared.subscribe(channel, self)

    def unsubscribe(self, channel: str) -> None:
        """See `Broker.unsubscribe`."""
        self._interests.discard(channel)
        self._shared.unsubscribe(channel, self)

    def subscribe_pattern(self, pattern: str) -> None:
        """See `Broker.subscribe_pattern`."""
        self._shared.subscribe_pattern(pattern, self)

    def unsubscribe_pattern(self, pattern: str) -> None:
        """See `Broker.unsubscribe_pattern`."""
        self._shared.unsubscribe_pattern(pattern, self)

    def confirm(self, name: str, done: Done[None]) -> None:
        """See `Broker.confirm`."""
        self._shared.broker.confirm(name, done)

    def publish(self, channel: str, draft: Draft, retention: Retention, done: Done[Appended]) -> None:
        """See `Broker.publish`. What no link could carry is not appended."""
        if len(draft.data) + len(draft.info) + len(draft.tags) > MAX_PAYLOAD_BYTES:
            done(Unavailable("the publication is too long for a link"))
        else:
            self._shared.broker.publish(channel, draft, retention, done)

    def publish_join(self, channel: str, info: bytes) -> None:
        """See `Broker.publish_join`."""
        self._shared.broker.publish_join(channel, info)

    def publish_leave(self, channel: str, info: bytes) -> None:
        """See `Broker.publish_leave`."""
        self._shared.broker.publish_leave(channel, info)

    def history(
        self, channel: str, query: HistoryQuery, retention: Retention, done: Done[StreamView]
    ) -> None:
        """See `Broker.history`."""
        self._shared.broker.history(channel, query, retention, done)

    def remove_history(self, channel: str, done: Done[StreamPosition]) -> None:
        """See `Broker.remove_history`."""
        self._shared.broker.remove_history(channel, done)

    def expire(self, now_s: float, limit: int) -> int:
        """See `Broker.expire`: here only, for all processes."""
        return self._shared.broker.expire(now_s, limit)

    def statistics(self) -> BrokerStatistics:
        """See `Broker.statistics`."""
        return msgspec.structs.replace(self._shared.broker.statistics(), interests=len(self._interests))
