"""The crew in virtual time: processes that beat, fall silent and die as a test says."""

from __future__ import annotations

import errno
import logging
import signal
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from wsloop.daemon.channel import Ask, Beat, Drain, Failed, Keep
from wsloop.daemon.crew import Crew
from wsloop.daemon.respawn import MOST_DEATHS
from wsloop.daemon.roles import Kind
from wsloop.daemon.slots import Patience, Slot
from wsloop.loop.reactor import Reactor
from wsloop.server.pulse import Jitter
from wsloop.testing.clock import FakeClock
from wsloop.testing.network import MemoryNetwork
from wsloop.testing.poller import FakePoller

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import pytest

    from wsloop.daemon.channel import Message
    from wsloop.daemon.slots import Child

READY = Beat(is_up=True, is_ready=True)


class FakeLine:
    """Remembers what is said to a child."""

    def __init__(self) -> None:
        self.said: list[Message] = []
        self.is_closed = False

    def send(self, message: Message, descriptors: tuple[int, ...] = ()) -> None:
        self.said.append(message)

    def close(self) -> None:
        self.is_closed = True

    finish = detach = close


class FakeProcesses:
    """Processes that live until a test ends them; KILL ends them at once."""

    def __init__(self) -> None:
        self.lines: dict[int, FakeLine] = {}
        self.says: dict[int, Callable[[Message, list[int]], object]] = {}
        self.signals: list[tuple[int, int]] = []
        self.ended: list[tuple[int, int]] = []
        self.has_room = True

    def start(self, slot: Slot, on_message: Callable[[Message, list[int]], object]) -> tuple[int, FakeLine]:
        if not self.has_room:
            raise OSError(errno.EAGAIN, "Resource temporarily unavailable")
        pid = 100 + len(self.lines)
        self.lines[pid] = FakeLine()
        self.says[pid] = on_message
        return pid, self.lines[pid]

    def kill(self, pid: int, number: int) -> None:
        self.signals.append((pid, number))
        if number == signal.SIGKILL:
            self.ended.append((pid, -number))

    def reap(self, pids: Iterable[int]) -> list[tuple[int, int]]:
        found = [each for each in self.ended if each[0] in set(pids)]
        self.ended = []
        return found


class Scene:
    """A crew of two workers and a hub process, and what it told."""

    def __init__(self, workers: int = 2) -> None:
        self.clock = FakeClock()
        network = MemoryNetwork(self.clock)
        self.reactor = Reactor(self.clock, FakePoller(network, self.clock))
        self.processes = FakeProcesses()
        self.changes = self.give_ups = 0
        self.failures: list[str] = []
        self.asked: list[tuple[Child, Ask]] = []
        self.crew = Crew(
            self.reactor,
            self.processes,
            Jitter(bytes),
            patience=Patience(),
            on_change=self._on_change,
            on_failure=self.failures.append,
            on_give_up=self._on_give_up,
            on_ask=lambda child, ask: self.asked.append((child, ask)),
            on_drain=lambda child: self.crew.renumber(child.slot, self.crew.free_number()),
        )
        self.crew.fill(Slot(Kind.HUB))
        for number in range(workers):
            self.crew.fill(Slot(Kind.WORKER, number))

    def _on_change(self) -> None:
        self.changes += 1

    def _on_give_up(self) -> None:
        self.give_ups += 1
        self.crew.dismiss()

    def say(self, pid: int, message: Message = READY) -> None:
        self.processes.says[pid](message, [])

    def end(self, pid: int, code: int) -> None:
        """A process ends."""
        self.processes.ended.append((pid, code))
        self.crew.reap()

    def run_for(self, seconds: float, *beating: int) -> None:
        """Let time pass, in which those named beat every second."""
        for _ in range(round(seconds * 2)):
            for pid in beating:
                if pid in self.crew.children:
                    self.say(pid)
            until_s = self.clock.now() + 0.5
            while self.clock.now() < until_s:
                self.reactor.call_at(until_s, lambda: None)
                self.reactor.run_once()
            self.crew.reap()

    def pids(self) -> list[int]:
        return [slot.child.pid if slot.child is not None else 0 for slot in self.crew.slots]


HUB, ONE, TWO = 100, 101, 102


def test_all_slots_are_filled_the_hub_first_and_all_are_up_when_each_says_so() -> None:
    scene = Scene()
    assert scene.pids() == [HUB, ONE, TWO]
    for pid in (HUB, ONE, TWO):
        assert not scene.crew.is_up()
        scene.say(pid)
    assert scene.crew.is_up()
    assert scene.changes == 3


def test_who_is_killed_is_replaced_and_the_others_are_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    scene.end(ONE, -signal.SIGKILL)
    assert "worker-0 (pid 101) was killed by SIGKILL; respawn in 0.1 s" in caplog.text
    assert scene.pids() == [HUB, 0, TWO]
    assert scene.processes.lines[ONE].is_closed
    scene.run_for(0.5, HUB, TWO)
    assert scene.pids() == [HUB, 103, TWO]
    assert scene.processes.signals == []
    assert scene.crew.deaths == 1


def test_deaths_are_counted_and_ends_that_are_none_are_not() -> None:
    scene = Scene()
    scene.end(ONE, -signal.SIGKILL)
    scene.end(TWO, 0)
    scene.end(HUB, 1)
    assert scene.crew.deaths == 2


def test_a_worker_that_says_nothing_for_10_s_is_killed_and_the_hub_process_after_30(
    caplog: pytest.LogCaptureFixture,
) -> None:
    scene = Scene()
    for pid in (HUB, ONE, TWO):
        scene.say(pid)
    scene.run_for(9.5, TWO)
    assert scene.processes.signals == []
    scene.run_for(3, TWO)
    assert scene.processes.signals == [(ONE, signal.SIGKILL)]
    assert "worker-0 (pid 101) has been silent for" in caplog.text
    scene.run_for(15, TWO, 103)
    assert scene.processes.signals == [(ONE, signal.SIGKILL)]
    scene.run_for(5, TWO, 103)
    assert scene.processes.signals == [(ONE, signal.SIGKILL), (HUB, signal.SIGKILL)]


def test_a_silence_is_told_once_and_so_is_its_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    scene = Scene()
    for pid in (HUB, ONE, TWO):
        scene.say(pid)
    scene.run_for(3.5, ONE, TWO)
    assert "silent" not in caplog.text
    scene.run_for(16, ONE, TWO)
    assert caplog.text.count("silent") == 1
    assert "hub (pid 100) has been silent for 5 s; at 30 s it is killed" in caplog.text
    scene.run_for(3, HUB, ONE, TWO)
    assert caplog.text.count("hub (pid 100) is heard of again, after 20 s") == 1
    scene.run_for(6, ONE, TWO)
    assert caplog.text.count("silent") == 2


def test_who_has_only_begun_has_longer(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    scene.run_for(29)
    assert scene.processes.signals == []
    assert "silent" not in caplog.text
    scene.run_for(4)
    assert {number for _, number in scene.processes.signals} == {signal.SIGKILL}


def test_a_supervisor_that_was_stopped_itself_kills_nobody_for_it() -> None:
    scene = Scene()
    for pid in (HUB, ONE, TWO):
        scene.say(pid)
    scene.clock.advance(3600)
    scene.run_for(5)
    assert scene.processes.signals == []


def test_who_drains_by_itself_leaves_its_slot_to_another_at_once() -> None:
    scene = Scene()
    scene.say(ONE)
    scene.say(ONE, Beat(connections=9, is_draining=True, draining_left=9))
    scene.run_for(0.5)
    assert scene.pids() == [HUB, TWO, 103]
    assert [slot.name for slot in scene.crew.workers()] == ["worker-1", "worker-2"]
    assert ONE in scene.crew.children
    scene.end(ONE, 0)
    scene.run_for(5, HUB, TWO, 103)
    assert scene.pids() == [HUB, TWO, 103]
    assert scene.crew.deaths == 0
    assert scene.crew.free_number() == 0


def test_who_dies_while_it_drains_has_not_left_well(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "wsloop.daemon")
    scene = Scene()
    for pid in (101, 102):
        scene.say(pid, Beat(is_draining=True))
    scene.end(101, -signal.SIGSEGV)
    scene.end(102, 0)
    told = [
        (record.levelname, record.message) for record in caplog.records if "another" not in record.message
    ]
    assert told == [
        ("WARNING", "worker-0 (pid 101) was killed by SIGSEGV"),
        ("INFO", "worker-1 (pid 102) has left"),
    ]


def test_ten_deaths_in_a_minute_are_given_up_on_once(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    for _ in range(300):
        for slot in scene.crew.workers():
            if slot.child is not None and not scene.give_ups:
                scene.end(slot.child.pid, 3)
        scene.run_for(0.5, HUB)
    assert scene.give_ups == 1
    assert scene.crew.deaths == MOST_DEATHS
    assert "10 processes died within 60 s: giving up" in caplog.text
    assert "worker-0 (pid 101) ended with exit status 3; respawn in" in caplog.text


def test_why_they_die_is_told_once_and_counted_from_then_on(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    why = "cannot listen on 127.0.0.1:80: Permission denied"
    for pid in (ONE, TWO):
        scene.say(pid, Failed(why))
        scene.end(pid, 3)
    scene.run_for(0.5, HUB)
    other = scene.pids()[1]
    scene.say(other, Failed("a bug"))
    scene.end(other, 1)
    assert scene.failures == [f"worker-0: {why}", "worker-0: a bug"]
    ended = [record.message for record in caplog.records if "respawn" in record.message]
    assert [line.partition("; respawn")[0] for line in ended] == [
        "worker-0 (pid 101) ended with exit status 3",
        "worker-1 (pid 102) ended with exit status 3 for the same reason (2 times)",
        "worker-0 (pid 103) ended with exit status 1",
    ]


def test_of_what_one_said_before_it_died_why_and_what_it_left_still_count() -> None:
    scene = Scene()
    line = scene.processes.lines[ONE]
    scene.crew.notify(signal.SIGHUP)

    def finish() -> None:
        scene.say(ONE, Beat(is_up=True, is_ready=True, is_draining=True))
        scene.say(ONE, Ask(1, "restart"))
        scene.say(ONE, Keep(b"counters"))
        scene.say(ONE, Failed("a bug"))

    line.finish = finish  # type: ignore[method-assign]
    scene.end(ONE, 1)
    assert scene.failures == ["worker-0: a bug"]
    assert scene.crew.kept == b"counters"
    assert (scene.processes.signals, scene.asked) == ([], [])
    assert [slot.name for slot in scene.crew.workers()] == ["worker-0", "worker-1"]


def test_one_that_dies_slowly_whenever_it_starts_is_given_up_on(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene(workers=1)
    (slot,) = scene.crew.workers()
    for _ in range(MOST_DEATHS):
        assert not scene.give_ups
        while slot.child is None:
            scene.run_for(1, HUB)
        scene.run_for(8, HUB)
        scene.end(slot.child.pid, 1)
    assert scene.give_ups == 1
    assert "worker-0 died 10 times at its start: giving up" in caplog.text


def test_a_worker_that_ends_by_itself_and_well_is_replaced_but_is_no_death() -> None:
    scene = Scene()
    scene.end(ONE, 0)
    scene.run_for(1, HUB, TWO)
    assert scene.pids()[1] not in (0, ONE)
    assert scene.crew.deaths == 0


def test_signals_that_only_a_turning_loop_understands_wait_for_it() -> None:
    scene = Scene()
    scene.say(HUB)
    scene.crew.notify(signal.SIGHUP)
    assert scene.processes.signals == [(HUB, signal.SIGHUP)]
    scene.say(ONE)
    scene.say(ONE)
    assert scene.processes.signals == [(HUB, signal.SIGHUP), (ONE, signal.SIGHUP)]


def test_orders_go_to_one_kind_or_to_all() -> None:
    scene = Scene()
    scene.crew.signal(signal.SIGTERM, Kind.WORKER)
    assert scene.processes.signals == [(ONE, signal.SIGTERM), (TWO, signal.SIGTERM)]
    scene.crew.signal(signal.SIGQUIT)
    assert len(scene.processes.signals) == 5


def test_after_a_dismissal_nobody_is_started(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    scene.end(ONE, -signal.SIGSEGV)
    scene.crew.dismiss()
    scene.end(TWO, -signal.SIGSEGV)
    scene.run_for(5, HUB)
    assert scene.pids() == [HUB, 0, 0]
    assert "worker-1 (pid 102) was killed by SIGSEGV" in caplog.text


def test_a_slot_that_is_taken_away_drains_and_stays_empty() -> None:
    scene = Scene()
    scene.crew.vacate(scene.crew.workers()[1])
    assert scene.processes.signals == [(TWO, signal.SIGTERM)]
    assert scene.pids() == [HUB, ONE]
    scene.end(TWO, 0)
    scene.run_for(5, HUB, ONE)
    assert scene.pids() == [HUB, ONE]


def test_a_slot_that_waits_for_its_next_process_can_be_taken_away() -> None:
    scene = Scene()
    scene.end(TWO, 1)
    scene.crew.vacate(scene.crew.workers()[1])
    scene.run_for(5, HUB, ONE)
    assert scene.pids() == [HUB, ONE]


def test_a_machine_without_room_for_a_process_is_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    scene.processes.has_room = False
    scene.end(ONE, -signal.SIGKILL)
    scene.run_for(1, HUB, TWO)
    assert "worker-0 cannot be started: Resource temporarily unavailable" in caplog.text
    scene.processes.has_room = True
    scene.run_for(3, HUB, TWO)
    assert scene.pids()[1] != 0


def test_what_is_said_to_a_slot_is_said_to_whoever_fills_it() -> None:
    scene = Scene()
    scene.crew.say(1, Drain())
    assert scene.processes.lines[TWO].said == [Drain()]
    scene.end(ONE, 1)
    scene.crew.say(0, Drain())  # nobody is there: who comes knows
    assert scene.processes.lines[ONE].said == []


def test_a_question_is_passed_on_with_who_asks() -> None:
    scene = Scene()
    scene.say(HUB, Ask(7, "restart"))
    ((child, ask),) = scene.asked
    assert (child.pid, ask) == (HUB, Ask(7, "restart"))


def test_closing_ends_all_lines_and_watches_no_more() -> None:
    scene = Scene()
    scene.crew.close()
    assert all(line.is_closed for line in scene.processes.lines.values())
    assert scene.reactor.statistics().timers == 0


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from([0, 1, -9]), st.floats(0, 20)), max_size=12))
def test_whatever_dies_whenever_all_slots_are_full_again_or_the_crew_gave_up(
    deaths: list[tuple[int, int, float]],
) -> None:
    scene = Scene()
    for slot, code, pause_s in deaths:
        child = scene.crew.slots[slot].child
        if child is not None:
            scene.end(child.pid, code)
        scene.run_for(pause_s, *scene.processes.lines)
    scene.run_for(40, *scene.processes.lines)
    assert scene.give_ups or 0 not in scene.pids()
    assert len(scene.crew.children) == len([pid for pid in scene.pids() if pid])
