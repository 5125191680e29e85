"""One connected client: its state, its subscriptions, and the way its answers go out.

The server makes one per WebSocket on the messaging path, hands it each text message
(`receive`), and tells it when the transport is gone (`closed`). What the commands do is in
`dispatcher.py`; what a subscription is, in `subscribing.py` and `channels.py`.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

import msgspec

from wsloop.errors import StateError
from wsloop.hub import codes, dispatcher, replies, subscribing
from wsloop.hub.channels import NOT_POSITIONED

if TYPE_CHECKING:
    from wsloop.hub.channels import Subscriber, Subscription
    from wsloop.hub.hub import Hub


class ClientState(Enum):
    """Where a client stands. Only `connected` takes commands other than connect."""

    WAITING = "waiting"
    CONNECTED = "connected"
    CLOSING = "closing"
    CLOSED = "closed"


TRANSITIONS = {
    ClientState.WAITING: {ClientState.CONNECTED, ClientState.CLOSING, ClientState.CLOSED},
    ClientState.CONNECTED: {ClientState.CLOSING, ClientState.CLOSED},
    ClientState.CLOSING: {ClientState.CLOSED},
    ClientState.CLOSED: set(),
}
"""closing: a disconnect was asked for, the transport still stands. Pairs not listed are illegal."""


_NONE: list[str] = []
"""No lines; never added to."""


class Client:
    """A client of the hub; made by `Hub.new_client`.

    `id` is a random UUID, unknown to the client before its connect is accepted. `user` is ""
    if anonymous. `info` is what others see of it, JSON. `app_pings` is false if the transport
    itself pings (RFC 6455 pings), so that connect promises none.
    """

    __slots__ = ("_lines", "app_pings", "hub", "id", "info", "state", "subscriber", "subscriptions", "user")

    def __init__(self, hub: Hub, subscriber: Subscriber, client_id: str, *, app_pings: bool) -> None:
        self.hub = hub
        self.subscriber = subscriber
        self.id = client_id
        self.app_pings = app_pings
        self.user = ""
        self.info = b""
        self.state = ClientState.WAITING
        # What is left of a message, the next command last.
        self._lines = _NONE
        self.subscriptions: dict[str, Subscription] = {}

    @property
    def is_connected(self) -> bool:
        """Whether a connect command was accepted and no disconnect asked for."""
        return self.state is ClientState.CONNECTED

    @property
    def is_open(self) -> bool:
        """Whether commands are still heard: no disconnect was asked for."""
        return self.state is ClientState.CONNECTED or self.state is ClientState.WAITING

    def receive(self, data: str | bytes) -> bool:
        """Take one message: 1..n commands, one per line. Never raises for what a peer sent.

        Commands are carried out in order; the first that breaks the protocol ends the
        connection, and what follows is ignored. Returns True if some have to wait for a later
        turn: then `go_on` is to be called, and no other message handed in before it returns False.
        """
        try:
            text = data if isinstance(data, str) else data.decode()
            self._lines = _lines(text)
        except UnicodeDecodeError:
            self.disconnect(codes.DISCONNECT_BAD_REQUEST.code, "bad request: not UTF-8")
            return False
        except codes.DisconnectError as fault:
            self.disconnect(fault.close_code, fault.reason)
            return False
        return self.go_on()

    def go_on(self) -> bool:
        """Carry out commands that have waited; return True if some still have to."""
        lines = self._lines
        try:
            while lines and self.is_open:
                if not self.subscriber.may_go_on():
                    return True
                dispatcher.dispatch(self, lines.pop())
        except codes.DisconnectError as fault:
            self.disconnect(fault.close_code, fault.reason)
        self._lines = _NONE
        return False

    def closed(self) -> None:
        """Leave all channels and tell the others: the transport is gone. Idempotent.

        Call it after the transport is closed, never before: a client that comes back at once
        must not find its former self still connected.
        """
        if self.state is ClientState.CLOSED:
            return
        self.move_to(ClientState.CLOSED)
        self.hub.forget(self)
        subscribing.end_all(self)

    def must_be_whole(self, channel: str) -> bool:
        """Return whether no push of `channel` may be left out unnoticed, as the client counts them.

        True as well where it has no subscription: then none is expected.
        """
        subscription = self.subscriptions.get(channel)
        return subscription is None or subscription.offset != NOT_POSITIONED

    def miss(self, channel: str) -> None:
        """End the subscription to `channel`, of which something was dropped, so that the client recovers."""
        subscription = self.subscriptions.get(channel)
        if subscription is not None and subscription.active:
            subscribing.end_broken((subscription,))

    def disconnect(self, code: int, reason: str) -> None:
        """Ask the transport to close with this code; only the first call has an effect.

        The subscriptions end when the transport reports `closed`.
        """
        if self.is_open:
            self.move_to(ClientState.CLOSING)
            self.hub.fan_out.settle(self.subscriber.receiver)
            self.subscriber.disconnect(code, reason)

    def accept(self, *, user: str, conn_info: bytes) -> None:
        """Grant the connect command. `conn_info` is what others may know: JSON, or b""."""
        shown = msgspec.Raw(conn_info) if conn_info else msgspec.UNSET
        self.user = user
        self.info = replies.encode(replies.ClientInfo(user, self.id, shown))
        self.move_to(ClientState.CONNECTED)

    def move_to(self, state: ClientState) -> None:
        """Change the state; raises StateError for a pair that is not in TRANSITIONS."""
        if state not in TRANSITIONS[self.state]:
            raise StateError(f"client cannot go from {self.state.value} to {state.value}")
        self.state = state

    def reply(self, command_id: int, method: str, result: bytes) -> None:
        """Answer a command; `result` is a JSON object. Dropped when the client is closing."""
        if self.state is ClientState.CONNECTED:
            self.subscriber.send(replies.reply(command_id, method, result))

    def fail(self, command_id: int, error: codes.Code) -> None:
        """Answer a command with an error. Dropped when the client is closing."""
        if self.state is ClientState.CONNECTED:
            self.subscriber.send(replies.error_reply(command_id, error))


def _lines(text: str) -> list[str]:
    """Split a message into its commands, the last one first; JSON whitespace around them is allowed.

    Raises codes.DisconnectError if there is none. An empty line between two commands stays, and
    fails as JSON.
    """
    if "\n" in text:
        text = text.strip(" \t\r\n")
        if text:
            lines = text.split("\n")
            lines.reverse()
            return lines
    elif text:
        return [text]
    raise codes.DisconnectError(codes.DISCONNECT_BAD_REQUEST, "empty message")
