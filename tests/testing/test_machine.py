"""Several loops on one clock: nobody jumps over what another is about to do."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import pytest

from wsloop.loop.poller import READ
from wsloop.loop.reactor import Reactor
from wsloop.testing.machine import Machine
from wsloop.testing.network import NetworkFaults
from wsloop.testing.poller import DeadlockError
from wsloop.transport.bind import UnixBind

if TYPE_CHECKING:
    from wsloop.testing.memory_socket import MemorySocket


def loop(machine: Machine) -> Reactor:
    poller = machine.poller()
    reactor = Reactor(machine.clock, poller)
    machine.add(reactor, poller)
    return reactor


def watched(machine: Machine, reactor: Reactor, sock: MemorySocket) -> list[tuple[float, bytes]]:
    """Have a loop read a socket; return what it reads, with the times."""
    heard: list[tuple[float, bytes]] = []

    def read(_events: int) -> None:
        heard.append((machine.clock.now(), sock.recv(1000)))

    reactor.register(sock.fileno(), READ, read)
    return heard


def test_timers_of_all_loops_fire_at_their_times() -> None:
    machine = Machine()
    start_s = machine.clock.now()
    fired: list[tuple[int, float]] = []

    def fire(index: int) -> None:
        fired.append((index, machine.clock.now() - start_s))

    for index, reactor in enumerate([loop(machine), loop(machine)]):
        for delay_s in (1.0, 2.0, 5.0):
            reactor.call_later(delay_s + index / 4, functools.partial(fire, index))
    machine.run_for(10)
    assert [index for index, _ in fired] == [0, 1] * 3
    assert [at_s for _, at_s in fired] == pytest.approx([1, 1.25, 2, 2.25, 5, 5.25], abs=0.02)
    assert machine.clock.now() == start_s + 10


def test_what_one_loop_sends_another_hears_before_time_goes_on() -> None:
    machine = Machine()
    first, second = loop(machine), loop(machine)
    left, right = machine.network.pair()
    heard = watched(machine, first, left)
    second.call_later(1.0, lambda: right.send(b"x"))
    second.call_later(9.0, lambda: None)
    first.call_later(9.0, lambda: None)
    machine.run_for(10)
    assert [data for _, data in heard] == [b"x"]
    assert heard[0][0] == pytest.approx(machine.clock.now() - 9, abs=0.02)


def test_bytes_under_way_arrive_at_their_time() -> None:
    machine = Machine(faults=NetworkFaults(min_delay_s=0.5, max_delay_s=0.5))
    reactor = loop(machine)
    left, right = machine.network.pair()
    heard = watched(machine, reactor, left)
    start_s = machine.clock.now()
    right.send(b"x")
    machine.run_until(lambda: heard)
    assert heard == [(start_s + 0.5, b"x")]


def test_a_stopped_loop_does_nothing_until_it_goes_on() -> None:
    machine = Machine()
    stopped, other = loop(machine), loop(machine)
    left, right = machine.network.pair()
    heard = watched(machine, stopped, left)
    machine.stop(stopped)
    right.send(b"x")
    fired: list[None] = []
    other.call_later(1.0, lambda: fired.append(None))
    machine.run_for(5)
    assert (heard, len(fired)) == ([], 1)
    machine.go_on(stopped)
    machine.run_for(1)
    assert len(heard) == 1


def test_time_goes_on_when_bytes_arrive_while_all_are_stopped() -> None:
    machine = Machine(faults=NetworkFaults(min_delay_s=0.5, max_delay_s=0.5))
    stopped = loop(machine)
    left, right = machine.network.pair()
    heard = watched(machine, stopped, left)
    machine.stop(stopped)
    right.send(b"x")
    end_s = machine.clock.now() + 5
    for _ in range(10):
        machine.turn(end_s)
    assert (heard, machine.clock.now()) == ([], end_s)
    machine.go_on(stopped)
    machine.turn()
    assert heard == [(end_s, b"x")]


def test_a_killed_process_loses_its_descriptors() -> None:
    machine = Machine()
    killed, other = loop(machine), loop(machine)
    left, right = machine.network.pair()
    listening = machine.network.listen(UnixBind("/a"))
    watched(machine, killed, left)
    killed.register(listening.fileno(), READ, lambda _: None)
    heard = watched(machine, other, right)
    assert machine.sockets(killed) == [left]
    machine.kill(killed)
    machine.turn()
    assert heard[0][1] == b""
    assert left.fileno() == listening.fileno() == -1
    assert not machine.runs(killed)
    assert machine.runs(other)


def test_waiting_ends() -> None:
    machine = Machine()
    loop(machine)
    with pytest.raises(TimeoutError):
        machine.run_until(lambda: False, within_s=3)
    with pytest.raises(DeadlockError):
        machine.turn()
