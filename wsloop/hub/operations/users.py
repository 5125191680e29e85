"""Operations on users' connections: subscribe, unsubscribe, disconnect, refresh, list."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from wsloop.hub import codes, commands, joining, replies
from wsloop.hub.grants import Override, SubscriptionGrant
from wsloop.hub.operations.core import bad_request, json_of
from wsloop.hub.operations.expressions import Expression
from wsloop.hub.operations.paging import Page
from wsloop.hub.operations.results import (
    ChannelContext,
    ConnectionInfo,
    ConnectionsResult,
    ConnectionState,
    ConnectionTokenInfo,
    EmptyResult,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.hub.client import Client
    from wsloop.hub.namespaces import ChannelRules
    from wsloop.hub.operations.core import Finished, Operations
    from wsloop.hub.operations.requests import (
        ConnectionsRequest,
        DisconnectRequest,
        RefreshRequest,
        SubscribeRequest,
        UnsubscribeRequest,
    )
    from wsloop.hub.operations.requests import Override as RequestedOverride

CONNECTIONS_PER_TURN = 500
"""Connections judged by an expression in one turn, about two milliseconds' worth."""

SUBSCRIBED_BY_SERVER = 1
"""`source` of a channel that the client did not subscribe to itself."""

TRANSPORT = "websocket"
"""The only one there is."""

FIELDS = frozenset({"client", "user", "app_name", "app_version", "transport", "protocol", "channels", "meta"})
"""What an expression may ask about a connection."""


class _Subscribed(msgspec.Struct, frozen=True):
    """A subscribe result, as far as a push tells it; what was recovered follows in pushes of its own."""

    recoverable: bool = False
    positioned: bool = False
    epoch: str = ""
    offset: int = 0
    publications: list[msgspec.Raw] = []
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _SubscribePush(msgspec.Struct, frozen=True, omit_defaults=True):
    recoverable: bool = False
    positioned: bool = False
    epoch: str = ""
    offset: int = 0
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


def subscribe(operations: Operations, request: SubscribeRequest, done: Finished) -> None:
    """Carry out `subscribe`: done when every connection of the user's is in the channel.

    Who is there already stays as it is. Error 100 if the stream of one could not be read.
    """
    rules = operations.hub.namespaces.rules_to_subscribe(request.channel)
    grant = SubscriptionGrant(
        info=json_of(request.info, request.b64info, "b64info"),
        data=json_of(request.data, request.b64data, "b64data"),
        expire_at=request.expire_at,
        override=_override(request.override) if request.override else None,
        from_backend=True,
    )
    since = request.recover_since
    asked = commands.SubscribeRequest(channel=request.channel)
    if since is not None:
        asked = commands.SubscribeRequest(
            channel=request.channel, recoverable=True, recover=True, epoch=since.epoch, offset=since.offset
        )
    clients = operations.targets(request.user, request.client, request.session)
    newcomers = [client for client in clients if request.channel not in client.subscriptions]
    missing = len(newcomers)
    error: codes.Code | None = None

    def joined(outcome: codes.Code | None) -> None:
        nonlocal missing, error
        missing -= 1
        error = error or outcome
        if not missing:
            done(error or EmptyResult())

    if not newcomers:
        done(EmptyResult())
    for client in newcomers:
        _join(client, rules, asked, grant, joined)


def _join(
    client: Client,
    rules: ChannelRules,
    asked: commands.SubscribeRequest,
    grant: SubscriptionGrant,
    finished: Callable[[codes.Code | None], object],
) -> None:
    """Bring one client into the channel and tell it so."""
    if len(client.subscriptions) >= client.hub.options.channel_limit:
        limit = codes.DISCONNECT_CHANNEL_LIMIT
        client.disconnect(limit.code, limit.message)
        finished(None)
        return
    subscription = joining.occupy(client, asked.channel, rules, is_server_side=True)

    def joined(outcome: bytes | codes.Code) -> None:
        if isinstance(outcome, bytes):
            _tell(client, subscription.channel.push_start, outcome)
            joining.announce(subscription)
            finished(None)
        else:
            # Who has gone meanwhile is no failure.
            finished(outcome if client.is_connected else None)

    joining.join(subscription, asked, grant, joined)


def _tell(client: Client, push_start: bytes, result: bytes) -> None:
    """Push that the client is subscribed, then what it has missed."""
    found = msgspec.json.decode(result, type=_Subscribed)
    push = _SubscribePush(found.recoverable, found.positioned, found.epoch, found.offset, found.data)
    client.tell(replies.subscribe_push(push_start, replies.encode(push)))
    for publication in found.publications:
        client.tell(push_start + b'"pub":' + bytes(publication) + b"}}")


def unsubscribe(operations: Operations, request: UnsubscribeRequest, done: Finished) -> None:
    """Carry out `unsubscribe`."""
    if request.channel:
        operations.hub.namespaces.rules_to_subscribe(request.channel)
    for client in operations.targets(request.user, request.client, request.session):
        names = [request.channel] if request.channel else list(client.subscriptions)
        for name in names:
            subscription = client.subscriptions.get(name)
            if subscription is not None:
                joining.end_with_push(subscription, codes.UNSUBSCRIBE_SERVER)
    done(EmptyResult())


def disconnect(operations: Operations, request: DisconnectRequest, done: Finished) -> None:
    """Carry out `disconnect`: done when the connections are asked to close, not when they are closed."""
    code, reason = codes.DISCONNECT_FORCE_NO_RECONNECT.code, codes.DISCONNECT_FORCE_NO_RECONNECT.message
    if request.disconnect is not None:
        code, reason = request.disconnect.code, request.disconnect.reason
    for client in operations.targets(request.user, request.client, request.session):
        if client.id not in request.whitelist:
            client.disconnect(code, reason)
    done(EmptyResult())


def refresh(operations: Operations, request: RefreshRequest, done: Finished) -> None:
    """Carry out `refresh`."""
    info = json_of(request.info, "", "info")
    is_over = request.expired or 0 < request.expire_at <= operations.hub.unix_s()
    for client in operations.targets(request.user, request.client, request.session):
        if is_over:
            client.disconnect(codes.DISCONNECT_EXPIRED.code, codes.DISCONNECT_EXPIRED.message)
        else:
            client.renew(request.expire_at, info)
            client.tell(replies.refresh_push(client.ttl_s()))
    done(EmptyResult())


def connections(operations: Operations, request: ConnectionsRequest, done: Finished) -> None:
    """Carry out `connections`."""
    hub = operations.hub
    try:
        expression = Expression(request.expression, FIELDS)
    except ValueError as fault:
        raise bad_request(f"expression: {fault}") from None
    page = Page(request.limit, request.cursor)

    def look(client: Client) -> None:
        is_possible = page.wants(client.id) and client.is_connected
        if is_possible and (not request.expression or expression.holds(_fields(client))):
            page.add(client.id)

    found: dict[str, ConnectionInfo] = {}

    def describe(name: str) -> None:
        client = hub.client(name)
        if client is not None:
            found[name] = _described(client)

    def turn_over() -> None:
        names, cursor = page.take()
        result = ConnectionsResult(connections=found, cursor=cursor)
        operations.in_portions(names, CONNECTIONS_PER_TURN, describe, lambda: done(result))

    chosen = hub.clients_of(request.user) if request.user else hub.all_clients()
    operations.in_portions(chosen, CONNECTIONS_PER_TURN, look, turn_over)


def _fields(client: Client) -> dict[str, object]:
    """Return what an expression may ask about a client."""
    app_name, app_version = client.app
    return {
        "client": client.id,
        "user": client.user,
        "app_name": app_name,
        "app_version": app_version,
        "transport": TRANSPORT,
        "protocol": _protocol(client),
        "channels": list(client.subscriptions),
        "meta": _meta(client),
    }


def _meta(client: Client) -> object:
    """Return what is known of a client besides; None, too, for numbers that nothing here can hold.

    A payload is never parsed where it comes in, so `{"n": 1e999}` gets as far as here.
    """
    meta = client.identity.meta if client.identity is not None else b""
    try:
        return msgspec.json.decode(meta) if meta else None
    except (msgspec.DecodeError, RecursionError):
        return None


def _protocol(client: Client) -> str:
    return client.codec.name.removeprefix("centrifuge-")


def _described(client: Client) -> ConnectionInfo:
    """Return what is told of a client."""
    identity = client.identity
    came_with: ConnectionTokenInfo | msgspec.UnsetType = msgspec.UNSET
    if identity is not None and (identity.token_id or identity.issued_at):
        came_with = ConnectionTokenInfo(identity.token_id, identity.issued_at)
    state = ConnectionState(
        channels={
            name: ChannelContext(SUBSCRIBED_BY_SERVER if subscription.is_server_side else 0)
            for name, subscription in client.subscriptions.items()
        },
        connection_token=came_with,
        meta=replies.optional(identity.meta if identity is not None else b""),
    )
    app_name, app_version = client.app
    address = client.subscriber.address
    return ConnectionInfo(app_name, app_version, TRANSPORT, _protocol(client), client.user, state, address)


def _override(asked: RequestedOverride) -> Override:
    """Return the options that a request sets, in the hub's own form."""
    switches = {name: getattr(asked, name) for name in asked.__struct_fields__}
    return Override(**{name: switch.value for name, switch in switches.items() if switch is not None})
