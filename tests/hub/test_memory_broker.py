"""What the contract suite leaves open: that the in-process broker lets go of what it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.hub.support import CountedEntropy
from wsloop.hub import memory_broker
from wsloop.hub.broker import Draft, Retention
from wsloop.hub.history import HistoryQuery
from wsloop.hub.memory_broker import MemoryBroker
from wsloop.testing.clock import FakeClock

if TYPE_CHECKING:
    import pytest

KEEP = Retention(3, 10.0, 60.0)


def ignore(result: Any) -> None:
    """Complete unheard."""


def make() -> tuple[MemoryBroker, FakeClock]:
    clock = FakeClock(0.0)
    return MemoryBroker(clock.now, CountedEntropy()), clock


def counts(broker: MemoryBroker) -> tuple[int, int]:
    statistics = broker.statistics()
    return statistics.streams, statistics.publications


def sweep(broker: MemoryBroker, clock: FakeClock, seconds: float) -> None:
    clock.advance(seconds)
    broker.expire(clock.now(), 1000)


def test_publications_go_at_their_time_the_position_a_minute_later() -> None:
    broker, clock = make()
    broker.publish("c", Draft(b"1"), KEEP, ignore)
    sweep(broker, clock, 9.9)
    assert counts(broker) == (1, 1)
    sweep(broker, clock, 0.1)
    assert counts(broker) == (1, 0)
    sweep(broker, clock, 49.9)
    assert counts(broker) == (1, 0)
    sweep(broker, clock, 0.1)
    assert counts(broker) == (0, 0)


def test_a_stream_in_use_is_not_forgotten() -> None:
    broker, clock = make()
    broker.publish("c", Draft(b"1"), KEEP, ignore)
    for _ in range(5):
        sweep(broker, clock, 40.0)
        broker.history("c", HistoryQuery(), KEEP, ignore)
    assert counts(broker) == (1, 0)


def test_a_subscribed_quiet_channel_keeps_its_epoch_for_ever() -> None:
    broker, clock = make()
    views: list[Any] = []
    broker.subscribe("c")
    broker.history("c", HistoryQuery(), KEEP, views.append)
    sweep(broker, clock, 1e6)
    broker.history("c", HistoryQuery(), KEEP, views.append)
    assert views[0] == views[1]


def test_expired_publications_of_a_subscribed_channel_are_let_go() -> None:
    broker, clock = make()
    broker.subscribe("c")
    broker.publish("c", Draft(b"1"), KEEP, ignore)
    sweep(broker, clock, 10.0)
    assert counts(broker) == (1, 0)


def test_the_time_without_use_begins_when_the_last_subscriber_leaves() -> None:
    broker, clock = make()
    broker.subscribe("c")
    broker.publish("c", Draft(b"1"), KEEP, ignore)
    sweep(broker, clock, 1000.0)
    broker.unsubscribe("c")
    sweep(broker, clock, 59.9)
    assert counts(broker) == (1, 0)
    sweep(broker, clock, 0.1)
    assert counts(broker) == (0, 0)


def test_a_publication_does_not_wait_for_an_older_later_deadline() -> None:
    broker, clock = make()
    broker.history("c", HistoryQuery(), KEEP, ignore)
    broker.publish("c", Draft(b"1"), KEEP, ignore)
    sweep(broker, clock, 10.0)
    assert counts(broker) == (1, 0)
    sweep(broker, clock, 60.0)
    assert counts(broker) == (0, 0)


def test_a_forgotten_stream_comes_back_with_another_epoch() -> None:
    broker, clock = make()
    positions: list[Any] = []
    broker.publish("c", Draft(b"1"), KEEP, positions.append)
    sweep(broker, clock, 10.0)
    sweep(broker, clock, 60.0)
    broker.publish("c", Draft(b"1"), KEEP, positions.append)
    assert [position.offset for position in positions] == [1, 1]
    assert positions[0].epoch != positions[1].epoch


def test_a_sweep_does_no_more_than_it_may() -> None:
    broker, clock = make()
    for number in range(10):
        broker.publish(f"c{number}", Draft(b"1"), KEEP, ignore)
    clock.advance(10.0)
    assert [broker.expire(clock.now(), 4) for _ in range(4)] == [4, 4, 2, 0]
    assert counts(broker) == (10, 0)


def test_a_busy_stream_has_one_deadline_only() -> None:
    broker, clock = make()
    for _ in range(1000):
        broker.publish("c", Draft(b"1"), KEEP, ignore)
        clock.advance(0.001)
    assert broker.expire(clock.now() + 100, 1000) <= 2


def test_a_broker_without_a_hub_keeps_history_all_the_same() -> None:
    broker, _ = make()
    broker.subscribe("c")
    broker.publish("c", Draft(b"1"), KEEP, ignore)
    broker.publish_join("c", b"{}")
    broker.publish_leave("c", b"{}")
    assert counts(broker) == (1, 1)


def test_unsubscribing_from_a_channel_without_a_stream_makes_none() -> None:
    broker, _ = make()
    broker.unsubscribe("c")
    assert counts(broker) == (0, 0)


def test_asking_about_names_without_end_forgets_the_oldest_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_broker, "UNTOUCHED_STREAMS", 10)
    broker, _ = make()
    broker.publish("used", Draft(b"1"), KEEP, ignore)
    broker.subscribe("listened to")
    broker.history("listened to", HistoryQuery(), KEEP, ignore)
    for number in range(1000):
        broker.history(f"name {number}", HistoryQuery(), KEEP, ignore)
    assert counts(broker) == (12, 1)
    views: list[Any] = []
    broker.history("used", HistoryQuery(10), KEEP, views.append)
    assert views[0].top.offset == 1
