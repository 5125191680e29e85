"""What the contract suite leaves open: that the in-process broker lets go of what it holds."""

from __future__ import annotations

from typing import Any

from tests.hub.support import CountedEntropy
from wsloop.hub.broker import Draft, Retention
from wsloop.hub.history import PUBLICATION_BYTES, HistoryQuery
from wsloop.hub.memory_broker import STREAM_BYTES, BrokerLimits, MemoryBroker
from wsloop.testing.clock import FakeClock

KEEP = Retention(3, 10.0, 60.0)


def ignore(result: Any) -> None:
    """Complete unheard."""


def make(limits: BrokerLimits | None = None) -> tuple[MemoryBroker, FakeClock]:
    clock = FakeClock(0.0)
    return MemoryBroker(clock.now, CountedEntropy(), limits), clock


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


def test_asking_about_names_without_end_forgets_the_oldest_of_them() -> None:
    broker, _ = make(BrokerLimits(untouched_streams=10))
    broker.publish("used", Draft(b"1"), KEEP, ignore)
    broker.subscribe("listened to")
    broker.history("listened to", HistoryQuery(), KEEP, ignore)
    for number in range(1000):
        broker.history(f"name {number}", HistoryQuery(), KEEP, ignore)
    assert counts(broker) == (12, 1)
    views: list[Any] = []
    broker.history("used", HistoryQuery(10), KEEP, views.append)
    assert views[0].top.offset == 1


def test_names_without_end_leave_no_deadlines_behind() -> None:
    broker, clock = make(BrokerLimits(untouched_streams=10))
    for number in range(20_000):
        broker.history(f"name {number}", HistoryQuery(), KEEP, ignore)
    clock.advance(1e6)
    assert broker.expire(clock.now(), 1_000_000) < 1100
    assert counts(broker) == (0, 0)


def test_streams_that_are_spent_are_bounded_by_number_and_come_back_with_another_epoch() -> None:
    broker, clock = make(BrokerLimits(spent_streams=5))
    positions: list[Any] = []
    broker.publish("c", Draft(b"1"), KEEP, positions.append)
    for number in range(9):
        broker.publish(f"c{number}", Draft(b"1"), KEEP, ignore)
    sweep(broker, clock, 10.0)
    assert counts(broker) == (5, 0)
    broker.publish("c", Draft(b"1"), KEEP, positions.append)
    assert positions[0].epoch != positions[1].epoch


def test_a_spent_stream_is_kept_while_it_is_used_or_listened_to() -> None:
    broker, clock = make(BrokerLimits(spent_streams=2))
    begun: list[Any] = []
    seen: list[Any] = []
    for name in ("used", "heard"):
        broker.publish(name, Draft(b"1"), KEEP, begun.append)
    broker.subscribe("heard")
    sweep(broker, clock, 10.0)
    for number in range(5):
        broker.publish(f"c{number}", Draft(b"1"), Retention(3, 1.0, 60.0), ignore)
        sweep(broker, clock, 1.0)
        broker.history("used", HistoryQuery(), KEEP, seen.append)
    broker.history("heard", HistoryQuery(), KEEP, seen.append)
    used, heard = (appended.epoch for appended in begun)
    assert [view.top.epoch for view in seen] == [used] * 5 + [heard]
    assert counts(broker) == (3, 0)


def test_what_was_counted_returns_to_zero() -> None:
    broker, clock = make(BrokerLimits(memory_bytes=20_000))
    for number in range(200):
        broker.publish(f"c{number % 7}", Draft(b"x" * (number * 7 % 900), key=f"{number}"), KEEP, ignore)
        assert broker.statistics().bytes <= 20_000
    broker.remove_history("c3", ignore)
    sweep(broker, clock, 10.0)
    sweep(broker, clock, 60.0)
    sweep(broker, clock, 300.0)
    statistics = broker.statistics()
    assert (statistics.streams, statistics.publications, statistics.bytes, statistics.keys) == (0, 0, 0, 0)


def test_the_least_recently_used_gives_up_its_oldest_first() -> None:
    one = PUBLICATION_BYTES + 1000
    broker, _ = make(BrokerLimits(memory_bytes=3 * STREAM_BYTES + 6 * one))
    for name in ("a", "b", "c"):
        for _ in range(2):
            broker.publish(name, Draft(b"x" * 1000), KEEP, ignore)
    broker.history("a", HistoryQuery(), KEEP, ignore)
    broker.publish("c", Draft(b"x" * 1000), KEEP, ignore)
    views: list[Any] = []
    for name in ("a", "b", "c"):
        broker.history(name, HistoryQuery(9), KEEP, views.append)
    kept = [[publication.offset for publication in view.publications] for view in views]
    assert kept == [[1, 2], [2], [1, 2, 3]]
    assert broker.statistics().evicted == 1


def test_keys_are_bounded_by_number_the_oldest_go() -> None:
    broker, _ = make(BrokerLimits(keys=3))
    answers: list[Any] = []
    for key in ("a", "b", "c", "d", "a", "d"):
        broker.publish("c", Draft(b"1", key=key), KEEP, answers.append)
    assert [(answer.offset, answer.duplicate) for answer in answers] == [
        (1, False), (2, False), (3, False), (4, False), (5, False), (4, True),
    ]  # fmt: skip
    assert broker.statistics().keys == 3


def test_keys_are_forgotten_by_the_sweep() -> None:
    broker, clock = make()
    for number in range(10):
        broker.publish("c", Draft(b"1", key=f"{number}"), Retention(), ignore)
    clock.advance(300.0)
    assert [broker.expire(clock.now(), 4) for _ in range(4)] == [4, 4, 2, 0]
    assert broker.statistics().keys == 0
