"""What a messaging client is made with and what it tells: its states, its options, its events.

`messaging.py` does what is said here.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wsloop.client.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.client.messages import ConnectResult, Info, Publication, SubscribeResult
    from wsloop.client.messaging import MessagingClient
    from wsloop.client.websocket import Ending

    GetToken = Callable[[Callable[[str], object]], object]

CALL_TIMEOUT_S = 5.0
"""For the reply to a command; the SDKs have the same."""


class ClientState(enum.Enum):
    """Where a client stands."""

    DISCONNECTED = "disconnected"
    CONNECTING = "connecting"
    CONNECTED = "connected"

    __hash__ = object.__hash__


class ClientStep(enum.Enum):
    """What moves it on."""

    CONNECT = "connect"
    CONNECTED = "connected"
    LOST = "lost"
    DISCONNECT = "disconnect"

    __hash__ = object.__hash__


CLIENT_TRANSITIONS: dict[ClientState, dict[ClientStep, ClientState]] = {
    ClientState.DISCONNECTED: {ClientStep.CONNECT: ClientState.CONNECTING},
    ClientState.CONNECTING: {
        ClientStep.CONNECTED: ClientState.CONNECTED,
        ClientStep.DISCONNECT: ClientState.DISCONNECTED,
    },
    ClientState.CONNECTED: {
        ClientStep.LOST: ClientState.CONNECTING,
        ClientStep.DISCONNECT: ClientState.DISCONNECTED,
    },
}


class ClientEvents:
    """What a client tells; override what matters. May be shared by many clients.

    `channel` is a subscription's name, or that of a channel the server subscribed the client to.
    Reasons, publications and infos are others' text: escape them before they are printed.
    """

    def on_connecting(self, client: MessagingClient, code: int, reason: str) -> None:
        """Hear that it was told to connect, or has lost its connection."""

    def on_failed(self, client: MessagingClient, ending: Ending, retry_s: float) -> None:
        """Hear that an attempt to connect failed; the next is made in `retry_s`."""

    def on_connected(self, client: MessagingClient, result: ConnectResult) -> None:
        """Hear that it is connected; subscriptions are asked for now."""

    def on_disconnected(self, client: MessagingClient, code: int, reason: str) -> None:
        """Hear that it is disconnected and stays so: it was told to, or the server said so for good."""

    def on_subscribing(self, client: MessagingClient, channel: str, code: int, reason: str) -> None:
        """Hear that a subscription was asked for, or has been lost."""

    def on_subscribed(self, client: MessagingClient, channel: str, result: SubscribeResult) -> None:
        """Hear that it stands; publications that were recovered follow, one by one."""

    def on_unsubscribed(self, client: MessagingClient, channel: str, code: int, reason: str) -> None:
        """Hear that it has ended for good."""

    def on_publication(self, client: MessagingClient, channel: str, publication: Publication) -> None:
        """Get what was published."""

    def on_join(self, client: MessagingClient, channel: str, info: Info) -> None:
        """Hear who came."""

    def on_leave(self, client: MessagingClient, channel: str, info: Info) -> None:
        """Hear who went."""


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """Who a client is and how it behaves.

    `token`, or `get_token(done)`, which calls `done` once, now or later, with a token, "" for no right;
    `data`: JSON for the server; `name`: what the server's statistics call it; `headers` of the upgrade.
    """

    token: str = ""
    get_token: GetToken | None = None
    data: bytes = b""
    name: str = "wsloop"
    headers: tuple[tuple[str, str], ...] = ()
    backoff: Backoff = field(default_factory=Backoff)
    timeout_s: float = CALL_TIMEOUT_S
