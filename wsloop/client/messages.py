"""What a messaging server says, decoded by msgspec straight into Structs; see `hub/replies.py`.

Unknown fields are ignored, as servers newer than this client send them. A payload stays the JSON it
came in (`msgspec.Raw`; `bytes(data)` copies it out of its frame), b"" if there was none.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
from msgspec import Raw

from wsloop.errors import WsloopError

NO_DATA = Raw()


class ClientCode:
    """What this side says by itself, below 100 (Centrifugo client protocol)."""

    CALLED = 0
    TRANSPORT_CLOSED = 1
    NO_PING = 2
    SUBSCRIBE_TIMEOUT = 3
    UNAUTHORIZED = 1
    BAD_PROTOCOL = 2
    REFUSED = 4


class CallError(WsloopError):
    """A command was not carried out: the server's error, or a code below 100 of this side's.

    `message` may be the server's text: escape it before it is printed.
    """

    def __init__(self, code: int, message: str, *, temporary: bool = False) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.temporary = temporary or code < 100


TIMEOUT = CallError(1, "timeout")
LOST = CallError(2, "connection lost")
CLIENT_DISCONNECTED = CallError(3, "client disconnected")
TOO_MANY_CALLS = CallError(4, "too many calls are waiting")
TOKEN_EXPIRED = 109


class Position(NamedTuple):
    """A place in a channel's stream."""

    offset: int
    epoch: str


class Message(msgspec.Struct, frozen=True, gc=False):
    """Base: immutable, and without a cycle for the garbage collector to find."""


class ErrorBody(Message, frozen=True):
    """Why a command was refused."""

    code: int
    message: str = ""
    temporary: bool = False


class Info(Message, frozen=True):
    """Who a client is."""

    user: str = ""
    client: str = ""
    conn_info: Raw = NO_DATA
    chan_info: Raw = NO_DATA


class Publication(Message, frozen=True):
    """`channel` is only there if it is not the subscription's own name (a pattern's)."""

    data: Raw = NO_DATA
    offset: int = 0
    info: Info | None = None
    tags: dict[str, str] = {}
    channel: str = ""


class SubscribeResult(Message, frozen=True):
    """The reply to `subscribe`, and what a server-side subscription is told by."""

    recoverable: bool = False
    positioned: bool = False
    epoch: str = ""
    offset: int = 0
    was_recovering: bool = False
    recovered: bool = False
    publications: list[Publication] = []
    expires: bool = False
    ttl: int = 0
    data: Raw = NO_DATA


class ConnectResult(Message, frozen=True):
    """The reply to `connect`; `ping` and `ttl` in seconds."""

    client: str
    version: str = ""
    ping: int = 0
    pong: bool = False
    expires: bool = False
    ttl: int = 0
    data: Raw = NO_DATA
    subs: dict[str, SubscribeResult] = {}
    flag: int = 0


class PublishResult(Message, frozen=True):
    """Where it was appended; `dup`: it had been before."""

    offset: int = 0
    epoch: str = ""
    dup: bool = False


class HistoryResult(Message, frozen=True):
    """Publications, and the top of the stream."""

    publications: list[Publication] = []
    epoch: str = ""
    offset: int = 0


class PresenceResult(Message, frozen=True):
    """Who is in a channel, by client id."""

    presence: dict[str, Info] = {}


class PresenceStats(Message, frozen=True):
    """How many are in a channel."""

    num_clients: int = 0
    num_users: int = 0


class DataResult(Message, frozen=True):
    """The reply to `rpc`."""

    data: Raw = NO_DATA


class RefreshResult(Message, frozen=True):
    """The reply to `refresh` and `sub_refresh`; `ttl` in seconds."""

    expires: bool = False
    ttl: int = 0


class Empty(Message, frozen=True):
    """A reply that only says that it was done."""


class About(Message, frozen=True):
    """Who came or went."""

    info: Info = Info()


class Ended(Message, frozen=True):
    """Why a subscription, or a connection, was ended."""

    code: int = 0
    reason: str = ""


class Push(Message, frozen=True):
    """What the server says unasked, of a channel."""

    channel: str = ""
    pub: Publication | None = None
    join: About | None = None
    leave: About | None = None
    subscribe: SubscribeResult | None = None
    unsubscribe: Ended | None = None
    disconnect: Ended | None = None


class Reply(Message, frozen=True):
    """One line of the server's. Without id and push it is a ping."""

    id: int = 0
    error: ErrorBody | None = None
    push: Push | None = None
    connect: ConnectResult | None = None
    subscribe: SubscribeResult | None = None
    unsubscribe: Empty | None = None
    publish: PublishResult | None = None
    history: HistoryResult | None = None
    presence: PresenceResult | None = None
    presence_stats: PresenceStats | None = None
    rpc: DataResult | None = None
    refresh: RefreshResult | None = None
    sub_refresh: RefreshResult | None = None


decode_reply = msgspec.json.Decoder(Reply).decode
"""Return a line as a Reply; raises msgspec.DecodeError (msgspec.ValidationError among them)."""
