"""One connection in a recording: the tap around its transport, and the redaction of what goes through.

Part of `recorder.py`, which decides whose bytes are kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsloop.protocol.redaction import Redactor
from wsloop.server.tap import Tap

if TYPE_CHECKING:
    from wsloop.server.connection import Connection
    from wsloop.server.recorder import Recording
    from wsloop.transport.base import Transport


class Strip:
    """A tapped connection of a `recording`.

    Arguments: `is_whole`, whether it is tapped before its first byte; else it is at rest, and open.
    `kept` are the pieces that went through until it is known to be wanted (`is_wanted`); `size` is how much
    went through in all, in bytes.
    """

    __slots__ = (
        "_inbound", "_outbound", "_recording", "_tap", "_times", "connection", "is_wanted", "is_whole",
        "kept", "size",
    )  # fmt: skip

    def __init__(
        self, recording: Recording, connection: Connection, *, is_whole: bool, subprotocols: frozenset[bytes]
    ) -> None:
        self.connection = connection
        self.is_whole = is_whole
        self.is_wanted = False
        self.kept: list[tuple[int, float, bool, bytes]] = []
        self.size = 0
        self._recording = recording
        self._times: dict[int, float] = {}
        self._inbound: Redactor | None = None
        self._outbound: Redactor | None = None
        if recording.is_redacting:
            kept_bytes, message_bytes = self._inbound_bounds()
            self._inbound = Redactor(
                answers=False,
                is_open=not is_whole,
                kept_bytes=kept_bytes,
                message_bytes=message_bytes,
                subprotocols=subprotocols,
            )
            self._outbound = Redactor(answers=True, is_open=not is_whole, subprotocols=subprotocols)
        self._tap: Tap | None = None
        connection.route_through(self._wrap)

    def _inbound_bounds(self) -> tuple[int, int]:
        """Return how far back a message of the client's may refer, and how large it may be, in bytes."""
        connection = self.connection
        kept_bytes = connection.agreement.kept_bytes if connection.agreement else 0
        return kept_bytes, connection.limits.message_bytes

    def _wrap(self, transport: Transport) -> Transport:
        self._tap = Tap(transport, self._on_bytes, self._on_end)
        return self._tap

    def facts(self) -> dict[str, str | int | bool]:
        """Return what is known of the connection by now."""
        connection = self.connection
        client, user = connection.member.identity if connection.member is not None else ("", "")
        found: dict[str, str | int | bool] = {
            "address": connection.sender or connection.peer,
            "client": client,
            "user": user,
            "state": connection.state.value,
            "message_bytes": connection.limits.message_bytes,
        }
        if connection.agreement is not None:
            found["extensions"] = connection.agreement.header.decode("ascii")
        return found

    def detach(self) -> None:
        """Take the tap off, and give what is left."""
        tap, self._tap = self._tap, None
        if tap is not None:
            self.connection.route_through(lambda _: tap.inner)
            self._finish()

    # -- the tap calls: nothing may go beyond ------------------------------------------------

    def _on_bytes(self, is_answer: bool, data: bytes) -> None:
        try:
            self._take(is_answer, data)
        except Exception as error:
            self._recording.fail(error)

    def _on_end(self) -> None:
        try:
            self._tap = None
            self._finish()
            self._recording.note_end(self)
        except Exception as error:
            self._recording.fail(error)

    def _take(self, is_answer: bool, data: bytes) -> None:
        self.size += len(data)
        data = self._recording.admit(self, data)
        if not data:
            return
        number = self._recording.draw_number()
        self._times[number] = self._recording.now
        inbound, outbound = self._inbound, self._outbound
        if inbound is None or outbound is None:
            self._give([(number, data)], is_answer=is_answer)
        elif not is_answer:
            self._give(inbound.feed(number, data), is_answer=False)
        else:
            self._give(outbound.feed(number, data), is_answer=True)
            if inbound.awaits_answer:
                ready = inbound.open(*self._inbound_bounds()) if outbound.is_open else inbound.refuse()
                self._give(ready, is_answer=False)

    def _finish(self) -> None:
        if self._inbound is not None and self._outbound is not None:
            self._give(self._inbound.finish(), is_answer=False)
            self._give(self._outbound.finish(), is_answer=True)
            self._inbound = self._outbound = None

    def _give(self, pieces: list[tuple[int, bytes]], *, is_answer: bool) -> None:
        for number, data in pieces:
            time_s = self._times.pop(number)
            if self.is_wanted:
                self._recording.keep(self, number, time_s, data, is_answer=is_answer)
            else:
                self.kept.append((number, time_s, is_answer, data))
