"""The tap at the broker: what it tells the ledger, and a broker that does what it should not."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from unittest.mock import patch

import pytest

from tests.testing.simulator.checkers.by_hand import KEEP, broken, ledger, text
from wsloop.hub.broker import Appended, Draft, Retention
from wsloop.hub.history import PUBLICATION_BYTES, Stream
from wsloop.hub.idempotency import Keys
from wsloop.hub.memory_broker import STREAM_BYTES, BrokerLimits, MemoryBroker
from wsloop.testing.simulator.checkers.taps import BrokerTap
from wsloop.testing.simulator.model.ledger import Ledger, Place, Rules

Real = Callable[..., object]

RETENTION = Retention(KEEP.size, KEEP.ttl_s, KEEP.meta_ttl_s)
INFO = b'{"user":"ann","client":"0123456789-0123456789-0123456789-012"}'


class Bench:
    """A broker that is tapped, and its ledger."""

    def __init__(self, rules: Rules = KEEP, limits: BrokerLimits | None = None) -> None:
        self.now_s = 0.0
        numbers = iter(range(100))
        entropy = lambda count: bytes([next(numbers)] * count)  # noqa: E731
        self.broker = MemoryBroker(lambda: self.now_s, entropy, limits)
        self.ledger: Ledger = ledger(rules)
        self.tap = BrokerTap(self.ledger, self.broker)
        self.retention = Retention(rules.size, rules.ttl_s, rules.meta_ttl_s)

    def publish(
        self, number: int, *, key: str = "", submission: int | None = None, info: bytes = b""
    ) -> Appended:
        done: list[Any] = []
        payload = text(number, submission=submission).encode()
        self.broker.publish("room", Draft(payload, info, key=key), self.retention, done.append)
        (answer,) = done
        assert isinstance(answer, Appended)
        return answer


def test_the_ledger_knows_what_was_appended_and_forgets_nothing() -> None:
    bench = Bench()
    places = [bench.publish(number) for number in range(1, 6)]
    book = bench.ledger.book("room")
    life = book.life(places[0].epoch)
    assert life is not None
    assert life.said == [text(number) for number in range(1, 6)]
    assert book.top == Place(places[0].epoch, 5)
    assert (bench.tap.appended, bench.tap.duplicates) == (5, 0)


def test_a_duplicate_is_compared_with_the_first() -> None:
    bench = Bench()
    bench.publish(1, key="k")
    assert bench.publish(1, key="k", submission=2).duplicate
    assert (bench.tap.appended, bench.tap.duplicates) == (1, 1)
    with broken("P2", "message 7 of ann", "never appended"):
        bench.publish(7, key="k")


def test_unnumbered_publications_have_turns() -> None:
    bench = Bench(Rules())
    bench.publish(1)
    bench.publish(2)
    assert list(bench.ledger.book("room").turn_of.values()) == [0, 1]


def test_history_that_is_removed_excuses_another_epoch() -> None:
    bench = Bench()
    bench.publish(1)
    bench.broker.remove_history("room", lambda _: None)
    bench.publish(2)
    assert len(bench.ledger.book("room").lives) == 2


def test_a_stream_that_is_lost_without_a_reason_is_found() -> None:
    bench = Bench()
    bench.publish(1)
    bench.broker._forget("room")
    with broken("P7", "room left epoch"):
        bench.publish(2)


def test_publications_that_had_to_leave_are_noted() -> None:
    size = STREAM_BYTES + 2 * (PUBLICATION_BYTES + 20)
    bench = Bench(limits=BrokerLimits(memory_bytes=size))
    for number in range(1, 4):
        bench.now_s = float(number)
        bench.publish(number)
    assert bench.ledger.book("room").evicted_s == 3.0


def _one_too_many(real: Real, self: Stream, draft: Draft, *, size: int, **more: Any) -> object:
    return real(self, draft, size=size + 1, **more)


def _offsets_twice(real: Real, self: Stream, draft: Draft, **more: Any) -> object:
    self.top = max(0, self.top - 1)
    return real(self, draft, **more)


def _nothing(*_: object) -> None:
    return None


BUGS: dict[str, tuple[str, type, str, Callable[..., object], int]] = {
    "one too many is kept": ("bounds", Stream, "append", _one_too_many, 9),
    "keys are forgotten": ("P2", Keys, "find", _nothing, 9),
    "offsets are used twice": ("P3", Stream, "append", _offsets_twice, 9),
    "the memory has no end": ("bounds", MemoryBroker, "_evict", _nothing, 2),
}
"""What is wrong: the promise, where, by what; and how many publications there is memory for."""


@pytest.mark.parametrize("bug", BUGS)
def test_a_broker_that_is_wrong_is_found(bug: str) -> None:
    promise, owner, name, wrong, most = BUGS[bug]
    bench = Bench(limits=BrokerLimits(memory_bytes=STREAM_BYTES + most * (PUBLICATION_BYTES + 10)))
    real = getattr(owner, name)

    def replaced(*args: Any, **more: Any) -> Any:
        return wrong(real, *args, **more)

    with patch.object(owner, name, replaced), broken(promise):
        for number in (1, 2, 3, 4, 4, 5):
            bench.publish(number, key=str(number), submission=number)


def test_an_acknowledgement_before_the_append_is_found() -> None:
    bench = Bench()
    real = bench.tap._publish

    def early(channel: str, draft: Draft, retention: Retention, done: Any) -> None:
        done(Appended(1, "e"))
        real(channel, draft, retention, lambda _: None)

    bench.tap._publish = early
    with broken("P1", "room", "which has no stream"):
        bench.publish(1)
    bench.tap._publish = real
    bench.publish(1)
    bench.tap._publish = partial(_too_early, bench.broker, real)
    with broken("P1", "room", "the stream ends at offset 1"):
        bench.publish(2)


def _too_early(
    broker: MemoryBroker, real: Any, channel: str, draft: Draft, retention: Retention, done: Any
) -> None:
    stream = broker._entries[channel].stream
    done(Appended(stream.top + 1, stream.epoch))
    real(channel, draft, retention, lambda _: None)


def test_one_connection_s_order_is_kept() -> None:
    bench = Bench()
    bench.publish(1, submission=5, info=INFO)
    with broken("P3", "message 2 of ann, submission 4", "behind submission 5"):
        bench.publish(2, submission=4, info=INFO)
