"""One answer out of several: each process that holds connections tells its part, here they are put together.

A page of names is right because each process gives the first ones of its own: whatever belongs on the
page of all is on the page of whoever has it.
"""

from __future__ import annotations

from heapq import nlargest
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import msgspec

from wsloop.hub import codes
from wsloop.hub.operations.results import (
    AcksResult,
    ChannelInfo,
    ChannelsResult,
    ConnectionInfo,
    ConnectionsResult,
    EmptyResult,
    Failure,
    InfoResult,
    KickResult,
    PeersResult,
    RecordedResult,
    RecordResult,
    Result,
    SlowestResult,
)
from wsloop.hub.operations.steering import ORDERS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from wsloop.hub.operations.requests import (
        AcksRequest,
        ChannelsRequest,
        ConnectionsRequest,
        PeersRequest,
        SlowestRequest,
    )

Merge: TypeAlias = "Callable[[Any, Sequence[Any]], Result]"
"""Makes one result of those of all processes, for a request."""

Value = TypeVar("Value")


NOTHING = msgspec.Raw(b"{}")


class _Answer(msgspec.Struct):
    """What a process answers another: one of the two."""

    result: msgspec.Raw = NOTHING
    error: Failure | None = None


def encode(outcome: Result | codes.Code) -> bytes:
    """Return what `decode` reads."""
    if isinstance(outcome, codes.Code):
        return msgspec.json.encode({"error": Failure(outcome.code, outcome.message)})
    return b'{"result":%b}' % msgspec.json.encode(outcome)


def decode(answer: bytes, kind: type[Result]) -> Result | codes.Code:
    """Return a process's result of a kind, or its error."""
    found = msgspec.json.decode(answer, type=_Answer)
    if found.error is not None:
        return codes.Code(found.error.code, found.error.message)
    return msgspec.json.decode(found.result, type=kind)


def nothing(_request: object, _found: Sequence[EmptyResult]) -> EmptyResult:
    """Tell that it is done: by all, or there would be an error."""
    return EmptyResult()


def channels(request: ChannelsRequest, found: Sequence[ChannelsResult]) -> ChannelsResult:
    """Add up the subscriptions of each channel."""
    counts: dict[str, int] = {}
    for each in found:
        for name, info in each.channels.items():
            counts[name] = counts.get(name, 0) + info.num_clients
    has_more = any(each.cursor for each in found)
    page, cursor = _page(counts, request.limit, has_more=has_more)
    return ChannelsResult(channels={name: ChannelInfo(count) for name, count in page.items()}, cursor=cursor)


def connections(request: ConnectionsRequest, found: Sequence[ConnectionsResult]) -> ConnectionsResult:
    """List them all; a client is in one process only."""
    everybody: dict[str, ConnectionInfo] = {}
    for each in found:
        everybody |= each.connections
    page, cursor = _page(everybody, request.limit, has_more=any(each.cursor for each in found))
    return ConnectionsResult(connections=page, cursor=cursor)


def _page(entries: Mapping[str, Value], limit: int, *, has_more: bool) -> tuple[dict[str, Value], str]:
    """Return the first `limit` entries by name, and the cursor of the next page."""
    names = sorted(entries)
    page = names[:limit]
    is_last = not has_more and len(names) <= limit
    return {name: entries[name] for name in page}, "" if is_last or not page else page[-1]


def acks(request: AcksRequest, found: Sequence[AcksResult]) -> AcksResult:
    """List those who are furthest behind; the top is the highest that anybody saw."""
    top = max(found, key=lambda each: each.offset)
    everybody = (lag for each in found for lag in each.clients)
    worst = nlargest(request.limit, everybody, key=lambda lag: lag.behind)
    return AcksResult(offset=top.offset, epoch=top.epoch, clients=worst)


def slowest(request: SlowestRequest, found: Sequence[SlowestResult]) -> SlowestResult:
    """List the worst of all."""
    everybody = (peer for each in found for peer in each.connections)
    worst = nlargest(request.limit, everybody, key=lambda peer: (peer.queued_bytes, peer.dropped))
    return SlowestResult(connections=worst)


def peers(request: PeersRequest, found: Sequence[PeersResult]) -> PeersResult:
    """List those with the most of all."""
    everybody = (peer for each in found for peer in each.connections)
    most = nlargest(request.limit, everybody, key=ORDERS[request.sort])
    return PeersResult(connections=most, total=sum(each.total for each in found))


def kick(_request: object, found: Sequence[KickResult]) -> KickResult:
    """Add up."""
    return KickResult(closed=sum(each.closed for each in found))


def record(_request: object, found: Sequence[RecordResult]) -> RecordResult:
    """Add up."""
    return RecordResult(processes=sum(each.processes for each in found))


def recorded(_request: object, found: Sequence[RecordedResult]) -> RecordedResult:
    """List all lines; it is over when it is over everywhere, or nobody is left."""
    lines = [line for each in found for line in each.lines]
    reasons = [each.over for each in found]
    over = min(reasons, default="no process answers") if all(reasons) else ""
    return RecordedResult(lines=lines, over=over)


def info(_request: object, found: Sequence[InfoResult]) -> InfoResult:
    """List all processes, in the order of their answers."""
    return InfoResult(nodes=[node for each in found for node in each.nodes])
