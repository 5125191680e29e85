"""The command `ack`: a subscriber tells how far it has dealt with a channel, and who is how far behind.

An extension of the protocol. What is acknowledged is kept in the subscription, one number, and goes
with it, or with the stream's epoch: so there is never more of it than subscriptions, and a client
that comes back is behind as far as it is until it says more. Nothing is sent again because it was not
acknowledged; that is what recovery is for. The operator sees it by the API's method `acks`.
"""

from __future__ import annotations

from heapq import nlargest
from typing import TYPE_CHECKING

import msgspec

from wsloop.hub import codes, joining, replies
from wsloop.hub.broker import Unavailable
from wsloop.hub.history import HistoryQuery

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wsloop.hub.channels import Subscription
    from wsloop.hub.client import Client
    from wsloop.hub.commands import AckRequest
    from wsloop.hub.history import StreamView

NOTHING_ACKED = 0
"""What a subscription has acknowledged that never said so: offsets begin at 1."""


class Lag(msgspec.Struct, frozen=True, gc=False):
    """How far one client is in a channel: `acked`, 0 if it never said; `behind` the channel's top."""

    client: str
    user: str
    acked: int
    behind: int


def ack(client: Client, command_id: int, request: AckRequest) -> None:
    """Carry out `ack`.

    Error 103 for a channel that the client is not in, 108 for one without history, 107 for an
    offset above the top, 112 for an epoch, unless "", that is not the stream's.
    """
    if not request.channel:
        raise codes.DisconnectError(codes.DISCONNECT_BAD_REQUEST, "channel is required")
    subscription = client.subscriptions.get(request.channel)
    if subscription is None or not subscription.active:
        raise codes.ReplyError(codes.PERMISSION_DENIED)
    channel = subscription.channel
    if not channel.rules.has_history:
        raise codes.ReplyError(codes.NOT_AVAILABLE)
    if channel.epoch and request.offset <= channel.top:
        _note(client, command_id, request, subscription, channel.epoch)
        return

    def done(view: StreamView | Unavailable) -> None:
        if isinstance(view, Unavailable):
            client.fail(command_id, codes.INTERNAL_ERROR)
        elif request.offset > view.top.offset:
            client.fail(command_id, codes.BAD_REQUEST)
        else:
            # From here on the channel hears of the stream's end, and what was acknowledged ends with it.
            stale = channel.compare(view.top)
            _note(client, command_id, request, subscription, view.top.epoch)
            joining.end_broken(stale)

    # Where nobody is positioned this process may never have heard of the stream's top.
    client.hub.broker.history(channel.name, HistoryQuery(), channel.rules.retention, done)


def lags(subscriptions: Iterable[Subscription], top: int, limit: int) -> list[Lag]:
    """Return the `limit` subscriptions that are furthest behind the offset `top`, the furthest first."""
    subscribers = (
        Lag(each.client.id, each.client.user, each.acked, max(0, top - each.acked)) for each in subscriptions
    )
    return nlargest(limit, subscribers, key=lambda lag: lag.behind)


def _note(
    client: Client, command_id: int, request: AckRequest, subscription: Subscription, epoch: str
) -> None:
    """Keep what was acknowledged, which never goes back, and answer."""
    if request.epoch not in ("", epoch):
        client.fail(command_id, codes.UNRECOVERABLE_POSITION)
        return
    subscription.acked = max(subscription.acked, request.offset)
    client.reply(command_id, "ack", replies.EMPTY)
