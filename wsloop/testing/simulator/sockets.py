"""The sockets of a simulated process: those of `memory_socket.py`, told to a poller, with faults by draw.

What they copy of a kernel's manners is told there. New here: whoever may have become ready says so
(`touch`), so that no poll looks at all of them; and bytes travel on a `Cable`, each direction with a delay,
a breadth and a fate of its own.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, cast

from wsloop.loop.poller import READ, WRITE
from wsloop.testing.memory_socket import MemoryListeningSocket, MemorySocket, os_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.buffers.outbox import Piece
    from wsloop.testing.memory_socket import Address
    from wsloop.testing.network import MemoryNetwork
    from wsloop.testing.simulator.network import Cable, ProcessNetwork
    from wsloop.testing.simulator.poller import SimulatedPoller
    from wsloop.transport.bind import TcpBind, UnixBind


class SimulatedSocket(MemorySocket):
    """One end of a connection. `number` names it in the trace, `way` tells who speaks here and to whom.

    Of the direction towards this end: `delay_s` of each byte, up to `jitter_s` more, `bytes_per_s` (0: any
    number), `capacity_bytes` under way and unread. `held` collects what arrives while it must not.
    """

    peer: SimulatedSocket
    poller: SimulatedPoller | None

    def __init__(
        self,
        cable: Cable,
        network: ProcessNetwork,
        bound: TcpBind | UnixBind,
        peer_bound: TcpBind | UnixBind,
        number: int,
    ) -> None:
        # Only what is not overridden here is used of it: its descriptors, settle and forget_listener.
        super().__init__(cast("MemoryNetwork", network), bound, peer_bound)
        self.number = number
        self.way = ""
        self.poller = None
        self.delay_s = self.jitter_s = self.bytes_per_s = 0.0
        self.free_s = 0.0
        self.capacity_bytes = cable.capacity_bytes
        self.held: list[tuple[Callable[..., object], tuple[object, ...]]] | None = None
        self._cable = cable
        self._note = cable.trace.note
        storm = cable.storm
        self._eagain_read, self._short_read = storm.by_call("read-eagain"), storm.by_call("short-read")
        self._eagain_write, self._short_write = storm.by_call("write-eagain"), storm.by_call("short-write")
        self._reset_write, self._hang_up = storm.by_call("write-reset"), storm.by_call("hang-up")

    # -- what the poller asks ----------------------------------------------------------------

    def touch(self) -> None:
        """Say that this end may have become ready."""
        if self.poller is not None:
            self.poller.touch(self._fd)

    def events(self, interest: int) -> int:
        """Return what of `interest` it is ready for."""
        events = 0
        if self._arrived or self._has_fin or self._is_reset or self._is_read_shut:
            events = READ
        if interest & WRITE and (self._is_reset or self._is_write_shut or self.peer.room() > 0):
            events |= WRITE
        return events & interest

    # -- what the transport calls ------------------------------------------------------------

    def recv(self, max_bytes: int, /) -> bytes:
        """See `MemorySocket.recv`."""
        arrived = self._arrived
        if not arrived or self._is_closed:
            return super().recv(max_bytes)
        if self._eagain_read is not None and self._eagain_read.strikes():
            raise os_error(errno.EAGAIN)
        count = min(max_bytes, len(arrived))
        if self._short_read is not None and count > 1 and self._short_read.strikes():
            count = self._short_read.random.randrange(1, count)
        data = bytes(arrived) if count == len(arrived) else bytes(arrived[:count])
        del arrived[:count]
        self.peer.touch()
        return data

    def send(self, data: Piece, /) -> int:
        """See `MemorySocket.send`."""
        if self._is_closed or self._has_error or self._is_reset or self._is_write_shut:
            return super().send(data)
        count = min(len(data), self.peer.room())
        if count <= 0:
            if not data:
                return 0
            raise os_error(errno.EAGAIN)
        if self._eagain_write is not None and self._eagain_write.strikes():
            raise os_error(errno.EAGAIN)
        if self._reset_write is not None and self._reset_write.strikes():
            self.reset()
            self._raise_pending_error()
        if self._short_write is not None and count > 1 and self._short_write.strikes():
            count = self._short_write.random.randrange(1, count)
        taken = data if count == len(data) and type(data) is bytes else bytes(data[:count])
        self.transmit(taken)
        return count

    def transmit(self, data: bytes) -> None:
        """Put bytes on the cable, without asking whether there is room."""
        self._note("send", self.number, self.way, data)
        peer = self.peer
        peer._incoming_bytes += len(data)
        self._cable.carry(peer, len(data), peer.on_data, data)

    def close(self) -> None:
        """See `MemorySocket.close`."""
        if not self._is_closed:
            self._note("close", self.number, self.way, self._fd)
        super().close()

    def shutdown(self, how: int, /) -> None:
        """See `MemorySocket.shutdown`."""
        super().shutdown(how)
        self._note("fin", self.number, self.way)

    def reset(self) -> None:
        """See `MemorySocket.reset`."""
        self._note("reset", self.number, self.way)
        super().reset()

    def vanish(self) -> None:
        """See `MemorySocket.vanish`."""
        self._note("vanish", self.number, self.way)
        super().vanish()

    # -- the cable calls ---------------------------------------------------------------------

    def room(self) -> int:
        """See `MemorySocket.room`."""
        return self.capacity_bytes - len(self._arrived) - self._incoming_bytes

    def on_data(self, data: bytes) -> None:
        """See `MemorySocket.on_data`."""
        if self._is_closed or self._has_vanished or self._is_reset or self.peer._is_aborted:
            super().on_data(data)
            return
        self._note("arrive", self.number, self.peer.way, len(data))
        self._incoming_bytes -= len(data)
        self._arrived += data
        if self.poller is not None:
            self.poller.maybe[self._fd] = None
        if self._hang_up is not None and self._hang_up.strikes():
            self.reset()

    def on_fin(self) -> None:
        """See `MemorySocket.on_fin`."""
        super().on_fin()
        self.touch()

    def on_reset(self) -> None:
        """See `MemorySocket.on_reset`."""
        super().on_reset()
        self.touch()

    def _notify_peer(self, arrive: Callable[[], None]) -> None:
        self._cable.carry(self.peer, 0, arrive)


class SimulatedListener(MemoryListeningSocket):
    """A socket with a queue of connections."""

    def __init__(
        self, cable: Cable, network: ProcessNetwork, bound: TcpBind | UnixBind, backlog: int
    ) -> None:
        self.poller: SimulatedPoller | None = None
        self.network = network
        self._cable = cable
        self._aborted = cable.storm.by_call("accept-aborted")
        self._nobufs = cable.storm.by_call("accept-nobufs")
        super().__init__(cast("MemoryNetwork", network), bound, backlog)

    def touch(self) -> None:
        """Say that somebody may wait."""
        if self.poller is not None:
            self.poller.touch(self._fd)

    def events(self, interest: int) -> int:
        """Return what of `interest` it is ready for."""
        return READ & interest if self._queue else 0

    def accept(self) -> tuple[MemorySocket, Address]:
        """See `MemoryListeningSocket.accept`."""
        if self._queue and not self._is_closed:
            if self._nobufs is not None and self._nobufs.strikes():
                raise os_error(errno.ENOBUFS)
            if self._aborted is not None and self._aborted.strikes():
                self._queue.popleft().reset()
                raise os_error(errno.ECONNABORTED)
        return super().accept()

    def expect(self, server: MemorySocket) -> None:
        """See `MemoryListeningSocket.expect`."""
        assert isinstance(server, SimulatedSocket)
        self._expected += 1
        self._cable.carry(server, 0, self._on_arrival, server)

    def _on_arrival(self, server: MemorySocket) -> None:
        super()._on_arrival(server)
        self.touch()
