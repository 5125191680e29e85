"""What a client is told: replies and pushes as bytes, each one line of JSON.

Shapes the SDKs depend on: the result key is present even if the result is empty; an error has
both `code` and `message`; fields that are false are left out, except where an SDK indexes
them. Lines are spliced from parts that are JSON already, so that a payload is never parsed; no
part contains a newline, since the frame format splits on them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from wsloop.errors import WsloopError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from wsloop.hub.broker import Appended
    from wsloop.hub.codes import Code
    from wsloop.hub.history import Publication, StreamPosition, StreamView
    from wsloop.hub.presence import PresenceStats

PING = b"{}"
"""The application's ping, sent by the server as a text frame of its own or as a line."""

EMPTY = b"{}"
"""An empty result."""

encode = msgspec.json.encode
"""Encode to JSON on one line: msgspec writes no whitespace and escapes newlines in strings."""


class PayloadError(WsloopError):
    """A payload handed in by the server's own user is not JSON."""


class _Error(msgspec.Struct, omit_defaults=True):
    code: int
    message: str
    temporary: bool = False


class _ErrorReply(msgspec.Struct):
    id: int
    error: _Error


class ConnectResult(msgspec.Struct, omit_defaults=True):
    """The reply to `connect`.

    `ping` in seconds, with `pong` if the client must answer; `ttl` in seconds, with `expires` if
    the client must renew its token; `subs`: the server-side subscriptions, each a subscribe result;
    `flag`: the extensions that it asked for and may use.
    """

    client: str
    version: str
    ping: int = 0
    pong: bool = False
    expires: bool = False
    ttl: int = 0
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    subs: dict[str, msgspec.Raw] = {}
    flag: int = 0


class RefreshResult(msgspec.Struct, omit_defaults=True):
    """The reply to `refresh`, with the same meanings as in ConnectResult."""

    client: str
    version: str
    expires: bool = False
    ttl: int = 0


class SubRefreshResult(msgspec.Struct, omit_defaults=True):
    """The reply to `sub_refresh`; `ttl` in seconds."""

    expires: bool = False
    ttl: int = 0


class ClientInfo(msgspec.Struct, omit_defaults=True):
    """Who a client is, in presence, join, leave and its publications.

    `user` and `client` are never left out: clients index them. `conn_info` is JSON.
    """

    user: str
    client: str
    conn_info: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    chan_info: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


def client_info(user: str, client: str, conn_info: bytes, chan_info: bytes = b"") -> bytes:
    """Return as JSON who a client is; the two infos are JSON, or b"" for none."""
    return encode(ClientInfo(user, client, optional(conn_info), optional(chan_info)))


def optional(json: bytes) -> msgspec.Raw | msgspec.UnsetType:
    """Return JSON as a field of a result; b"" leaves the field out."""
    return msgspec.Raw(json) if json else msgspec.UNSET


def reply(command_id: int, method: str, result: bytes) -> bytes:
    """Return the reply to a command: `result` is the JSON object under the method's name."""
    return b'{"id":%d,"%b":%b}' % (command_id, method.encode(), result)


def error_reply(command_id: int, error: Code) -> bytes:
    """Return the reply that refuses a command."""
    return encode(_ErrorReply(command_id, _Error(error.code, error.message, error.temporary)))


def publish_result(position: Appended) -> bytes:
    """Return the result of `publish`: the position where history is kept, and whether it is a duplicate."""
    if not position.epoch:
        return b'{"dup":true}' if position.duplicate else EMPTY
    duplicate = b',"dup":true' if position.duplicate else b""
    return b'{"offset":%d,"epoch":"%b"%b}' % (position.offset, position.epoch.encode(), duplicate)


def subscribe_result(
    position: StreamPosition | None,
    *,
    recoverable: bool = False,
    was_recovering: bool = False,
    recovered: Sequence[bytes] | None = None,
    delta: bool = False,
    number: int = 0,
    ttl_s: int | None = None,
    data: bytes = b"",
) -> bytes:
    """Return the result of `subscribe`.

    `position` is None for a subscription that is not positioned, otherwise the position the
    client shall continue from: the top, or the one it asked to recover from if `recovered`
    holds what it missed, each as JSON (None: it was not recovered). `delta`: payloads will be JSON
    strings, and may be differences. `number`: what stands for the name in pushes, unless 0.
    `ttl_s`: when the client must renew its right to the channel, None for never. `data`: what the
    token or the backend gives it, JSON.
    """
    fields = []
    if recoverable:
        fields.append(b'"recoverable":true')
    if position is not None:
        fields.append(
            b'"positioned":true,"epoch":"%b","offset":%d' % (position.epoch.encode(), position.offset)
        )
    if was_recovering:
        fields.append(b'"was_recovering":true')
    if recovered is not None:
        fields.append(b'"recovered":true')
        if recovered:
            fields.append(b'"publications":[' + b",".join(recovered) + b"]")
    if delta:
        fields.append(b'"delta":true')
    if number:
        fields.append(b'"id":%d' % number)
    if ttl_s is not None:
        fields.append(b'"expires":true,"ttl":%d' % ttl_s)
    if data:
        fields.append(b'"data":' + data)
    return b"{" + b",".join(fields) + b"}"


def rpc_result(data: bytes) -> bytes:
    """Return the result of `rpc`; `data` is JSON, or b"" for none."""
    return b'{"data":' + data + b"}" if data else EMPTY


def history_result(view: StreamView) -> bytes:
    """Return the result of `history`; all three keys are always there."""
    listed, top = publications(view.publications), view.top
    return b'{"publications":%b,"epoch":"%b","offset":%d}' % (listed, top.epoch.encode(), top.offset)


def presence_result(members: Mapping[str, bytes]) -> bytes:
    """Return the result of `presence`."""
    return b'{"presence":' + members_object(members) + b"}"


def members_object(members: Mapping[str, bytes]) -> bytes:
    """Return who is in a channel as an object: client id -> info, each info JSON already."""
    infos = b",".join([b'"%b":%b' % (client.encode(), info) for client, info in members.items()])
    return b"{" + infos + b"}"


def presence_stats_result(stats: PresenceStats) -> bytes:
    """Return the result of `presence_stats`; zeros are not left out."""
    return encode(stats)


def publication(pub: Publication) -> bytes:
    """Return a publication as JSON: `offset` only if it has one, `info` only if a client made it."""
    offset = b',"offset":%d' % pub.offset if pub.offset else b""
    info = b',"info":' + pub.info if pub.info else b""
    tags = b',"tags":' + pub.tags if pub.tags else b""
    return b'{"data":%b%b%b%b}' % (pub.data, offset, info, tags)


def push_start(channel: str) -> bytes:
    """Return what all pushes of a channel begin with; kept per channel, as names need escaping."""
    return b'{"push":{"channel":' + encode(channel) + b","


def pub_push(start: bytes, pub: Publication) -> bytes:
    """Return the push of a publication; `start` from `push_start`."""
    return start + b'"pub":' + publication(pub) + b"}}"


def numbered_push_start(number: int) -> bytes:
    """Return what pushes begin with that name their channel by its number."""
    return b'{"push":{"id":%d,' % number


def tailored_publication(pub: Publication, data: bytes, is_delta: bool) -> bytes:
    """Return a publication with `data`, a JSON string, instead of its payload."""
    mark = b',"delta":true' if is_delta else b""
    return publication(msgspec.structs.replace(pub, data=data))[:-1] + mark + b"}"


def tailored_pub_push(start: bytes, pub: Publication, data: bytes, is_delta: bool) -> bytes:
    """Return the push of a publication with `data`, a JSON string, instead of its payload."""
    return start + b'"pub":' + tailored_publication(pub, data, is_delta) + b"}}"


def foreign_pub_push(start: bytes, pub: Publication, source: str) -> bytes:
    """Return the push of a publication of the channel `source` to the subscribers of a pattern."""
    return start + b'"pub":' + publication(pub)[:-1] + b',"channel":' + encode(source) + b"}}}"


def join_push(start: bytes, info: bytes) -> bytes:
    """Return the push that tells of a client's coming; `info` is JSON."""
    return start + b'"join":{"info":' + info + b"}}}"


def leave_push(start: bytes, info: bytes) -> bytes:
    """Return the push that tells of a client's going; `info` is JSON."""
    return start + b'"leave":{"info":' + info + b"}}}"


def subscribe_push(start: bytes, result: bytes) -> bytes:
    """Return the push that tells a client that the server has subscribed it; `result` as in a reply."""
    return start + b'"subscribe":' + result + b"}}"


def refresh_push(ttl_s: int) -> bytes:
    """Return the push that tells a client that its identity ends in `ttl_s` seconds; 0: it does not."""
    ends = b'"expires":true,"ttl":%d' % ttl_s if ttl_s else b""
    return b'{"push":{"refresh":{' + ends + b"}}}"


def unsubscribe_push(start: bytes, code: Code) -> bytes:
    """Return the push that ends a subscription; both keys are always there."""
    return b'%b"unsubscribe":{"code":%d,"reason":%b}}}' % (start, code.code, encode(code.message))


def gap_push(channel: str, dropped: int) -> bytes:
    """Return the push that stands where `dropped` pushes were left out; official SDKs ignore it."""
    return b'%b"gap":{"dropped":%d}}}' % (push_start(channel), dropped)


def one_line(data: bytes) -> bytes:
    """Return `data`, which must be JSON in UTF-8, on one line.

    For payloads that did not come through a client's frame, where the line break that ended
    the command guarantees it. Raises PayloadError if it is not JSON.
    """
    try:
        data.decode()
        payload = bytes(msgspec.json.decode(data, type=msgspec.Raw))
        return msgspec.json.format(payload, indent=-1) if b"\n" in payload else payload
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError) as error:
        raise PayloadError(f"not JSON: {error}") from error


def publications(pubs: Iterable[Publication]) -> bytes:
    """Return publications as a JSON array."""
    return b"[" + b",".join([publication(pub) for pub in pubs]) + b"]"
