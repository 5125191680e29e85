"""Operations of the operator's own hands (`wsloop ctl`): list connections, close some, record some.

Unlike those of the server API these are about connections of every kind, not of messaging clients only.
"""

from __future__ import annotations

from heapq import nlargest
from typing import TYPE_CHECKING

from wsloop.hub.operations.core import bad_request
from wsloop.hub.operations.results import KickResult, PeerInfo, PeersResult, RecordedResult, RecordResult

if TYPE_CHECKING:
    from wsloop.hub.operations.core import Finished, Operations
    from wsloop.hub.operations.requests import KickRequest, PeersRequest, RecordedRequest, RecordRequest

PEERS_PER_TURN = 500
"""Connections looked at in one turn, some three milliseconds' worth."""


ORDERS = {
    "age": lambda peer: peer.age_s,
    "bytes": lambda peer: peer.received_bytes + peer.sent_bytes,
    "outbox": lambda peer: peer.queued_bytes,
}
"""What a list of connections is ordered by, the most first."""


def peers(operations: Operations, request: PeersRequest, done: Finished) -> None:
    """Carry out `peers`."""
    kept: list[PeerInfo] = []
    total = 0

    def look(peer: object) -> None:
        nonlocal total, kept
        info = operations.peers.describe(peer)
        if _is_wanted(operations, request, info):
            total += 1
            kept.append(info)
            if len(kept) > 2 * request.limit:
                kept = nlargest(request.limit, kept, key=ORDERS[request.sort])

    def finish() -> None:
        for info in kept:
            info.node = operations.uid
        worst = nlargest(request.limit, kept, key=ORDERS[request.sort])
        done(PeersResult(connections=worst, total=total))

    operations.in_portions(operations.peers.snapshot(), PEERS_PER_TURN, look, finish)


def kick(operations: Operations, request: KickRequest, done: Finished) -> None:
    """Carry out `kick`: done when the connections are asked to close, not when they are closed.

    Raises ReplyError 107 unless it is told who.
    """
    if bool(request.user) + bool(request.client) + bool(request.connection) != 1:
        raise bad_request("give one of user, client and connection")
    if request.node not in ("", operations.uid):
        done(KickResult())
        return
    closed = 0

    def look(peer: object) -> None:
        nonlocal closed
        info = operations.peers.describe(peer)
        if (request.user and info.user == request.user) or request.client == info.client != "":
            is_meant = True
        else:
            is_meant = bool(request.connection) and info.connection == request.connection
        if is_meant:
            closed += 1
            operations.peers.close(peer, request.code, request.reason)

    operations.in_portions(
        operations.peers.snapshot(), PEERS_PER_TURN, look, lambda: done(KickResult(closed=closed))
    )


def record(operations: Operations, request: RecordRequest, done: Finished) -> None:
    """Carry out `record`: done when it has begun. Raises ReplyError 107 unless it is told whom."""
    if not (request.user or request.client or request.address or request.connection):
        raise bad_request("give one of user, client, address and connection")
    if request.node in ("", operations.uid):
        operations.peers.recorder.begin(request)
        done(RecordResult())
    else:
        done(RecordResult(processes=0))


def recorded(operations: Operations, request: RecordedRequest, done: Finished) -> None:
    """Carry out `recorded`."""
    lines, over = operations.peers.recorder.take(request.recording, stop=request.stop)
    for line in lines:
        line.c = f"{operations.uid}/{line.c}"
    done(RecordedResult(lines=lines, over=over))


def _is_wanted(operations: Operations, request: PeersRequest, info: PeerInfo) -> bool:
    if request.user and info.user != request.user:
        return False
    if request.address and info.address.rpartition(":")[0] != request.address != info.address:
        return False
    if not request.channel:
        return True
    client = operations.hub.client(info.client) if info.client else None
    return client is not None and request.channel in client.subscriptions
