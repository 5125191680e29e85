"""The in-process twin of the Broker port: streams in a dict, completions before the return.

What it promises ends with the process: the next one draws new epochs, and clients are told
that they were not recovered.

Memory is bounded by time. Each stream with something to lose has one deadline in a heap. It is
not put off when the stream is used; when it comes, `expire` looks what the stream has become:
old publications are dropped, a stream still in use gets its next deadline, and one that no
hub listens to, that holds nothing and was not used for its `meta_ttl_s`, is forgotten. So of
all publishes between two deadlines only the first costs a heap operation.

And it is bounded by amount (`BrokerLimits`), whatever clients do: of what can go, the least recently
used goes first. Publications always leave from a stream's old end, so what is left is contiguous and
the position stays; a stream that is forgotten altogether comes back with another epoch. Either
way a client that knew more is told that it was not recovered.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

import msgspec

from wsloop.hub.broker import Appended, Broker, BrokerEvents, BrokerStatistics, Done, Draft, Retention
from wsloop.hub.history import HistoryQuery, Publication, Stream, StreamPosition, StreamView, new_epoch
from wsloop.hub.idempotency import Keys

if TYPE_CHECKING:
    from collections.abc import Callable

UNNUMBERED = Appended(0, "")
"""The position of a publication in a channel that keeps no history."""

STREAM_BYTES = 2000
"""What a stream with publications takes besides these: its entry, name, deadline and two deques."""

SPARE_DEADLINES = 1000
"""Superseded deadlines that are not worth tidying up."""


class BrokerLimits(msgspec.Struct, frozen=True, gc=False):
    """How much a memory broker keeps at most.

    `memory_bytes`: all streams with publications together, about as the process sees it.
    `key_window_s`: how long a draft's key is remembered; Centrifugo's five minutes, well over the
    20 s that SDKs wait between attempts to connect. `keys` of them at most, about 400 bytes each.
    `spent_streams`: streams whose publications are gone and that nobody listens to, kept for their
    epoch and top, about 500 bytes each. `untouched_streams`: streams that were asked about and
    never published to; fewer and apart, since any client that may read history can name them
    without end.
    """

    memory_bytes: int = 256 * 1024 * 1024
    key_window_s: float = 300.0
    keys: int = 100_000
    spent_streams: int = 100_000
    untouched_streams: int = 10_000


class _Entry:
    """A stream with what the broker needs to let go of it.

    `number` and `size_bytes` of its publications are as they were last counted; `group` is the
    list from which it may be let go, if it is on one.
    """

    __slots__ = ("deadline_s", "group", "meta_ttl_s", "number", "size_bytes", "stream")

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.meta_ttl_s = 0.0
        self.deadline_s = math.inf
        self.number = self.size_bytes = 0
        self.group: OrderedDict[str, None] | None = None


class MemoryBroker(Broker):
    """A broker for the one hub of this process.

    Arguments: `now` returns monotonic seconds; `entropy(n)` returns n random bytes, from which
    epochs are drawn; `limits` of what it keeps.
    """

    may_lose_events = False

    def __init__(
        self,
        now: Callable[[], float],
        entropy: Callable[[int], bytes],
        limits: BrokerLimits | None = None,
    ) -> None:
        self._now = now
        self._entropy = entropy
        self._limits = limits = limits or BrokerLimits()
        self._events: BrokerEvents | None = None
        self._entries: dict[str, _Entry] = {}
        self._interests: set[str] = set()
        # Whoever has one is given all publications, and matches them itself.
        self._patterns: set[str] = set()
        self._deadlines: list[tuple[float, str]] = []
        self._keys = Keys(limits.key_window_s, limits.keys)
        self._held = self._held_bytes = self._evicted = 0
        # Streams by what they could give up, the least recently used first: publications; their
        # own position. Those that have neither to give are on no list.
        self._full: OrderedDict[str, None] = OrderedDict()
        self._spent: OrderedDict[str, None] = OrderedDict()
        self._untouched: OrderedDict[str, None] = OrderedDict()

    def attach(self, events: BrokerEvents) -> None:
        """See `Broker.attach`."""
        self._events = events

    def subscribe(self, channel: str) -> None:
        """See `Broker.subscribe`."""
        self._interests.add(channel)
        entry = self._entries.get(channel)
        if entry is not None:
            self._file(channel, entry)

    def unsubscribe(self, channel: str) -> None:
        """See `Broker.unsubscribe`. The stream's time without use begins now."""
        self._interests.discard(channel)
        entry = self._entries.get(channel)
        if entry is not None:
            entry.stream.used_s = self._now()
            self._file(channel, entry)
            self._queue(channel, entry)

    def subscribe_pattern(self, pattern: str) -> None:
        """See `Broker.subscribe_pattern`."""
        self._patterns.add(pattern)

    def unsubscribe_pattern(self, pattern: str) -> None:
        """See `Broker.unsubscribe_pattern`."""
        self._patterns.discard(pattern)

    def publish(self, channel: str, draft: Draft, retention: Retention, done: Done[Appended]) -> None:
        """See `Broker.publish`. The event comes before the completion, in the same call."""
        if draft.key:
            known = self._keys.find(channel, draft.key, self._now())
            if known is not None:
                done(Appended(known.offset, known.epoch, duplicate=True))
                return
        if retention.size > 0:
            entry = self._touch(channel, retention)
            stream = entry.stream
            if stream.is_outdated(draft):
                done(Appended(stream.top, stream.epoch, duplicate=True))
                return
            publication = stream.append(
                draft, size=retention.size, ttl_s=retention.ttl_s, now_s=stream.used_s
            )
            self._recount(channel, entry)
            self._queue(channel, entry)
            appended = Appended(publication.offset, stream.epoch)
            if self._held_bytes > self._limits.memory_bytes:
                self._evict()
        else:
            publication = Publication(0, draft.data, draft.info, draft.tags, draft.delta)
            appended = UNNUMBERED
        if draft.key:
            self._keys.remember(channel, draft.key, appended, self._now())
        if self._events is not None and (channel in self._interests or self._patterns):
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
        stream = entry.stream
        stream.trim(stream.used_s)
        self._recount(channel, entry)
        self._queue(channel, entry)
        done(stream.read(query))

    def remove_history(self, channel: str, done: Done[StreamPosition]) -> None:
        """See `Broker.remove_history`."""
        entry = self._touch(channel, None)
        entry.stream = Stream(new_epoch(self._entropy), entry.stream.used_s)
        self._recount(channel, entry)
        self._queue(channel, entry)
        done(entry.stream.position)

    def limit_memory(self, memory_bytes: int) -> None:
        """Keep no more than so many bytes from now on; what is too much goes with what comes next."""
        self._limits = msgspec.structs.replace(self._limits, memory_bytes=memory_bytes)

    def expire(self, now_s: float, limit: int) -> int:
        """See `Broker.expire`; forgets keys as well."""
        looked_at = self._keys.expire(now_s, limit)
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
        return BrokerStatistics(
            len(self._entries),
            self._held,
            len(self._interests),
            bytes=self._held_bytes,
            keys=len(self._keys),
            evicted=self._evicted,
        )

    def _touch(self, channel: str, retention: Retention | None) -> _Entry:
        """Return the channel's entry, begun if need be, and mark it as used now."""
        now_s = self._now()
        entry = self._entries.get(channel)
        if entry is None:
            entry = self._entries[channel] = _Entry(Stream(new_epoch(self._entropy), now_s))
            self._file(channel, entry)
        elif entry.group is not None:
            entry.group.move_to_end(channel)
        entry.stream.used_s = now_s
        if retention is not None:
            entry.meta_ttl_s = retention.meta_ttl_s
        return entry

    def _recount(self, channel: str, entry: _Entry) -> None:
        """Take note of what the stream holds after it has changed."""
        number, size_bytes = len(entry.stream), entry.stream.held_bytes
        if number:
            size_bytes += STREAM_BYTES
        was_full = entry.number > 0
        self._held += number - entry.number
        self._held_bytes += size_bytes - entry.size_bytes
        entry.number, entry.size_bytes = number, size_bytes
        if was_full is not (number > 0):
            self._file(channel, entry)

    def _file(self, channel: str, entry: _Entry) -> None:
        """Put a stream that was used just now on the list from which it may be let go.

        A list that is full loses its first, never the newcomer.
        """
        if entry.group is not None:
            del entry.group[channel]
        entry.group = None
        if entry.number:
            entry.group = self._full
        elif channel not in self._interests:
            used = entry.stream.top > 0
            entry.group = self._spent if used else self._untouched
            most = self._limits.spent_streams if used else self._limits.untouched_streams
            if len(entry.group) >= most:
                self._forget(next(iter(entry.group)))
        if entry.group is not None:
            entry.group[channel] = None

    def _forget(self, channel: str) -> None:
        """Forget a stream that holds nothing; its deadline stays in the heap until it is tidied."""
        group = self._entries.pop(channel).group
        assert group is not None, "what is neither full nor subscribed to is on a list"
        del group[channel]

    def _evict(self) -> None:
        """Let the oldest publications of the least recently used streams go until the rest fits."""
        while self._held_bytes > self._limits.memory_bytes and self._full:
            channel = next(iter(self._full))
            entry = self._entries[channel]
            too_much = self._held_bytes - self._limits.memory_bytes
            enough_bytes = entry.stream.held_bytes - too_much
            before = len(entry.stream)
            while len(entry.stream) and entry.stream.held_bytes > enough_bytes:
                entry.stream.drop_oldest()
            self._evicted += before - len(entry.stream)
            self._recount(channel, entry)

    def _look_at(self, channel: str, entry: _Entry, now_s: float) -> None:
        """Trim a stream whose deadline has come, then forget it or queue it anew."""
        entry.deadline_s = math.inf
        stream = entry.stream
        stream.trim(now_s)
        self._recount(channel, entry)
        idle = not len(stream) and channel not in self._interests
        if idle and now_s >= stream.used_s + entry.meta_ttl_s:
            self._forget(channel)
        else:
            self._queue(channel, entry)

    def _queue(self, channel: str, entry: _Entry) -> None:
        """Give the stream its deadline, unless it has an earlier one or nothing to lose.

        The superseded deadline stays in the heap and is skipped when it comes; when most of the
        heap is such, it is made anew.
        """
        deadline_s = entry.stream.oldest_expiry_s
        if deadline_s is None:
            if channel in self._interests:
                return
            deadline_s = entry.stream.used_s + entry.meta_ttl_s
        if deadline_s < entry.deadline_s:
            entry.deadline_s = deadline_s
            if len(self._deadlines) > 2 * len(self._entries) + SPARE_DEADLINES:
                self._deadlines = [
                    (each.deadline_s, name)
                    for name, each in self._entries.items()
                    if each.deadline_s < math.inf
                ]
                heapify(self._deadlines)
            else:
                heappush(self._deadlines, (deadline_s, channel))
