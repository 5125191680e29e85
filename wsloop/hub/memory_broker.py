"""The in-process twin of the Broker port: streams in a dict, completions before the return.

What it promises ends with the process: the next one draws new epochs, and clients are told
that they were not recovered.

Memory is bounded by time. Each stream with something to lose has one deadline in a heap. It is
not put off when the stream is used; when it comes, `expire` looks what the stream has become:
old publications are dropped, a stream still in use gets its next deadline, and one that no
hub listens to, that holds nothing and was not used for its `meta_ttl_s`, is forgotten. So of
all publishes between two deadlines only the first costs a heap operation.
"""

from __future__ import annotations

import math
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from wsloop.hub.broker import Appended, Broker, BrokerEvents, BrokerStatistics, Done, Draft, Retention
from wsloop.hub.history import HistoryQuery, Publication, Stream, StreamPosition, StreamView, new_epoch
from wsloop.hub.patterns import Patterns

if TYPE_CHECKING:
    from collections.abc import Callable

UNTOUCHED_STREAMS = 10_000
"""Channels that were asked about and never published to, kept for their epoch. Whoever asks for
the history of names without end pushes the oldest out, some MiB in all."""

UNNUMBERED = Appended(0, "")
"""The position of a publication in a channel that keeps no history."""


class _Entry:
    """A stream with what the broker needs to let go of it."""

    __slots__ = ("deadline_s", "meta_ttl_s", "stream")

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.meta_ttl_s = 0.0
        self.deadline_s = math.inf


class MemoryBroker(Broker):
    """A broker for the one hub of this process.

    Arguments: `now` returns monotonic seconds; `entropy(n)` returns n random bytes, from which
    epochs are drawn.
    """

    def __init__(self, now: Callable[[], float], entropy: Callable[[int], bytes]) -> None:
        self._now = now
        self._entropy = entropy
        self._events: BrokerEvents | None = None
        self._entries: dict[str, _Entry] = {}
        self._interests: set[str] = set()
        self._patterns: Patterns[bool] = Patterns()
        self._deadlines: list[tuple[float, str]] = []
        self._held = 0
        # Streams that were asked about and never published to, the oldest first.
        self._untouched: dict[str, None] = {}

    def attach(self, events: BrokerEvents) -> None:
        """See `Broker.attach`."""
        self._events = events

    def subscribe(self, channel: str) -> None:
        """See `Broker.subscribe`."""
        self._interests.add(channel)

    def unsubscribe(self, channel: str) -> None:
        """See `Broker.unsubscribe`. The stream's time without use begins now."""
        self._interests.discard(channel)
        entry = self._entries.get(channel)
        if entry is not None:
            entry.stream.used_s = self._now()
            self._queue(channel, entry)

    def subscribe_pattern(self, pattern: str) -> None:
        """See `Broker.subscribe_pattern`."""
        self._patterns.add(pattern, True)

    def unsubscribe_pattern(self, pattern: str) -> None:
        """See `Broker.unsubscribe_pattern`."""
        self._patterns.remove(pattern)

    def publish(self, channel: str, draft: Draft, retention: Retention, done: Done[Appended]) -> None:
        """See `Broker.publish`. The event comes before the completion, in the same call."""
        if retention.size > 0:
            entry = self._touch(channel, retention)
            stream = entry.stream
            if not stream.top:
                self._untouched.pop(channel, None)
            held_before = len(stream)
            publication = stream.append(
                draft, size=retention.size, ttl_s=retention.ttl_s, now_s=stream.used_s
            )
            self._held += len(stream) - held_before
            self._queue(channel, entry)
            appended = Appended(publication.offset, stream.epoch)
        else:
            publication = Publication(0, draft.data, draft.info, draft.tags, draft.delta)
            appended = UNNUMBERED
        if self._events is not None and (channel in self._interests or self._patterns.match(channel)):
            self._events.on_publication(channel, publication, appended.epoch)
        done(appended)

    def publish_join(self, channel: str, info: bytes) -> None:
        """See `Broker.publish_join`."""
        if self._events is not None and channel in self._interests:
            self._events.on_join(channel, info)

    def publish_leave(self, channel: str, info: bytes) -> None:
        """See `Broker.publish_leave`."""
        if self._events is not None and channel in self._interests:
            self._events.on_leave(channel, info)

    def history(
        self, channel: str, query: HistoryQuery, retention: Retention, done: Done[StreamView]
    ) -> None:
        """See `Broker.history`."""
        entry = self._touch(channel, retention)
        self._trim(entry.stream, entry.stream.used_s)
        self._queue(channel, entry)
        done(entry.stream.read(query))

    def remove_history(self, channel: str, done: Done[StreamPosition]) -> None:
        """See `Broker.remove_history`."""
        entry = self._touch(channel, None)
        self._held -= len(entry.stream)
        entry.stream = Stream(new_epoch(self._entropy), entry.stream.used_s)
        self._untouched.pop(channel, None)
        self._queue(channel, entry)
        done(entry.stream.position)

    def expire(self, now_s: float, limit: int) -> int:
        """See `Broker.expire`."""
        looked_at = 0
        deadlines = self._deadlines
        while deadlines and deadlines[0][0] <= now_s and looked_at < limit:
            deadline_s, channel = heappop(deadlines)
            entry = self._entries.get(channel)
            if entry is not None and entry.deadline_s == deadline_s:
                self._look_at(channel, entry, now_s)
            looked_at += 1
        return looked_at

    def statistics(self) -> BrokerStatistics:
        """See `Broker.statistics`."""
        return BrokerStatistics(len(self._entries), self._held, len(self._interests))

    def _touch(self, channel: str, retention: Retention | None) -> _Entry:
        """Return the channel's entry, begun if need be, and mark it as used now."""
        now_s = self._now()
        entry = self._entries.get(channel)
        if entry is None:
            entry = self._entries[channel] = _Entry(Stream(new_epoch(self._entropy), now_s))
            self._untouched[channel] = None
            if len(self._untouched) > UNTOUCHED_STREAMS:
                self._forget_untouched()
        entry.stream.used_s = now_s
        if retention is not None:
            entry.meta_ttl_s = retention.meta_ttl_s
        return entry

    def _forget_untouched(self) -> None:
        """Forget the oldest stream that was only asked about, if nobody listens to it now."""
        oldest = next(iter(self._untouched))
        del self._untouched[oldest]
        if oldest not in self._interests:
            del self._entries[oldest]

    def _trim(self, stream: Stream, now_s: float) -> None:
        held_before = len(stream)
        stream.trim(now_s)
        self._held += len(stream) - held_before

    def _look_at(self, channel: str, entry: _Entry, now_s: float) -> None:
        """Trim a stream whose deadline has come, then forget it or queue it anew."""
        entry.deadline_s = math.inf
        stream = entry.stream
        self._trim(stream, now_s)
        idle = not len(stream) and channel not in self._interests
        if idle and now_s >= stream.used_s + entry.meta_ttl_s:
            del self._entries[channel]
            self._untouched.pop(channel, None)
        else:
            self._queue(channel, entry)

    def _queue(self, channel: str, entry: _Entry) -> None:
        """Give the stream its deadline, unless it has an earlier one or nothing to lose.

        The superseded deadline stays in the heap and is skipped when it comes.
        """
        deadline_s = entry.stream.oldest_expiry_s
        if deadline_s is None:
            if channel in self._interests:
                return
            deadline_s = entry.stream.used_s + entry.meta_ttl_s
        if deadline_s < entry.deadline_s:
            entry.deadline_s = deadline_s
            heappush(self._deadlines, (deadline_s, channel))
