"""Several reactors on one virtual machine: one clock, one network, a loop for each process.

Time is the machine's here, not a poller's: a loop that has nothing to do must not jump over what another
one is about to do. `Machine.turn` makes a turn of every loop, and moves the clock only when none of them
had anything to do. A process that is stopped (SIGSTOP) makes no turns; one that is killed loses its
descriptors, as in a kernel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsloop.testing.clock import FakeClock
from wsloop.testing.memory_socket import MemorySocket
from wsloop.testing.network import MemoryNetwork
from wsloop.testing.poller import DeadlockError, FakePoller

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.loop.reactor import Reactor
    from wsloop.testing.network import NetworkFaults


class StillPoller(FakePoller):
    """A `FakePoller` that does not move the clock: it tells how long it would have waited.

    `waited_s` of the last poll: 0 if something was ready, None if it would have waited for ever.
    """

    def __init__(self, network: MemoryNetwork, clock: FakeClock) -> None:
        super().__init__(network, clock)
        self.waited_s: float | None = 0.0

    def poll(self, timeout_s: float | None) -> list[tuple[int, int]]:
        """Return what is ready, now."""
        self.polls += 1
        self._network.settle()
        ready = self._ready()
        self.waited_s = 0.0 if ready or (timeout_s is not None and timeout_s <= 0) else timeout_s
        return ready

    def is_ready(self) -> bool:
        """Tell whether a poll would find something now."""
        return bool(self._ready())

    def sockets(self) -> list[MemorySocket]:
        """Return the connected sockets that are watched."""
        socks = [registration.sock for registration in self._registrations.values()]
        return [sock for sock in socks if isinstance(sock, MemorySocket)]

    def die(self) -> None:
        """Close every descriptor that is watched, as a kernel does for a process that was killed."""
        for registration in list(self._registrations.values()):
            registration.sock.close()
        self._registrations.clear()


class Machine:
    """A clock and a network, and the loops on them. Arguments as those of `MemoryNetwork`."""

    def __init__(
        self, seed: int = 0, *, faults: NetworkFaults | None = None, clock: FakeClock | None = None
    ) -> None:
        self.clock = clock or FakeClock()
        self.network = MemoryNetwork(self.clock, seed, faults=faults)
        self._loops: dict[Reactor, StillPoller] = {}
        self._stopped: set[Reactor] = set()

    def poller(self) -> StillPoller:
        """Return a poller for one more loop."""
        return StillPoller(self.network, self.clock)

    def add(self, reactor: Reactor, poller: StillPoller) -> None:
        """Turn a loop from now on; `poller` is its own."""
        self._loops[reactor] = poller

    def remove(self, reactor: Reactor) -> None:
        """Turn a loop no more: its process has ended."""
        del self._loops[reactor]
        self._stopped.discard(reactor)

    def kill(self, reactor: Reactor) -> None:
        """End a loop's process without a word (SIGKILL)."""
        self._loops[reactor].die()
        self.remove(reactor)

    def runs(self, reactor: Reactor) -> bool:
        """Tell whether a loop is one of this machine's."""
        return reactor in self._loops

    def sockets(self, reactor: Reactor) -> list[MemorySocket]:
        """Return the connected sockets of a loop's process."""
        return self._loops[reactor].sockets()

    def stop(self, reactor: Reactor) -> None:
        """Let a process be, as SIGSTOP does: what others send to it waits in the network."""
        self._stopped.add(reactor)

    def go_on(self, reactor: Reactor) -> None:
        """Let it run again (SIGCONT)."""
        self._stopped.discard(reactor)

    def turn(self, until_s: float | None = None) -> None:
        """Make one turn of each loop that runs; if none had anything to do, move the clock.

        Not beyond `until_s`. Raises DeadlockError if nothing can ever happen.
        """
        running = [
            (reactor, poller) for reactor, poller in self._loops.items() if reactor not in self._stopped
        ]
        wakes_s = []
        for reactor, poller in running:
            if reactor not in self._loops:
                continue
            before_s = reactor.now
            reactor.run_once()
            if poller.waited_s is not None:
                # The loop's own idea of now was that of its last turn.
                wakes_s.append(before_s + poller.waited_s if poller.waited_s else self.clock.now())
        if not running:
            # Bytes arrive at processes that are all stopped, too; else it is the polls that let them.
            self.network.settle()
        now_s = self.clock.now()
        next_event_s = self.network.next_event_s()
        wakes_s += [wake_s for wake_s in (next_event_s, until_s) if wake_s is not None]
        if not wakes_s:
            raise DeadlockError("no loop waits for anything that can happen")
        # What a loop has sent in its turn may be for one that had its turn before.
        if min(wakes_s) > now_s and not any(poller.is_ready() for _, poller in running):
            self.clock.advance(min(wakes_s) - now_s)

    def run_until(
        self, condition: Callable[[], object], *, within_s: float = 60.0, unless: str = "not so"
    ) -> None:
        """Turn the loops until `condition()` is true.

        Raises TimeoutError, which begins with `unless`, if it is not so after `within_s` virtual seconds.
        """
        deadline_s = self.clock.now() + within_s
        while not condition():
            if self.clock.now() >= deadline_s:
                raise TimeoutError(f"{unless} after {within_s} s of virtual time")
            self.turn(deadline_s)

    def run_for(self, duration_s: float) -> None:
        """Turn the loops until `duration_s` of virtual time have passed."""
        end_s = self.clock.now() + duration_s
        while self.clock.now() < end_s:
            self.turn(end_s)
        self.turn(end_s)
