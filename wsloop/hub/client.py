"""One connected client: its state, its subscriptions, and the way its answers go out.

The server makes one per WebSocket on the messaging path, hands it each message
(`receive`), and tells it when the transport is gone (`closed`). What the commands do is in
`dispatcher.py`; who it is, in `connecting.py`; what a subscription is, in `joining.py` and
`channels.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from wsloop.hub import codes, dispatcher, joining, replies
from wsloop.hub.audiences import NOT_POSITIONED
from wsloop.hub.backend import Person
from wsloop.hub.client_state import OPEN_STATES, ClientState, ClientStep, step
from wsloop.hub.rate_limits import Meter

if TYPE_CHECKING:
    from wsloop.hub.channels import Subscriber, Subscription
    from wsloop.hub.codec import Codec
    from wsloop.hub.expiry import Lease
    from wsloop.hub.grants import Identity
    from wsloop.hub.hub import Hub
    from wsloop.hub.in_order import InOrder


NAMELESS = ("", "")
"""What most applications call themselves; shared."""

_NONE: list[str | bytes] = []
"""No lines; never added to."""


class Client:
    """A client of the hub; made by `Hub.new_client`.

    `id` is a random UUID, unknown to the client before its connect is accepted. `identity` is who
    it is, None until that is known; `user` is "" if anonymous. `info` is what others see of it,
    JSON. `app_pings` is false if the transport itself pings (RFC 6455 pings), so that connect
    promises none. `headers` of its upgrade request that the backend may see. `app` is the name and
    the version that it calls itself by. `host` is what its address is counted by, "" if it is not;
    `meter` counts what it asks for, None where nothing is limited.
    """

    __slots__ = (
        "_lines", "app", "app_pings", "codec", "has_connected", "headers", "host", "hub", "id", "identity",
        "info", "lease", "meter", "state", "subscriber", "subscriptions", "user", "verdicts",
    )  # fmt: skip

    def __init__(
        self,
        hub: Hub,
        subscriber: Subscriber,
        client_id: str,
        *,
        codec: Codec,
        app_pings: bool,
        identity: Identity | None = None,
        headers: tuple[tuple[str, str], ...] = (),
        host: str = "",
    ) -> None:
        self.hub = hub
        self.subscriber = subscriber
        self.id = client_id
        self.codec = codec
        self.app_pings = app_pings
        self.identity = identity
        self.headers = headers
        self.host = host
        self.meter = None if hub.rate_limits is None else Meter()
        self.app = NAMELESS
        self.user = ""
        self.info = b""
        self.state = ClientState.WAITING
        self.has_connected = False
        self.lease: Lease | None = None
        # Publications that the backend is asked about; made for the first.
        self.verdicts: InOrder | None = None
        # What is left of a message, the next command last.
        self._lines = _NONE
        self.subscriptions: dict[str, Subscription] = {}

    @property
    def is_connected(self) -> bool:
        """Whether a connect command was granted and no disconnect asked for."""
        return self.state is ClientState.CONNECTED

    @property
    def is_open(self) -> bool:
        """Whether commands are still heard: no disconnect was asked for."""
        return self.state in OPEN_STATES

    @property
    def person(self) -> Person:
        """Who it is, for the backend and the hooks."""
        meta = self.identity.meta if self.identity is not None else b""
        return Person(self.id, self.user, meta, self.headers)

    def receive(self, message: str | bytes) -> bool:
        """Take one message: 1..n commands. Never raises for what a peer sent.

        Commands are carried out in order; the first that breaks the protocol ends the
        connection, and what follows is ignored. Returns True if some have to wait for a later
        turn: then `go_on` is to be called, and no other message handed in before it returns False.
        """
        try:
            self._lines = self.codec.split(message)
        except UnicodeDecodeError:
            self.disconnect(codes.DISCONNECT_BAD_REQUEST.code, "bad request: not UTF-8")
            return False
        except ValueError as fault:
            self.disconnect(codes.DISCONNECT_BAD_REQUEST.code, f"bad request: {fault}")
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

    def closed(self, code: int = 1006, reason: str = "") -> None:
        """Leave all channels and tell the others: the transport is gone. Idempotent.

        Call it after the transport is closed, never before: a client that comes back at once
        must not find its former self still connected. `code` and `reason` are for the hooks.
        """
        if self.state is ClientState.CLOSED:
            return
        self.take(ClientStep.GONE)
        self.hub.forget(self)
        if self.lease is not None:
            self.lease.cancel()
        joining.end_all(self)
        if self.has_connected:
            self.hub.hooks.on_disconnect(self.person, code, reason)

    def must_be_whole(self, channel: str) -> bool:
        """Return whether no push of `channel` may be left out unnoticed.

        The client counts them, or needs each to understand the next. True as well where it has no
        subscription: then none is expected.
        """
        subscription = self.subscriptions.get(channel)
        return subscription is None or subscription.offset != NOT_POSITIONED or subscription.wish.delta

    def miss(self, channel: str) -> None:
        """End the subscription to `channel`, of which something was dropped, so that the client recovers."""
        subscription = self.subscriptions.get(channel)
        if subscription is not None and subscription.active:
            joining.end_broken((subscription,))

    def disconnect(self, code: int, reason: str) -> None:
        """Ask the transport to close with this code; only the first call has an effect.

        The subscriptions end when the transport reports `closed`.
        """
        if self.is_open:
            self.take(ClientStep.DISCONNECT)
            self.hub.fan_out.settle(self.subscriber.receiver)
            self.subscriber.disconnect(code, reason)

    def identify(self, identity: Identity) -> None:
        """Take note who the client is, and until when it may stay."""
        self.identity = identity
        self.user = identity.user
        self.info = replies.client_info(identity.user, self.id, identity.info)
        self._set_end()

    def info_with(self, chan_info: bytes) -> bytes:
        """Return what others see of the client in one channel, with `chan_info`, JSON."""
        assert self.identity is not None
        return replies.client_info(self.user, self.id, self.identity.info, chan_info)

    def ttl_s(self) -> int:
        """Return the seconds until the identity ends, at least 1; 0 if it does not."""
        if self.identity is None or not self.identity.expire_at:
            return 0
        return max(1, int(self.identity.expire_at - self.hub.unix_s()))

    def set_expiry(self, expire_at: int, *, has_grace: bool) -> None:
        """Let the right to be connected end at `expire_at`, Unix seconds."""
        hub = self.hub
        grace_s = hub.options.expired_grace_s if has_grace else 0.0
        deadline_s = hub.now() + max(0.0, expire_at - hub.unix_s()) + grace_s
        if self.lease is None:
            self.lease = hub.expiries.lease(deadline_s, self._on_expired)
        else:
            self.lease.move(deadline_s)

    def renew(self, expire_at: int, info: bytes = b"") -> None:
        """Let the identity end at `expire_at`, Unix seconds, 0 for never.

        `info`, JSON, replaces what others see of the client from now on, unless it is b"".
        """
        assert self.identity is not None
        self.identity = msgspec.structs.replace(
            self.identity, expire_at=expire_at, info=info or self.identity.info
        )
        if info:
            self.info = replies.client_info(self.user, self.id, info)
        self._set_end()

    def _set_end(self) -> None:
        """Let the connection end with the identity, and not as was said before."""
        assert self.identity is not None
        if self.identity.expire_at:
            self.set_expiry(self.identity.expire_at, has_grace=not self.identity.from_backend)
        elif self.lease is not None:
            self.lease.cancel()
            self.lease = None

    def _on_expired(self) -> None:
        self.lease = None
        self.hub.on_client_expired(self)

    def take(self, taken: ClientStep) -> None:
        """Go on to the next state; raises StateError for a step that is not in the table."""
        self.state = step(self.state, taken)
        if taken is ClientStep.GRANT:
            self.has_connected = True

    def reply(self, command_id: int, method: str, result: bytes) -> None:
        """Answer a command; `result` is a JSON object. Dropped when the client is closing."""
        if self.state is ClientState.CONNECTED:
            self.subscriber.send(self.codec.encode(replies.reply(command_id, method, result)))

    def fail(self, command_id: int, error: codes.Code) -> None:
        """Answer a command with an error. Dropped when the client is closing."""
        if self.is_open:
            self.hub.tally.errors[error.code] += 1
            self.subscriber.send(self.codec.encode(replies.error_reply(command_id, error)))

    def tell(self, line: bytes) -> None:
        """Send a push that is for this client only. Dropped when the client is closing."""
        if self.is_open:
            self.subscriber.send(self.codec.encode(line))
