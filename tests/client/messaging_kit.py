"""Messaging clients of `wsloop.client` beside a `MemoryServer`, on its own virtual reactor."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import msgspec

from wsloop.client.client_events import ClientEvents, ClientOptions
from wsloop.client.messages import CallError
from wsloop.client.messaging import MessagingClient
from wsloop.client.names import OnlyAddresses
from wsloop.client.urls import parse_ws_url
from wsloop.client.websocket import Dialer
from wsloop.server.assembly import CONNECTION_PATH
from wsloop.testing.server import MemoryServer

if TYPE_CHECKING:
    from wsloop.client.messages import ConnectResult, Info, Publication, SubscribeResult
    from wsloop.client.websocket import Ending
    from wsloop.server.assembly import Options
    from wsloop.testing.network import NetworkFaults

ADDRESS = "ws://127.0.0.1:8765"


class Told(ClientEvents):
    """Writes down what it is told: `events` in order, `data` of publications by channel."""

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []
        self.data: dict[str, list[Any]] = {}

    def names(self) -> list[str]:
        return [event[0] for event in self.events]

    def on_connecting(self, _client: MessagingClient, code: int, reason: str) -> None:
        self.events.append(("connecting", code, reason))

    def on_failed(self, _client: MessagingClient, ending: Ending, retry_s: float) -> None:
        self.events.append(("failed", ending, retry_s))

    def on_connected(self, _client: MessagingClient, result: ConnectResult) -> None:
        self.events.append(("connected", result))

    def on_disconnected(self, _client: MessagingClient, code: int, reason: str) -> None:
        self.events.append(("disconnected", code, reason))

    def on_subscribing(self, _client: MessagingClient, channel: str, code: int, reason: str) -> None:
        self.events.append(("subscribing", channel, code, reason))

    def on_subscribed(self, _client: MessagingClient, channel: str, result: SubscribeResult) -> None:
        self.events.append(("subscribed", channel, result))

    def on_unsubscribed(self, _client: MessagingClient, channel: str, code: int, reason: str) -> None:
        self.events.append(("unsubscribed", channel, code, reason))

    def on_publication(self, _client: MessagingClient, channel: str, publication: Publication) -> None:
        self.data.setdefault(channel, []).append(msgspec.json.decode(publication.data))

    def on_join(self, _client: MessagingClient, channel: str, info: Info) -> None:
        self.events.append(("join", channel, info.client))

    def on_leave(self, _client: MessagingClient, channel: str, info: Info) -> None:
        self.events.append(("leave", channel, info.client))


class MessagingWorld(MemoryServer):
    """A server, and `client()`s of it."""

    def __init__(
        self, seed: int = 0, *, faults: NetworkFaults | None = None, options: Options | None = None
    ) -> None:
        super().__init__(seed, faults=faults, options=options)
        entropy = random.Random(f"messaging clients of {seed}").randbytes
        self.dialer = Dialer(self.reactor, self.network, OnlyAddresses(), entropy)
        self.made: list[MessagingClient] = []

    def client(
        self, options: ClientOptions | None = None, url: str = ADDRESS
    ) -> tuple[MessagingClient, Told]:
        told = Told()
        client = MessagingClient(self.dialer, parse_ws_url(url, CONNECTION_PATH), told, options)
        self.made.append(client)
        return client, told

    def connected(self, options: ClientOptions | None = None) -> tuple[MessagingClient, Told]:
        client, told = self.client(options)
        client.connect()
        self.run_until(lambda: client.is_connected)
        return client, told

    def subscribed(self, client: MessagingClient, told: Told, channel: str, **options: Any) -> None:
        from wsloop.client.subscription import SubscribeOptions

        client.subscribe(channel, SubscribeOptions(**options))
        self.run_until(lambda: ("subscribed", channel) in [event[:2] for event in told.events])

    def ask_client(self, method: Any, *args: Any, **options: Any) -> Any:
        outcomes: list[Any] = []
        method(*args, outcomes.append, **options)
        self.run_until(lambda: outcomes)
        return outcomes[0]

    def publish(self, client: MessagingClient, channel: str, data: object, key: str = "") -> Any:
        outcome = self.ask_client(client.publish, channel, msgspec.json.encode(data), key=key)
        assert not isinstance(outcome, CallError), outcome
        return outcome

    def close(self) -> None:
        for client in self.made:
            client.close()
        super().close()
