"""`wsloop sub`: what is published to channels, one line each, until somebody ends it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from wsloop.client.messages import CallError, HistoryResult, Position, Publication
from wsloop.client.subscription import SubscribeOptions
from wsloop.daemon.tables import safe
from wsloop.daemon.talking import Talk, note

if TYPE_CHECKING:
    from wsloop.client.messages import SubscribeResult
    from wsloop.client.messaging import MessagingClient


class Subscriber(Talk):
    """Prints publications of `channels`; each channel's last `history` of them first."""

    interrupted_code = 0

    def __init__(
        self,
        url: str,
        channels: tuple[str, ...],
        *,
        recovers: bool,
        history: int,
        as_json: bool,
        **who: Any,  # noqa: ANN401 - for Talk
    ) -> None:
        super().__init__(url, **who)
        self._channels = tuple(dict.fromkeys(channels))
        self._history = history
        self._as_json = as_json
        self._held: dict[str, list[Publication]] = {}  # behind a history that is asked for
        self._seen: set[str] = set()
        for channel in self._channels:
            self.client.subscribe(channel, SubscribeOptions(recoverable=recovers, positioned=recovers))

    def on_subscribed(self, client: MessagingClient, channel: str, result: SubscribeResult) -> None:
        """Ask for the history, once; say so if something is missing."""
        if result.was_recovering and not result.recovered:
            note(f"{channel}: what was published meanwhile is lost")
        if channel in self._seen or channel not in self._channels:
            return
        self._seen.add(channel)
        if not self._history:
            return
        self._held[channel] = []
        # Up to the position of the subscription: what comes behind it comes by itself.
        since = Position(result.offset + 1, result.epoch) if result.epoch else None

        def done(outcome: HistoryResult | CallError) -> None:
            if isinstance(outcome, CallError):
                note(f"{channel}: no history: {outcome.message} ({outcome.code})")
            else:
                for publication in reversed(outcome.publications):
                    self._print(channel, publication)
            for publication in self._held.pop(channel, []):
                self._print(channel, publication)

        self.client.history(channel, done, limit=self._history, since=since, reverse=True)

    def on_publication(self, client: MessagingClient, channel: str, publication: Publication) -> None:
        """Print it, or hold it until the history is there."""
        if channel in self._held:
            self._held[channel].append(publication)
        else:
            self._print(channel, publication)

    def on_unsubscribed(self, client: MessagingClient, channel: str, code: int, reason: str) -> None:
        """End: what is not told is missed."""
        self.fail(f"{channel}: {reason} ({code})")

    def _print(self, channel: str, publication: Publication) -> None:
        data = bytes(publication.data) or b"null"
        if self._as_json:
            told: dict[str, object] = {
                "channel": publication.channel or channel,
                "data": msgspec.Raw(data),
                "offset": publication.offset,
            }
            if publication.info is not None:
                told["user"], told["client"] = publication.info.user, publication.info.client
            if publication.tags:
                told["tags"] = publication.tags
            self.say(msgspec.json.encode(told).decode())
        else:
            text = safe(data.decode())
            self.say(text if len(self._channels) == 1 else f"{safe(publication.channel or channel)}\t{text}")
