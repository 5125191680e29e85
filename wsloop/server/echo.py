"""`/echo`: sends back what it gets. The first thing to point any WebSocket client at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsloop.protocol.close import CloseCode

if TYPE_CHECKING:
    from wsloop.protocol.events import Request
    from wsloop.server.connection import Connection


class EchoHandler:
    """Echoes text as text and binary as binary; asks for life by RFC 6455 pings."""

    __slots__ = ("_connection",)

    stale_after_s: float | None = None
    no_pong_code = int(CloseCode.INTERNAL_ERROR)
    slow_code = int(CloseCode.POLICY_VIOLATION)
    shutdown_code = int(CloseCode.SERVICE_RESTART)

    def __init__(self, connection: Connection, _request: Request) -> None:
        self._connection = connection

    def on_open(self) -> None:
        """Begin to ping; an echo has nothing to say first."""
        self._connection.start_beating()

    def on_text(self, data: str) -> None:
        """Send `data` back as text."""
        self._connection.send_text(data)

    def on_binary(self, data: bytes | bytearray) -> None:
        """Send `data` back as binary, the same object, uncopied."""
        self._connection.send_binary(data)

    def on_turn(self) -> None:
        """Do nothing: no message is left unfinished."""

    def on_ping_due(self) -> None:
        """Send an empty ping frame."""
        self._connection.send_ping()

    def on_stale(self) -> None:
        """Do nothing: `stale_after_s` is None, so this is never due."""

    def on_closed(self, code: int, reason: str) -> None:
        """Do nothing: an echo keeps nothing."""
