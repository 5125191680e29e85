"""A world: clock, network, processes, people, weather; and what moves all of it.

Nothing here has a will of its own. `turn` makes one turn of one process's real reactor; while that
sleeps in its poll, the world moves: bytes arrive, people act, time passes. Where several processes have
something to do, chance decides who is first. Each of these is a step.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from wsloop.testing.simulator import actors, checkers
from wsloop.testing.simulator.agenda import Agenda
from wsloop.testing.simulator.choices import Choices
from wsloop.testing.simulator.faults import FaultPlan, Marks, Storm
from wsloop.testing.simulator.network import Cable
from wsloop.testing.simulator.process import HUB, Process
from wsloop.testing.simulator.trace import Trace
from wsloop.testing.simulator.violation import Violation
from wsloop.testing.simulator.weather import Weather

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.testing.simulator.actors import Actor
    from wsloop.testing.simulator.checkers import Checker
    from wsloop.testing.simulator.faults import Swarm
    from wsloop.testing.simulator.line import Line
    from wsloop.testing.simulator.poller import Ready

SHAPES = ("one", "cluster")
"""One whole server; or a hub process and two workers."""

FIRST_PORT = 9000

TURN_S = 20e-6
"""What a turn takes: time never stands still, whatever the loop does."""

MOST_BUSY_TURNS = 1000
"""One after the other, of a loop that has something queued and is given nothing: it would be spinning. What
is dealt out over several turns, such as a large fan-out, takes some fifty."""

SLOW_TURNS_S = (0.05, 0.5, 7.0)

LINK_DELAYS_S = (0.0, 0.0, 0.03, 0.3)
"""From one process to another, in one world: on one machine, in one building, across a continent."""

GUST_S = 0.05
"""How long the last gust blows: something is said in it, and a link that was cut is not back before."""

CALM_S = 30.0
"""After the last fault, everybody is where they should be within this time (P8)."""


class World:
    """One history. Arguments: `seed` of everything; `shape`; the faults that `plan` allows, of `swarm`'s.

    `processes` are all, `doors` those that take clients. `is_calm` once faults have stopped. `turns` counts
    those of all reactors, `turns_worked` those of them with a ready descriptor or a due timer.
    """

    def __init__(
        self,
        seed: int | str,
        shape: str = "one",
        plan: FaultPlan | None = None,
        *,
        swarm: Swarm | None = None,
        marks: Marks | None = None,
        trace: Trace | None = None,
    ) -> None:
        self.shape = shape
        self.choices = Choices(seed)
        self.trace = trace or Trace()
        self.clock = self.trace.clock
        self.marks = marks or Marks()
        self.storm = Storm(self.choices, plan or FaultPlan(), shape, self.marks, self.trace, swarm)
        self.agenda = Agenda()
        self.cable = Cable(self.clock, self.agenda, self.storm, self.trace)
        self.cable.link_delay_s = self.choices.stream("links").choice(LINK_DELAYS_S)
        self.turns = self.turns_worked = self._idle_acts = 0
        self.is_calm = False
        self._order = self.choices.stream("order of processes")
        self._slow_turn = self.storm.by_call("slow-turn")
        self.processes = self._begin()
        self.doors = [each for each in self.processes if each.name != HUB]
        self.weather = Weather(self)
        self._began_s = self.clock.now()
        self.actors: list[Actor] = actors.people(self)
        self.checkers: list[Checker] = checkers.checkers(self)
        self._looks = [each.after_turn for each in self.checkers]

    @property
    def steps(self) -> int:
        """How much has happened: turns, what arrived or was due to be said, and people who did something."""
        return self.turns + self.agenda.called - self._idle_acts

    @property
    def messages(self) -> int:
        """How many messages of clients the processes have received."""
        alive = [each.house.server.tally.messages_received for each in self.processes if each.house]
        return sum(alive) + sum(each.messages for each in self.processes)

    @property
    def lasted_s(self) -> float:
        """How much virtual time has passed."""
        return self.clock.now() - self._began_s

    def _begin(self) -> list[Process]:
        if self.shape == "one":
            return [Process(self, "server", FIRST_PORT)]
        workers = [Process(self, f"worker {slot}", FIRST_PORT + slot, slot) for slot in (0, 1)]
        return [Process(self, HUB, FIRST_PORT - 1), *workers]

    def process(self, name: str) -> Process:
        """Return a process by its name."""
        return next(each for each in self.processes if each.name == name)

    # -- what people do ----------------------------------------------------------------------

    def wake(self, actor: Actor, delay_s: float) -> None:
        """Call `actor.act(world)` in `delay_s` seconds; who asks twice is called twice."""
        self.agenda.at(self.clock.now_s + delay_s, self._act, (actor,))

    def _act(self, actor: Actor) -> None:
        trace = self.trace
        trace.note("act", actor.name)
        noted = trace.noted
        actor.act(self)
        if trace.noted == noted:
            trace.take_back()
            self._idle_acts += 1
        for process in self.processes:
            process.due_s = None  # an operator may have meddled with it

    def dial(
        self,
        door: Process,
        on_bytes: Callable[[bytes], object],
        on_end: Callable[[str], object],
        host: str = "10.0.0.1",
        who: str = "somebody",
    ) -> Line | None:
        """Return a new connection to a process, None if it is refused. See `Line` for the callbacks.

        `who` dials, for the trace.
        """
        return self.cable.dial(door.bind, host, on_bytes, on_end, who)

    # -- turns -------------------------------------------------------------------------------

    def turn(self) -> None:
        """Make one turn of one process, then let the checkers look. Raises Violation."""
        self.turns += 1
        process = self._next_process()
        self.storm.step = self.steps
        reactor, clock = process.reactor, self.clock
        was_busy, deadline_s = reactor.is_busy, reactor.next_deadline()
        reactor.run_once()
        process.due_s = None
        reported = process.poller.reported
        if reported or (deadline_s is not None and deadline_s <= reactor.now):
            self.turns_worked += 1
            process.busy_turns = 0
        elif was_busy:
            process.busy_turns += 1
            if process.busy_turns > MOST_BUSY_TURNS:
                raise Violation("spin", f"{process.name} was busy for {MOST_BUSY_TURNS} turns, with nothing")
        self.trace.note("turn", self.storm.step, process.name, reported)
        lasted_s = TURN_S
        if self._slow_turn is not None and self._slow_turn.strikes():
            lasted_s = self._slow_turn.random.choice(SLOW_TURNS_S)
            self.weather.troubled_s = clock.now_s + lasted_s
        clock.move_to(clock.now_s + lasted_s)
        for look in self._looks:
            look(self)

    def _next_process(self) -> Process:
        """Return whose turn it is: time passes until somebody has something to do."""
        clock, agenda, weather = self.clock, self.agenda, self.weather
        while True:
            now_s = clock.now_s
            if weather.next_s <= now_s:
                weather.run()
                for process in self.processes:
                    process.due_s = None
            if agenda.next_s() <= now_s:
                agenda.run(now_s)
            if len(self.processes) == 1 and self.processes[0].is_running(now_s):
                return self.processes[0]  # it waits in its own poll
            awake = []
            next_s = math.inf
            for process in self.processes:
                wake_s = process.wake_s(now_s)
                if wake_s <= now_s:
                    awake.append(process)
                elif wake_s < next_s:
                    next_s = wake_s
            if awake:
                return awake[0] if len(awake) == 1 else self._order.choice(awake)
            next_s = min(next_s, agenda.next_s(), weather.next_s)
            if next_s == math.inf:
                raise Violation("deadlock", "nothing can happen any more")
            clock.move_to(next_s)

    def sleep(self, sleeper: Process, timeout_s: float | None) -> Ready:
        """Let time pass while a process sleeps in its poll, until it or another one has something to do.

        Returns what is ready for it by then.
        """
        clock, agenda, poller = self.clock, self.agenda, sleeper.poller
        entries = agenda.entries
        now_s = clock.now_s
        until_s = math.inf if timeout_s is None else now_s + timeout_s
        latest_s = min(until_s, self.weather.next_s)
        ready: Ready = []
        while not ready and now_s < until_s:
            next_s = entries[0][0] if entries and entries[0][0] < latest_s else latest_s
            if self._others_wake_by(next_s, now_s, sleeper):
                return ready
            if next_s == math.inf:
                raise Violation("deadlock", "nothing can happen any more")
            if next_s > now_s:
                clock.move_to(next_s)
                now_s = next_s
            agenda.run(now_s)
            ready = poller.collect()
            if now_s >= latest_s:
                break
        return ready

    def _others_wake_by(self, time_s: float, now_s: float, sleeper: Process) -> bool:
        """Whether another process has something to do before a time, or then."""
        if len(self.processes) == 1:
            return False
        return any(process is not sleeper and process.wake_s(now_s) <= time_s for process in self.processes)

    def run_for(self, duration_s: float) -> None:
        """Go on for so much virtual time."""
        end_s = self.clock.now() + duration_s
        while self.clock.now() < end_s:
            self.turn()

    # -- the end -----------------------------------------------------------------------------

    def calm(self) -> None:
        """Stop all faults, give everybody half a minute, and let the checkers look; then close all."""
        self.weather.gust()
        self.run_for(GUST_S)
        self.storm.is_over = self.is_calm = True
        self.weather.end()
        for process in self.processes:
            process.stopped_until_s = -math.inf
        self.trace.note("calm", self.steps)
        self.run_for(CALM_S)
        for checker in self.checkers:
            checker.at_rest(self)
        for line in list(self.cable.lines.values()):
            line.leave()
        for process in self.processes:
            process.close()
        for checker in self.checkers:
            checker.at_end(self)
