"""A running hub is given other namespaces: what becomes of the channels that somebody is in.

What is looked up for each command (rights, history, names) follows by itself. What a subscription was given
when it came in follows here, and nobody has to subscribe again: presence, comings and goings, the policy for
slow readers, and an end of gap detection where no history is kept any more. A subscription that has
something else from its token keeps that. Rights to what is asked for with `subscribe` (recovery, deltas,
filters) count when it is asked for again.

A channel whose namespace is gone, or forbids its name now, cannot go on: its subscriptions are ended with
2502, so that clients subscribe again, and are told 102 or 107, or get in under the new rules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from wsloop.hub import codes, joining
from wsloop.hub.audiences import NOT_POSITIONED

if TYPE_CHECKING:
    from wsloop.hub.channels import Channel, Subscription
    from wsloop.hub.hub import Hub
    from wsloop.hub.namespaces import ChannelRules, Namespace, Namespaces


def follow(hub: Hub, namespaces: Namespaces) -> None:
    """Let a hub go by other namespaces; costs a walk over all channels, and the subscriptions of some."""
    hub.namespaces = namespaces
    for name in list(hub.channel_names()):
        channel = hub.channel(name)
        assert channel is not None, "ending the subscriptions of one channel closes no other"
        _follow(channel, _rules(namespaces, channel))


def _rules(namespaces: Namespaces, channel: Channel) -> ChannelRules | None:
    """Return the rules that a channel has now, None if it cannot be any more."""
    try:
        rules = namespaces.rules_to_subscribe(channel.name)
    except codes.ReplyError:
        return None
    return rules if rules.is_wildcard == channel.rules.is_wildcard else None


def _follow(channel: Channel, rules: ChannelRules | None) -> None:
    if rules is None:
        channel.rules = msgspec.structs.replace(channel.rules, is_over=True)
        for subscription in channel.subscriptions():
            joining.end_with_push(subscription, codes.UNSUBSCRIBE_STATE_INVALIDATED)
        return
    before, channel.rules = channel.rules, rules
    if before.options == rules.options:
        return
    for subscription in channel.subscriptions():
        _follow_presence(subscription, before.options, rules.options)
        _follow_joins(subscription, before.options, rules.options)
        if not rules.has_history:
            subscription.offset = NOT_POSITIONED
    channel.refresh_audiences()


def _follow_presence(subscription: Subscription, before: Namespace, after: Namespace) -> None:
    if after.presence == before.presence or subscription.is_present != before.presence:
        return
    client, name = subscription.client, subscription.channel.name
    subscription.is_present = after.presence
    if after.presence:
        client.hub.presence.add(name, client.id, client.user, subscription.info)
    else:
        client.hub.presence.remove(name, client.id)


def _follow_joins(subscription: Subscription, before: Namespace, after: Namespace) -> None:
    """Follow `join_leave` and its force; who was not told to the others is not told of when it goes."""
    if subscription.announces == before.join_leave:
        subscription.announces = after.join_leave
        subscription.is_announced = subscription.is_announced and after.join_leave
    was_asked_for = subscription.wants_joins and not before.force_push_join_leave
    subscription.wants_joins = subscription.announces and (after.force_push_join_leave or was_asked_for)
