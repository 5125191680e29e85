"""What a turn may do in all: a common sum for large reads, a queue for what is over a budget."""

from __future__ import annotations

from wsloop.loop.reactor import Reactor
from wsloop.protocol.session import BUDGET
from wsloop.server.turn import BYTES_PER_UNIT, CONTINUATIONS_PER_TURN, LEAST_UNITS, UNITS_PER_TURN, Turn
from wsloop.testing.clock import FakeClock
from wsloop.testing.network import MemoryNetwork
from wsloop.testing.poller import FakePoller

FULL_READ = 65536


def turning() -> tuple[Reactor, Turn]:
    clock = FakeClock()
    reactor = Reactor(clock, FakePoller(MemoryNetwork(clock), clock))
    return reactor, Turn(reactor)


def run_once(reactor: Reactor) -> None:
    reactor.call_soon(lambda: None)  # so that the turn does not sleep
    reactor.run_once()


def test_the_first_get_all_they_may_and_the_last_a_little() -> None:
    reactor, turn = turning()
    grants = [turn.grant(FULL_READ) for _ in range(100)]
    rich = UNITS_PER_TURN * BYTES_PER_UNIT // FULL_READ
    assert grants == [BUDGET] * rich + [LEAST_UNITS] * (100 - rich)
    run_once(reactor)
    assert turn.grant(FULL_READ) == BUDGET


def test_a_turn_goes_on_with_a_few_in_order_and_the_next_with_the_next() -> None:
    reactor, turn = turning()
    done: list[int] = []
    for number in range(150):
        turn.go_on_later(lambda number=number: done.append(number))  # type: ignore[misc]
    run_once(reactor)
    assert done == list(range(CONTINUATIONS_PER_TURN))
    turn.go_on_later(lambda: done.append(-1))
    for _ in range(3):
        run_once(reactor)
    assert done == [*range(150), -1]
    assert turn.number == 4
