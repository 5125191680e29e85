"""The commands subscribe and unsubscribe: who may come into a channel.

The order of the checks is Centrifugo's, since SDKs tell their users by the code which it was. The
right to a channel comes from a token, the backend, or the namespace's rules; what then happens is
the same, and in `joining.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsloop.hub import blocking, codes, joining, replies
from wsloop.hub.backend import Disconnected, Refused, SubscribeQuestion
from wsloop.hub.grants import SubscriptionGrant
from wsloop.hub.namespaces import is_named, is_private, may_subscribe
from wsloop.hub.tailoring import wish_of

if TYPE_CHECKING:
    from wsloop.hub.client import Client
    from wsloop.hub.codes import Code
    from wsloop.hub.commands import ChannelRequest, SubscribeRequest
    from wsloop.hub.namespaces import ChannelRules

DELTA_TYPES = ("", "fossil")
"""What `subscribe.delta` may say."""

BY_RULE = SubscriptionGrant()
"""The right that the namespace's rules give: nothing but to be there."""


def subscribe(client: Client, command_id: int, request: SubscribeRequest) -> None:
    """Carry out `subscribe`. Raises DisconnectError or ReplyError if it cannot be begun."""
    rules = _check(client, request)
    grant = _grant(client, request, rules)
    wish = wish_of(request, rules.options, client.hub.filters)
    subscription = joining.occupy(client, request.channel, rules)
    subscription.wish = wish

    def joined(outcome: bytes | Code) -> None:
        if isinstance(outcome, bytes):
            client.reply(command_id, "subscribe", outcome)
            joining.announce(subscription)
        else:
            client.fail(command_id, outcome)

    def decided(answer: SubscriptionGrant | Refused | Disconnected) -> None:
        error = codes.INTERNAL_ERROR
        if isinstance(answer, SubscriptionGrant) and joining.is_wanted(subscription):
            if not 0 < answer.expire_at <= client.hub.unix_s():
                joining.join(subscription, request, answer, joined)
                return
            error = codes.EXPIRED
        joining.give_up(subscription)
        if isinstance(answer, Disconnected):
            client.disconnect(answer.code, answer.reason)
        else:
            client.fail(command_id, answer.error if isinstance(answer, Refused) else error)

    if grant is not None:
        joining.join(subscription, request, grant, joined)
    else:
        question = SubscribeQuestion(client.person, request.channel, request.token, bytes(request.data))
        client.hub.backend.subscribe(question, decided)


def unsubscribe(client: Client, command_id: int, request: ChannelRequest) -> None:
    """Carry out `unsubscribe`: to leave a channel one is not in is no error."""
    if not request.channel:
        raise codes.DisconnectError(codes.DISCONNECT_BAD_REQUEST, "channel is required")
    subscription = client.subscriptions.pop(request.channel, None)
    if subscription is not None:
        # What was published before must not come behind the reply, perhaps into a new subscription.
        client.hub.fan_out.settle(subscription.receiver)
        client.subscriber.left(request.channel)
        joining.end(subscription, codes.UNSUBSCRIBE_CLIENT)
    client.reply(command_id, "unsubscribe", replies.EMPTY)


def _check(client: Client, request: SubscribeRequest) -> ChannelRules:
    """Return the channel's rules if a subscription of this kind could exist."""
    name = request.channel
    if not name:
        raise codes.DisconnectError(codes.DISCONNECT_BAD_REQUEST, "channel is required")
    if request.delta not in DELTA_TYPES:
        raise codes.DisconnectError(codes.DISCONNECT_BAD_REQUEST, "unknown delta type")
    rules = client.hub.namespaces.rules_to_subscribe(name)
    if name in client.subscriptions:
        raise codes.ReplyError(codes.ALREADY_SUBSCRIBED)
    if len(client.subscriptions) >= client.hub.options.channel_limit:
        raise codes.ReplyError(codes.LIMIT_EXCEEDED)
    if request.type:
        raise codes.ReplyError(codes.NOT_AVAILABLE)
    return rules


def _grant(client: Client, request: SubscribeRequest, rules: ChannelRules) -> SubscriptionGrant | None:
    """Return the right to the channel, None if the backend is to be asked.

    Raises ReplyError 103 or 109 without it, DisconnectError 3500 for a token that is another's.
    """
    name, options = request.channel, rules.options
    if request.token:
        return blocking.subscription_grant(client, name, request.token)
    if is_private(name):
        raise codes.ReplyError(codes.PERMISSION_DENIED)
    is_named_here = options.allow_user_limited_channels and is_named(name, client.user)
    if options.subscribe_proxy and not is_named_here:
        return None
    if may_subscribe(name, options, client.user):
        return BY_RULE
    raise codes.ReplyError(codes.PERMISSION_DENIED)
