"""Who is in a channel: the Presence port and its in-process twin.

Exact and O(1) per join and leave: in one process nobody's time to live has to be guessed, a
client is present from its subscribe to its unsubscribe or to the end of its transport.
Knows nothing of subscriptions; `joining.py` calls it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wsloop.hub.broker import Done


class PresenceStats(msgspec.Struct, frozen=True, gc=False):
    """How many clients, and how many different users, are in a channel."""

    num_clients: int
    num_users: int


class Presence(Protocol):
    """Knows who is in each channel. Operations of one hub take effect in the order of the calls."""

    def add(self, channel: str, client: str, user: str, info: bytes) -> None:
        """Note that the client is in the channel; its JSON `info` replaces an older one."""
        ...

    def remove(self, channel: str, client: str) -> None:
        """Note that the client is in the channel no longer; unknown ones are ignored."""
        ...

    def members(self, channel: str, done: Done[Mapping[str, bytes]]) -> None:
        """Give `done` the channel's clients: id -> info. The mapping is valid during the call."""
        ...

    def stats(self, channel: str, done: Done[PresenceStats]) -> None:
        """Give `done` the channel's numbers."""
        ...


class _Members:
    """One channel's clients, and a count of clients per user for the statistics."""

    __slots__ = ("infos", "per_user", "users")

    def __init__(self) -> None:
        self.infos: dict[str, bytes] = {}
        self.users: dict[str, str] = {}
        self.per_user: dict[str, int] = {}

    def add(self, client: str, user: str, info: bytes) -> None:
        self.remove(client)
        self.infos[client] = info
        self.users[client] = user
        self.per_user[user] = self.per_user.get(user, 0) + 1

    def remove(self, client: str) -> None:
        user = self.users.pop(client, None)
        if user is None:
            return
        del self.infos[client]
        self.per_user[user] -= 1
        if not self.per_user[user]:
            del self.per_user[user]


_NOBODY = _Members()


class MemoryPresence(Presence):
    """Presence in a dict; an empty channel costs nothing."""

    def __init__(self) -> None:
        self._channels: dict[str, _Members] = {}

    @property
    def channel_count(self) -> int:
        """The number of channels that somebody is in."""
        return len(self._channels)

    def add(self, channel: str, client: str, user: str, info: bytes) -> None:
        """See `Presence.add`."""
        members = self._channels.get(channel)
        if members is None:
            members = self._channels[channel] = _Members()
        members.add(client, user, info)

    def remove(self, channel: str, client: str) -> None:
        """See `Presence.remove`."""
        members = self._channels.get(channel)
        if members is None:
            return
        members.remove(client)
        if not members.infos:
            del self._channels[channel]

    def members(self, channel: str, done: Done[Mapping[str, bytes]]) -> None:
        """See `Presence.members`."""
        done(self._channels.get(channel, _NOBODY).infos)

    def stats(self, channel: str, done: Done[PresenceStats]) -> None:
        """See `Presence.stats`."""
        members = self._channels.get(channel, _NOBODY)
        done(PresenceStats(len(members.infos), len(members.per_user)))
