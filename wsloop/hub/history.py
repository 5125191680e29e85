"""A channel's stream: its epoch, its top offset and the publications still kept.

Pure data and arithmetic. Which clients see a publication is `channels.py`; who owns the
streams is `memory_broker.py`; neither is known here. The recovery rule, the heart of a
reconnect, is the short function `missed` at the end.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.hub.broker import Draft

EPOCH_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef"
"""32 letters, so that five bits of entropy choose one without bias."""

EPOCH_LENGTH = 8
"""40 bits: two lives of one stream have the same name once in 10^12."""


PUBLICATION_BYTES = 200
"""What a kept publication takes besides its data, info and tags: the objects' own sizes."""

LINE_BYTES = 32
"""What a publication takes in a reply besides its data, info and tags: the keys' names, the offset."""


class StreamPosition(msgspec.Struct, frozen=True, gc=False):
    """A place in a stream: `offset` of the last publication seen, in the life named `epoch`.

    `StreamPosition(0, "")` stands for a channel that keeps no history.
    """

    offset: int
    epoch: str


class Publication(msgspec.Struct, frozen=True, gc=False):
    """One message in a channel.

    `offset` counts from 1 within an epoch, and is 0 where no history is kept. `data` is the
    payload, JSON on one line, never parsed. `info` is the publisher as JSON, or b"" for a
    publication made by the server. `tags` is a JSON object of strings, or b"". `delta`: whoever
    published wants subscribers that can to be given the difference to the one before.
    """

    offset: int
    data: bytes
    info: bytes = b""
    tags: bytes = b""
    delta: bool = False

    @property
    def payload_bytes(self) -> int:
        """How long its data, info and tags are together."""
        return len(self.data) + len(self.info) + len(self.tags)


class StreamView(msgspec.Struct, frozen=True):
    """What a read of a stream found, all at one instant: its top and some publications."""

    top: StreamPosition
    publications: tuple[Publication, ...] = ()


class HistoryQuery(msgspec.Struct, frozen=True, gc=False):
    """Which publications to read.

    `limit` of them at most; 0 asks for the position only. With `since`, those after that
    offset. With `reverse`, newest first, and those before `since`. With `max_bytes`, no more than
    take that many bytes in a reply (`LINE_BYTES` each besides their payload), but always one: who
    reads page by page gets on.
    """

    limit: int = 0
    since: int | None = None
    reverse: bool = False
    max_bytes: int | None = None


def new_epoch(entropy: Callable[[int], bytes]) -> str:
    """Return the name of a stream's life: 8 letters drawn from `entropy(8)`."""
    return "".join(EPOCH_LETTERS[byte & 31] for byte in entropy(EPOCH_LENGTH))


class Stream:
    """The last publications of one channel, bounded by number and by age.

    The offsets kept are always contiguous and end at `top`: publications leave only from the
    old end. Hence a read by offset is index arithmetic, and no offset is stored twice.
    `held_bytes`: what the publications kept take in memory.
    """

    __slots__ = (
        "_expiries_s", "_publications", "_version", "_version_epoch", "epoch", "held_bytes", "top", "used_s",
    )  # fmt: skip

    def __init__(self, epoch: str, now_s: float) -> None:
        self.epoch = epoch
        self.top = 0
        self.used_s = now_s
        self.held_bytes = 0
        # Deques only while there are publications: two of them take more than all the rest.
        self._publications: deque[Publication] | tuple[()] = ()
        self._expiries_s: deque[float] | tuple[()] = ()
        self._version = 0
        self._version_epoch = ""

    def __len__(self) -> int:
        return len(self._publications)

    @property
    def position(self) -> StreamPosition:
        """The top of the stream."""
        return StreamPosition(self.top, self.epoch)

    @property
    def oldest_expiry_s(self) -> float | None:
        """When the oldest publication outlives its time, or None if none is kept."""
        return self._expiries_s[0] if self._expiries_s else None

    def is_outdated(self, draft: Draft) -> bool:
        """Return whether the draft has a version, and not one above the last of its version epoch.

        A draft that names no version epoch is compared with the last of any.
        """
        return 0 < draft.version <= self._version and draft.version_epoch in ("", self._version_epoch)

    def append(self, draft: Draft, *, size: int, ttl_s: float, now_s: float) -> Publication:
        """Add a publication and return it; the oldest beyond `size` and beyond their time leave."""
        self.top += 1
        publication = Publication(self.top, draft.data, draft.info, draft.tags, draft.delta)
        if isinstance(self._publications, tuple) or isinstance(self._expiries_s, tuple):
            self._publications, self._expiries_s = deque(), deque()
        self._publications.append(publication)
        self._expiries_s.append(now_s + ttl_s)
        self.held_bytes += PUBLICATION_BYTES + publication.payload_bytes
        self.used_s = now_s
        if draft.version:
            self._version, self._version_epoch = draft.version, draft.version_epoch
        while len(self._publications) > size:
            self.drop_oldest()
        self.trim(now_s)
        return publication

    def trim(self, now_s: float) -> None:
        """Drop the publications whose time to live has ended; the position stays."""
        while self._expiries_s and self._expiries_s[0] <= now_s:
            self.drop_oldest()

    def drop_oldest(self) -> None:
        """Drop the oldest publication, of which there must be one; the position stays."""
        assert isinstance(self._publications, deque)
        assert isinstance(self._expiries_s, deque)
        publication = self._publications.popleft()
        self._expiries_s.popleft()
        self.held_bytes -= PUBLICATION_BYTES + publication.payload_bytes
        if not self._publications:
            self._publications = self._expiries_s = ()

    def read(self, query: HistoryQuery) -> StreamView:
        """Return the top and what `query` asks for, of what is still kept."""
        if query.limit <= 0:
            return StreamView(self.position)
        kept = self._publications
        before_first = self.top - len(kept)
        if query.reverse:
            end = len(kept) if query.since is None else query.since - 1 - before_first
            end = max(0, min(end, len(kept)))
            found = tuple(islice(kept, max(0, end - query.limit), end))[::-1]
        else:
            start = 0 if query.since is None else query.since - before_first
            start = max(0, min(start, len(kept)))
            found = tuple(islice(kept, start, start + query.limit))
        if query.max_bytes is not None:
            found = found[: _count_within(found, query.max_bytes)]
        return StreamView(self.position, found)


def _count_within(publications: tuple[Publication, ...], max_bytes: int) -> int:
    """Return how many of them, from the first on, take `max_bytes` in a reply; at least one."""
    left = max_bytes
    for count, publication in enumerate(publications):
        left -= LINE_BYTES + publication.payload_bytes
        if left < 0:
            return max(1, count)
    return len(publications)


def missed(view: StreamView, offset: int, epoch: str) -> tuple[Publication, ...] | None:
    """Return what a client at (`offset`, `epoch`) has missed, or None if that cannot be told.

    `view` must come from a query with `since=offset` and the recovery limits. The rule is
    Centrifugo's: the epoch is the same (or the client names none), and either nothing is newer
    and the client stands at the top, or the newer ones begin right after its offset and reach
    the top without a limit cutting them off.
    """
    if epoch not in ("", view.top.epoch):
        return None
    newer = view.publications
    if not newer:
        return () if view.top.offset == offset else None
    whole = newer[0].offset == offset + 1 and newer[-1].offset == view.top.offset
    return newer if whole else None


def latest(view: StreamView, offset: int, epoch: str) -> tuple[Publication, ...] | None:
    """Return what a client at (`offset`, `epoch`) is given that wants the newest publication only.

    `view` must come from a reverse query for one. The rule is Centrifugo's for its cache mode: the
    newest one, whatever was missed before it; nothing if the client stands at the top already; None, not
    recovered, if no publication is kept and it does not.
    """
    is_at_top = offset > 0 and StreamPosition(offset, epoch) == view.top
    if is_at_top:
        return ()
    return view.publications[:1] or None
