"""Answers of several processes: put together they say what one process with all the connections would."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsloop.hub import codes
from wsloop.hub.operations import merging, table
from wsloop.hub.operations.requests import (
    AcksRequest,
    ChannelsRequest,
    ConnectionsRequest,
    PeersRequest,
    SlowestRequest,
)
from wsloop.hub.operations.results import (
    AcksResult,
    ChannelInfo,
    ChannelsResult,
    ConnectionInfo,
    ConnectionsResult,
    ConnectionState,
    EmptyResult,
    InfoResult,
    KickResult,
    Lag,
    PeerInfo,
    PeersResult,
    PublishResult,
    RecordedLine,
    RecordedResult,
    RecordResult,
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


def connection(user: str) -> ConnectionInfo:
    return ConnectionInfo("", "", "websocket", "json", user, ConnectionState(), "192.0.2.1")


def peer(age_s: float) -> PeerInfo:
    return PeerInfo(int(age_s), "", "", "192.0.2.1:9", "open", age_s, 0, 0, 0, 0, 0)


PARTS = st.lists(st.sets(st.integers(0, 40), max_size=10), min_size=1, max_size=4)


@given(PARTS, st.integers(1, 12))
def test_connections_of_all_are_listed_by_name_and_the_rest_is_another_page(
    parts: list[set[int]], limit: int
) -> None:
    everybody = sorted({f"{number:02}" for part in parts for number in part})
    found = []
    for part in parts:
        names = sorted(f"{number:02}" for number in part)
        page = {name: connection(name) for name in names[:limit]}
        found.append(
            ConnectionsResult(connections=page, cursor=names[limit - 1] if len(names) > limit else "")
        )
    merged = merging.connections(ConnectionsRequest(limit=limit), found)
    assert list(merged.connections) == everybody[:limit]
    assert merged.cursor == (everybody[limit - 1] if len(everybody) > limit else "")


@given(PARTS, st.integers(1, 12))
def test_of_the_peers_of_all_the_first_are_listed_and_all_are_counted(
    parts: list[set[int]], limit: int
) -> None:
    found = [PeersResult(connections=[peer(age) for age in part], total=len(part) + 1) for part in parts]
    merged = merging.peers(PeersRequest(limit=limit), found)
    ages = sorted((age for part in parts for age in part), reverse=True)
    assert [each.age_s for each in merged.connections] == ages[:limit]
    assert merged.total == len(ages) + len(parts)


@given(st.lists(st.integers(0, 5), max_size=4))
def test_what_was_done_in_each_process_is_added_up(counts: list[int]) -> None:
    assert merging.kick(None, [KickResult(closed=count) for count in counts]).closed == sum(counts)
    assert merging.record(None, [RecordResult(processes=count) for count in counts]).processes == sum(counts)


@pytest.mark.parametrize(
    ("reasons", "over"), [([], "no process answers"), (["", "told"], ""), (["stopped", "full"], "full")]
)
def test_a_recording_is_over_when_it_is_over_everywhere(reasons: list[str], over: str) -> None:
    lines = [RecordedLine(n=number, t=1.0, c="1", kind="in") for number in range(len(reasons))]
    parts = [RecordedResult(lines=[line], over=each) for line, each in zip(lines, reasons, strict=True)]
    merged = merging.recorded(None, parts)
    assert (merged.lines, merged.over) == (lines, over)
