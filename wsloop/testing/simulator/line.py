"""A client's end of a connection: no descriptor, no loop, no cost of its own.

What arrives is handed on at once, unless the client has stopped reading; what it writes waits until the
network takes it.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from wsloop.testing.memory_socket import MemorySocket
from wsloop.testing.simulator.sockets import SimulatedSocket

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.testing.simulator.network import Cable, ProcessNetwork
    from wsloop.transport.bind import TcpBind

READ_BYTES = 65_536


class Line(SimulatedSocket):
    """The end of a client's.

    `on_bytes(data)` is called with what arrives, in order; `on_end(how)` with "fin" when the server's
    direction has ended, after which the client may `leave`, and with "reset" or "vanished" when the line is
    over. `reads` is False while it is stalled.
    """

    def __init__(
        self,
        cable: Cable,
        network: ProcessNetwork,
        binds: tuple[TcpBind, TcpBind],
        number: int,
        on_bytes: Callable[[bytes], object],
        on_end: Callable[[str], object],
    ) -> None:
        super().__init__(cable, network, *binds, number)
        self.reads = True
        self.is_over = False
        self._is_fin_told = False
        self._on_bytes = on_bytes
        self._on_end = on_end
        self._pending = bytearray()

    @property
    def is_whole(self) -> bool:
        """Whether neither end has broken it, as far as has got here."""
        return not self._is_closed and not self._is_reset

    @property
    def is_sound(self) -> bool:
        """Whether it is whole, both ends speak and this one reads, and it was not made slow."""
        is_slow = bool(self.delay_s or self.jitter_s or self.bytes_per_s)
        return self.is_whole and not self.is_over and self.reads and not (is_slow or self._is_write_shut)

    @property
    def has_ended_writing(self) -> bool:
        """Whether this end says no more, by a fault or its own wish."""
        return self._is_write_shut

    @property
    def pending_bytes(self) -> int:
        """What the network has not taken yet."""
        return len(self._pending)

    def write(self, data: bytes) -> None:
        """Send bytes, now or as soon as there is room; nothing happens on a line that is gone."""
        if self._is_closed or self._is_reset or self._is_write_shut:
            return
        if not self._pending and self.peer.room() >= len(data):
            self.transmit(data)
        else:
            self._pending += data
            self._push()

    def stall(self) -> None:
        """Read no more: what arrives stays in the network."""
        self._note("stall", self.number, self.way)
        self.reads = False

    def go_on(self) -> None:
        """Read again; nothing happens on a line that is over."""
        self.reads = True
        if not self.is_over:
            self._note("go on", self.number, self.way)
            self._deliver()

    def leave(self) -> None:
        """Close the socket, with FIN, or with a reset if something is unread. Idempotent."""
        self.is_over = True
        self._cable.forget(self)
        self.close()

    def vanish(self) -> None:
        """See `MemorySocket.vanish`; `on_end` is told "vanished", so that somebody may come back later."""
        if not self.is_over:
            super().vanish()
            self._end("vanished")

    def end_writing(self) -> None:
        """Send FIN behind what the network has taken; reading goes on."""
        if not (self._is_closed or self._is_reset or self._is_write_shut):
            self._pending.clear()
            self.shutdown(socket.SHUT_WR)

    def touch(self) -> None:
        """Something has changed: hand on, send on."""
        if self._pending and not self._is_closed:
            self._push()
        if self.reads and not self.is_over:
            self._deliver()

    def on_data(self, data: bytes) -> None:
        """See `MemorySocket.on_data`; hands it on without a detour where nothing waits."""
        # What is still on its way when the peer aborts is lost: `MemorySocket` drops it.
        if self._is_closed or self._arrived or not self.reads or self.peer._is_aborted or self._is_reset:
            MemorySocket.on_data(self, data)
            self.touch()
        else:
            self._note("arrive", self.number, self.peer.way, len(data))
            self._incoming_bytes -= len(data)
            self.peer.touch()
            self._on_bytes(data)

    def _deliver(self) -> None:
        if self._arrived:
            data = bytes(self._arrived)
            self._arrived.clear()
            self.peer.touch()
            self._on_bytes(data)
        if not self.is_over and self.reads:
            if self._is_reset:
                self._end("reset")
            elif self._has_fin and not self._is_fin_told:
                self._is_fin_told = True
                self._on_end("fin")

    def _end(self, how: str) -> None:
        self.is_over = True
        self._cable.forget(self)
        self._on_end(how)
        self.close()

    def _push(self) -> None:
        room = min(self.peer.room(), len(self._pending))
        if self._is_reset or self._is_write_shut:
            self._pending.clear()
        elif room > 0:
            data = bytes(self._pending[:room])
            del self._pending[:room]
            self.transmit(data)
