from __future__ import annotations

import random
from typing import Any

from wsloop.cluster.calls import Calls
from wsloop.loop.reactor import Reactor
from wsloop.testing.clock import FakeClock
from wsloop.testing.network import MemoryNetwork
from wsloop.testing.poller import FakePoller


class Worker:
    """One that can be asked, and notes in `asked` that it was."""

    def __init__(self, slot: int, asked: list[int]) -> None:
        self.slot = slot
        self._asked = asked

    def deliver(self, _data: bytes, /) -> None:
        self._asked.append(self.slot)


def test_workers_are_asked_and_answer_in_the_order_in_which_they_are_given() -> None:
    """Of a set it would be that of their addresses in memory: another one in each run of one seed."""
    clock = FakeClock()
    calls = Calls(Reactor(clock, FakePoller(MemoryNetwork(clock), clock)))
    asked: list[int] = []
    order = random.Random(1).sample(range(40), 40)
    answers: list[Any] = []
    calls.ask("name", b"", 1.0, answers.append, workers=[Worker(slot, asked) for slot in order])
    calls.close()
    assert asked == order
    assert list(answers[0]) == order
