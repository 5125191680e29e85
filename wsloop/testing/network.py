"""A network in memory: the sockets port of the simulator, with faults drawn from a seed.

`MemoryNetwork` stands in for the kernel: descriptors, addresses, and bytes under way. Time is
the clock's: nothing arrives before the clock is moved that far (`FakePoller` moves it). All
chance comes from one `random.Random(seed)`, and no order depends on hashing, so that a failing
run is its seed.

The sockets themselves, and what they copy of a kernel's manners, are in `memory_socket.py`;
the poller is in `poller.py`.
"""

from __future__ import annotations

import errno
import heapq
import os
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wsloop.errors import StartupError
from wsloop.testing.memory_socket import CAPACITY_BYTES, MemoryListeningSocket, MemorySocket
from wsloop.transport.bind import BACKLOG, AddressInUseError, Bind, FdBind, TcpBind, UnixBind

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.loop.clock import Clock

FIRST_FD = 3
"""0 to 2 belong to the terminal, as in a process."""

FIRST_PORT = 40_000
"""What port 0 becomes, and the first of the clients' own ports; counted up, never reused."""


@dataclass(frozen=True, slots=True)
class NetworkFaults:
    """What may go wrong with each call; the default is a network without faults.

    Bytes take `min_delay_s` to `max_delay_s` on their way, never overtaking each other. A read
    returns 1 to `max_read_bytes`, a write takes 1 to `max_write_bytes` (None: all there is).
    `eagain_chance` is that of a read or write that would succeed to say EAGAIN instead, below
    1; `reset_chance` that of a write to find the connection reset, at both ends.
    """

    min_delay_s: float = 0.0
    max_delay_s: float = 0.0
    max_read_bytes: int | None = None
    max_write_bytes: int | None = None
    eagain_chance: float = 0.0
    reset_chance: float = 0.0


class DescriptorTable:
    """Numbers for what is open, always the lowest free one, at most `limit` at a time."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._owners: dict[int, object] = {}
        self._freed: list[int] = []

    def allocate(self, owner: object) -> int:
        """Return a descriptor for `owner`; raises OSError(EMFILE) when `limit` are open."""
        if self.is_full():
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        # All numbers below len + FIRST_FD are taken unless one of them was freed.
        fd = heapq.heappop(self._freed) if self._freed else FIRST_FD + len(self._owners)
        self._owners[fd] = owner
        return fd

    def release(self, fd: int) -> None:
        """Free `fd`, for immediate reuse."""
        del self._owners[fd]
        heapq.heappush(self._freed, fd)

    def owner(self, fd: int) -> object | None:
        """Return what was opened as `fd`, None if it is free."""
        return self._owners.get(fd)

    def is_full(self) -> bool:
        """Return whether the next `allocate` fails."""
        return len(self._owners) >= self.limit

    def snapshot(self) -> dict[int, str]:
        """Return what is open, by number, in words."""
        return {fd: str(self._owners[fd]) for fd in sorted(self._owners)}


class MemorySpare:
    """A spare descriptor of this network; satisfies `wsloop.transport.listener.Spare`."""

    def __init__(self, table: DescriptorTable) -> None:
        self._table = table
        self._fd = -1

    def __str__(self) -> str:
        return "spare descriptor"

    def take(self) -> bool:
        """Hold a descriptor, if one is free; return whether one is held."""
        if self._fd < 0 and not self._table.is_full():
            self._fd = self._table.allocate(self)
        return self._fd >= 0

    def release(self) -> None:
        """Give it up. Idempotent."""
        if self._fd >= 0:
            self._table.release(self._fd)
            self._fd = -1


class MemoryNetwork:
    """Listening and connected sockets of one machine; satisfies `wsloop.transport.bind.Network`.

    Arguments: `clock`, virtual time; `seed` of all chance; `faults`, which may be replaced at any
    time; `capacity_bytes`, how much each direction of a connection holds before EAGAIN;
    `descriptor_limit`, like RLIMIT_NOFILE, kept in `descriptors.limit`.
    """

    def __init__(
        self,
        clock: Clock,
        seed: int = 0,
        *,
        faults: NetworkFaults | None = None,
        capacity_bytes: int = CAPACITY_BYTES,
        descriptor_limit: int = 1_000_000,
    ) -> None:
        self.clock = clock
        self.random = random.Random(seed)
        self.faults = NetworkFaults() if faults is None else faults
        self.capacity_bytes = capacity_bytes
        self.descriptors = DescriptorTable(descriptor_limit)
        self._listeners: dict[TcpBind | UnixBind, MemoryListeningSocket] = {}
        self._next_port = FIRST_PORT
        self._under_way: list[tuple[float, int, Callable[[], None]]] = []
        self._sequence = 0

    def listen(self, bind: Bind, backlog: int = BACKLOG) -> MemoryListeningSocket:
        """Return a listening socket; raises AddressInUseError, or StartupError for an FdBind."""
        if isinstance(bind, FdBind):
            raise StartupError(f"{bind} is not an open socket", "nothing is inherited in memory")
        if isinstance(bind, TcpBind) and bind.port == 0:
            bind = TcpBind(bind.host, self._take_port())
        if bind in self._listeners:
            if isinstance(bind, UnixBind):
                raise AddressInUseError(bind.path, 0)
            raise AddressInUseError(bind.host, bind.port)
        sock = MemoryListeningSocket(self, bind, backlog)
        self._listeners[bind] = sock
        return sock

    def connect(self, bind: Bind, source_host: str = "127.0.0.1") -> MemorySocket:
        """Return the client's end of a new connection; the server's waits to be accepted.

        Bytes may be sent at once, as behind a real connect(2). Raises ConnectionRefusedError when
        nobody listens, BlockingIOError when the backlog is full, OSError(EMFILE).
        """
        listener = self._find(bind)
        if listener is None:
            raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
        if listener.is_full():
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        source: TcpBind | UnixBind = UnixBind("")
        if isinstance(listener.bound, TcpBind):
            source = TcpBind(source_host, self._take_port())
        client = MemorySocket(self, source, listener.bound)
        client.open()
        server = MemorySocket(self, listener.bound, source)
        client.join(server)
        listener.expect(server)
        return client

    def pair(self) -> tuple[MemorySocket, MemorySocket]:
        """Return two connected sockets, like socketpair(2)."""
        left_bind, right_bind = (TcpBind("127.0.0.1", self._take_port()) for _ in range(2))
        left, right = MemorySocket(self, left_bind, right_bind), MemorySocket(self, right_bind, left_bind)
        left.join(right)
        left.open()
        right.open()
        return left, right

    def spare(self) -> MemorySpare:
        """Return a spare descriptor of this network for a `Listener`."""
        return MemorySpare(self.descriptors)

    def open_descriptors(self) -> dict[int, str]:
        """Return every open descriptor and what it is: empty, unless something leaks."""
        return self.descriptors.snapshot()

    def next_event_s(self) -> float | None:
        """Return when the next bytes, or the next news, arrive; None if nothing is under way."""
        return self._under_way[0][0] if self._under_way else None

    def settle(self) -> None:
        """Let everything arrive that is due by the clock. Sockets and poller call this themselves."""
        now_s = self.clock.now()
        while self._under_way and self._under_way[0][0] <= now_s:
            heapq.heappop(self._under_way)[2]()

    def transmit(self, not_before_s: float, arrive: Callable[[], None]) -> float:
        """Call `arrive` after a delay, not before `not_before_s`; return when.

        Used by the sockets, which pass the time of the previous arrival: bytes stay in order.
        """
        now_s = self.clock.now()
        due_s = now_s
        if self.faults.max_delay_s > 0:
            due_s += self.random.uniform(self.faults.min_delay_s, self.faults.max_delay_s)
        due_s = max(due_s, not_before_s)
        if due_s <= now_s:
            arrive()
        else:
            self._sequence += 1
            heapq.heappush(self._under_way, (due_s, self._sequence, arrive))
        return due_s

    def forget_listener(self, bind: TcpBind | UnixBind) -> None:
        """Free the address of a listening socket that closes. Used by that socket."""
        del self._listeners[bind]

    def _find(self, bind: Bind) -> MemoryListeningSocket | None:
        """Return who listens on `bind`, or on its port of every address."""
        if isinstance(bind, FdBind):
            return None
        found = self._listeners.get(bind)
        if found is None and isinstance(bind, TcpBind):
            wildcard = "::" if ":" in bind.host else "0.0.0.0"
            found = self._listeners.get(TcpBind(wildcard, bind.port))
        return found

    def _take_port(self) -> int:
        self._next_port += 1
        return self._next_port - 1
