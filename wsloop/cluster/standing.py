"""What a worker has said to the hub process and still holds: it is said again on each new link.

Interests in channels and patterns, the presence of clients, and joins whose leave is still to come. The
other end forgets them with the link, so that nothing of a dead worker stays behind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from wsloop.cluster.messages import Announced, Announcement, Interests, Member, Members

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from wsloop.cluster.messages import Message

BATCH = 500
BATCH_BYTES = 256 * 1024
"""Entries in one message, and what they take: less than a millisecond for either end. One entry alone can be
longer, and was said alone before, so it can be written."""

_Entry = TypeVar("_Entry")


class Joins:
    """Joins that were said and whose leave was not, with how often: two clients may look alike."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: dict[tuple[str, bytes], int] = {}

    def __len__(self) -> int:
        return len(self._counts)

    def add(self, channel: str, info: bytes) -> None:
        """Count a join."""
        self._counts[channel, info] = self.count(channel, info) + 1

    def set(self, channel: str, info: bytes, count: int) -> None:
        """Let `count` joins, at least one, be what holds."""
        self._counts[channel, info] = count

    def remove(self, channel: str, info: bytes) -> None:
        """Count a join out; no effect on an unknown one."""
        count = self.count(channel, info)
        if count > 1:
            self._counts[channel, info] = count - 1
        else:
            self._counts.pop((channel, info), None)

    def count(self, channel: str, info: bytes) -> int:
        """Return how often a join holds."""
        return self._counts.get((channel, info), 0)

    def all(self) -> list[Announcement]:
        """Return all that hold now."""
        return [Announcement(channel, info, count) for (channel, info), count in self._counts.items()]


class Standing:
    """What holds: `channels` and `patterns` with the numbers of their interests; `members`, `joins`."""

    __slots__ = ("channels", "joins", "members", "patterns")

    def __init__(self) -> None:
        self.channels: dict[str, int] = {}
        self.patterns: dict[str, int] = {}
        self.members: dict[str, dict[str, tuple[str, bytes]]] = {}
        self.joins = Joins()

    def add_member(self, channel: str, client: str, user: str, info: bytes) -> None:
        """Note that a client is present."""
        self.members.setdefault(channel, {})[client] = (user, info)

    def remove_member(self, channel: str, client: str) -> None:
        """Note that a client is present no longer; unknown ones are ignored."""
        members = self.members.get(channel)
        if members is not None:
            members.pop(client, None)
            if not members:
                del self.members[channel]

    def again(self) -> Iterator[Message]:
        """Yield the messages that say all of it again, each made when it is asked for.

        What is said anew between two of them is not lost and what is taken back is not said again, if the
        caller sends it at once: each entry is looked up when its message is made.
        """
        for channels in _batches(list(self.channels), len):
            yield Interests(tuple(channel for channel in channels if channel in self.channels))
        for patterns in _batches(list(self.patterns), len):
            yield Interests((), tuple(pattern for pattern in patterns if pattern in self.patterns))
        places = [(channel, client) for channel, members in self.members.items() for client in members]
        for batch in _batches(places, self._member_bytes):
            yield Members(tuple(self._present(batch)))
        for joins in _batches(self.joins.all(), lambda join: len(join.info)):
            yield Announced(tuple(self._announced(joins)))

    def _member_bytes(self, place: tuple[str, str]) -> int:
        channel, client = place
        user, info = self.members.get(channel, {}).get(client, ("", b""))
        return len(channel) + len(client) + len(user) + len(info)

    def _present(self, places: list[tuple[str, str]]) -> Iterator[Member]:
        for channel, client in places:
            found = self.members.get(channel, {}).get(client)
            if found is not None:
                yield Member(channel, client, *found)

    def _announced(self, joins: list[Announcement]) -> Iterator[Announcement]:
        for join in joins:
            count = self.joins.count(join.channel, join.info)
            if count:
                yield Announcement(join.channel, join.info, count)


def _batches(entries: Iterable[_Entry], size_bytes: Callable[[_Entry], int]) -> Iterator[list[_Entry]]:
    """Yield the entries in lists of at most BATCH, and of BATCH_BYTES or little more."""
    batch: list[_Entry] = []
    left_bytes = BATCH_BYTES
    for entry in entries:
        batch.append(entry)
        left_bytes -= size_bytes(entry)
        if len(batch) == BATCH or left_bytes <= 0:
            yield batch
            batch, left_bytes = [], BATCH_BYTES
    if batch:
        yield batch
