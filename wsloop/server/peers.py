"""The connections of a server as its operator sees them. Satisfies `hub/operations/peers.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsloop.hub.operations.results import PeerInfo

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.hub.hub import Hub
    from wsloop.loop.clock import WallClock
    from wsloop.server.connection import Connection
    from wsloop.server.recorder import FlightRecorder
    from wsloop.server.server import Server


class ServerPeers:
    """All clients of `server`.

    `traffic` tells how many bytes a socket has received and sent, `unix_s` the time for recordings.
    """

    def __init__(
        self, server: Server, hub: Hub, traffic: Callable[[int], tuple[int, int]], unix_s: WallClock
    ) -> None:
        self._server = server
        self._hub = hub
        self._traffic = traffic
        self._unix_s = unix_s
        self._recorder: FlightRecorder | None = None

    @property
    def recorder(self) -> FlightRecorder:
        """See `Peers.recorder`; made, and its module loaded, when it is first asked for."""
        if self._recorder is None:
            from wsloop.server.recorder import FlightRecorder  # noqa: PLC0415 - most daemons never record

            self._recorder = FlightRecorder(self._server, self._unix_s)
        return self._recorder

    def snapshot(self) -> list[Connection]:
        """See `Peers.snapshot`; the operator's own connections are left out."""
        return self._server.client_connections()

    def describe(self, peer: Connection) -> PeerInfo:
        """See `Peers.describe`."""
        client, user = peer.member.identity if peer.member is not None else ("", "")
        known = self._hub.client(client) if client else None
        received_bytes, sent_bytes = self._traffic(peer.descriptor)
        return PeerInfo(
            connection=peer.id,
            client=client,
            user=user,
            address=peer.sender or peer.peer,
            state=peer.state.value,
            age_s=round(self._server.reactor.now - peer.began_s, 3),
            queued_bytes=peer.queued_bytes,
            queued_messages=peer.queued_messages,
            received_bytes=received_bytes,
            sent_bytes=sent_bytes,
            channels=len(known.subscriptions) if known is not None else 0,
        )

    def close(self, peer: Connection, code: int, reason: str) -> None:
        """See `Peers.close`."""
        peer.close(code, reason)
