"""The spool: what a model says must be left after any history and any crash."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsloop.client.spool import (
    HEADER_BYTES,
    MAGIC,
    MAX_PAYLOAD_BYTES,
    RECORD,
    NoStore,
    Overflow,
    Spool,
    SpoolError,
)
from wsloop.testing.spool_store import MemorySpoolStore

if TYPE_CHECKING:
    from wsloop.client.spool import SpoolStore

ROOM = 100_000


def spool_of(
    store: SpoolStore | None = None, max_bytes: int = ROOM, overflow: Overflow = Overflow.NEWEST
) -> Spool:
    return Spool(store or NoStore(), max_bytes, overflow, lambda count: b"i" * count)


def payloads(spool: Spool) -> list[bytes]:
    return [event.payload for event in spool.batch(10_000, ROOM * 10)]


def test_what_was_not_delivered_is_there_after_a_restart() -> None:
    store = MemorySpoolStore()
    spool = spool_of(store)
    for number in range(5):
        spool.append(b"%d" % number)
    spool.delivered(2)
    spool.flush()
    again = spool_of(MemorySpoolStore(store.data))
    assert payloads(again) == [b"2", b"3", b"4"]
    assert [event.number for event in again.batch(9, 9)] == [3, 4, 5]
    assert again.next_number == 6
    assert again.id == spool.id
    assert again.waiting_bytes == spool.waiting_bytes


STEPS = st.lists(
    st.one_of(
        st.binary(max_size=40),  # append
        st.integers(0, 3),  # deliver so many, if there are
        st.just("flush"),
        st.just("full"),
        st.just("empty"),
    ),
    max_size=60,
)


@settings(max_examples=400, deadline=None)
@given(steps=STEPS, cut=st.integers(0, 10_000), small=st.booleans())
def test_a_crash_at_any_byte_loses_nothing_that_was_written(
    steps: list[bytes | int | str], cut: int, small: bool
) -> None:
    store = MemorySpoolStore()
    spool = spool_of(store, 150 if small else ROOM, Overflow.OLDEST)
    appended: dict[int, bytes] = {}
    acknowledged = 0
    safe: set[int] = set()  # were in the file when it was last written whole
    for step in steps:
        if isinstance(step, bytes):
            appended[spool.next_number] = step
            spool.append(step)
        elif isinstance(step, int):
            batch = spool.batch(step, ROOM) if step else []
            spool.delivered(len(batch))
            acknowledged = batch[-1].number if batch else acknowledged
        elif step == "flush":
            spool.flush()
            if not store.is_full:
                safe = {event.number for event in spool.batch(10_000, ROOM)}
        else:
            store.is_full = step == "full"
    found = {
        event.number: event.payload for event in spool_of(MemorySpoolStore(store.data)).batch(10_000, ROOM)
    }
    # Nothing that was written and not delivered or dropped since is missing, and nothing is invented.
    still_waiting = {event.number for event in spool.batch(10_000, ROOM)}
    assert safe & still_waiting <= set(found)
    assert list(found) == sorted(found)
    assert all(appended[number] == payload for number, payload in found.items())
    torn = MemorySpoolStore(store.data[: min(cut, len(store.data))])
    with contextlib.suppress(SpoolError):
        prefix = spool_of(torn)
        kept = [event.number for event in prefix.batch(10_000, ROOM)]
        assert kept == sorted(kept)
        assert all(appended[event.number] == event.payload for event in prefix.batch(10_000, ROOM))
        prefix.append(b"next")
        prefix.flush()
        assert payloads(spool_of(MemorySpoolStore(torn.data)))[-1] == b"next"


@given(flip=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_flipped_bit_ends_the_spool_there(flip: int, bit: int) -> None:
    store = MemorySpoolStore()
    spool = spool_of(store)
    for number in range(10):
        spool.append(b"payload %d" % number)
    spool.flush()
    data = bytearray(store.data)
    at = HEADER_BYTES + flip % (len(data) - HEADER_BYTES)
    data[at] ^= 1 << bit
    found = payloads(spool_of(MemorySpoolStore(bytes(data))))
    assert found == [b"payload %d" % number for number in range(len(found))]
    assert len(found) < 10


@pytest.mark.parametrize("data", [b"#!/bin/sh\n", b"x", MAGIC[:-1] + b"x" + b"y" * 20])
def test_a_file_of_another_kind_is_left_alone(data: bytes) -> None:
    store = MemorySpoolStore(data)
    with pytest.raises(SpoolError):
        spool_of(store)
    assert store.data == data


@given(
    st.lists(st.binary(max_size=30), max_size=60),
    st.integers(20, 300),
    st.sampled_from(Overflow),
    st.integers(0, 3),
)
def test_what_waits_is_bounded_and_what_is_lost_is_counted(
    items: list[bytes], room: int, overflow: Overflow, keep: int
) -> None:
    spool = spool_of(None, room, overflow)
    for item in items:
        first = spool.batch(min(keep, len(spool)), ROOM) if keep and len(spool) else []
        spool.append(item, keep)
        assert spool.batch(len(first), ROOM)[: len(first)] == first
        assert spool.waiting_bytes <= room
    assert spool.dropped + len(spool) == len(items)
    left = payloads(spool)
    if overflow is Overflow.NEWEST:
        assert left == [item for item in items if item in left][: len(left)] or len(set(items)) < len(items)
    elif not keep and left:
        assert left == [item for item in items if RECORD.size + len(item) <= room][-len(left) :]
    assert spool.waiting_bytes == sum(RECORD.size + len(item) for item in left)


def test_an_event_that_is_too_long_is_lost_and_counted() -> None:
    spool = spool_of(None, 10 * MAX_PAYLOAD_BYTES)
    assert not spool.append(b"x" * (MAX_PAYLOAD_BYTES + 1))
    assert (len(spool), spool.dropped, spool.next_number) == (0, 1, 2)


@pytest.mark.parametrize("overflow", Overflow)
def test_an_event_larger_than_the_spool_displaces_no_other(overflow: Overflow) -> None:
    spool = spool_of(None, 200, overflow)
    spool.append(b"a")
    assert not spool.append(b"x" * 200)
    assert (payloads(spool), spool.dropped, spool.next_number) == ([b"a"], 1, 3)


def test_the_file_does_not_grow_for_ever() -> None:
    store = MemorySpoolStore()
    spool = spool_of(store, max_bytes=2_000)
    for _ in range(5_000):
        spool.append(b"x" * 50)
        spool.delivered(1)
        spool.flush()
        assert len(store.data) <= 2 * 2_000 + HEADER_BYTES + 200
    assert spool_of(MemorySpoolStore(store.data)).next_number == 5_001


def test_a_full_disk_is_told_once_and_forgotten_when_there_is_room(caplog: pytest.LogCaptureFixture) -> None:
    store = MemorySpoolStore()
    spool = spool_of(store)
    spool.append(b"a")
    spool.flush()
    store.is_full = True
    for _ in range(5):
        spool.append(b"b")
        spool.flush()
    assert len(caplog.records) == 1
    store.is_full = False
    spool.append(b"c")
    spool.close()
    assert len(caplog.records) == 2
    assert payloads(spool_of(MemorySpoolStore(store.data))) == [b"a", *[b"b"] * 5, b"c"]


def test_one_flush_is_one_write() -> None:
    store = MemorySpoolStore()
    spool = spool_of(store)
    spool.flush()
    for _ in range(100):
        spool.append(b"x")
    spool.flush()
    spool.flush()
    assert (store.writes, store.syncs) == (2, 2)
