"""The channels that the server subscribed a client to, and how far it has come in each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsloop.client.messages import ClientCode, Position

if TYPE_CHECKING:
    from wsloop.client.messages import ConnectResult, Ended, Publication, SubscribeResult
    from wsloop.client.messaging import MessagingClient


class ServerSubs:
    """Those of one client. What changes is told by the client's events."""

    __slots__ = ("_client", "_positions")

    def __init__(self, client: MessagingClient) -> None:
        self._client = client
        self._positions: dict[str, Position | None] = {}  # None: nothing to recover

    def remembered(self) -> dict[str, dict[str, object]]:
        """Return what `connect` says of them, so that what was missed is recovered."""
        return {
            channel: {"recover": True, "offset": position.offset, "epoch": position.epoch}
            for channel, position in self._positions.items()
            if position is not None
        }

    def settle(self, result: ConnectResult) -> None:
        """Take the complete set from the reply to `connect`."""
        for channel in [channel for channel in self._positions if channel not in result.subs]:
            del self._positions[channel]
            self._client.events.on_unsubscribed(
                self._client, channel, ClientCode.TRANSPORT_CLOSED, "not subscribed any more"
            )
        for channel, subscribed in result.subs.items():
            self.add(channel, subscribed)

    def add(self, channel: str, result: SubscribeResult) -> None:
        """Take one, with what was missed."""
        recovers = result.recoverable or result.positioned
        self._positions[channel] = Position(result.offset, result.epoch) if recovers else None
        self._client.events.on_subscribed(self._client, channel, result)
        if result.recovered:
            for publication in result.publications:
                self.on_publication(channel, publication)

    def remove(self, channel: str, ended: Ended) -> None:
        """Forget one that the server has ended; nothing if it is unknown."""
        if channel in self._positions:
            del self._positions[channel]
            self._client.events.on_unsubscribed(self._client, channel, ended.code, ended.reason)

    def on_publication(self, channel: str, publication: Publication) -> None:
        """Hand a publication on, unless it was handed on before or the channel is unknown."""
        if channel not in self._positions:
            return
        position = self._positions[channel]
        if publication.offset and position is not None:
            if publication.offset <= position.offset:
                return
            self._positions[channel] = Position(publication.offset, position.epoch)
        self._client.events.on_publication(self._client, channel, publication)

    def forget_positions(self) -> None:
        """Recover nothing on the next connection."""
        self._positions = dict.fromkeys(self._positions)
