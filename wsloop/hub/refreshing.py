"""Renewing what ends: the commands refresh and sub_refresh, and what happens when nobody renewed.

Whoever gave a right renews it. What a token gave, the client renews with another token, before it
ends or within a grace after it, which the hub adds to the deadline (SDKs ask only when it ends).
What the backend gave, the backend is asked about when it ends, if that is configured; there is no
grace, and a backend that cannot be asked costs nobody the connection: it is asked again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsloop.hub import blocking, codes, joining, replies
from wsloop.hub.backend import Disconnected, Refused, Renewal
from wsloop.hub.verifier import ExpiredTokenError, InvalidTokenError

if TYPE_CHECKING:
    from wsloop.hub.channels import Subscription
    from wsloop.hub.client import Client
    from wsloop.hub.commands import RefreshRequest, SubRefreshRequest

ASK_AGAIN_S = 60
"""What a right is prolonged by when the backend could not be asked; Centrifugo waits as long."""


def refresh(client: Client, command_id: int, request: RefreshRequest) -> None:
    """Carry out `refresh`. Raises DisconnectError for anything but a good token of the same user."""
    identity, hub = client.identity, client.hub
    assert identity is not None
    if not request.token or identity.from_backend:
        detail = "the server renews this connection" if identity.from_backend else "token is required"
        raise codes.DisconnectError(codes.DISCONNECT_BAD_REQUEST, detail)
    unix_s = hub.unix_s()
    client.subscriber.charge(blocking.TOKEN_COMMANDS)
    try:
        found = hub.verifier.verify_connection(request.token, unix_s)
    except ExpiredTokenError:
        raise codes.DisconnectError(codes.DISCONNECT_EXPIRED) from None
    except InvalidTokenError:
        raise codes.DisconnectError(codes.DISCONNECT_INVALID_TOKEN) from None
    if found.user != client.user:
        raise codes.DisconnectError(codes.DISCONNECT_INVALID_TOKEN, "of another user")
    blocking.check(hub, found)
    if 0 < found.expire_at <= unix_s:
        raise codes.DisconnectError(codes.DISCONNECT_EXPIRED)
    client.identify(found)
    expires = found.expire_at > 0
    result = replies.RefreshResult(client.id, hub.options.version, expires, client.ttl_s())
    client.reply(command_id, "refresh", replies.encode(result))


def sub_refresh(client: Client, command_id: int, request: SubRefreshRequest) -> None:
    """Carry out `sub_refresh`.

    Raises ReplyError 107 without a token, 103 for one that is not good or a channel it is not
    subscribed to, 109 for one that has expired; DisconnectError 3500 for one that is another's.
    """
    if not request.channel:
        raise codes.DisconnectError(codes.DISCONNECT_BAD_REQUEST, "channel is required")
    subscription = client.subscriptions.get(request.channel)
    if subscription is None or not subscription.active:
        raise codes.ReplyError(codes.PERMISSION_DENIED)
    if not request.token:
        raise codes.ReplyError(codes.BAD_REQUEST)
    grant = blocking.subscription_grant(client, request.channel, request.token)
    ttl_s = joining.set_end(subscription, grant.expire_at, from_backend=False)
    if grant.info:
        subscription.info = client.info_with(grant.info)
    result = replies.SubRefreshResult(ttl_s is not None, ttl_s or 0)
    client.reply(command_id, "sub_refresh", replies.encode(result))


def on_client_expired(client: Client) -> None:
    """Deal with a connection whose identity has ended: ask the backend if it was its, else close."""
    identity, hub = client.identity, client.hub
    if identity is None or not identity.from_backend or not hub.options.refresh_proxy:
        client.disconnect(codes.DISCONNECT_EXPIRED.code, codes.DISCONNECT_EXPIRED.message)
        return

    def decided(answer: Renewal | Refused | Disconnected) -> None:
        if not client.is_open:
            return
        if isinstance(answer, Disconnected):
            client.disconnect(answer.code, answer.reason)
        elif isinstance(answer, Refused):
            client.renew(int(hub.unix_s()) + ASK_AGAIN_S)
        elif answer.expired or 0 < answer.expire_at <= hub.unix_s():
            client.disconnect(codes.DISCONNECT_EXPIRED.code, codes.DISCONNECT_EXPIRED.message)
        else:
            client.renew(answer.expire_at, answer.info or b"")

    hub.backend.refresh(client.person, decided)


def on_subscription_expired(subscription: Subscription) -> None:
    """Deal with a subscription whose right has ended: ask the backend if it was its, else end it."""
    client, channel = subscription.client, subscription.channel
    hub = client.hub
    if not subscription.is_from_backend or not channel.rules.options.sub_refresh_proxy:
        _end(subscription)
        return

    def decided(answer: Renewal | Refused | Disconnected) -> None:
        # Its stream may still be read: then it is not active, and must end all the same.
        if not joining.is_wanted(subscription) or not client.is_open:
            return
        if isinstance(answer, Disconnected):
            client.disconnect(answer.code, answer.reason)
        elif isinstance(answer, Refused):
            joining.set_end(subscription, int(hub.unix_s()) + ASK_AGAIN_S, from_backend=True)
        elif answer.expired or 0 < answer.expire_at <= hub.unix_s():
            _end(subscription)
        else:
            joining.set_end(subscription, answer.expire_at, from_backend=True)
            if answer.info:
                subscription.info = client.info_with(answer.info)

    hub.backend.sub_refresh(client.person, channel.name, decided)


def _end(subscription: Subscription) -> None:
    """End a subscription that expired; one that the server made, with its connection."""
    if subscription.is_server_side:
        expired = codes.DISCONNECT_SUBSCRIPTION_EXPIRED
        subscription.client.disconnect(expired.code, expired.message)
    else:
        joining.end_with_push(subscription, codes.UNSUBSCRIBE_EXPIRED)
