"""The network of a world: what carries bytes between processes and people, and each process's part of it."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from wsloop.errors import StartupError
from wsloop.testing.memory_socket import MemoryDescriptor, os_error
from wsloop.testing.network import FIRST_FD, FIRST_PORT, DescriptorTable, MemorySpare
from wsloop.testing.simulator.line import Line
from wsloop.testing.simulator.sockets import SimulatedListener, SimulatedSocket
from wsloop.transport.bind import BACKLOG, AddressInUseError, Bind, FdBind, TcpBind, UnixBind

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.testing.simulator.agenda import Agenda
    from wsloop.testing.simulator.clock import WorldClock
    from wsloop.testing.simulator.faults import Storm
    from wsloop.testing.simulator.trace import Trace

DESCRIPTORS = 1024
"""A process's limit, unless a fault lowers it."""

SPIKE_S = 3.0
"""The longest that single bytes are late."""


class Descriptors(DescriptorTable):
    """A process's descriptors: numbers go up; as a fault, the number that was freed last comes at once."""

    def __init__(self, storm: Storm) -> None:
        super().__init__(DESCRIPTORS)
        self._storm = storm
        self._reuse = storm.by_call("reuse")
        self._last_freed = -1
        self._next = FIRST_FD

    def allocate(self, owner: object) -> int:
        """See `DescriptorTable.allocate`."""
        if self.is_full():
            raise os_error(errno.EMFILE)
        fd = self._last_freed
        if fd < 0 or fd in self._owners or self._reuse is None or not self._reuse.strikes():
            fd = self._next
            self._next += 1
        self._owners[fd] = owner
        return fd

    def is_full(self) -> bool:
        """See `DescriptorTable.is_full`."""
        is_full = len(self._owners) >= self.limit
        if is_full:
            self._storm.feel("emfile")
        return is_full

    def release(self, fd: int) -> None:
        """See `DescriptorTable.release`."""
        del self._owners[fd]
        self._last_freed = fd

    def owners(self) -> list[object]:
        """Return what is open, in the order in which it was opened."""
        return list(self._owners.values())

    def __len__(self) -> int:
        return len(self._owners)


class Cable:
    """All that is under way in a world, and who listens where.

    `lines` are the clients' open ends, by the numbers of their connections; `dialled` counts all there were.
    `link_delay_s`: how long bytes take from one process to another.
    """

    def __init__(self, clock: WorldClock, agenda: Agenda, storm: Storm, trace: Trace) -> None:
        self.storm = storm
        self.trace = trace
        self.capacity_bytes = 65_536
        self.link_delay_s = 0.0
        self.listeners: dict[TcpBind | UnixBind, SimulatedListener] = {}
        self.lines: dict[int, Line] = {}
        self._clock = clock
        self._agenda = agenda
        self._spike = storm.by_call("spike")
        self._jitter = storm["slow-line"].random
        self._next_port = FIRST_PORT
        self._number = self.dialled = 0

    def carry(
        self, end: SimulatedSocket, size_bytes: int, arrive: Callable[..., object], *arguments: object
    ) -> None:
        """Have `arrive(*arguments)` called at the end that it is for, in order with what went before."""
        if end.held is not None:
            end.held.append((arrive, arguments))
            return
        due_s = now_s = self._clock.now_s
        if end.bytes_per_s:
            due_s = end.free_s = max(end.free_s, now_s) + size_bytes / end.bytes_per_s
        due_s += end.delay_s
        if end.jitter_s:
            due_s += self._jitter.random() * end.jitter_s
        spike = self._spike
        if spike is not None and spike.strikes():
            due_s += spike.random.uniform(0.01, SPIKE_S)
        due_s = max(due_s, end.last_arrival_s)
        end.last_arrival_s = due_s
        self._agenda.at(due_s, arrive, arguments)

    def hold(self, end: SimulatedSocket) -> None:
        """Let nothing arrive at an end from now on; what is under way still does."""
        if end.held is None:
            end.held = []

    def let_go(self, end: SimulatedSocket) -> None:
        """Let arrive what was held."""
        held, end.held = end.held, None
        for arrive, arguments in held or ():
            self.carry(end, 0, arrive, *arguments)

    def dial(
        self,
        bind: TcpBind,
        host: str,
        on_bytes: Callable[[bytes], object],
        on_end: Callable[[str], object],
        who: str = "somebody",
    ) -> Line | None:
        """Return a client's end of a new connection, None if nobody listens or the queue is full."""
        listener = self.listeners.get(bind)
        if listener is None or listener.is_full():
            return None
        source = TcpBind(host, self.take_port())
        self._number += 1
        self.dialled += 1
        line = Line(self, listener.network, (source, bind), self._number, on_bytes, on_end)
        self.lines[self._number] = line
        self._join(line, listener, source, who)
        return line

    def connect(self, network: ProcessNetwork, bind: Bind) -> SimulatedSocket:
        """Return a process's end of a connection to another one; see `Network.connect`."""
        listener = None if isinstance(bind, FdBind) else self.listeners.get(bind)
        if listener is None:
            raise os_error(errno.ECONNREFUSED)
        if listener.is_full():
            raise os_error(errno.EAGAIN)
        self._number += 1
        source: TcpBind | UnixBind = UnixBind("")
        if isinstance(listener.bound, TcpBind):
            source = TcpBind("127.0.0.1", self.take_port())
        client = SimulatedSocket(self, network, source, listener.bound, self._number)
        client.open()
        self._join(client, listener, source, network.name, network)
        return client

    def forget(self, line: Line) -> None:
        """Drop a line that is over. Idempotent."""
        self.lines.pop(line.number, None)

    def take_port(self) -> int:
        """Return a port that nobody had."""
        self._next_port += 1
        return self._next_port - 1

    def _join(
        self,
        client: SimulatedSocket,
        listener: SimulatedListener,
        source: TcpBind | UnixBind,
        who: str,
        network: ProcessNetwork | None = None,
    ) -> None:
        server = SimulatedSocket(self, listener.network, listener.bound, source, client.number)
        client.join(server)
        client.way, server.way = f"{who} > {listener.network.name}", f"{listener.network.name} > {who}"
        if network is not None:
            client.delay_s = server.delay_s = self.link_delay_s
        if network is not None and network.parted is not None:
            for end in (client, server):
                self.hold(end)
                network.parted.append(end)
        self.trace.note("connect", client.number, client.way, str(listener.bound))
        listener.expect(server)


class ProcessNetwork:
    """The sockets port of one process; satisfies `wsloop.transport.bind.Network`. Gone with its process.

    `name`: its process's, for the trace. `parted` None: it reaches the other processes; else all ends of its
    connections to them that are held.
    """

    def __init__(self, cable: Cable, name: str) -> None:
        self.name = name
        self.descriptors = Descriptors(cable.storm)
        self.parted: list[SimulatedSocket] | None = None
        self._cable = cable

    def listen(self, bind: Bind, backlog: int = BACKLOG) -> SimulatedListener:
        """See `Network.listen`."""
        if isinstance(bind, FdBind):
            raise StartupError(f"{bind} is not an open socket", "nothing is inherited in memory")
        if bind in self._cable.listeners:
            raise AddressInUseError(str(bind), 0)
        listener = self._cable.listeners[bind] = SimulatedListener(self._cable, self, bind, backlog)
        return listener

    def connect(self, address: Bind) -> SimulatedSocket:
        """See `Network.connect`."""
        return self._cable.connect(self, address)

    def spare(self) -> MemorySpare:
        """See `Network.spare`."""
        return MemorySpare(self.descriptors)

    def sockets(self) -> list[SimulatedSocket]:
        """Return the connected sockets of this process."""
        return [each for each in self.descriptors.owners() if isinstance(each, SimulatedSocket)]

    def part(self, ends: list[SimulatedSocket]) -> None:
        """Hold what is on its way to these ends, and all on connections that it begins from now on."""
        self.parted = [*(self.parted or ()), *ends]
        for end in ends:
            self._cable.hold(end)

    def reunite(self) -> None:
        """Let arrive what was held. A partition that held nothing was met by nobody. Idempotent."""
        ends, self.parted = self.parted or (), None
        if any(end.held for end in ends):
            self._cable.storm.feel("link-partition")
        for end in ends:
            self._cable.let_go(end)

    def die(self) -> None:
        """Close every descriptor, as a kernel does for a process that was killed."""
        for owner in self.descriptors.owners():
            if isinstance(owner, MemoryDescriptor):
                owner.poller = None  # type: ignore[attr-defined]
                owner.close()

    # -- the sockets call --------------------------------------------------------------------

    def settle(self) -> None:
        """Nothing arrives while a process runs."""

    def forget_listener(self, bind: TcpBind | UnixBind) -> None:
        """Free the address of a listening socket that closes."""
        del self._cable.listeners[bind]
