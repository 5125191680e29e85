"""`wsloop chat`: lines of standard input are said in a channel, what others say is printed.

Speaks as the page of `serve --dev` does: a message is `{"text", "name"}`.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import msgspec

from wsloop.client.messages import CallError, PresenceResult, PublishResult
from wsloop.client.subscription import SubscribeOptions
from wsloop.daemon.tables import safe
from wsloop.daemon.talking import Talk, note

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.client.messages import Info, Publication, SubscribeResult
    from wsloop.client.messaging import MessagingClient

WHO = "/who"
KEY_BYTES = 12
SHORT_ID = 6
"""Characters of a client's id that stand for it where nobody has given a name."""


class Chat(Talk):
    """Talks in `channel` as `name`; "" for none."""

    interrupted_code = 0

    def __init__(self, url: str, channel: str, name: str, **who: Any) -> None:  # noqa: ANN401 - for Talk
        super().__init__(url, data=json.dumps({"name": name}).encode() if name else b"", **who)
        self._channel = channel
        self._name = name
        self._waiting = 0
        self._is_read = self._has_begun = False
        self.client.subscribe(channel, SubscribeOptions(join_leave=True))

    def on_subscribed(self, client: MessagingClient, channel: str, result: SubscribeResult) -> None:
        """Tell who is here, and begin to read, once."""
        if result.was_recovering and not result.recovered:
            note("what was said meanwhile is lost")
        if not self._has_begun:
            self._has_begun = True
            self._tell_who()
            self.read_lines(self._on_line, self._on_end)

    def on_unsubscribed(self, client: MessagingClient, channel: str, code: int, reason: str) -> None:
        """End: there is nobody to talk to."""
        self.fail(f"{channel}: {reason} ({code})")

    def on_publication(self, client: MessagingClient, channel: str, publication: Publication) -> None:
        """Print what was said."""
        info = publication.info
        try:
            data = msgspec.json.decode(publication.data)
        except msgspec.DecodeError:
            data = None
        if isinstance(data, dict) and isinstance(data.get("text"), str):
            text, said_name = data["text"], data.get("name")
            name = said_name if isinstance(said_name, str) and said_name else _name_of(info)
        else:
            text, name = bytes(publication.data).decode(), _name_of(info)
        self.say(f"{safe(name)}: {safe(text)}")

    def on_join(self, client: MessagingClient, channel: str, info: Info) -> None:
        """Print who came."""
        if info.client != client.client_id:
            note(f"* {_name_of(info)} came")

    def on_leave(self, client: MessagingClient, channel: str, info: Info) -> None:
        """Print who went."""
        note(f"* {_name_of(info)} went")

    def _tell_who(self) -> None:
        def done(outcome: PresenceResult | CallError) -> None:
            if isinstance(outcome, PresenceResult):
                names = sorted(_name_of(info) for info in outcome.presence.values())
                note(f"* {len(names)} here: {', '.join(names)}")

        self.client.presence(self._channel, done)

    def _on_line(self, line: str, dealt_with: Callable[[], None]) -> None:
        if line.strip() == WHO:
            self._tell_who()
        if not line.strip() or line.strip() == WHO:
            dealt_with()
            return
        said = {"text": line.encode("utf-8", "replace").decode()}
        data = json.dumps({**said, "name": self._name} if self._name else said).encode()
        self._say_there(data, os.urandom(KEY_BYTES).hex(), dealt_with)

    def _say_there(self, data: bytes, key: str, dealt_with: Callable[[], None]) -> None:
        self._waiting += 1

        def done(outcome: PublishResult | CallError) -> None:
            if isinstance(outcome, CallError) and outcome.temporary and not self._is_ending:
                self.try_again(attempt)
                return
            if isinstance(outcome, CallError):
                note(f"not said: {outcome.message} ({outcome.code})")
            self._waiting -= 1
            dealt_with()
            self._end_if_done()

        def attempt() -> None:
            self.client.publish(self._channel, data, done, key=key)

        attempt()

    def _on_end(self) -> None:
        self._is_read = True
        self._end_if_done()

    def _end_if_done(self) -> None:
        if self._is_read and not self._waiting:
            self.end()


def _name_of(info: Info | None) -> str:
    """Return what a client is called: by its own name, its user, or the beginning of its id."""
    if info is None:
        return "server"
    try:
        shown = msgspec.json.decode(info.conn_info) if bytes(info.conn_info) else None
    except msgspec.DecodeError:
        shown = None
    name = shown.get("name") if isinstance(shown, dict) else None
    return name if isinstance(name, str) and name else info.user or info.client[:SHORT_ID]
