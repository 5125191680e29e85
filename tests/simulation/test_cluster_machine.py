"""A hub process and two workers, whose links break, who stop, die and come back: the promises hold.

As `test_messaging_machine.py`, whose people these are, over a cluster in memory: three processes on one
virtual machine, the real link between them. A question that the broker does not answer is error 100 to a
client, which asks again, with its key. A hub process that dies is another life of the server: its streams
are new ones.
"""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from tests.simulation.messaging_model import History, Position
from tests.simulation.test_messaging_machine import CHANNEL, NAMES, OPTIONS, PERSON, TTL_S, Person
from wsloop.cluster.link_states import LinkLimits
from wsloop.hub.codes import INTERNAL_ERROR
from wsloop.hub.history import HistoryQuery
from wsloop.server.assembly import SWEEP_EVERY_S
from wsloop.testing.cluster import MemoryCluster
from wsloop.testing.network import NetworkFaults

STEPS = int(os.environ.get("STEPS", "600"))
STEPS_PER_HISTORY = 50

SLOTS = (0, 1)
SLOT = st.sampled_from(SLOTS)

FAULTS = NetworkFaults(max_delay_s=0.005, max_read_bytes=3000, max_write_bytes=3000, eagain_chance=0.05)

LIMITS = LinkLimits(queue_bytes=20_000)
"""So small that a worker that is stopped for a while is cut off."""


class Member(Person):
    """A client that may be told that the broker is not there: it asks again."""

    slot: int | None = None
    subscribes_again = False

    def listen(self, server_life: int) -> None:
        """Tell the model all that has come, but for errors."""
        if self.phone is None:
            return
        lines, self._taken = self.phone.lines[self._taken :], len(self.phone.lines)
        for line in lines:
            if "error" in line:
                assert line["error"]["code"] == INTERNAL_ERROR.code, line
                if line["id"] == self._subscribing:
                    self.subscribes_again = True
                self._sent.pop(line["id"], None)
            elif "push" in line:
                self._on_push(line["push"], server_life)
            elif line.get("id") == self._subscribing:
                self._on_subscribed(line["subscribe"], server_life)
            elif line.get("id") in self._sent:
                reply = line["publish"]
                position = Position(reply["epoch"], reply["offset"])
                self.writer.confirmed(position, self._sent.pop(line["id"]), server_life)
        if self.subscribes_again and self.is_connected:
            self.subscribes_again = False
            self.subscribe()

    def lose(self) -> None:
        """Forget a connection whose other end has died, and the machine with it."""
        self.phone, self.slot = None, None


class Cluster(RuleBasedStateMachine):
    """Three people in one channel, over two workers. `steps_taken` counts those of all histories."""

    steps_taken = 0

    def __init__(self) -> None:
        super().__init__()
        self.history = History()
        self.people = [Member(name, self.history) for name in NAMES]
        self.server_life = 0
        self.stopped: set[int] = set()
        self.hub_is_stopped = False
        self.cluster = MemoryCluster(len(SLOTS), options=OPTIONS, limits=LIMITS, faults=FAULTS)

    def _run(self, duration_s: float) -> None:
        self.cluster.run_for(duration_s)
        for person in self.people:
            person.listen(self.server_life)

    def _top(self) -> Position:
        """Return where the stream really ends."""
        answers: list[Any] = []
        retention = self.cluster.hub.hub.namespaces.rules_of(CHANNEL).retention
        self.cluster.hub.hub.broker.history(CHANNEL, HistoryQuery(), retention, answers.append)
        return Position(answers[0].top.epoch, answers[0].top.offset)

    def _can_speak(self, person: Member) -> bool:
        return person.is_connected and person.slot not in self.stopped

    @rule(who=PERSON, slot=SLOT)
    def connect(self, who: int, slot: int) -> None:
        """Come back, on some worker, if one is gone."""
        person = self.people[who]
        if not person.is_connected and slot not in self.stopped:
            person.slot = slot
            person.connect(self.cluster.workers[slot])

    @rule(who=PERSON, count=st.integers(1, 8))
    def publish(self, who: int, count: int) -> None:
        """Publish, or publish again, several messages each behind the answer to the one before."""
        person = self.people[who]
        for _ in range(count):
            if self._can_speak(person):
                person.publish(self.cluster.clock.now())
                self._run(0.1)

    @rule(who=PERSON)
    def publish_twice_and_cut(self, who: int) -> None:
        """Send twice what is due while the worker's link breaks: whether it arrived is not known."""
        person = self.people[who]
        if self._can_speak(person) and person.slot is not None:
            person.publish(self.cluster.clock.now())
            person.publish(self.cluster.clock.now())
            self._run(0.012)
            self.cluster.cut(person.slot)

    @rule(order=st.permutations(range(len(NAMES))), back=PERSON)
    def speak_at_once(self, order: list[int], back: int) -> None:
        """Publish all, while one comes back: the hub process finds everything in one turn."""
        self.let_the_hub_go_on()
        self.cluster.machine.stop(self.cluster.hub.reactor)
        for who in order:
            person = self.people[who]
            if not self._can_speak(person) or person.phone is None or person.slot is None:
                continue
            if who == back:
                person.phone.reset()
                self._run(0.02)
                person.connect(self.cluster.workers[person.slot])
            else:
                person.publish(self.cluster.clock.now())
        self._run(0.1)
        self.let_the_hub_go_on()
        self._run(0.1)

    @rule(slot=SLOT, count=st.integers(1, 3))
    def miss_on_a_link(self, slot: int, count: int) -> None:
        """Break a link, and publish on the others before it is back."""
        self.cluster.cut(slot)
        for person in self.people:
            for _ in range(count):
                if self._can_speak(person) and person.slot != slot:
                    person.publish(self.cluster.clock.now())
                    self._run(0.02)

    @rule()
    def be_quiet(self) -> None:
        """Let links be made again, and then ten seconds pass: P6, whoever missed something has been told."""
        self.let_the_hub_go_on()
        for slot in SLOTS:
            self.let_a_worker_go_on(slot)
        self._run(10.0)
        self._run(10.0)
        self._run(1.0)
        top = self._top()
        here = [person.reader.position for person in self.people if person.is_subscribed]
        assert all(position == top for position in here), f"P6: {here}, but the top is {top}"

    @rule(who=PERSON)
    def reset(self, who: int) -> None:
        """Lose a client's own line."""
        person = self.people[who]
        if self._can_speak(person) and person.phone is not None:
            person.phone.reset()
            self._run(0.1)

    @rule(slot=SLOT)
    def cut_the_link(self, slot: int) -> None:
        """Break a worker's link to the hub process."""
        self.cluster.cut(slot)

    @rule(slot=SLOT)
    def stop_a_worker(self, slot: int) -> None:
        """SIGSTOP: it does nothing, and its clients neither."""
        self.stopped.add(slot)
        self.cluster.machine.stop(self.cluster.workers[slot].reactor)

    @rule(slot=SLOT)
    def let_a_worker_go_on(self, slot: int) -> None:
        """SIGCONT."""
        self.stopped.discard(slot)
        self.cluster.machine.go_on(self.cluster.workers[slot].reactor)

    @rule(slot=SLOT)
    def kill_a_worker(self, slot: int) -> None:
        """SIGKILL, and another process takes the slot."""
        for person in self.people:
            if person.slot == slot:
                person.listen(self.server_life)
                person.lose()
        self.cluster.kill_worker(slot)
        self.stopped.discard(slot)
        self.cluster.start_worker(slot)

    @rule()
    def stop_the_hub(self) -> None:
        """SIGSTOP to the hub process."""
        self.hub_is_stopped = True
        self.cluster.machine.stop(self.cluster.hub.reactor)

    @rule()
    def let_the_hub_go_on(self) -> None:
        """SIGCONT to the hub process."""
        self.hub_is_stopped = False
        self.cluster.machine.go_on(self.cluster.hub.reactor)

    @rule()
    def kill_the_hub(self) -> None:
        """SIGKILL: the history is gone. What was said before reaches the clients first."""
        self.cluster.kill_hub()
        self.hub_is_stopped = False
        for slot in SLOTS:
            self.let_a_worker_go_on(slot)
        self._run(1.0)
        self.server_life += 1
        self.cluster.start_hub()

    @rule(duration_s=st.sampled_from([0.01, 1.0, 8.0, TTL_S + 1]))
    def wait(self, duration_s: float) -> None:
        """Let links be restored, questions time out, publications expire."""
        self._run(duration_s)

    @invariant()
    def nothing_promised_is_broken(self) -> None:
        """Look at what has come so far; the model raises."""
        Cluster.steps_taken += 1
        for person in self.people:
            person.listen(self.server_life)

    def teardown(self) -> None:
        """Stop all faults: everybody gets to the top, and everything is acknowledged."""
        self.be_quiet()
        for who, person in enumerate(self.people):
            if not person.is_connected:
                self.connect(who, who % len(SLOTS))
        self.be_quiet()
        for person in self.people:
            person.publish(self.cluster.clock.now())
            self._run(1.0)
        self._run(4 * SWEEP_EVERY_S)
        positions = {person.reader.position for person in self.people}
        assert all(person.is_subscribed for person in self.people)
        assert len(positions) == 1, f"P8: not everybody is at the top: {positions}"
        assert not any(person.writer.is_open for person in self.people), "P8: not acknowledged"
        self.cluster.close()


SETTINGS = settings(
    max_examples=12,
    stateful_step_count=STEPS_PER_HISTORY,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def test_the_promises_hold_over_several_processes() -> None:
    """Run histories until so many steps were taken; each run of twelve draws others."""
    Cluster.steps_taken = 0
    while Cluster.steps_taken < STEPS:
        run_state_machine_as_test(Cluster, settings=SETTINGS)


def test_a_dead_hub_process_is_a_new_epoch_and_everybody_is_told() -> None:
    """P7: nobody is told that it was recovered, and nobody is left behind in the old stream."""
    machine = Cluster()
    for who in range(len(NAMES)):
        machine.connect(who, who % 2)
    machine.publish(0, 3)
    before: set[Any] = {person.reader.position for person in machine.people}
    machine.kill_the_hub()
    machine._run(10.0)  # they are told, and subscribe again
    machine._run(1.0)
    after: set[Any] = {person.reader.position for person in machine.people}
    assert len(before) == len(after) == 1
    assert {position.epoch for position in before}.isdisjoint(position.epoch for position in after)
    assert [person.reader.gaps_told for person in machine.people] == [1, 1, 1]
    machine.publish(1, 1)
    machine.teardown()
