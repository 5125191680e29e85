"""Messaging clients of `wsloop.client` on a reactor of the test's own; they reconnect by themselves."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, Self

import msgspec

from tests.client.messaging_kit import Told
from tests.system.daemon import PATIENCE_S
from wsloop.client.backoff import Backoff
from wsloop.client.client_events import ClientOptions
from wsloop.client.messages import CallError
from wsloop.client.messaging import MessagingClient
from wsloop.client.names import OnlyAddresses
from wsloop.client.subscription import SubscribeOptions
from wsloop.client.urls import parse_ws_url
from wsloop.client.websocket import Dialer
from wsloop.loop.clock import MonotonicClock
from wsloop.loop.poller import make_poller
from wsloop.loop.reactor import Reactor
from wsloop.server.assembly import CONNECTION_PATH
from wsloop.transport.bind import SocketNetwork

if TYPE_CHECKING:
    from collections.abc import Callable

IMPATIENT = Backoff(min_s=0.05, max_s=0.5)
"""Between attempts: a test need not wait as long as a browser."""


class Crowd:
    """Clients of the server at `url`; `told` has what each heard."""

    def __init__(self, url: str) -> None:
        self._poller = make_poller()
        self.reactor = Reactor(MonotonicClock(), self._poller)
        self._dialer = Dialer(self.reactor, SocketNetwork(), OnlyAddresses(), os.urandom)
        self._url = parse_ws_url(url, CONNECTION_PATH)
        self.told: dict[MessagingClient, Told] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        for client in self.told:
            client.close()
        self.reactor.close()
        self._poller.close()

    def join(self, channel: str, count: int = 1, **options: Any) -> list[MessagingClient]:
        """Return clients that are connected and subscribed to `channel`."""
        made = []
        for _ in range(count):
            told = Told()
            client = MessagingClient(
                self._dialer, self._url, told, ClientOptions(backoff=IMPATIENT, **options)
            )
            self.told[client] = told
            client.connect()
            client.subscribe(channel, SubscribeOptions(recoverable=True, join_leave=True))
            made.append(client)
        self.run_until(lambda: all("subscribed" in self.told[client].names() for client in made))
        return made

    def publish(self, client: MessagingClient, channel: str, data: object) -> Any:
        """Publish and return the answer."""
        answers: list[Any] = []
        client.publish(channel, msgspec.json.encode(data), answers.append, key=os.urandom(8).hex())
        self.run_until(lambda: answers)
        assert not isinstance(answers[0], CallError), answers
        return answers[0]

    def heard(self, channel: str) -> list[list[Any]]:
        """Return what each client heard in a channel."""
        return [told.data.get(channel, []) for told in self.told.values()]

    def run_until(self, condition: Callable[[], object], within_s: float = PATIENCE_S) -> None:
        """Turn the loop until `condition()` is true."""
        deadline_s = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < deadline_s, [told.events[-3:] for told in self.told.values()]
            self.reactor.call_later(0.05, lambda: None)  # so that no turn sleeps for longer
            self.reactor.run_once()
