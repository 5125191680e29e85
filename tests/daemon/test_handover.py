"""Starting a successor: one that serves, one that ends, one that says nothing."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from wsloop.daemon.handover import Successor
from wsloop.daemon.inheritance import Inheritance
from wsloop.loop.clock import MonotonicClock
from wsloop.loop.poller import make_poller
from wsloop.loop.reactor import Reactor

if TYPE_CHECKING:
    from collections.abc import Iterator

TAKE = "import os; from wsloop.daemon import inheritance as i; left = i.take(os.environ, os.getpid()); "
SERVES = TAKE + "i.say_ready(left.ready)"
KEEPS_ITS_SOCKET = (
    TAKE + "assert left.predecessor == os.getppid(); os.fstat(left.pid_file_lock); " + SERVES[len(TAKE) :]
)
FAILS = "import sys; sys.exit(78)"
HANGS = "import time; time.sleep(3600)"


@pytest.fixture
def reactor() -> Iterator[Reactor]:
    made = Reactor(MonotonicClock(), make_poller())
    yield made
    made.close()


def outcome(
    reactor: Reactor, program: str, left: Inheritance | None = None, ready_within_s: float = 60
) -> object:
    """Start a successor that runs `program`; return its pid once it serves, else what went wrong."""
    said: list[object] = []

    def end(what: object) -> None:
        said.append(what)
        reactor.stop()

    command = [sys.executable, "-c", program]
    successor = Successor(
        reactor, left or Inheritance(), end, end, command=command, ready_within_s=ready_within_s
    )
    reactor.run()
    (what,) = said
    if what == successor.pid:
        os.waitpid(successor.pid, 0)
    else:
        with pytest.raises(ChildProcessError):
            os.waitpid(successor.pid, os.WNOHANG)  # it has been reaped
    return what


def test_one_that_serves_is_told_by_its_number(reactor: Reactor) -> None:
    assert isinstance(outcome(reactor, SERVES), int)


def test_it_has_what_it_was_left_under_the_same_numbers(reactor: Reactor) -> None:
    reading, writing = os.pipe()
    try:
        left = Inheritance(pid_file="/run/pid", pid_file_lock=writing)
        assert isinstance(outcome(reactor, KEEPS_ITS_SOCKET, left), int)
    finally:
        os.close(reading)
        os.close(writing)


def test_one_that_ends_is_told_with_its_exit_status(reactor: Reactor) -> None:
    assert outcome(reactor, FAILS) == (
        "the new process ended with exit status 78 before it served"
        " (bad configuration: its standard error, or wsloop check-config, tells)"
    )


def test_one_that_says_nothing_is_killed(reactor: Reactor) -> None:
    what = outcome(reactor, HANGS, ready_within_s=0.3)
    assert "did not serve in time, and was killed" in str(what)


def test_one_that_closes_its_pipe_and_goes_on_is_killed(
    reactor: Reactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wsloop.daemon.handover.LOOKS", 3)
    what = outcome(reactor, TAKE + "os.close(left.ready); import time; time.sleep(3600)")
    assert "closed its pipe and did not end" in str(what)


def test_one_that_cannot_be_started_is_an_error_and_holds_nothing(reactor: Reactor) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="No such file"):
        Successor(reactor, Inheritance(), print, print, command=["/nowhere/python"])
    assert len(os.listdir("/proc/self/fd")) == before


def test_one_that_is_not_wanted_any_more_is_killed_without_a_word(reactor: Reactor) -> None:
    said: list[object] = []
    command = [sys.executable, "-c", HANGS]
    successor = Successor(reactor, Inheritance(), said.append, said.append, command=command)
    successor.cancel()
    with pytest.raises(ChildProcessError):
        os.waitpid(successor.pid, 0)
    assert said == []
    assert reactor.statistics().descriptors == 0


def test_one_that_closed_its_pipe_and_is_looked_for_may_be_cancelled_too(reactor: Reactor) -> None:
    """A daemon that is told to stop at this moment must stop."""
    said: list[object] = []
    command = [sys.executable, "-c", TAKE + "os.close(left.ready); import time; time.sleep(3600)"]
    successor = Successor(reactor, Inheritance(), said.append, said.append, command=command)
    while reactor.statistics().descriptors:
        reactor.run_once()
    successor.cancel()
    with pytest.raises(ChildProcessError):
        os.waitpid(successor.pid, 0)
    reactor.call_later(0.2, reactor.stop)
    reactor.run()
    assert said == []
