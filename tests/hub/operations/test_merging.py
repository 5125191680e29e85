"""Answers of several processes: put together they say what one process with all the connections would."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsloop.hub import codes
from wsloop.hub.operations import merging, table
from wsloop.hub.operations.requests import AcksRequest, ChannelsRequest, SlowestRequest
from wsloop.hub.operations.results import (
    AcksResult,
    ChannelInfo,
    ChannelsResult,
    EmptyResult,
    InfoResult,
    Lag,
    PublishResult,
    SlowConnection,
    SlowestResult,
)

NAMES = st.text("abc", min_size=1, max_size=3)


def page(counts: dict[str, int], limit: int, cursor: str) -> ChannelsResult:
    names = sorted(name for name in counts if name > cursor)
    more = names[limit - 1] if len(names) > limit else ""
    return ChannelsResult(channels={name: ChannelInfo(counts[name]) for name in names[:limit]}, cursor=more)


@given(
    processes=st.lists(st.dictionaries(NAMES, st.integers(1, 9), max_size=12), min_size=1, max_size=4),
    limit=st.integers(1, 8),
)
def test_pages_of_parts_are_the_pages_of_the_whole(processes: list[dict[str, int]], limit: int) -> None:
    whole: dict[str, int] = {}
    for counts in processes:
        for name, count in counts.items():
            whole[name] = whole.get(name, 0) + count
    cursor = ""
    listed: dict[str, int] = {}
    for _ in range(len(whole) + 1):
        request = ChannelsRequest(limit=limit, cursor=cursor)
        merged = merging.channels(request, [page(counts, limit, cursor) for counts in processes])
        assert merged == page(whole, limit, cursor)
        listed |= {name: info.num_clients for name, info in merged.channels.items()}
        cursor = merged.cursor
        if not cursor:
            break
    assert listed == whole


def test_acks_and_slowest_keep_the_worst_of_all() -> None:
    behind = [[3, 1], [], [9, 2]]
    parts = [
        AcksResult(offset=top, epoch="e", clients=[Lag(str(number), "", 0, number) for number in lags])
        for top, lags in zip([10, 9, 11], behind, strict=True)
    ]
    merged = merging.acks(AcksRequest(channel="c", limit=3), parts)
    assert (merged.offset, [lag.behind for lag in merged.clients]) == (11, [9, 3, 2])
    slow = [
        SlowestResult(connections=[SlowConnection(1, "", "", queued, 0, 0.0, 0) for queued in each])
        for each in behind
    ]
    worst = merging.slowest(SlowestRequest(limit=2), slow).connections
    assert [peer.queued_bytes for peer in worst] == [9, 3]


def test_an_answer_survives_its_journey() -> None:
    result = PublishResult(offset=3, epoch="e")
    assert merging.decode(merging.encode(result), PublishResult) == result
    assert merging.decode(merging.encode(EmptyResult()), EmptyResult) == EmptyResult()
    refused = merging.decode(merging.encode(codes.NOT_AVAILABLE), PublishResult)
    assert isinstance(refused, codes.Code)
    assert (refused.code, refused.message) == (108, "not available")


@pytest.mark.parametrize("name", sorted(table.MERGES))
def test_every_merged_method_exists(name: str) -> None:
    assert name in table.METHODS or name in table.CONTROL_METHODS
    assert set(table.MERGES) >= table.NOTED


def asked(answers: list[bytes | None], method: str = "unsubscribe") -> Any:
    """Return what a method gives if these are the answers of all."""

    class Others:
        def ask(self, name: str, params: bytes, done: Any) -> None:
            assert (name, params) == (method, b'{"user":"ann"}')
            done(answers)

    class Operations:
        everywhere = Others()

    outcomes: list[Any] = []
    table.call(Operations(), method, b'{"user":"ann"}', outcomes.append)  # type: ignore[arg-type]
    (outcome,) = outcomes
    return outcome


def test_one_error_or_silence_is_the_whole_answer() -> None:
    good = merging.encode(EmptyResult())
    assert asked([good, good]) == EmptyResult()
    assert asked([good, merging.encode(codes.BAD_REQUEST)]).code == codes.BAD_REQUEST.code
    assert asked([good, None]) == codes.INTERNAL_ERROR
    assert asked([]) == codes.INTERNAL_ERROR


def test_info_tells_of_those_who_answer() -> None:
    node = merging.encode(InfoResult(nodes=[]))
    cases: list[list[bytes | None]] = [[], [None], [node, None]]
    for answers in cases:
        assert asked(answers, "info") == InfoResult(nodes=[])
