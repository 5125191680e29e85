"""A network of two processes without a loop: what tests of the simulator's parts stand on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsloop.testing.simulator.agenda import Agenda
from wsloop.testing.simulator.choices import Choices
from wsloop.testing.simulator.faults import NO_FAULTS, FaultPlan, Marks, Storm
from wsloop.testing.simulator.network import Cable, ProcessNetwork
from wsloop.testing.simulator.poller import Ready, SimulatedPoller
from wsloop.testing.simulator.sockets import SimulatedSocket
from wsloop.testing.simulator.trace import Trace
from wsloop.transport.bind import TcpBind

if TYPE_CHECKING:
    from wsloop.testing.simulator.line import Line
    from wsloop.testing.simulator.world import World

DOOR = TcpBind("127.0.0.1", 9000)


class Caller:
    """Connects, asks for a page, and hangs up: the least that anybody does."""

    def __init__(self, world: World, number: int) -> None:
        self.name = f"caller {number}"
        self._random = world.choices.stream(self.name)
        self._line: Line | None = None
        world.wake(self, self._random.random())

    def act(self, world: World) -> None:
        world.wake(self, self._random.expovariate(10))
        if self._line is None or self._line.is_over:
            self._line = world.dial(self._random.choice(world.doors), lambda _: None, self._on_end)
        elif self._random.random() < 0.9:
            self._line.write(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        else:
            self._line.leave()

    def _on_end(self, how: str) -> None:
        if how == "fin" and self._line is not None:
            self._line.leave()


class Kit:
    """Clock, agenda, storm, cable, and two processes' networks."""

    def __init__(self, plan: FaultPlan = NO_FAULTS, seed: int = 0) -> None:
        self.agenda = Agenda()
        self.marks = Marks()
        self.trace = Trace()
        self.clock = self.trace.clock
        self.storm = Storm(Choices(seed), plan, "cluster", self.marks, self.trace)
        # A test may switch a kind on later.
        self.storm.by_call = self.storm.__getitem__  # type: ignore[method-assign, assignment]
        self.cable = Cable(self.clock, self.agenda, self.storm, self.trace)
        self.near, self.far = ProcessNetwork(self.cable, "near"), ProcessNetwork(self.cable, "far")

    def force(self, name: str, every: float = 1.0) -> None:
        """Switch a kind of fault on, whatever was drawn; `Storm.lets` is asked as ever."""
        chance = self.storm[name]
        chance._mean = every
        chance._left = chance._draw()

    def settle(self) -> None:
        """Let everything arrive that is under way."""
        while len(self.agenda):
            self.clock.move_to(self.agenda.next_s())
            self.agenda.run(self.clock.now())

    def pair(self) -> tuple[SimulatedSocket, SimulatedSocket]:
        """Return two connected sockets, one of each process."""
        listener = self.far.listen(DOOR)
        left = self.near.connect(DOOR)
        self.settle()
        right, _ = listener.accept()
        assert isinstance(right, SimulatedSocket)
        listener.close()
        return left, right

    def poller(self, network: ProcessNetwork, max_events: int = 512) -> SimulatedPoller:
        """Return a poller whose sleep lets the next thing happen, and no time pass without one."""
        poller = SimulatedPoller(network.descriptors, self.storm, lambda _: self._sleep(poller), max_events)
        return poller

    def _sleep(self, poller: SimulatedPoller) -> Ready:
        while len(self.agenda) and not poller.collect():
            self.clock.move_to(self.agenda.next_s())
            self.agenda.run(self.clock.now())
        return poller.collect()
