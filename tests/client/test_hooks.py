"""Hooks in virtual time: batched, in order, at least once."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.client.kit import URL, World
from wsloop.client.hooks import HookOptions, HttpHooks
from wsloop.client.spool import MAX_PAYLOAD_BYTES, Overflow, Spool
from wsloop.hub.backend import Person
from wsloop.testing.http_backend import CUT_OFF, GARBAGE, HANG, RESET, Answer
from wsloop.testing.network import NetworkFaults
from wsloop.testing.spool_store import MemorySpoolStore

if TYPE_CHECKING:
    from collections.abc import Iterator

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PERSON = Person("c1", "42", b'{"m":1}', (("traceparent", f"00-{TRACE_ID}-00f067aa0ba902b7-01"),))


class Teller:
    """A receiver that keeps what it answered with 2xx; `seen` is all it was told, repeats included."""

    def __init__(
        self,
        options: HookOptions | None = None,
        *,
        data: bytes = b"",
        room: int = 100_000,
        overflow: Overflow = Overflow.NEWEST,
        faults: NetworkFaults | None = None,
        seed: int = 0,
    ) -> None:
        self.world = World(faults=faults, seed=seed)
        self.store = MemorySpoolStore(data)
        self.options = options or HookOptions()
        self.room, self.overflow = room, overflow
        self.hooks = self.start()

    def start(self) -> HttpHooks:
        """Start a process's hooks on what the store holds."""
        return HttpHooks(
            self.world.reactor,
            self.world.client,
            URL,
            Spool(self.store, self.room, self.overflow, lambda count: b"i" * count),
            self.options,
            unix_s=self.world.clock.unix_s,
            entropy=bytes,
        )

    @property
    def batches(self) -> list[list[dict[str, Any]]]:
        return [request.json() for request in self.world.there.requests]

    @property
    def seen(self) -> list[dict[str, Any]]:
        return [event for batch in self.batches for event in batch]

    def types(self) -> list[str]:
        return [event["type"] for event in self.seen]

    def close(self) -> None:
        self.hooks.close()
        self.world.close()


@pytest.fixture
def teller() -> Iterator[Teller]:
    teller = Teller()
    yield teller
    teller.close()


def test_an_event_says_what_has_happened(teller: Teller) -> None:
    teller.hooks.on_disconnect(PERSON, 3001, "shutdown")
    teller.hooks.on_unsubscribe(PERSON, "news", 2000, "server unsubscribe")
    teller.hooks.on_channel_occupied("news")
    teller.world.run_for(1.0)
    start, *events = teller.seen
    time_ms = start["time"]
    assert start == {"seq": 1, "type": "start", "time": time_ms}
    assert time_ms == 1_767_225_600_000
    person = {"time": time_ms, "client": "c1", "user": "42", "meta": {"m": 1}, "trace_id": TRACE_ID}
    unsubscribed = {"channel": "news", "code": 2000, "reason": "server unsubscribe"}
    assert events == [
        {"seq": 2, "type": "disconnect", **person, "code": 3001, "reason": "shutdown"},
        {"seq": 3, "type": "unsubscribe", **person, **unsubscribed},
        {"seq": 4, "type": "occupied", "time": time_ms, "channel": "news"},
    ]
    assert teller.world.there.requests[0].headers["wsloop-spool"] == "69" * 8
    assert teller.hooks.waiting == 0


def test_what_happens_together_is_told_together(teller: Teller) -> None:
    for _ in range(50):
        teller.hooks.on_disconnect(PERSON, 3000, "")
    teller.world.run_for(1.0)
    assert [len(batch) for batch in teller.batches] == [51]


def test_a_full_batch_does_not_wait(teller: Teller) -> None:
    for _ in range(250):
        teller.hooks.on_disconnect(PERSON, 3000, "")
    teller.world.run_for(0.01)
    assert [len(batch) for batch in teller.batches] == [100, 100, 51]


@pytest.mark.parametrize("answer", [HANG, GARBAGE, CUT_OFF, RESET, Answer(status=500), Answer(status=404)])
def test_what_was_not_taken_is_told_again_in_order(teller: Teller, answer: Answer) -> None:
    teller.world.answer = answer
    for number in range(150):
        teller.hooks.on_disconnect(PERSON, 3000 + number, "")
    teller.world.run_for(20.0)
    repeats = len(teller.batches)
    assert 2 <= repeats <= 10
    assert all(batch[0]["seq"] == 1 for batch in teller.batches)
    teller.world.answer = Answer(b"", status=204)
    teller.world.run_for(60.0)
    told = [event["seq"] for batch in teller.batches[repeats:] for event in batch]
    assert told == list(range(1, 152))
    assert teller.hooks.waiting == 0


def test_a_channel_that_fills_again_at_once_was_never_empty(teller: Teller) -> None:
    teller.hooks.on_channel_occupied("news")
    for _ in range(5):
        teller.hooks.on_channel_vacated("news")
        teller.world.run_for(4.0)
        teller.hooks.on_channel_occupied("news")
    teller.hooks.on_channel_vacated("news")
    teller.world.run_for(4.9)
    assert teller.types() == ["start", "occupied"]
    teller.world.run_for(1.0)
    assert teller.types() == ["start", "occupied", "vacated"]
    teller.hooks.on_channel_occupied("news")
    teller.world.run_for(1.0)
    assert teller.types()[3:] == ["occupied"]


def test_without_grace_an_empty_channel_is_told_at_once() -> None:
    teller = Teller(HookOptions(vacated_grace_s=0.0))
    teller.hooks.on_channel_occupied("news")
    teller.hooks.on_channel_vacated("news")
    teller.world.run_for(0.5)
    assert teller.types() == ["start", "occupied", "vacated"]
    teller.close()


def test_only_what_was_asked_for_is_told() -> None:
    teller = Teller(HookOptions(events=frozenset({"disconnect"})))
    teller.hooks.on_channel_occupied("news")
    teller.hooks.on_unsubscribe(PERSON, "news", 2000, "")
    teller.hooks.on_disconnect(PERSON, 3000, "")
    teller.hooks.on_channel_vacated("news")
    teller.world.run_for(10.0)
    assert teller.types() == ["start", "disconnect"]
    teller.close()


def test_a_stop_loses_nothing() -> None:
    teller = Teller()
    teller.world.answer = HANG
    teller.hooks.on_channel_occupied("news")
    teller.world.run_for(0.5)
    teller.hooks.on_channel_vacated("news")
    teller.hooks.on_disconnect(PERSON, 3001, "shutdown")
    teller.hooks.close()
    teller.hooks.close()
    teller.hooks.on_disconnect(PERSON, 3001, "too late")
    teller.world.answer = Answer()
    seen = len(teller.seen)
    teller.hooks = teller.start()
    teller.world.run_for(1.0)
    told = teller.seen[seen:]
    assert [event["type"] for event in told] == ["start", "occupied", "disconnect", "vacated", "start"]
    assert [event["seq"] for event in told] == [1, 2, 3, 4, 5]
    teller.close()


def test_a_crash_loses_at_most_its_own_turn() -> None:
    teller = Teller()
    teller.world.answer = HANG
    teller.hooks.on_channel_occupied("news")
    teller.world.run_for(0.05)
    teller.hooks.on_disconnect(PERSON, 3000, "in the turn of the crash")
    data = teller.store.data
    teller.close()
    again = Teller(data=data)
    again.world.run_for(1.0)
    assert again.types() == ["start", "occupied", "start"]
    again.close()


@pytest.mark.parametrize("overflow", Overflow)
def test_what_finds_no_room_is_lost_counted_and_told_once(
    overflow: Overflow, caplog: pytest.LogCaptureFixture
) -> None:
    teller = Teller(room=1_000, overflow=overflow)
    teller.world.answer = HANG
    teller.world.run_for(0.5)  # "start" is under way, and is not dropped
    with caplog.at_level(logging.ERROR, "wsloop"):
        for number in range(100):
            teller.hooks.on_disconnect(PERSON, 3000 + number, "")
    assert teller.hooks.dropped == 101 - teller.hooks.waiting
    assert len([record for record in caplog.records if "no room" in record.getMessage()]) == 1
    teller.world.answer = Answer()
    teller.world.run_for(20.0)
    codes = [event["code"] for event in teller.batches[-1] if event["type"] == "disconnect"]
    assert codes
    assert codes[-1] == 3099 if overflow is Overflow.OLDEST else codes[0] == 3000
    assert teller.seen[0]["seq"] == 1
    teller.close()


def test_meta_that_is_too_long_does_not_reach_the_hub_as_an_error(teller: Teller) -> None:
    huge = Person("c1", "42", b'"' + b"x" * MAX_PAYLOAD_BYTES + b'"')
    teller.hooks.on_disconnect(huge, 3000, "")
    assert teller.hooks.dropped == 1


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    steps=st.lists(
        st.one_of(
            st.sampled_from(["event", "burst", "crash", "wait"]),
            st.sampled_from([Answer(), HANG, GARBAGE, RESET, CUT_OFF, Answer(status=503)]),
        ),
        max_size=25,
    ),
)
@example(seed=0, steps=["burst"] * 5)
def test_every_event_arrives_in_order_whatever_fails(seed: int, steps: list[str | Answer]) -> None:
    faults = NetworkFaults(max_delay_s=0.1, max_read_bytes=90, max_write_bytes=90, eagain_chance=0.2)
    teller = Teller(faults=faults, seed=seed, room=1_000_000)  # for all that 25 steps can tell
    for step in steps:
        if isinstance(step, Answer):
            teller.world.answer = step
        elif step == "crash":
            teller.world.run_for(0.01)  # so that this turn's events are written
            teller.hooks._is_closed = True  # it does nothing more
            if teller.hooks._call is not None:
                teller.hooks._call.cancel()
            teller.hooks = teller.start()
        elif step == "wait":
            teller.world.run_for(3.0)
        else:
            for number in range(120 if step == "burst" else 1):
                teller.hooks.on_disconnect(PERSON, number, "")
    teller.world.answer = Answer()
    teller.world.run_for(120.0)
    assert (teller.hooks.waiting, teller.hooks.dropped) == (0, 0)
    first = dict.fromkeys(event["seq"] for event in teller.seen)
    assert list(first) == list(range(1, len(first) + 1))
    teller.close()
