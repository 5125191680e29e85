"""The Backend port: the user's own application, asked for decisions and told of events.

A question completes by callback, exactly once, later or before the method returns, with what was
asked for or with an `Outcome` that is not it. The port's HTTP form is `client/backend.py`. A
backend that hangs or answers garbage costs the one command that waits for it: the port bounds
the time, so a completion always comes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec

if TYPE_CHECKING:
    from wsloop.hub.codes import Code
    from wsloop.hub.grants import Identity, SubscriptionGrant

Answer = TypeVar("Answer")


class Refused(msgspec.Struct, frozen=True, gc=False):
    """The backend says no: the command gets this error. Also what a failed call becomes (error 100)."""

    error: Code


class Disconnected(msgspec.Struct, frozen=True, gc=False):
    """The backend wants the client gone, with this close code and reason."""

    code: int
    reason: str


Decided = Callable[[Answer | Refused | Disconnected], object]
"""A completion: called exactly once; it does not raise."""


class Person(msgspec.Struct, frozen=True):
    """Which client a question is about.

    `headers` are those of the upgrade request that the operator lets through, names in lower case; and
    `traceparent`, if it had a good one, with its `tracestate`.
    """

    client: str
    user: str = ""
    meta: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


class ConnectQuestion(msgspec.Struct, frozen=True):
    """The question whether it may connect, and as whom.

    `token` and `data` (JSON or b"") are as the client sent them.
    """

    person: Person
    name: str = ""
    version: str = ""
    token: str = ""
    data: bytes = b""
    channels: tuple[str, ...] = ()


class SubscribeQuestion(msgspec.Struct, frozen=True):
    """The question whether it may come into the channel."""

    person: Person
    channel: str
    token: str = ""
    data: bytes = b""


class PublishQuestion(msgspec.Struct, frozen=True):
    """The question whether it may publish `data`, JSON."""

    person: Person
    channel: str
    data: bytes


class PublishVerdict(msgspec.Struct, frozen=True):
    """It may: `data` instead of what it sent, unless b"". `skip_history` publishes without keeping."""

    data: bytes = b""
    skip_history: bool = False


class Renewal(msgspec.Struct, frozen=True):
    """The answer to a refresh: `expired`, or valid until `expire_at`, Unix seconds, 0 for ever.

    `info`, JSON, replaces what others see of the client; None leaves it.
    """

    expired: bool = False
    expire_at: int = 0
    info: bytes | None = None


class RpcQuestion(msgspec.Struct, frozen=True):
    """The client calls `method` with `data` (JSON or b"")."""

    person: Person
    method: str = ""
    data: bytes = b""


class Backend(Protocol):
    """Decides for the hub. Which questions it is asked is configuration: the options `..._proxy`."""

    def connect(self, question: ConnectQuestion, done: Decided[Identity]) -> None:
        """Ask whether a client may connect, and as whom."""
        ...

    def refresh(self, person: Person, done: Decided[Renewal]) -> None:
        """Ask whether a connection that has expired may go on."""
        ...

    def subscribe(self, question: SubscribeQuestion, done: Decided[SubscriptionGrant]) -> None:
        """Ask whether a client may subscribe."""
        ...

    def publish(self, question: PublishQuestion, done: Decided[PublishVerdict]) -> None:
        """Ask whether a client may publish."""
        ...

    def sub_refresh(self, person: Person, channel: str, done: Decided[Renewal]) -> None:
        """Ask whether a subscription that has expired may go on."""
        ...

    def rpc(self, question: RpcQuestion, done: Decided[bytes]) -> None:
        """Call a method of the application; the answer is JSON."""
        ...

    def send(self, question: RpcQuestion) -> None:
        """Hand over a message that wants no answer."""
        ...


class Hooks(Protocol):
    """Hears what has happened. Never blocks, never raises; who delivers it, and how surely, is its affair."""

    def on_disconnect(self, person: Person, code: int, reason: str) -> None:
        """Hear that a connected client is gone."""
        ...

    def on_unsubscribe(self, person: Person, channel: str, code: int, reason: str) -> None:
        """Hear that a client has left a channel, in whatever way."""
        ...

    def on_channel_occupied(self, channel: str) -> None:
        """Hear that a channel has its first subscriber."""
        ...

    def on_channel_vacated(self, channel: str) -> None:
        """Hear that a channel's last subscriber has left."""
        ...


class NoHooks(Hooks):
    """Nobody listens."""

    def on_disconnect(self, person: Person, code: int, reason: str) -> None:
        """See `Hooks.on_disconnect`."""

    def on_unsubscribe(self, person: Person, channel: str, code: int, reason: str) -> None:
        """See `Hooks.on_unsubscribe`."""

    def on_channel_occupied(self, channel: str) -> None:
        """See `Hooks.on_channel_occupied`."""

    def on_channel_vacated(self, channel: str) -> None:
        """See `Hooks.on_channel_vacated`."""
