"""The Broker port: where publications are ordered, kept and handed to every hub.

The hub knows a broker only through these protocols, so the in-process twin
(`memory_broker.py`), a broker in another process or Redis can stand behind it. A port
completes by callback even where the answer is at hand, and then calls it before the method
returns; the hub is written so that it may as well come later.

Order is part of the contract. Events and completions of one broker reach a hub in one
sequence: a read that reports top k completes after the event of k and before the event of
k + 1. That is what lets a subscriber join without a gap and without a buffer: the hub
registers it in the very tick in which the read completes. Every broker proves this with the
suite in `wsloop/testing/contracts/broker.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec

if TYPE_CHECKING:
    from wsloop.hub.history import HistoryQuery, Publication, StreamPosition, StreamView

Result = TypeVar("Result")


class Unavailable(msgspec.Struct, frozen=True, gc=False):
    """Given to a completion instead of a result: the broker could not do it. `reason` is for the log."""

    reason: str


Done = Callable[[Result | Unavailable], object]
"""A completion: called exactly once, with the result or `Unavailable`; it does not raise."""


class Retention(msgspec.Struct, frozen=True, gc=False):
    """How much of a channel is kept.

    `size` publications, each for `ttl_s` seconds; size 0 keeps none and numbers none. The
    stream's epoch and top outlive the publications by `meta_ttl_s` seconds without use.
    """

    size: int = 0
    ttl_s: float = 0.0
    meta_ttl_s: float = 3600.0


class Draft(msgspec.Struct, frozen=True, gc=False):
    """A publication that has no place yet.

    `data` is one line of JSON, `info` the publisher as JSON or b"", `tags` a JSON object of
    strings or b"". They are kept: immutable bytes of their own, no views into a larger buffer.

    `key`, unless "": the publication is appended once for all drafts with the same key in the
    same channel within the broker's idempotency window, with history or without. Whoever makes the
    key puts into it whom it is unique for. `version`, unless 0: appended only if it is above the
    last one of the same `version_epoch`, or of any if that is ""; without history it means nothing.
    `delta`: see `Publication`.
    """

    data: bytes
    info: bytes = b""
    tags: bytes = b""
    key: str = ""
    version: int = 0
    version_epoch: str = ""
    delta: bool = False


class Appended(msgspec.Struct, frozen=True, gc=False):
    """Where a publication stands: its position, or with `duplicate` that of the one it repeats.

    `offset` 0 and `epoch` "" in a channel that keeps no history. A duplicate of a key has the
    position that the first draft was given, whatever has become of the stream since; a draft
    whose `version` was not above the last is a duplicate at the top.
    """

    offset: int
    epoch: str
    duplicate: bool = False


class BrokerEvents(Protocol):
    """What a broker tells a hub, for the channels the hub has subscribed to."""

    def on_publication(self, channel: str, publication: Publication, epoch: str) -> None:
        """Take a publication of the stream's life `epoch`; offset 0 and epoch "" without history."""
        ...

    def on_join(self, channel: str, info: bytes) -> None:
        """Hear that a client, described by the JSON `info`, is now in the channel."""
        ...

    def on_leave(self, channel: str, info: bytes) -> None:
        """Hear that a client, described by the JSON `info`, is in the channel no longer."""
        ...

    def on_interrupted(self) -> None:
        """Hear that events may have been lost, of any channel: positions are worth comparing now.

        Only from a broker that is not in this process. What is asked of it from here on is answered as
        promised again.
        """
        ...


class BrokerStatistics(msgspec.Struct, frozen=True, gc=False):
    """A snapshot: streams known, publications kept in them, channels with a hub's interest.

    `bytes`: what the streams with publications take in memory, as the broker counts it; `keys`
    remembered of drafts; `evicted`: publications that had to go before their time, since the
    start. What a store does not know is 0.
    """

    streams: int
    publications: int
    interests: int
    bytes: int = 0
    keys: int = 0
    evicted: int = 0


class Broker(Protocol):
    """Orders and keeps the publications of all channels.

    One total order per channel, the same for every hub; FIFO per publishing hub.
    """

    may_lose_events: bool
    """Whether an event may fail to reach the hub and nobody tells (`on_interrupted`), as where the store
    drops them: then the hub compares its positions with the broker's from time to time."""

    def attach(self, events: BrokerEvents) -> None:
        """Name the hub that hears of events; called once, before anything else."""
        ...

    def subscribe(self, channel: str) -> None:
        """Give the hub the channel's events, from the next operation on. Idempotent."""
        ...

    def unsubscribe(self, channel: str) -> None:
        """Stop giving the hub the channel's events. Idempotent."""
        ...

    def subscribe_pattern(self, pattern: str) -> None:
        """Give the hub the publications of all channels that a pattern matches (`patterns.py`). Idempotent.

        Each is given once, however many patterns and subscriptions it is wanted for. A broker may
        give more than match; joins and leaves are not given.
        """
        ...

    def unsubscribe_pattern(self, pattern: str) -> None:
        """Stop giving the hub what it has for this pattern only. Idempotent."""
        ...

    def confirm(self, name: str, done: Done[None]) -> None:
        """Call `done` once the hub is given what is published from then on, in a channel or for a pattern.

        The hub has subscribed to it; in a broker of another process that takes its time. By default: at once.
        """
        done(None)

    def publish(self, channel: str, draft: Draft, retention: Retention, done: Done[Appended]) -> None:
        """Append and hand out a publication; `done` gets its position once it is appended.

        A duplicate is neither appended nor handed out.
        """
        ...

    def publish_join(self, channel: str, info: bytes) -> None:
        """Hand out a join event. Best effort: joins are neither numbered nor kept."""
        ...

    def publish_leave(self, channel: str, info: bytes) -> None:
        """Hand out a leave event. Best effort, like a join."""
        ...

    def history(
        self, channel: str, query: HistoryQuery, retention: Retention, done: Done[StreamView]
    ) -> None:
        """Read a stream at one instant; a stream never heard of is begun, at offset 0."""
        ...

    def remove_history(self, channel: str, done: Done[StreamPosition]) -> None:
        """Forget the publications and begin a new epoch; `done` gets the new position."""
        ...

    def expire(self, now_s: float, limit: int) -> int:
        """Forget what has outlived its time, looking at `limit` streams at most.

        Returns the number of streams looked at: `limit` means that there may be more. A
        store that expires by itself returns 0.
        """
        ...

    def statistics(self) -> BrokerStatistics:
        """Return a snapshot; costs no walk over the streams."""
        ...
