"""What an operator may ask for: one Struct for each method, decoded from JSON by msgspec.

A payload is a `msgspec.Raw`: checked by the decoder, and never parsed. Unknown fields are ignored, as
newer clients send them. The comment behind a field is its documentation in the reference.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Raw

NO_DATA = Raw()
"""Stands for a payload that was not sent; JSON null is a payload."""

MAX_KEY_LENGTH = 256
"""Characters of an idempotency key: room for two UUIDs and a name. The broker remembers keys."""

MAX_PAGE = 10_000
"""Entries in one page of channels or connections: some 500 KiB, encoded in a few milliseconds."""

Natural = Annotated[int, Meta(ge=0)]
UnixTime = Annotated[int, Meta(ge=0, le=2**53)]
Key = Annotated[str, Meta(max_length=MAX_KEY_LENGTH)]
Name = Annotated[str, Meta(min_length=1)]
Note = Annotated[str, Meta(min_length=1, max_length=255)]
Page = Annotated[int, Meta(ge=1, le=MAX_PAGE)]
CloseCode = Annotated[int, Meta(ge=3000, le=4999)]


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """Base of the requests."""


class Payload(Request, frozen=True, kw_only=True):
    """What is published, and how."""

    data: Raw = NO_DATA  # any JSON
    b64data: str = ""  # the same JSON in base64, instead of `data`
    skip_history: bool = False  # do not keep it
    tags: dict[str, str] = {}  # given to subscribers with it; what filters go by
    idempotency_key: Key = ""  # published once in the channel for all requests with this key
    delta: bool = False  # subscribers that can are given the difference to the one before


class PublishRequest(Payload, frozen=True, kw_only=True):
    """Publish to a channel."""

    channel: Name  # where
    version: Natural = 0  # published only if it is above the channel's last one; 0: always
    version_epoch: str = ""  # versions of another epoch are not compared


class BroadcastRequest(Payload, frozen=True, kw_only=True):
    """Publish the same to many channels."""

    channels: Annotated[list[Name], Meta(min_length=1)]  # where


class PublishToUserRequest(Payload, frozen=True, kw_only=True):
    """Publish to a user: to its personal channel, `#user`."""

    user: Name  # whose personal channel


class PublishToGroupRequest(Payload, frozen=True, kw_only=True):
    """Publish to a group: to the channel `group:GROUP`."""

    group: Name  # the part behind `group:`


class PublishToAllRequest(Payload, frozen=True, kw_only=True):
    """Publish to everybody: to the channel that all clients are in."""


class StreamPosition(Request, frozen=True, kw_only=True):
    """A place in a channel's stream."""

    offset: Natural = 0  # of the last publication seen
    epoch: str = ""  # the stream's life; "" for the present one


class Switch(Request, frozen=True, kw_only=True):
    """A boolean, in an object of its own so that it can be left out."""

    value: bool = False  # on or off


class Override(Request, frozen=True, kw_only=True):
    """Options of the namespace that this subscription has differently."""

    presence: Switch | None = None  # it is listed in presence
    join_leave: Switch | None = None  # others hear of its coming and going
    force_push_join_leave: Switch | None = None  # it hears of others' without asking
    force_positioning: Switch | None = None  # gaps are detected without asking
    force_recovery: Switch | None = None  # what was missed is recovered without asking


class SubscribeRequest(Request, frozen=True, kw_only=True):
    """Subscribe a user's connections to a channel, from the server's side."""

    user: str = ""  # whose connections; may be "" with `client`
    channel: Name  # where to
    client: str = ""  # only this connection
    session: str = ""  # only this session; none has one here, so it finds nobody
    info: Raw = NO_DATA  # what others see of it in the channel, JSON
    b64info: str = ""  # the same in base64
    data: Raw = NO_DATA  # given to the client with the push, JSON
    b64data: str = ""  # the same in base64
    recover_since: StreamPosition | None = None  # begin with what was published after this
    expire_at: UnixTime = 0  # Unix seconds when it ends; 0: never
    override: Override | None = None  # options it has differently


class UnsubscribeRequest(Request, frozen=True, kw_only=True):
    """End a user's subscriptions to a channel."""

    user: str = ""  # whose connections; may be "" with `client`
    channel: str = ""  # the channel; "": all of them
    client: str = ""  # only this connection
    session: str = ""  # only this session; none has one here, so it finds nobody


class Disconnect(Request, frozen=True, kw_only=True):
    """How a connection is closed."""

    code: CloseCode  # 3500-3999 and 4500-4999: clients do not come back
    reason: str = ""  # at most 123 bytes


class DisconnectRequest(Request, frozen=True, kw_only=True):
    """Close a user's connections."""

    user: str = ""  # whose connections; may be "" with `client`
    client: str = ""  # only this connection
    session: str = ""  # only this session; none has one here, so it finds nobody
    whitelist: list[str] = []  # connections that stay
    disconnect: Disconnect | None = None  # default: 3503 "force disconnect"


class RefreshRequest(Request, frozen=True, kw_only=True):
    """Let the identity of a user's connections end at another time."""

    user: str = ""  # whose connections; may be "" with `client`
    client: str = ""  # only this connection
    session: str = ""  # only this session; none has one here, so it finds nobody
    expired: bool = False  # it has ended: close with 3005
    expire_at: UnixTime = 0  # Unix seconds; 0: never
    info: Raw = NO_DATA  # what others see of the client from now on, JSON


class ChannelRequest(Request, frozen=True, kw_only=True):
    """Name a channel."""

    channel: Name  # which


class PresenceRequest(ChannelRequest, frozen=True, kw_only=True):
    """Tell who is in a channel."""


class PresenceStatsRequest(ChannelRequest, frozen=True, kw_only=True):
    """Count who is in a channel."""


class HistoryRequest(ChannelRequest, frozen=True, kw_only=True):
    """Read a channel's stream."""

    limit: int = 0  # how many publications; 0: only the position, -1: all; 4 MiB of them at most
    since: StreamPosition | None = None  # those after this position, or before it with `reverse`
    reverse: bool = False  # newest first


class HistoryRemoveRequest(ChannelRequest, frozen=True, kw_only=True):
    """Forget a channel's publications; a new epoch begins."""


class ChannelsRequest(Request, frozen=True, kw_only=True):
    """List channels that somebody is in, by name."""

    pattern: str = ""  # glob: `*`, `?`, `[a-z]`, `[!a]`, `{a,b}`, `\\` escapes; "": all
    limit: Page = MAX_PAGE  # how many at most
    cursor: str = ""  # go on behind the page that ended with this


class InfoRequest(Request, frozen=True, kw_only=True):
    """Tell what runs, and how much it holds."""


class ConnectionsRequest(Request, frozen=True, kw_only=True):
    """List connections, by client id."""

    user: str = ""  # only this user's
    expression: str = ""  # only those for which it is true; see below
    limit: Page = 1000  # how many at most
    cursor: str = ""  # go on behind the page that ended with this


class AcksRequest(ChannelRequest, frozen=True, kw_only=True):
    """Tell how far behind a channel's subscribers are, by what they have acknowledged."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100  # how many at most


class BlockUserRequest(Request, frozen=True, kw_only=True):
    """Close a user's connections (3503), and let nobody in as this user (3507)."""

    user: Note  # who
    expire_at: UnixTime = 0  # Unix seconds when it ends; 0: never


class UnblockUserRequest(Request, frozen=True, kw_only=True):
    """Let a user in again; no effect on one who is not blocked."""

    user: Note  # who


class RevokeTokenRequest(Request, frozen=True, kw_only=True):
    """Take one token for invalid (3500), and close the connections that came with it (3014)."""

    uid: Note  # its `jti`
    expire_at: UnixTime = 0  # Unix seconds when it can be forgotten: the token's own end; 0: never


class InvalidateUserTokensRequest(Request, frozen=True, kw_only=True):
    """Take a user's tokens up to a moment for invalid (3500); close the connections that have one (3014)."""

    user: Note  # whose tokens
    issued_before: UnixTime = 0  # those with an earlier `iat`, Unix seconds, or none; 0: before this second
    expire_at: UnixTime = 0  # Unix seconds when it can be forgotten; 0: never
    channel: str = ""  # those of one channel only: not offered, error 108


class SlowestRequest(Request, frozen=True, kw_only=True):
    """List the connections for which most waits."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 20  # how many at most


class PeersRequest(Request, frozen=True, kw_only=True):
    """List connections of every kind. Of `wsloop ctl`, not of the API."""

    user: str = ""  # only this user's
    channel: str = ""  # only subscribers of this channel
    address: str = ""  # only from this address, with or without the port
    sort: Literal["age", "bytes", "outbox"] = "age"  # what there is most of comes first
    limit: Page = 1000  # how many at most


class KickRequest(Request, frozen=True, kw_only=True):
    """Close connections. Of `wsloop ctl`, not of the API."""

    user: str = ""  # this user's
    client: str = ""  # or this messaging client
    connection: Natural = 0  # or the one with this number
    node: str = ""  # in the process with this uid only
    code: CloseCode = 3503  # 3500-3999 and 4500-4999: clients do not come back
    reason: str = "force disconnect"  # at most 123 bytes


class RecordRequest(Request, frozen=True, kw_only=True):
    """Begin to record the bytes of connections. Of `wsloop ctl`, not of the API."""

    recording: str  # what it is to be called
    user: str = ""  # this user's connections
    client: str = ""  # or this messaging client's; of these three all that are given must hold
    address: str = ""  # or those from this address
    connection: Natural = 0  # or the one with this number
    node: str = ""  # in the process with this uid only
    seconds: Annotated[float, Meta(gt=0, le=3600)] = 60.0  # how long
    max_bytes: Annotated[int, Meta(ge=1, le=64 * 1024 * 1024)] = 1024 * 1024  # how much, in each process
    redact: bool = True  # blot out tokens and other secrets


class RecordedRequest(Request, frozen=True, kw_only=True):
    """Fetch what was recorded. Of `wsloop ctl`, not of the API."""

    recording: str  # which
    stop: bool = False  # end it


class BatchRequest(Request, frozen=True, kw_only=True):
    """Carry out many methods in one request."""

    commands: list[dict[str, Raw]]  # each an object with one key, a method, and its request
    parallel: bool = False  # begin one before the one in front of it is done
