from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.testing.simulator.kit import Kit
from wsloop.hub.broker import Draft, Retention, Unavailable
from wsloop.hub.history import HistoryQuery
from wsloop.hub.memory_broker import MemoryBroker
from wsloop.loop.reactor import Reactor
from wsloop.testing.contracts.broker import BrokerContract
from wsloop.testing.simulator.broker import DOWN, SILENT, UnrulyBroker
from wsloop.testing.simulator.faults import FaultPlan

if TYPE_CHECKING:
    from wsloop.hub.broker import Broker
    from wsloop.hub.history import Publication
    from wsloop.testing.clock import FakeClock

KEEP = Retention(size=10, ttl_s=60.0)


class TestWithoutFaultsItKeepsTheContract(BrokerContract):
    def make_broker(self, clock: FakeClock) -> Broker:
        kit = Kit()
        inner = MemoryBroker(clock.now, kit.storm["spike"].random.randbytes)
        return UnrulyBroker(inner, Reactor(kit.clock, kit.poller(kit.near)), kit.storm)


class House:
    """An unruly broker in which one kind of fault strikes at every call, and what it told."""

    def __init__(self, name: str) -> None:
        self.kit = Kit(FaultPlan())
        for each in self.kit.storm.chances:
            self.kit.force(each, float("inf"))
        self.reactor = Reactor(self.kit.clock, self.kit.poller(self.kit.near))
        inner = MemoryBroker(lambda: self.reactor.now, self.kit.storm["spike"].random.randbytes)
        self.broker = UnrulyBroker(inner, self.reactor, self.kit.storm)
        self.told: list[Any] = []
        self.broker.attach(self)
        self.broker.subscribe("c")
        self.kit.force(name, 1e-9)

    def on_publication(self, _channel: str, publication: Publication, _epoch: str) -> None:
        self.told.append(publication.offset)

    def on_join(self, channel: str, _info: bytes) -> None:
        self.told.append(f"join {channel}")

    def on_leave(self, channel: str, _info: bytes) -> None:
        self.told.append(f"leave {channel}")

    def on_interrupted(self) -> None:
        self.told.append("interrupted")

    def publish(self, count: int = 1) -> list[Any]:
        answers: list[Any] = []
        for number in range(count):
            self.broker.publish("c", Draft(b"%d" % number), KEEP, answers.append)
        return answers

    def wait(self) -> None:
        self.kit.clock.advance(3.0)
        for _ in range(3):
            self.reactor.run_once()

    def top(self) -> int:
        views: list[Any] = []
        self.broker.history("c", HistoryQuery(), KEEP, views.append)
        self.wait()
        assert not isinstance(views[0], Unavailable)
        return int(views[0].top.offset)


def test_down_a_question_is_refused_or_not_answered_in_time_whether_it_was_carried_out_or_not() -> None:
    house = House("broker-down")
    answers = house.publish(50)
    house.wait()
    refused = len(answers)
    assert answers == [DOWN] * refused
    assert 0 < refused < 50
    house.wait()
    assert answers[refused:] == [SILENT] * (50 - refused), "given up after 4 to 5 s"
    house.kit.storm.is_over = True
    assert 0 < house.top() < 50


def test_late_what_it_says_comes_in_order_and_all_of_it() -> None:
    house = House("broker-late")
    house.broker.publish_join("c", b"{}")
    answers = house.publish(5)
    house.broker.publish_leave("c", b"{}")
    assert (house.told, answers) == ([], [])
    house.wait()
    assert house.told == ["join c", 1, 2, 3, 4, 5, "leave c"]
    assert [each.offset for each in answers] == [1, 2, 3, 4, 5]


def test_late_what_waits_is_said_at_the_end() -> None:
    house = House("broker-late")
    answers = house.publish(2)
    house.broker.say_all()
    assert len(answers) == 2


def test_duplicate_an_event_comes_twice_and_an_answer_once() -> None:
    house = House("broker-duplicate")
    answers = house.publish(3)
    house.wait()
    assert sorted(house.told) == [1, 1, 2, 2, 3, 3]
    assert len(answers) == 3


def test_reorder_events_overtake_each_other() -> None:
    house = House("broker-reorder")
    answers = house.publish(20)
    house.wait()
    assert sorted(house.told) == list(range(1, 21)) != house.told
    assert len(answers) == 20


def test_lost_an_event_does_not_come_and_the_publication_stands() -> None:
    house = House("broker-lost")
    answers = house.publish(3)
    assert (house.told, len(answers)) == ([], 3)
    assert house.top() == 3


@pytest.mark.parametrize("name", ["broker-late", "broker-lost"])
def test_an_interruption_is_told(name: str) -> None:
    house = House(name)
    house.broker.on_interrupted()
    house.wait()
    assert house.told == ["interrupted"]
