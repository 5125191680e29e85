"""How a subscription comes into its channel, and out of it again.

Coming in, for the client's own subscriptions and the server's alike: occupy the name, read the
stream (or, if it has no position, have the broker confirm that it is listened to), and in the very
tick in which that completes register; the caller then tells the client, and `announce` tells the
others. Going out, in every case (unsubscribe, a gap, the end of
the right or of the transport), passes through `end`. Who may come in is `subscribing.py`; the
fan-out between the two is `channels.py`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

from wsloop.hub import codes, replies
from wsloop.hub.broker import Unavailable
from wsloop.hub.channels import Subscription
from wsloop.hub.codes import Code
from wsloop.hub.commands import FLAG_REJECT_UNRECOVERED
from wsloop.hub.grants import Override
from wsloop.hub.history import LINE_BYTES, HistoryQuery, StreamPosition, StreamView, latest, missed
from wsloop.hub.tailoring import recovered

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wsloop.hub.client import Client
    from wsloop.hub.commands import SubscribeRequest
    from wsloop.hub.fan_out import Receiver
    from wsloop.hub.grants import SubscriptionGrant
    from wsloop.hub.history import Publication
    from wsloop.hub.namespaces import ChannelRules
    from wsloop.hub.options import HubOptions

Joined = Callable[[bytes | Code], object]
"""Called once with the subscribe result, the subscription being registered, or with an error."""

NO_OVERRIDE = Override()


class Allowance:
    """How many bytes of what was missed may still be told in one reply that is about several streams."""

    __slots__ = ("_left_bytes",)

    def __init__(self, size_bytes: int) -> None:
        self._left_bytes = size_bytes

    def take(self, publications: Iterable[Publication]) -> bool:
        """Count publications out; False, and nothing is counted, if they do not all fit."""
        size_bytes = sum(LINE_BYTES + each.payload_bytes for each in publications)
        if size_bytes > self._left_bytes:
            return False
        self._left_bytes -= size_bytes
        return True


def occupy(client: Client, name: str, rules: ChannelRules, *, is_server_side: bool = False) -> Subscription:
    """Return a subscription that is begun: the client has the name, and the channel is kept."""
    channel = client.hub.open_channel(name, rules)
    channel.waiting += 1
    subscription = Subscription(client, channel)
    subscription.is_server_side = is_server_side
    # The channel's own string: that of the request would live as long as the subscription.
    client.subscriptions[channel.name] = subscription
    return subscription


def is_wanted(subscription: Subscription) -> bool:
    """Tell whether a subscription that was begun has not been ended in the meantime."""
    return subscription.client.subscriptions.get(subscription.channel.name) is subscription


def give_up(subscription: Subscription) -> None:
    """Undo `occupy`."""
    client, channel = subscription.client, subscription.channel
    channel.waiting -= 1
    if is_wanted(subscription):
        del client.subscriptions[channel.name]
    client.hub.close_if_unused(channel)


def join(
    subscription: Subscription,
    request: SubscribeRequest,
    grant: SubscriptionGrant,
    joined: Joined,
    receiver: Receiver | None = None,
    allowance: Allowance | None = None,
) -> None:
    """Read the stream as far as the client needs it, and register.

    `joined` gets the result to tell the client, then the caller calls `announce`; or it gets an
    error, and the subscription is given up. `receiver` is registered instead of the client's own. What
    `allowance` has no room for is not recovered.
    """
    channel, hub = subscription.channel, subscription.client.hub
    options = channel.rules.options
    recoverable, positioned = _equip(subscription, request, grant)
    if receiver is not None:
        subscription.receiver = receiver
    ttl_s = set_end(subscription, grant.expire_at, from_backend=grant.from_backend)
    wish = subscription.wish
    if wish.compact and not channel.number:
        channel.set_number(hub.next_number())
    result = functools.partial(
        replies.subscribe_result,
        delta=wish.delta,
        number=channel.number if wish.compact else 0,
        was_recovering=request.recover,
        ttl_s=ttl_s,
        data=grant.data,
    )
    if not positioned:

        def confirmed(_outcome: Unavailable | None) -> None:
            # Who cannot be asked is told of the interest later: what is lost until then nobody has promised.
            _register(subscription, None, result(None), joined)

        hub.broker.confirm(channel.name, confirmed)
        return
    recovering = recoverable and request.recover
    is_cache = options.recovery_mode == "cache"

    def done(view: StreamView | Unavailable) -> None:
        if isinstance(view, Unavailable):
            _refuse(subscription, codes.INTERNAL_ERROR, joined)
            return
        found = None
        if recovering:
            found = (latest if is_cache else missed)(view, request.offset, request.epoch)
            if found and allowance is not None and not allowance.take(found):
                found = None
        if recovering and found is None and request.flag & FLAG_REJECT_UNRECOVERED:
            _refuse(subscription, codes.UNRECOVERABLE_POSITION, joined)
            return
        lines, base = (None, None) if found is None else recovered(found, wish, options)
        # An SDK counts on from the offset it asked with, one per recovered publication.
        start = StreamPosition(request.offset, view.top.epoch) if lines else view.top
        told = result(start, recoverable=recoverable, recovered=lines)
        _register(subscription, view.top, told, joined, base)

    query = _recovery_query(hub.options, request, is_cache=is_cache) if recovering else HistoryQuery()
    hub.broker.history(channel.name, query, channel.rules.retention, done)


def _equip(
    subscription: Subscription, request: SubscribeRequest, grant: SubscriptionGrant
) -> tuple[bool, bool]:
    """Give a subscription what the grant, the namespace and the client's own wishes make of it.

    Returns whether it is recoverable, and whether it is positioned.
    """
    rules = subscription.channel.rules
    options, override = rules.options, grant.override or NO_OVERRIDE
    if rules.is_wildcard:
        override = NO_OVERRIDE
    recoverable = rules.has_history and (
        _either(override.force_recovery, options.force_recovery)
        or (options.allow_recovery and request.recoverable)
    )
    positioned = recoverable or (
        rules.has_history
        and (
            _either(override.force_positioning, options.force_positioning)
            or (options.allow_positioning and request.positioned)
        )
    )
    subscription.is_present = _either(override.presence, options.presence)
    subscription.announces = _either(override.join_leave, options.join_leave)
    subscription.wants_joins = subscription.announces and (
        _either(override.force_push_join_leave, options.force_push_join_leave) or request.join_leave
    )
    if grant.info:
        subscription.info = subscription.client.info_with(grant.info)
    return recoverable, positioned


def _recovery_query(options: HubOptions, request: SubscribeRequest, *, is_cache: bool) -> HistoryQuery:
    """Return what is to be read to find out what the client has missed."""
    if is_cache:
        return HistoryQuery(1, reverse=True)
    return HistoryQuery(options.recovery_limit, request.offset, max_bytes=options.recovery_limit_bytes)


def announce(subscription: Subscription) -> None:
    """Tell the others that somebody has come; after the client was told, since it hears it too."""
    if subscription.active and subscription.announces:
        subscription.is_announced = True
        subscription.client.hub.broker.publish_join(subscription.channel.name, subscription.info)


def end(subscription: Subscription, code: Code) -> None:
    """Take a subscription out of its channel and tell the others; no effect if it is not in."""
    if subscription.lease is not None:
        subscription.lease.cancel()
    if not subscription.active:
        return
    client, channel = subscription.client, subscription.channel
    hub = client.hub
    channel.remove(subscription)
    hub.subscription_count -= 1
    if subscription.is_present:
        hub.presence.remove(channel.name, client.id)
    if subscription.is_announced:
        hub.broker.publish_leave(channel.name, subscription.info)
    hub.hooks.on_unsubscribe(client.person, channel.name, code.code, code.message)
    if not len(channel) and not channel.rules.is_wildcard:
        hub.hooks.on_channel_vacated(channel.name)
    hub.close_if_unused(channel)


def end_all(client: Client) -> None:
    """End all of a client's subscriptions: its transport is gone."""
    subscriptions = list(client.subscriptions.values())
    client.subscriptions.clear()
    for subscription in subscriptions:
        end(subscription, codes.UNSUBSCRIBE_DISCONNECT)


def end_with_push(subscription: Subscription, code: Code) -> None:
    """End a subscription from the server's side: the client is told, behind all it was promised.

    Who has not connected yet was told of no subscription, and hears of no end.
    """
    client, channel = subscription.client, subscription.channel
    assert is_wanted(subscription), "who is in a channel, or on the way in, has its name"
    del client.subscriptions[channel.name]
    client.hub.fan_out.settle(subscription.receiver)
    client.subscriber.left(channel.name)
    if client.is_connected:
        client.tell(replies.unsubscribe_push(channel.push_start, code))
    end(subscription, code)


def end_broken(subscriptions: Iterable[Subscription]) -> None:
    """Deal with subscriptions that missed something.

    The client subscribes again and recovers; what the server subscribed it to, it recovers by
    connecting again.
    """
    for subscription in subscriptions:
        if subscription.is_server_side:
            insufficient = codes.DISCONNECT_INSUFFICIENT_STATE
            subscription.client.disconnect(insufficient.code, insufficient.message)
        else:
            end_with_push(subscription, codes.UNSUBSCRIBE_INSUFFICIENT)


def set_end(subscription: Subscription, expire_at: int, *, from_backend: bool) -> int | None:
    """Let the right to the channel end at `expire_at`, Unix seconds, 0 for never, and not as was said before.

    Returns the seconds in which the client has to renew it, None if it need not: it does not end,
    or it is the backend that renews it.
    """
    hub = subscription.client.hub
    if subscription.lease is not None:
        subscription.lease.cancel()
        subscription.lease = None
    subscription.is_from_backend = from_backend
    if not expire_at:
        return None
    left_s = max(0, int(expire_at - hub.unix_s()))
    grace_s = 0.0 if from_backend else hub.options.expired_grace_s
    subscription.lease = hub.expiries.lease(
        hub.now() + left_s + grace_s, functools.partial(hub.on_subscription_expired, subscription)
    )
    return None if from_backend else left_s


def _either(override: bool | None, option: bool) -> bool:
    return option if override is None else override


def _register(
    subscription: Subscription,
    top: StreamPosition | None,
    result: bytes,
    joined: Joined,
    base: bytes | None = None,
) -> None:
    """Register and have the client told in one tick, so that the reply precedes every push.

    `base`: the payload that the result gives it last, None if it gives none.
    """
    client, channel = subscription.client, subscription.channel
    if not is_wanted(subscription) or channel.rules.is_over:
        _refuse(subscription, codes.INTERNAL_ERROR, joined)
        return
    hub = client.hub
    channel.waiting -= 1
    stale = channel.add(subscription, top, base)
    hub.subscription_count += 1
    if len(channel) == 1 and not channel.rules.is_wildcard:
        hub.hooks.on_channel_occupied(channel.name)
    if subscription.is_present:
        hub.presence.add(channel.name, client.id, client.user, subscription.info)
    joined(result)
    end_broken(stale)


def _refuse(subscription: Subscription, error: Code, joined: Joined) -> None:
    if subscription.lease is not None:
        subscription.lease.cancel()
    give_up(subscription)
    joined(error)
