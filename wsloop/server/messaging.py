"""Where the hub's `Subscriber` is a WebSocket connection.

The hub speaks JSON lines and knows no frames; a connection speaks frames and knows no
channels. This file is the whole of what lies between.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsloop.protocol.frames import Opcode, encode_frame

if TYPE_CHECKING:
    from wsloop.hub.fan_out import Receiver
    from wsloop.hub.hub import Hub
    from wsloop.protocol.events import Request
    from wsloop.server.connection import Connection
    from wsloop.server.fan_out import PacedFanOut

PING = encode_frame(Opcode.TEXT, b"{}")
"""The protocol's own ping: a reply without an id (client-protocol, "ping/pong")."""

FRAME_PINGS = "cf_ws_frame_ping_pong=true"
"""In the query: the client's WebSocket library answers ping frames, its own code no `{}`."""


def frame_text(payload: bytes) -> bytes:
    """Return one text frame around `payload`; made once per publication, shared by all."""
    return encode_frame(Opcode.TEXT, payload)


class MessagingHandler:
    """A messaging client at `/connection/websocket`: a `Handler` below, a `Subscriber` above."""

    __slots__ = ("_client", "_connection", "_fan_out", "_frame_pings", "stale_after_s")

    no_pong_code = 3012
    slow_code = 3008
    shutdown_code = 3001

    def __init__(
        self, connection: Connection, request: Request, hub: Hub, fan_out: PacedFanOut, stale_after_s: float
    ) -> None:
        self._connection = connection
        self._fan_out = fan_out
        self._frame_pings = FRAME_PINGS in request.query.split("&")
        self._client = hub.new_client(self, app_pings=not self._frame_pings)
        self.stale_after_s: float | None = stale_after_s

    # -- Handler: what the connection tells ------------------------------------------

    def on_open(self) -> None:
        """Wait: the client speaks first."""

    def on_text(self, data: str) -> None:
        """Hand a frame of commands to the hub; whoever publishes faster than it is sent must wait."""
        self._client.receive(data)
        self._fan_out.hold_if_behind(self._connection)

    def on_binary(self, data: bytes | bytearray) -> None:
        """Refuse: the JSON protocol is text."""
        self._connection.close(3501, "bad request: binary frame on the JSON protocol")

    def on_ping_due(self) -> None:
        """Send the protocol's own ping, or a ping frame to a client that asked for these."""
        if self._frame_pings:
            self._connection.send_ping()
        else:
            self._connection.send_frame(PING)

    def on_stale(self) -> None:
        """Close a client that never sent `connect`."""
        self._connection.close(3502, "stale: no connect command")

    def on_closed(self, code: int, reason: str) -> None:
        """Tell the hub, which removes subscriptions, then presence, then tells of the leave."""
        self._client.closed()
        # The client refers to this handler: a cycle that nobody would find once the heap is frozen.
        del self._client

    # -- Subscriber: what the hub asks for -------------------------------------------

    def send(self, payload: bytes) -> None:
        """Send one JSON line to this client only: an answer, perhaps with a long history."""
        self._connection.send_reply(encode_frame(Opcode.TEXT, payload))

    @property
    def receiver(self) -> Receiver:
        """The connection takes shared frames itself."""
        return self._connection

    def disconnect(self, code: int, reason: str) -> None:
        """Close with a code of the messaging protocol."""
        self._connection.close(code, reason)

    def on_connected(self) -> None:
        """Take the stale deadline away and begin to ping: from here on the client can answer."""
        self.stale_after_s = None
        self._connection.start_beating()

    def on_pong(self) -> None:
        """Take note that the client lives: any received byte already says so."""
