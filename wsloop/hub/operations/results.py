"""What an operator is told: one Struct for each kind of result, encoded to JSON by msgspec.

What is JSON already, and may be large, is a `msgspec.Raw`. The comment behind a field is its
documentation in the reference.
"""

from __future__ import annotations

import msgspec
from msgspec import UNSET, Raw, UnsetType


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """Base of the results."""


class EmptyResult(Result, frozen=True):
    """Done; there is nothing to tell."""


class Failure(msgspec.Struct, frozen=True):
    """Why nothing was done."""

    code: int  # of the errors in the client protocol
    message: str  # the same in words, perhaps with the reason


class PublishResult(Result, frozen=True):
    """Where the publication stands."""

    offset: int = 0  # 0 in a channel without history
    epoch: str = ""  # "" in a channel without history


class Response(msgspec.Struct, frozen=True, omit_defaults=True):
    """One channel's part of a broadcast."""

    result: PublishResult | UnsetType = UNSET  # where the publication stands
    error: Failure | UnsetType = UNSET  # or why there is none


class BroadcastResult(Result, frozen=True):
    """What became of each publication, in the order of the channels."""

    responses: list[Response]  # each with `result` or `error`


class PresenceResult(Result, frozen=True):
    """Who is in a channel."""

    presence: Raw  # client id -> {user, client, conn_info, chan_info}


class PresenceStatsResult(Result, frozen=True):
    """How many are in a channel."""

    num_clients: int  # connections
    num_users: int  # different users


class HistoryResult(Result, frozen=True):
    """A part of a channel's stream, and its top."""

    publications: Raw  # list of {data, offset, info, tags}
    epoch: str  # the stream's life
    offset: int  # of its newest publication


class ChannelInfo(msgspec.Struct, frozen=True):
    """What is told of a channel."""

    num_clients: int  # subscriptions


class ChannelsResult(Result, frozen=True, omit_defaults=True):
    """A page of channels."""

    channels: dict[str, ChannelInfo]  # name -> {num_clients}
    cursor: str = ""  # there are more: go on with this


class Metrics(msgspec.Struct, frozen=True):
    """Counters of a process."""

    interval: float  # seconds they were counted for: since the start
    items: dict[str, float]  # name -> value


class Process(msgspec.Struct, frozen=True):
    """What a process uses."""

    cpu: float  # percent of one core, on average since the start
    rss: int  # bytes of resident memory


class Node(msgspec.Struct, frozen=True):
    """One process of the server."""

    uid: str  # another one after each start
    name: str  # host and port, or what was configured
    version: str  # of wsloop
    num_clients: int  # connections, those included that have not said `connect` yet
    num_users: int  # different users; anonymous clients are nobody's
    num_subs: int  # subscriptions
    num_channels: int  # channels that somebody is in
    uptime: int  # seconds
    metrics: Metrics  # totals since the start
    process: Process  # what it uses


class InfoResult(Result, frozen=True):
    """What runs."""

    nodes: list[Node]  # one for each process that holds connections


class ChannelContext(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a connection is in a channel."""

    source: int = 0  # 1 if the server subscribed it, absent if the client did


class ConnectionTokenInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """The token that a connection came with."""

    uid: str = ""  # its `jti`
    issued_at: int = 0  # its `iat`, Unix seconds


class ConnectionState(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a connection has."""

    channels: dict[str, ChannelContext] = {}  # the channels it is in
    connection_token: ConnectionTokenInfo | UnsetType = UNSET  # absent if it came without
    meta: Raw | UnsetType = UNSET  # what token or backend keep for the operator


class ConnectionInfo(msgspec.Struct, frozen=True):
    """What is told of a connection."""

    app_name: str  # as the client calls itself
    app_version: str  # the same
    transport: str  # always websocket
    protocol: str  # json, or the codec's name
    user: str  # "" if anonymous
    state: ConnectionState  # channels, token, meta
    address: str  # its IP address, behind a listed proxy the client's own; unix for a Unix socket


class ConnectionsResult(Result, frozen=True, omit_defaults=True):
    """A page of connections."""

    connections: dict[str, ConnectionInfo]  # by client id
    cursor: str = ""  # there are more: go on with this


class Lag(msgspec.Struct, frozen=True):
    """How far one client is in a channel."""

    client: str  # its id
    user: str  # "" if anonymous
    acked: int  # the offset it has acknowledged; 0: it never did
    behind: int  # publications from there to the top


class AcksResult(Result, frozen=True):
    """How far subscribers are in a channel."""

    offset: int  # the channel's top
    epoch: str  # the stream's life
    clients: list[Lag]  # the furthest behind first


class SlowConnection(msgspec.Struct, frozen=True):
    """A connection that does not take what it is sent."""

    connection: int  # its number in the logs
    client: str  # "" if it is not messaging
    user: str  # "" if anonymous
    queued_bytes: int  # what waits for it
    queued_messages: int  # how many of others' messages wait
    age_s: float  # seconds that the oldest has waited
    dropped: int  # messages dropped by the policy of their channels


class SlowestResult(Result, frozen=True):
    """The slowest connections."""

    connections: list[SlowConnection]  # the worst first; none for which nothing waits


class PeerInfo(msgspec.Struct):
    """A connection as the server sees it."""

    connection: int  # its number in the logs
    client: str  # "" if it is not messaging
    user: str  # "" if anonymous
    address: str  # the peer's, with its port
    state: str  # of its life: handshaking, open, closing
    age_s: float  # seconds since it was accepted or opened
    queued_bytes: int  # what waits for it
    queued_messages: int  # how many of others' messages wait
    received_bytes: int  # by TCP's own count; 0 where there is none
    sent_bytes: int  # acknowledged by its kernel; 0 where there is no count
    channels: int  # subscriptions
    node: str = ""  # uid of the process that holds it


class PeersResult(Result, frozen=True):
    """Connections, those first that have the most of what was asked for."""

    connections: list[PeerInfo]  # as many as were asked for
    total: int  # how many there are in all


class KickResult(Result, frozen=True):
    """How many connections were asked to close."""

    closed: int = 0  # messaging clients and others


class RecordResult(Result, frozen=True):
    """That a recording has begun."""

    processes: int = 1  # in how many processes


class RecordedLine(msgspec.Struct, omit_defaults=True):
    """A line of a recording; its format is in docs/how-to/record.md."""

    n: int  # its number among those of its process: their order
    t: float  # Unix seconds
    c: str  # the connection: the process's uid and the number, as `conns` has it
    kind: str  # begin, in, out, about, end
    data: bytes = b""  # what went through, in base64
    about: dict[str, str | int | bool] = {}  # what is known of the connection


class RecordedResult(Result, frozen=True):
    """What was recorded since the last time."""

    lines: list[RecordedLine]  # in their order
    over: str = ""  # why no more comes; "": more may


class BatchResult(Result, frozen=True):
    """What became of each command, in order. Not inside `result`: it is the whole answer."""

    replies: list[Raw]  # each {METHOD: result} or {"error": {code, message}}; 106 past 32 MiB in all
