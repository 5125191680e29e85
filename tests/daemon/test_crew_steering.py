"""Steering several processes: both ends, joined by a line that carries texts."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from wsloop.daemon.bounds import MAX_WORKERS
from wsloop.daemon.channel import MAX_MESSAGE_BYTES, Answer, encode
from wsloop.daemon.crew_steering import ROSTER_EVERY_S, CrewSteering, Helm, Roster
from wsloop.daemon.heartbeat import MAX_REASON
from wsloop.daemon.reload import Change, Outcome
from wsloop.daemon.steering import SteeringError, WorkerRow
from wsloop.testing.server import MemoryServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wsloop.daemon.steward import Done

ROWS = (
    WorkerRow("worker-0", 41, "serving", 7, 0, 0.5, 1),
    WorkerRow("worker-1", 42, "draining", 3, 3, 0.1, 0),
)


class Ship:
    """A supervisor that notes what it was told, and the hub process that tells it."""

    def __init__(self) -> None:
        self.house = MemoryServer()
        self.done: list[str] = []
        self.outcome = Outcome((Change("log.level", "info -> debug"),))
        self.refusal = ""
        self.is_daemon_stopping = False
        self.roster = Roster(ROWS)
        self.helm = Helm(
            self.house.reactor,
            drain=lambda: self.done.append("drain"),
            reload=lambda: self.outcome,
            restart=self.restart,
            resize=lambda by, done: done(True, f"{by:+}"),
            roster=lambda: self.roster,
        )
        self.steering = CrewSteering(self.house.reactor, self)

    def ask(self, what: str, argument: str, done: Done) -> None:
        self.helm.carry_out(what, argument, done)

    def restart(self, done: Done) -> None:
        done(not self.refusal, self.refusal or "pid 43 serves")


@pytest.fixture
def ship() -> Iterator[Ship]:
    made = Ship()
    yield made
    made.house.close()


def told(method: Callable[[Callable[[Any], object]], object]) -> Any:
    outcomes: list[Any] = []
    method(outcomes.append)
    (outcome,) = outcomes
    return outcome


def test_a_drain_begins_behind_its_answer(ship: Ship) -> None:
    assert told(ship.steering.drain) == []
    assert ship.done == []
    ship.house.run_for(1.0)
    assert ship.done == ["drain"]


def test_a_reload_tells_what_has_changed_or_what_is_wrong(ship: Ship) -> None:
    assert told(ship.steering.reload) == ["log.level: info -> debug"]
    ship.outcome = Outcome(error="wsloop.toml:3: unknown key 'prot'", hint="did you mean 'port'?")
    many = tuple(Change(f"namespaces.a{number}", "added" * 999) for number in range(5000))
    ship.outcome, refusal = Outcome(many), ship.outcome
    lines = told(ship.steering.reload)
    assert lines[0].startswith("namespaces.a0: added")
    assert lines[-1] == "and 4800 more: see the log"
    assert sum(map(len, lines)) < MAX_MESSAGE_BYTES // 32
    ship.outcome = refusal
    refused = told(ship.steering.reload)
    assert isinstance(refused, SteeringError)
    assert refused.message == "wsloop.toml:3: unknown key 'prot'; nothing was changed"
    assert refused.hint == "did you mean 'port'?"


def test_the_longest_roster_is_no_message_that_the_line_refuses(ship: Ship) -> None:
    """Characters of the worst kind, from as many workers as there may be, and as many that drain."""
    text = "\x01" * MAX_REASON
    row = WorkerRow("worker-1023", 2**31, "not ready", 2**31, 2**31, 1e9 + 0.001, 2**31, text, text)
    ship.roster = Roster((row,) * (2 * MAX_WORKERS), 2**31, text)
    answers: list[str] = []
    ship.ask("roster", "", lambda _, answer: answers.append(answer))
    assert len(encode(Answer(2**31, is_done=True, text=answers[0]))) > MAX_MESSAGE_BYTES // 2


def test_a_restart_tells_its_line(ship: Ship) -> None:
    assert told(ship.steering.restart) == ["pid 43 serves"]
    ship.refusal = "a restart is under way"
    assert told(ship.steering.restart).message == "a restart is under way"


def test_workers_and_progress_are_those_of_the_roster(ship: Ship) -> None:
    assert told(ship.steering.workers) == list(ROWS)
    assert ship.steering.progress() == (0, 0)
    ship.roster = Roster(ROWS, drained_from=25)
    ship.steering.begin()
    assert ship.steering.progress() == (10, 25)
    ship.roster = Roster(ROWS[:1], drained_from=25)
    ship.house.run_for(2 * ROSTER_EVERY_S)
    assert ship.steering.progress() == (7, 25)


def test_what_nobody_knows_is_refused(ship: Ship) -> None:
    answers: list[tuple[bool, str]] = []
    ship.helm.carry_out("scuttle", "", lambda is_done, text: answers.append((is_done, text)))
    ship.helm.carry_out("add_workers", "-2", lambda is_done, text: answers.append((is_done, text)))
    assert answers == [(False, "unknown: scuttle"), (True, "-2")]


def test_the_hub_process_tells_what_is_wrong_with_the_others_although_they_serve(ship: Ship) -> None:
    told(ship.steering.workers)
    assert ship.steering.warning() == ""
    lossy = WorkerRow("worker-1", 42, "serving", 3, warning="log: lines lost: 2 (it is full)")
    ship.roster = Roster((ROWS[0], lossy), warning="log: lines lost: 1 (it is full)")
    told(ship.steering.workers)
    assert ship.steering.warning() == (
        "supervisor: log: lines lost: 1 (it is full); worker-1: log: lines lost: 2 (it is full)"
    )
    assert ship.steering.reason() == ""


def test_the_hub_process_says_when_the_workers_drain_or_refuse(ship: Ship) -> None:
    told(ship.steering.workers)
    assert ship.steering.reason() == ""
    full = WorkerRow("worker-1", 42, "not ready", 3, reason="overloaded: memory at 84 % of 512 MiB")
    ship.roster = Roster((ROWS[0], full, WorkerRow("worker-2", 43, "not ready", 0, reason="no link")))
    told(ship.steering.workers)
    assert ship.steering.reason() == "worker-1 is overloaded: memory at 84 % of 512 MiB"
    ship.is_daemon_stopping = True
    assert ship.steering.reason() == "draining"


def test_who_is_there_is_asked_again_once_the_answer_has_come(
    ship: Ship, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting: list[Done] = []
    monkeypatch.setattr(ship, "ask", lambda _what, _argument, done: waiting.append(done))
    ship.steering.begin()
    ship.house.run_for(3 * ROSTER_EVERY_S)
    assert len(waiting) == 1
    waiting.pop()(False, "the supervisor is too busy")
    assert ship.steering.roster == Roster()
    ship.house.run_for(2 * ROSTER_EVERY_S)
    assert len(waiting) == 1


def test_the_daemon_is_known_by_the_supervisors_number(ship: Ship) -> None:
    assert ship.steering.pid() == os.getppid()
