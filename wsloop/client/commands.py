"""What a messaging client may ask a server, each with the type of its answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from wsloop.client.messages import (
        CallError,
        DataResult,
        HistoryResult,
        Position,
        PresenceResult,
        PresenceStats,
        PublishResult,
    )


class Commands(ABC):
    """The commands that are about no subscription; all of them are `call`, which a client has.

    `done` gets the result or a CallError, once, never from in here. While CONNECTING they wait.
    """

    __slots__ = ()

    def publish(
        self, channel: str, data: bytes, done: Callable[[PublishResult | CallError], object], *, key: str = ""
    ) -> None:
        """Publish `data`, which is JSON.

        `key`, up to 64 characters: it is appended once under this key, so that it may be sent again
        when the connection is lost before the answer. Of an official server: without a key only.
        """
        fields: dict[str, object] = {"channel": channel, "data": msgspec.Raw(data)}
        if key:
            fields["idem"] = key
        self.call("publish", fields, done, may_repeat=bool(key))

    def presence(self, channel: str, done: Callable[[PresenceResult | CallError], object]) -> None:
        """Ask who is in a channel."""
        self.call("presence", {"channel": channel}, done, may_repeat=True)

    def presence_stats(self, channel: str, done: Callable[[PresenceStats | CallError], object]) -> None:
        """Ask how many are in a channel."""
        self.call("presence_stats", {"channel": channel}, done, may_repeat=True)

    def history(
        self,
        channel: str,
        done: Callable[[HistoryResult | CallError], object],
        *,
        limit: int = 0,
        since: Position | None = None,
        reverse: bool = False,
    ) -> None:
        """Ask for publications: `limit` of them, -1 for as many as may be had, 0 for the position only."""
        fields: dict[str, object] = {"channel": channel, "limit": limit}
        if since is not None:
            fields["since"] = since._asdict()
        if reverse:
            fields["reverse"] = True
        self.call("history", fields, done, may_repeat=True)

    def rpc(self, method: str, data: bytes, done: Callable[[DataResult | CallError], object]) -> None:
        """Ask the operator's application; `data` is JSON."""
        self.call("rpc", {"method": method, "data": msgspec.Raw(data)}, done)

    @abstractmethod
    def call(
        self,
        method: str,
        fields: Mapping[str, object],
        done: Callable[..., object],
        *,
        may_repeat: bool = False,
    ) -> None:
        """Send a command; it is repeated after a loss of the connection if that does no harm."""
        ...
