"""Where the hub's `Subscriber` is a WebSocket connection.

The hub speaks messages of a codec and knows no frames; a connection speaks frames and knows no
channels. The codec is the one whose name the client offered as a subprotocol. This file is the
whole of what lies between.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsloop.hub import codes, replies
from wsloop.hub.codec import JSON
from wsloop.protocol import trace
from wsloop.server.admission import key_of
from wsloop.server.framing import frame_of
from wsloop.server.lifecycle import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wsloop.hub.codec import Codec
    from wsloop.hub.fan_out import Lane, Receiver
    from wsloop.hub.grants import Identity
    from wsloop.hub.hub import Hub
    from wsloop.protocol.events import Request
    from wsloop.server.connection import Connection
    from wsloop.server.fan_out import PacedFanOut


_PINGS: dict[Codec, bytes] = {}


def ping(codec: Codec) -> bytes:
    """Return the protocol's own ping, framed: a reply without an id (client-protocol, "ping/pong")."""
    framed = _PINGS.get(codec)
    if framed is None:
        framed = _PINGS[codec] = frame_of((codec.encode(replies.PING),), codec)
    return framed


FRAME_PINGS = "cf_ws_frame_ping_pong=true"
"""In the query: the client's WebSocket library answers ping frames, its own code no `{}`."""


ADDRESS_HEADERS = frozenset({b"x-forwarded-for", b"x-real-ip"})
"""How the user's application is told where a client is, if `proxy.headers` names them."""

COMMANDS_PER_TURN = 64
"""Most commands carried out per connection and turn: about 2 ms of publishing. A frame of 64 KiB
can hold four thousand; the others wait for the turns that follow."""

LEAST_COMMANDS = 4
"""The same when a turn is full."""

COMMAND_UNITS = 16
"""What a command takes of the turn's sum: it costs about as much as so many plain frames."""


class MessagingHandler:
    """A messaging client at `/connection/websocket`: `Handler` and `Member` below, `Subscriber` above."""

    __slots__ = (
        "_client", "_commands_left", "_connection", "_fan_out", "_frame_pings", "_turn_number",
        "stale_after_s",
    )  # fmt: skip

    no_pong_code = codes.DISCONNECT_NO_PONG.code
    slow_code = codes.DISCONNECT_SLOW.code
    shutdown_code = codes.DISCONNECT_SHUTDOWN.code

    def __init__(
        self,
        connection: Connection,
        request: Request,
        hub: Hub,
        fan_out: PacedFanOut,
        stale_after_s: float,
        identity: Identity | None = None,
        codecs: Sequence[Codec] = (JSON,),
        forwarded: frozenset[bytes] = frozenset(),
    ) -> None:
        self._connection = connection
        self._fan_out = fan_out
        self._turn_number = self._commands_left = 0
        self._frame_pings = FRAME_PINGS in request.query.split("&")
        connection.codec = _codec(request, codecs)
        self._client = hub.new_client(
            self,
            codec=connection.codec,
            app_pings=not self._frame_pings,
            identity=identity,
            host=key_of(connection.peer_host),
            headers=_forwarded(request, forwarded, connection),
        )
        connection.member = self
        self.stale_after_s: float | None = stale_after_s

    # -- Handler: what the connection tells ------------------------------------------

    def on_open(self) -> None:
        """Wait: the client speaks first."""

    def on_text(self, data: str) -> bool:
        """Hand a message of commands to the hub, unless the codec is binary."""
        if self._connection.codec.is_text:
            return self._receive(data)
        self._connection.close(
            codes.DISCONNECT_BAD_REQUEST.code, "bad request: text frame on a binary protocol"
        )
        return False

    def on_turn(self) -> bool:
        """Go on with a frame of more commands than one turn has time for."""
        more = self._client.go_on()
        self._fan_out.hold_if_behind(self._connection)
        return more

    def on_binary(self, data: bytes | bytearray) -> bool:
        """Hand a message of commands to the hub, unless the codec is text."""
        if not self._connection.codec.is_text:
            return self._receive(bytes(data))
        self._connection.close(
            codes.DISCONNECT_BAD_REQUEST.code, "bad request: binary frame on a text protocol"
        )
        return False

    def _receive(self, message: str | bytes) -> bool:
        """Have the commands carried out; whoever publishes faster than it is sent must wait."""
        more = self._client.receive(message)
        self._fan_out.hold_if_behind(self._connection)
        return more

    def on_ping_due(self) -> None:
        """Send the protocol's own ping, or a ping frame to a client that asked for these."""
        if self._frame_pings:
            self._connection.send_ping()
        else:
            self._connection.send_beat(ping(self._connection.codec))

    def on_stale(self) -> None:
        """Close a client that never sent `connect`."""
        self._connection.close(codes.DISCONNECT_STALE.code, "stale: no connect command")

    def on_closed(self, code: int, reason: str) -> None:
        """Tell the hub, which removes subscriptions, then presence, then tells of the leave."""
        self._client.closed(code, reason)
        # The client refers to this handler: a cycle that nobody would find once the heap is frozen.
        del self._client

    # -- Member: what of it may be dropped when it reads too slowly ------------------------

    @property
    def identity(self) -> tuple[str, str]:
        """The client's id, and its user, "" if anonymous."""
        return self._client.id, self._client.user

    def must_be_whole(self, lane: Lane) -> bool:
        """Whether the client's subscription counts offsets, so that a gap would not be one."""
        return self._client.must_be_whole(lane.channel)

    def on_cut(self, lane: Lane) -> None:
        """Have the subscription ended of which publications were dropped."""
        self._client.miss(lane.channel)

    # -- Subscriber: what the hub asks for -------------------------------------------

    def send(self, payload: bytes) -> None:
        """Send one message to this client only: an answer, perhaps with a long history."""
        self._connection.send_line(payload)

    def may_go_on(self) -> bool:
        """Count a command against this connection's share of the turn, and the turn's own sum.

        Not while the peer has much to read still: fifty short commands of one frame may have fifty
        recoveries for answers.
        """
        connection = self._connection
        turn = connection.turn
        if self._turn_number != turn.number:
            self._turn_number = turn.number
            self._commands_left = COMMANDS_PER_TURN if turn.units > 0 else LEAST_COMMANDS
        if not self._commands_left or connection.state is not State.OPEN or connection.is_behind:
            return False
        self._commands_left -= 1
        turn.units -= COMMAND_UNITS
        return True

    def charge(self, commands: int) -> None:
        """See `Subscriber.charge`; the turn's own sum pays as well."""
        self._commands_left = max(0, self._commands_left - commands)
        self._connection.turn.units -= COMMAND_UNITS * commands

    @property
    def receiver(self) -> Receiver:
        """The connection takes shared frames itself."""
        return self._connection

    @property
    def address(self) -> str:
        """Where the client is, which may be behind a listed proxy."""
        return self._connection.peer_host

    def left(self, channel: str) -> None:
        """See `Subscriber.left`."""
        self._connection.leave(channel)

    def disconnect(self, code: int, reason: str) -> None:
        """Close with a code of the messaging protocol."""
        self._connection.close(code, reason)

    def on_connected(self) -> None:
        """Take the stale deadline away and begin to ping: from here on the client can answer."""
        self.stale_after_s = None
        self._connection.start_beating()

    def on_pong(self) -> None:
        """Take note that the client lives: any received byte already says so."""


_TOLD_ANEW = ADDRESS_HEADERS | {trace.HEADER, trace.STATE_HEADER}
"""Headers that the backend is not told as the client wrote them."""


def _codec(request: Request, codecs: Sequence[Codec]) -> Codec:
    """Return the codec of the first subprotocol offered that has one; the first codec if none was offered."""
    names = {codec.name: codec for codec in codecs}
    return next((names[name] for name in request.subprotocols if name in names), codecs[0])


def _forwarded(
    request: Request, names: frozenset[bytes], connection: Connection
) -> tuple[tuple[str, str], ...]:
    """Return the headers of an upgrade request that the backend may see, names in lower case.

    Those that tell of an address tell what the server itself goes by: what the client has written there
    is worth nothing. Which trace the request belongs to is always told, if it says so in good form.
    """
    traced = _trace_of(request, connection)
    if not names:
        return traced
    host = connection.peer_host
    shown = tuple(
        (name.decode("ascii"), value.decode("latin-1"))
        for name, value in request.headers
        if name in names and name not in _TOLD_ANEW
    )
    return (*shown, *((name.decode("ascii"), host) for name in sorted(names & ADDRESS_HEADERS)), *traced)


def _trace_of(request: Request, connection: Connection) -> tuple[tuple[str, str], ...]:
    """Return the headers that name the trace of a request; none if they are not in good form."""
    if connection.story is None or not connection.story.trace:
        return ()
    found = (
        (trace.HEADER, (request.header(trace.HEADER) or b"").decode("ascii")),
        (trace.STATE_HEADER, trace.parse_state(request.header(trace.STATE_HEADER))),
    )
    return tuple((name.decode("ascii"), value) for name, value in found if value)
