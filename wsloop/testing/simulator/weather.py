"""Faults that come by time: when each is due, what it does, and when it is over."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from wsloop.testing.simulator.agenda import Agenda
from wsloop.testing.simulator.faults import KIND, KINDS, Per
from wsloop.testing.simulator.network import DESCRIPTORS
from wsloop.testing.simulator.process import HUB

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from wsloop.testing.simulator.faults import Chance
    from wsloop.testing.simulator.line import Line
    from wsloop.testing.simulator.process import Process
    from wsloop.testing.simulator.sockets import SimulatedSocket
    from wsloop.testing.simulator.world import World

STALLS_S = (0.2, 2.0, 12.0, 40.0)
"""How long a client reads nothing: below and above the time for a pong and for a slow peer."""

STOPS_S = (0.05, 1.0, 6.0, 35.0)
"""How long a process is stopped: below and above a link's `stalled_s` and `dead_s`."""

PARTITIONS_S = (0.5, 3.0, 8.0, 45.0)
"""How long a link is parted: the same limits, and a question's `answer_s`."""

SLOW_LINKS_S = (2.0, 8.0, 30.0)
"""How long a link is slow: long enough for a question to be given up, and for a link to be."""

WAYS = ((0,), (1,), (0, 1))
"""Of a link's two ends, those that hear nothing."""

SUSPENDS_S = (1.0, 15.0, 100.0, 4000.0)
WALL_JUMPS_S = (1.0, 3600.0, 86_400.0 * 400)
EARLIEST_UNIX_S = 1e9
"""The year 2001: many jumps back would come to before 1970, which no kernel's wall clock does."""

CRASHED_S = (0.0, 0.1, 2.0)
SHORTAGES_S = (0.1, 1.0, 10.0)


TROUBLES = frozenset(
    {"emfile", "suspend", "stop", "crash", "hub-crash", "link-down", "link-slow", "link-partition"}
)
"""Kinds that keep processes from doing what they promise in time; while they last, and for a moment after."""


GUST = ("link-down", "vanish")
"""Kinds that strike once more right before the calm: it is the server that must find out."""


GUST_CHANCE = 0.6
"""That each of them does, whether it is on in the history or not."""

GUST_LOSES_EVERY = 1.5
"""Events of an unruly broker's, of which one is lost in a gust."""


class Weather:
    """What happens to a world by itself. `next_s`: when to call `run`, between two turns.

    `actions` return whether they have changed anything: a fault that found nobody to strike is no fault.
    `troubled_s`: when one of `TROUBLES`, or a turn that was slow, last began or ended.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._agenda = Agenda()
        self._repairs: dict[int, tuple[Callable[..., object], tuple[object, ...]]] = {}
        self._repair_number = 0
        self.troubled_s = world.clock.now()
        self.actions: dict[str, Callable[[Random], bool]] = {
            "emfile": self.run_short_of_descriptors,
            "reset": self.reset_a_line,
            "fin": self.end_a_direction,
            "vanish": self.lose_a_client,
            "stall": self.stall_a_client,
            "slow-line": self.slow_a_line,
            "wall-forward": lambda random: self.set_the_wall_clock(random.choice(WALL_JUMPS_S)),
            "wall-backward": lambda random: self.set_the_wall_clock(-random.choice(WALL_JUMPS_S)),
            "suspend": self.suspend,
            "stop": self.stop_a_process,
            "crash": self.crash_a_door,
            "hub-crash": self.crash_the_hub,
            "link-down": self.cut_a_link,
            "link-slow": self.slow_a_link,
            "link-partition": self.part_a_link,
        }
        for kind in KINDS:
            if kind.per is Per.SECONDS:
                self._plan(kind.name)
        self.next_s = self._agenda.next_s()

    def run(self) -> None:
        """Let happen what is due."""
        self._agenda.run(self._world.clock.now_s)
        self.next_s = self._agenda.next_s()

    def gust(self) -> None:
        """Let strike once more what may: what is lost now is not talked of in a moment.

        An unruly broker loses half of the events from now on.
        """
        storm, gust = self._world.storm, self._world.choices.stream("gust")
        loses = gust.random() < GUST_CHANCE
        if loses and storm.has_unruly_broker and storm.plan.allows("broker-lost"):
            storm["broker-lost"].hasten(GUST_LOSES_EVERY)
        for name in GUST:
            chance, may = storm[name], storm.plan.allows(name) and self._world.shape in KIND[name].shapes
            if may and gust.random() < GUST_CHANCE and chance.strike():
                self._act(chance)

    def aftershock(self) -> bool:
        """Let the next publications be lost on their way, though it is calm; return whether they may be."""
        world, random = self._world, self._world.choices.stream("aftershock")
        storm, names = world.storm, []
        if storm.has_unruly_broker:
            names.append("broker-lost")
        if world.shape in KIND["link-down"].shapes:
            names.append("link-down")
        names = [each for each in names if storm.plan.allows(each)]
        if not names:
            return False
        name = random.choice(names)
        storm.late = frozenset((name,))
        if name == "broker-lost":
            storm[name].hasten(GUST_LOSES_EVERY)
        elif storm[name].strike():
            self._act(storm[name])
        return True

    def end_aftershock(self) -> None:
        """Let nothing be lost from now on."""
        self._world.storm.late = frozenset()

    def end(self) -> None:
        """Repair everything now; nothing more happens by itself."""
        self._agenda = Agenda()
        self.next_s = math.inf
        for number in list(self._repairs):
            self._repair(number)

    def between_turns(self, action: Callable[..., object], *arguments: object) -> None:
        """Call `action(*arguments)` as soon as no process is in the middle of a turn."""
        self._later(0.0, action, *arguments)

    def _plan(self, name: str) -> None:
        due_s = self._world.storm[name].next_s(self._world.clock.now())
        if due_s < math.inf:
            self._agenda.at(due_s, self._strike, (name,))

    def _strike(self, name: str) -> None:
        chance = self._world.storm[name]
        if chance.strike():
            self._act(chance)
        self._plan(name)

    def _act(self, chance: Chance) -> None:
        if not self.actions[chance.name](chance.random):
            chance.miss()
        elif chance.name in TROUBLES:
            self.troubled_s = self._world.clock.now()

    def _later(self, delay_s: float, repair: Callable[..., object], *arguments: object) -> None:
        self._repair_number += 1
        self._repairs[self._repair_number] = (repair, arguments)
        self._agenda.at(self._world.clock.now() + delay_s, self._repair, (self._repair_number,))
        self.next_s = self._agenda.next_s()

    def _repair(self, number: int) -> None:
        found = self._repairs.pop(number, None)
        if found is not None:
            repair, arguments = found
            repair(*arguments)
            self.troubled_s = self._world.clock.now()

    # -- clients -----------------------------------------------------------------------------

    def _any_line(self, random: Random) -> Line | None:
        # One that was reset, and not looked at since, is beyond all that could happen to it.
        lines = [each for each in self._world.cable.lines.values() if each.is_whole]
        return random.choice(lines) if lines else None

    def reset_a_line(self, random: Random) -> bool:
        """As a router does: both ends find the connection reset."""
        line = self._any_line(random)
        if line is not None:
            line.reset()
        return line is not None

    def end_a_direction(self, random: Random) -> bool:
        """As a proxy does: the client's direction ends behind what it has said."""
        line = self._any_line(random)
        if line is None or line.has_ended_writing:
            return False
        line.end_writing()
        return True

    def lose_a_client(self, random: Random) -> bool:
        """Its power is gone. Whose line it is hears "vanished"."""
        line = self._any_line(random)
        if line is not None:
            line.vanish()
        return line is not None

    def stall_a_client(self, random: Random) -> bool:
        """Let it read nothing."""
        line = self._any_line(random)
        if line is None or not line.reads:
            return False
        line.stall()
        self._later(random.choice(STALLS_S), line.go_on)
        return True

    def slow_a_line(self, random: Random) -> bool:
        """Both directions, for good: the client will have another line some day."""
        line = self._any_line(random)
        if line is not None:
            self._world.trace.note("slow", line.number, line.way)
            for end in (line, line.peer):
                end.delay_s = random.uniform(0.0, 0.5)
                end.jitter_s = random.uniform(0.0, 0.5)
                end.bytes_per_s = random.choice((0.0, 2_000.0, 50_000.0))
                end.capacity_bytes = random.choice((2_000, 65_536))
        return line is not None

    # -- the machine -------------------------------------------------------------------------

    def set_the_wall_clock(self, jump_s: float) -> bool:
        """Somebody sets it, by hand or by NTP."""
        clock = self._world.clock
        if clock.unix_s() + jump_s < EARLIEST_UNIX_S:
            jump_s = -jump_s
        clock.offset_s += jump_s
        return True

    def suspend(self, random: Random) -> bool:
        """Everything stands still, and finds that it is later."""
        self._world.clock.advance(random.choice(SUSPENDS_S))
        return True

    def run_short_of_descriptors(self, random: Random) -> bool:
        """Lower a process's limit to what it has open, or a few more."""
        process = random.choice(self._world.processes)
        descriptors = process.network.descriptors
        descriptors.limit = len(descriptors) + random.randrange(3)
        self._later(random.choice(SHORTAGES_S), setattr, descriptors, "limit", DESCRIPTORS)
        return process.house is not None

    # -- processes ---------------------------------------------------------------------------

    def stop_a_process(self, random: Random) -> bool:
        """SIGSTOP; what is sent to it waits in the network."""
        process = random.choice(self._world.processes)
        process.stopped_until_s = self._world.clock.now() + random.choice(STOPS_S)
        self._world.trace.note("stop", process.name, process.stopped_until_s)
        return process.house is not None

    def crash_a_door(self, random: Random) -> bool:
        """SIGKILL for the server or a worker."""
        return self._crash(random.choice(self._world.doors), random)

    def crash_the_hub(self, random: Random) -> bool:
        """SIGKILL for the hub process: the history is gone with it."""
        return self._crash(self._world.process(HUB), random)

    def _crash(self, process: Process, random: Random) -> bool:
        if process.house is None:
            return False
        process.kill()
        self._later(random.choice(CRASHED_S), process.start)
        return True

    # -- links -------------------------------------------------------------------------------

    def _any_link(self, random: Random) -> SimulatedSocket | None:
        worker = random.choice(self._world.doors)
        links = worker.links() if worker.house is not None else []
        return random.choice(links) if links else None

    def cut_a_link(self, random: Random) -> bool:
        """Reset it at both ends."""
        link = self._any_link(random)
        if link is not None:
            link.reset()
        return link is not None

    def slow_a_link(self, random: Random) -> bool:
        """Both directions, for some time."""
        link = self._any_link(random)
        if link is None:
            return False
        self._world.trace.note("slow", link.number, link.way)
        for end in (link, link.peer):
            end.delay_s = random.uniform(0.0, 1.0)
            end.jitter_s = random.uniform(0.0, 0.5)
            end.bytes_per_s = random.choice((0.0, 20_000.0))
        self._later(random.choice(SLOW_LINKS_S), self._mend_a_link, link)
        return True

    def _mend_a_link(self, link: SimulatedSocket) -> None:
        for end in (link, link.peer):
            end.delay_s = self._world.cable.link_delay_s
            end.jitter_s = end.bytes_per_s = 0.0

    def part_a_link(self, random: Random) -> bool:
        """Hold what a worker and the hub process say, in one direction or both; a new link does not help."""
        worker = random.choice(self._world.doors)
        ways, duration_s = random.choice(WAYS), random.choice(PARTITIONS_S)
        if worker.house is None:
            return False
        ends = [(link, link.peer)[way] for link in worker.links() for way in ways]
        self._world.trace.note("part", worker.name, len(ends), duration_s)
        worker.network.part(ends)
        self._later(duration_s, worker.network.reunite)
        return True
