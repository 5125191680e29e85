"""Operations that look: into channels, at who is in them, at the process."""

from __future__ import annotations

from heapq import nlargest
from typing import TYPE_CHECKING

import msgspec

from wsloop.hub import codes, replies
from wsloop.hub.acks import lags
from wsloop.hub.broker import Unavailable
from wsloop.hub.history import HistoryQuery
from wsloop.hub.operations import results
from wsloop.hub.operations.core import bad_request
from wsloop.hub.operations.globs import Glob
from wsloop.hub.operations.paging import Page
from wsloop.hub.operations.results import (
    ChannelInfo,
    ChannelsResult,
    EmptyResult,
    HistoryResult,
    InfoResult,
    Metrics,
    Node,
    PresenceResult,
    PresenceStatsResult,
    SlowestResult,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wsloop.hub.acks import Lag
    from wsloop.hub.history import StreamPosition, StreamView
    from wsloop.hub.namespaces import ChannelRules
    from wsloop.hub.operations.core import Finished, Operations
    from wsloop.hub.operations.requests import (
        AcksRequest,
        ChannelsRequest,
        HistoryRemoveRequest,
        HistoryRequest,
        InfoRequest,
        PresenceRequest,
        PresenceStatsRequest,
        SlowestRequest,
    )
    from wsloop.hub.presence import PresenceStats

ALL = 2**31
"""More publications than any channel keeps: the operator may read them all."""

HISTORY_BYTES = 4 * 1024 * 1024
"""Of publications in one answer; some milliseconds of work. Who wants more goes on with `since`."""

SUBSCRIPTIONS_PER_TURN = 1000
"""Subscribers of a channel looked at in one turn, about a millisecond's worth."""

NAMES_PER_TURN = 2000
"""Channel names matched in one turn, about a millisecond's worth."""


def presence(operations: Operations, request: PresenceRequest, done: Finished) -> None:
    """Carry out `presence`."""
    _require_presence(operations, request.channel)

    def found(members: Mapping[str, bytes] | Unavailable) -> None:
        if isinstance(members, Unavailable):
            done(codes.INTERNAL_ERROR)
        else:
            done(PresenceResult(presence=msgspec.Raw(replies.members_object(members))))

    operations.hub.presence.members(request.channel, found)


def presence_stats(operations: Operations, request: PresenceStatsRequest, done: Finished) -> None:
    """Carry out `presence_stats`."""
    _require_presence(operations, request.channel)

    def found(stats: PresenceStats | Unavailable) -> None:
        if isinstance(stats, Unavailable):
            done(codes.INTERNAL_ERROR)
        else:
            done(PresenceStatsResult(num_clients=stats.num_clients, num_users=stats.num_users))

    operations.hub.presence.stats(request.channel, found)


def history(operations: Operations, request: HistoryRequest, done: Finished) -> None:
    """Carry out `history`. Error 112 for a position in another life of the stream."""
    rules = _require_history(operations, request.channel)
    since = request.since
    if request.reverse and since is not None and since.offset == 0:
        raise bad_request("there is nothing before offset 0")
    limit = ALL if request.limit < 0 else min(request.limit, ALL)
    query = HistoryQuery(limit, since.offset if since else None, request.reverse, HISTORY_BYTES)

    def found(view: StreamView | Unavailable) -> None:
        if isinstance(view, Unavailable):
            done(codes.INTERNAL_ERROR)
        elif since and since.epoch not in ("", view.top.epoch):
            done(codes.UNRECOVERABLE_POSITION)
        else:
            listed = msgspec.Raw(replies.publications(view.publications))
            done(HistoryResult(publications=listed, epoch=view.top.epoch, offset=view.top.offset))

    operations.hub.broker.history(request.channel, query, rules.retention, found)


def history_remove(operations: Operations, request: HistoryRemoveRequest, done: Finished) -> None:
    """Carry out `history_remove`."""
    _require_history(operations, request.channel)

    def removed(position: StreamPosition | Unavailable) -> None:
        done(codes.INTERNAL_ERROR if isinstance(position, Unavailable) else EmptyResult())

    operations.hub.broker.remove_history(request.channel, removed)


def acks(operations: Operations, request: AcksRequest, done: Finished) -> None:
    """Carry out `acks`."""
    hub = operations.hub
    rules = _require_history(operations, request.channel)

    def found(view: StreamView | Unavailable) -> None:
        if isinstance(view, Unavailable):
            done(codes.INTERNAL_ERROR)
            return
        channel = hub.channel(request.channel)
        everybody = [] if channel is None else channel.subscriptions()
        worst: list[Lag] = []

        def look(start: int) -> None:
            part = lags(everybody[start : start + SUBSCRIPTIONS_PER_TURN], view.top.offset, request.limit)
            worst[:] = nlargest(request.limit, [*worst, *part], key=lambda lag: lag.behind)

        def turn_over() -> None:
            clients = [results.Lag(lag.client, lag.user, lag.acked, lag.behind) for lag in worst]
            done(results.AcksResult(offset=view.top.offset, epoch=view.top.epoch, clients=clients))

        operations.in_portions(range(0, len(everybody), SUBSCRIPTIONS_PER_TURN), 1, look, turn_over)

    hub.broker.history(request.channel, HistoryQuery(), rules.retention, found)


def channels(operations: Operations, request: ChannelsRequest, done: Finished) -> None:
    """Carry out `channels`: those that somebody is in when they are looked at."""
    hub = operations.hub
    try:
        glob = Glob(request.pattern)
    except ValueError as fault:
        raise bad_request(f"pattern: {fault}") from None
    page = Page(request.limit, request.cursor)

    def look(name: str) -> None:
        if page.wants(name) and glob.matches(name):
            page.add(name)

    found: dict[str, ChannelInfo] = {}

    def describe(name: str) -> None:
        channel = hub.channel(name)
        if channel is not None:
            found[name] = ChannelInfo(len(channel))

    def turn_over() -> None:
        names, cursor = page.take()
        result = ChannelsResult(channels=found, cursor=cursor)
        operations.in_portions(names, NAMES_PER_TURN, describe, lambda: done(result))

    operations.in_portions(list(hub.channel_names()), NAMES_PER_TURN, look, turn_over)


def info(operations: Operations, request: InfoRequest, done: Finished) -> None:
    """Carry out `info`."""
    hub = operations.hub
    now = hub.statistics()
    items = {
        "commands": now.commands_total,
        "publications": now.publications_total,
        "deliveries": now.deliveries_total,
        "streams": now.broker.streams,
        "kept_publications": now.broker.publications,
    }
    node = Node(
        uid=operations.uid,
        name=operations.name,
        version=hub.options.version,
        num_clients=now.clients,
        num_users=len(hub.users),
        num_subs=now.subscriptions,
        num_channels=now.channels,
        uptime=int(now.uptime_s),
        metrics=Metrics(now.uptime_s, {name: float(value) for name, value in items.items()}),
        process=operations.process(),
    )
    done(InfoResult(nodes=[node]))


def slowest(operations: Operations, request: SlowestRequest, done: Finished) -> None:
    """Carry out `slowest`."""
    done(SlowestResult(connections=operations.slowest(request.limit)))


def _require_presence(operations: Operations, channel: str) -> None:
    if not operations.hub.namespaces.rules_of(channel).options.presence:
        raise codes.ReplyError(codes.NOT_AVAILABLE)


def _require_history(operations: Operations, channel: str) -> ChannelRules:
    rules = operations.hub.namespaces.rules_of(channel)
    if not rules.has_history:
        raise codes.ReplyError(codes.NOT_AVAILABLE)
    return rules
