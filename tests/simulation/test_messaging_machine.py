"""Clients that do what clients do, a server that forgets and restarts: the promises hold.

A hypothesis state machine over a whole server in memory: the real reactor, sessions and hub on
virtual time, spoken to over bytes. What each client sent and saw is told to `messaging_model.py`.
`make simulate STEPS=1000000` runs it for as long as that takes.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.simulation.messaging_model import History, Message, Position, Reader, Writer
from wsloop.hub.history import PUBLICATION_BYTES, HistoryQuery
from wsloop.hub.memory_broker import STREAM_BYTES, BrokerLimits
from wsloop.hub.namespaces import Namespace
from wsloop.hub.options import HubOptions
from wsloop.server.assembly import CONNECTION_PATH, Options
from wsloop.testing.client import MessagingMemoryClient
from wsloop.testing.network import NetworkFaults
from wsloop.testing.server import MemoryServer

if TYPE_CHECKING:
    from wsloop.loop.reactor import Reactor
    from wsloop.testing.memory_socket import MemorySocket

STEPS = int(os.environ.get("STEPS", "6000"))
STEPS_PER_HISTORY = 60

CHANNEL = "room"
NAMES = ("ann", "ben", "cia")
COUNTS = "cia"
"""Who numbers its publications; the others give each a key."""

KEEP = 6
TTL_S = 30.0
META_TTL_S = 45.0
KEY_WINDOW_S = 300.0
"""Idempotency keys are remembered for five minutes; later than that nobody sends again."""

OPTIONS = Options(
    namespaces={
        "": Namespace(
            history_size=KEEP,
            history_ttl_s=TTL_S,
            history_meta_ttl_s=META_TTL_S,
            force_recovery=True,
            allow_subscribe_for_client=True,
            allow_subscribe_for_anonymous=True,
            allow_publish_for_client=True,
            allow_publish_for_anonymous=True,
        )
    },
    hub=HubOptions(allow_anonymous=True),
    # One short of what the namespace keeps, so that the ceiling is met as well.
    broker=BrokerLimits(memory_bytes=STREAM_BYTES + (KEEP - 1) * (PUBLICATION_BYTES + 90)),
)


class Phone(MessagingMemoryClient):
    """One connection; keeps every line in the order in which it came."""

    def __init__(self, reactor: Reactor, sock: MemorySocket, chance: Any) -> None:
        super().__init__(reactor, sock, chance)
        self.lines: list[dict[str, Any]] = []

    def _on_text(self, text: str) -> None:
        self.lines += [line for line in map(json.loads, text.split("\n")) if line]
        super()._on_text(text)


class Person:
    """A client with a memory: connects again, recovers, and sends again what was not acknowledged."""

    def __init__(self, name: str, history: History) -> None:
        self.reader = Reader(history)
        self.writer = Writer(name, history)
        self.phone: Phone | None = None
        self.first_sent_s = 0.0
        self._subscribing: int | None = None
        self._asked: Position | None = None
        self._sent: dict[int, Message] = {}
        self._taken = 0

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection, as far as one can tell here."""
        return self.phone is not None and not self.phone.is_gone

    @property
    def is_subscribed(self) -> bool:
        """Whether the last subscribe was answered."""
        return self.is_connected and self._subscribing is None

    def connect(self, house: MemoryServer) -> None:
        """Open a connection, and subscribe in the same breath as the reply to connect."""
        self.phone = phone = house.dial(Phone)
        self._taken, self._sent = 0, {}
        phone.upgrade(CONNECTION_PATH)
        connect = phone.command(connect={})
        house.run_until(lambda: connect in phone.replies or phone.is_gone)
        self.subscribe()

    def subscribe(self) -> None:
        """Subscribe, from where the last subscription ended."""
        assert self.phone is not None
        request: dict[str, Any] = {"channel": CHANNEL}
        self._asked = self.reader.position
        if self._asked is not None:
            request |= {"recover": True, "epoch": self._asked.epoch, "offset": self._asked.offset}
        self._subscribing = self.phone.command(subscribe=request)

    def publish(self, now_s: float) -> None:
        """Send the message that is due, with its key."""
        assert self.phone is not None
        if self.writer.is_open and now_s - self.first_sent_s > KEY_WINDOW_S / 2:
            self.writer.give_up()
        if not self.writer.is_open:
            self.first_sent_s = now_s
        message = self.writer.next()
        request: dict[str, Any] = {"channel": CHANNEL, "data": str(message)}
        if message.publisher == COUNTS:
            request["seq"] = {"sender": message.publisher, "n": message.number}
        else:
            request["idem"] = str(message)
        self._sent[self.phone.command(publish=request)] = message

    def listen(self, server_life: int) -> None:
        """Tell the model all that has come since the last time."""
        if self.phone is None:
            return
        lines, self._taken = self.phone.lines[self._taken :], len(self.phone.lines)
        for line in lines:
            if "push" in line:
                self._on_push(line["push"], server_life)
            elif line.get("id") == self._subscribing:
                self._on_subscribed(line["subscribe"], server_life)
            elif line.get("id") in self._sent:
                reply = line["publish"]
                position = Position(reply["epoch"], reply["offset"])
                self.writer.confirmed(position, self._sent.pop(line["id"]), server_life)

    def _on_push(self, push: dict[str, Any], server_life: int) -> None:
        if "pub" in push:
            publication = push["pub"]
            assert self.reader.position is not None
            position = Position(self.reader.position.epoch, publication["offset"])
            self.reader.received(position, Message.parse(publication["data"]), server_life)
        elif "unsubscribe" in push:
            assert push["unsubscribe"]["code"] >= 2500
            self.subscribe()

    def _on_subscribed(self, reply: dict[str, Any], server_life: int) -> None:
        self._subscribing = None
        found = [(pub["offset"], Message.parse(pub["data"])) for pub in reply.get("publications", [])]
        self.reader.subscribed(
            Position(reply["epoch"], reply["offset"]),
            found,
            asked=self._asked,
            recovered=reply.get("recovered", False),
            server_life=server_life,
        )


PERSON = st.sampled_from(range(len(NAMES)))


class Messaging(RuleBasedStateMachine):
    """Three people in one channel. `steps_taken` counts those of all histories."""

    steps_taken = 0

    def __init__(self) -> None:
        super().__init__()
        self.history = History()
        self.people = [Person(name, self.history) for name in NAMES]
        self.server_life = 0
        self.house = self._start()

    def _start(self) -> MemoryServer:
        return MemoryServer(self.server_life, faults=NetworkFaults(max_delay_s=0.02), options=OPTIONS)

    def _run(self, duration_s: float) -> None:
        self.house.run_for(duration_s)
        for person in self.people:
            person.listen(self.server_life)

    def _top(self) -> Position:
        """Return where the stream really ends."""
        found: list[Any] = []
        retention = self.house.hub.namespaces.rules_of(CHANNEL).retention
        self.house.hub.broker.history(CHANNEL, HistoryQuery(), retention, found.append)
        return Position(found[0].top.epoch, found[0].top.offset)

    @rule(who=PERSON)
    def connect(self, who: int) -> None:
        """Come back, if one is gone."""
        if not self.people[who].is_connected:
            self.people[who].connect(self.house)

    @rule(who=PERSON, count=st.integers(1, 8))
    def publish(self, who: int, count: int) -> None:
        """Publish, or publish again, several messages each behind the acknowledgement of the one before."""
        person = self.people[who]
        for _ in range(count):
            if person.is_connected:
                person.publish(self.house.clock.now())
                self._run(0.1)

    @rule(who=PERSON, count=st.integers(1, KEEP + 3))
    def miss_some(self, who: int, count: int) -> None:
        """Lose the line and come back when another has published about as much as is kept."""
        person, other = self.people[who], self.people[who - 1]
        if person.is_connected and person.phone is not None:
            person.phone.reset()
            self._run(0.1)
        if not other.is_connected:
            other.connect(self.house)
        self.publish(who - 1, count)
        self.connect(who)

    @rule(who=PERSON)
    def publish_twice_and_cut(self, who: int) -> None:
        """Send twice what is due and lose the line: whether it arrived is not known."""
        person = self.people[who]
        if person.is_connected and person.phone is not None:
            person.publish(self.house.clock.now())
            person.publish(self.house.clock.now())
            self.house.reactor.run_once()
            person.phone.reset()

    @rule(who=PERSON, after_s=st.sampled_from([0.0, 0.01, 0.02, 0.03, 0.05]))
    def lose_an_acknowledgement(self, who: int, after_s: float) -> None:
        """Send, and lose the line at about the time at which the reply is on its way."""
        person = self.people[who]
        if person.is_connected and person.phone is not None:
            person.publish(self.house.clock.now())
            self.house.run_for(after_s)
            person.phone.vanish()

    @rule(who=PERSON)
    def pause(self, who: int) -> None:
        """Read no more, for the time being."""
        person = self.people[who]
        if person.is_connected and person.phone is not None:
            person.phone.stop_reading()

    @rule(who=PERSON)
    def resume(self, who: int) -> None:
        """Read again."""
        person = self.people[who]
        if person.is_connected and person.phone is not None:
            person.phone.resume_reading()

    @rule(who=PERSON)
    def leave(self, who: int) -> None:
        """Close, and hear what was still under way."""
        person = self.people[who]
        if person.is_connected and person.phone is not None:
            person.phone.send_close()
            self._run(0.2)

    @rule(duration_s=st.sampled_from([0.01, 1.0, TTL_S + 1, META_TTL_S + TTL_S]))
    def wait(self, duration_s: float) -> None:
        """Let the server trim, expire and forget."""
        self._run(duration_s)

    @rule(by_s=st.sampled_from([-7200.0, 3600.0]))
    def set_the_clock(self, by_s: float) -> None:
        """Set the calendar's clock, by which nothing here may go."""
        self.house.clock.set_wall_clock(by_s)

    @precondition(lambda self: self.history.lives)
    @rule()
    def remove_history(self) -> None:
        """Begin a new epoch under everybody's feet."""
        self.house.hub.broker.remove_history(CHANNEL, lambda _: None)

    @rule()
    def restart(self) -> None:
        """Lose the server with all it knew; what was on the wire is lost with it."""
        for person in self.people:
            person.listen(self.server_life)
        self.house.close()
        self.server_life += 1
        self.house = self._start()

    @invariant()
    def nothing_promised_is_broken(self) -> None:
        """Look at what has come so far; the model raises."""
        Messaging.steps_taken += 1
        for person in self.people:
            person.listen(self.server_life)

    def teardown(self) -> None:
        """Stop all faults: everybody gets to the top, and everything is acknowledged."""
        for person in self.people:
            if person.phone is not None:
                person.phone.resume_reading()
        self._run(40.0)
        for person in self.people:
            if not person.is_connected:
                person.connect(self.house)
        self._run(1.0)
        for person in self.people:
            person.publish(self.house.clock.now())
            self._run(1.0)
        positions = {person.reader.position for person in self.people}
        assert all(person.is_subscribed for person in self.people)
        assert positions == {self._top()}, f"P8: not everybody is at the top, {self._top()}: {positions}"
        assert not any(person.writer.is_open for person in self.people), "P8: not acknowledged"
        self.house.close()


SETTINGS = settings(
    max_examples=100,
    stateful_step_count=STEPS_PER_HISTORY,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def test_the_promises_hold() -> None:
    """Run histories until so many steps were taken; each run of a hundred draws others."""
    Messaging.steps_taken = 0
    while Messaging.steps_taken < STEPS:
        run_state_machine_as_test(Messaging, settings=SETTINGS)
