"""How a client comes into a channel and out of it again.

Coming in: check, read the stream, and in the very tick in which the read completes: register,
reply, then tell the others. Going out, in every case (unsubscribe, a gap, the end of the
transport), passes through `end`. The fan-out between the two is `channels.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsloop.hub import codes, replies
from wsloop.hub.broker import Unavailable
from wsloop.hub.channels import Subscription
from wsloop.hub.commands import FLAG_REJECT_UNRECOVERED
from wsloop.hub.history import HistoryQuery, StreamPosition, StreamView, missed
from wsloop.hub.namespaces import may_subscribe

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wsloop.hub.client import Client
    from wsloop.hub.commands import ChannelRequest, SubscribeRequest
    from wsloop.hub.namespaces import ChannelRules

DELTA_TYPES = ("", "fossil")
"""What `subscribe.delta` may say. Deltas are an offer, which this server does not take up."""


def subscribe(client: Client, command_id: int, request: SubscribeRequest) -> None:
    """Carry out `subscribe`. Raises DisconnectError or ReplyError if it cannot be begun."""
    rules = _check(client, request)
    options = rules.options
    recoverable = rules.has_history and (
        options.force_recovery or (options.allow_recovery and request.recoverable)
    )
    positioned = recoverable or (
        rules.has_history
        and (options.force_positioning or (options.allow_positioning and request.positioned))
    )
    channel = client.hub.open_channel(request.channel, rules)
    channel.waiting += 1
    subscription = Subscription(client, channel)
    subscription.wants_joins = options.join_leave and (options.force_push_join_leave or request.join_leave)
    client.subscriptions[channel.name] = subscription
    if not positioned:
        _admit(subscription, command_id, None, replies.subscribe_result(None))
        return
    recovering = recoverable and request.recover
    query = HistoryQuery(client.hub.options.recovery_limit, request.offset) if recovering else HistoryQuery()

    def done(view: StreamView | Unavailable) -> None:
        if isinstance(view, Unavailable):
            _give_up(subscription, command_id, codes.INTERNAL_ERROR)
            return
        found = missed(view, request.offset, request.epoch) if recovering else None
        if recovering and found is None and request.flag & FLAG_REJECT_UNRECOVERED:
            _give_up(subscription, command_id, codes.UNRECOVERABLE_POSITION)
            return
        # An SDK counts on from the offset it asked with, one per recovered publication.
        start = view.top if found is None else StreamPosition(request.offset, view.top.epoch)
        result = replies.subscribe_result(
            start, recoverable=recoverable, was_recovering=recovering, recovered=found
        )
        _admit(subscription, command_id, view.top, result)

    client.hub.broker.history(channel.name, query, rules.retention, done)


def unsubscribe(client: Client, command_id: int, request: ChannelRequest) -> None:
    """Carry out `unsubscribe`: to leave a channel one is not in is no error."""
    if not request.channel:
        raise codes.DisconnectError(codes.DISCONNECT_BAD_REQUEST, "channel is required")
    subscription = client.subscriptions.pop(request.channel, None)
    if subscription is not None:
        # What was published before must not come behind the reply, perhaps into a new subscription.
        client.hub.fan_out.settle(subscription.receiver)
        end(subscription)
    client.reply(command_id, "unsubscribe", replies.EMPTY)


def end(subscription: Subscription) -> None:
    """Take a subscription out of its channel and tell the others; no effect if it is not in."""
    if not subscription.active:
        return
    client, channel = subscription.client, subscription.channel
    hub, options = client.hub, channel.rules.options
    channel.remove(subscription)
    hub.subscription_count -= 1
    if options.presence:
        hub.presence.remove(channel.name, client.id)
    if options.join_leave:
        hub.broker.publish_leave(channel.name, client.info)
    hub.close_if_unused(channel)


def end_all(client: Client) -> None:
    """End all of a client's subscriptions: its transport is gone."""
    subscriptions = list(client.subscriptions.values())
    client.subscriptions.clear()
    for subscription in subscriptions:
        end(subscription)


def end_broken(subscriptions: Iterable[Subscription]) -> None:
    """Tell subscriptions that they missed something, so that they subscribe again and recover."""
    for subscription in subscriptions:
        client, channel = subscription.client, subscription.channel
        del client.subscriptions[channel.name]
        client.hub.fan_out.settle(subscription.receiver)
        client.subscriber.send(replies.unsubscribe_push(channel.push_start, codes.UNSUBSCRIBE_INSUFFICIENT))
        end(subscription)


def _check(client: Client, request: SubscribeRequest) -> ChannelRules:
    """Return the channel's rules if the client may subscribe to it.

    The order of the checks is Centrifugo's; a token is refused, as none can be verified yet.
    """
    name = request.channel
    if not name:
        raise codes.DisconnectError(codes.DISCONNECT_BAD_REQUEST, "channel is required")
    if request.delta not in DELTA_TYPES:
        raise codes.DisconnectError(codes.DISCONNECT_BAD_REQUEST, "unknown delta type")
    rules = client.hub.namespaces.rules_of(name)
    if name in client.subscriptions:
        raise codes.ReplyError(codes.ALREADY_SUBSCRIBED)
    if len(client.subscriptions) >= client.hub.options.channel_limit:
        raise codes.ReplyError(codes.LIMIT_EXCEEDED)
    if request.type:
        raise codes.ReplyError(codes.NOT_AVAILABLE)
    if request.token or not may_subscribe(name, rules.options, client.user):
        raise codes.ReplyError(codes.PERMISSION_DENIED)
    if len(request.tf):
        raise codes.ReplyError(codes.BAD_REQUEST)
    return rules


def _admit(subscription: Subscription, command_id: int, top: StreamPosition | None, result: bytes) -> None:
    """Register and reply in one tick, so that the reply precedes every push; then tell of the join."""
    client, channel = subscription.client, subscription.channel
    if client.subscriptions.get(channel.name) is not subscription:
        _give_up(subscription, command_id, codes.INTERNAL_ERROR)
        return
    hub, options = client.hub, channel.rules.options
    channel.waiting -= 1
    stale = channel.add(subscription, top)
    hub.subscription_count += 1
    if options.presence:
        hub.presence.add(channel.name, client.id, client.user, client.info)
    client.reply(command_id, "subscribe", result)
    if options.join_leave:
        hub.broker.publish_join(channel.name, client.info)
    end_broken(stale)


def _give_up(subscription: Subscription, command_id: int, error: codes.Code) -> None:
    """Refuse a subscription that was begun, or that the client has ended in the meantime."""
    client, channel = subscription.client, subscription.channel
    channel.waiting -= 1
    if client.subscriptions.get(channel.name) is subscription:
        del client.subscriptions[channel.name]
    client.hub.close_if_unused(channel)
    client.fail(command_id, error)
