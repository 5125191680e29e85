"""The shows of the operator's promises: their judgements, and a short slice of each with a real daemon."""

from __future__ import annotations

import argparse
import json
import os
import socket
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.shows import crowded, drain, kills, memory, workers
from tools.shows.audience import Faults, Streams, Witness
from tools.shows.crowd import Report, percentile_ms, together
from tools.shows.crowded import Broadcast
from tools.shows.sockets import Knocks, holders
from wsloop.client.messages import Publication, SubscribeResult

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from tests.tools.conftest import CProgram

NOBODY: Any = None
"""The client that a witness is told of, which it does not look at."""


# -- slices ------------------------------------------------------------------------------------


def shown(
    main: Callable[[list[str]], int], capsys: pytest.CaptureFixture[str], *options: str
) -> dict[str, Any]:
    """Run a show; return its result, which has no faults."""
    code = main(list(options))
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (code, result["faults"]) == (0, [])
    return result


def test_a_slice_of_kills(capsys: pytest.CaptureFixture[str]) -> None:
    result = shown(kills.main, capsys, "--connections=120", "--kills=4", "--every=1")
    assert len(result["kills"]) == 4
    assert result["published"] == result["acknowledged"] == result["delivered"] > 0
    assert result["reconnects"] > 0 < result["knocks"] == result["knocks_answered"]


def test_a_slice_of_a_drain(capsys: pytest.CaptureFixture[str]) -> None:
    small = ("--connections=600", "--others=50", "--window=20", "--channels=10")
    # How even the pace is, is for a quiet machine to show: here any pace will do.
    result = shown(drain.main, capsys, *small, f"--peak={drain.PARTS}")
    assert result["codes"] == {"3001": 550}
    assert result["codes_of_others"] == {"1012": 50}
    assert result["exit_code"] == 0


def test_a_slice_of_the_crowd(c_program: CProgram, capsys: pytest.CaptureFixture[str]) -> None:
    c_program("crowd")
    small = ("--connections=600", "--workers=2", "--processes=2", "--seconds=0.5", "--broadcasts=2")
    result = shown(crowded.main, capsys, *small)
    assert result["open_at_the_end"] == 600
    assert [one["deliveries"] for one in result["broadcasts"]] == [600, 600]
    assert result["daemon_processes"] == 4
    assert all(one["p50_ms"] <= one["p99_ms"] <= one["last_ms"] for one in result["broadcasts"])


def test_a_slice_of_the_workers(c_program: CProgram, capsys: pytest.CaptureFixture[str]) -> None:
    c_program("crowd")
    # What the ratio is, is for a quiet machine to show.
    small = ("--connections=200", "--warm-up=0.5", "--seconds=0.5", "--rounds=1", "--wanted=0")
    result = shown(workers.main, capsys, *small)
    (measured,) = result["rounds"]
    assert [measured[name]["workers"] for name in ("one", "two")] == [1, 2]
    assert all(rate["deliveries_per_s"] > 0 < rate["generator_us"] for rate in measured.values())


# -- judgements --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("main", "options"),
    [
        (kills.main, ["--workers=1"]),
        (kills.main, ["--rate=0"]),
        (drain.main, ["--connections=3"]),
        (drain.main, ["--channels=0"]),
        (crowded.main, ["--workers=0"]),
        (crowded.main, ["--connections=1000000"]),
        (crowded.main, ["--nothing"]),
        (workers.main, ["--rounds=0"]),
        (workers.main, ["--channels=101"]),
    ],
)
def test_bad_options_are_exit_code_2(main: Callable[[list[str]], int], options: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(options)
    assert caught.value.code == 2


def witness(*, may_move: bool = False) -> tuple[Witness, Faults]:
    """Return a witness that stands at offset 5 of epoch "e"."""
    faults = Faults()
    made = Witness(1, "room", Streams(faults), faults, may_move=may_move)
    made.on_subscribed(NOBODY, "room", SubscribeResult(offset=5, epoch="e"))
    return made, faults


@given(st.lists(st.integers(1, 20), max_size=10))
def test_a_witness_takes_the_next_offset_and_no_other(offsets: list[int]) -> None:
    made, faults = witness()
    wrong, last = 0, 5
    for offset in offsets:
        made.on_publication(NOBODY, "room", Publication(offset=offset))
        wrong += offset != last + 1
        last = offset
    assert faults.count == wrong


@pytest.mark.parametrize(
    ("result", "may_move", "faulty"),
    [
        (SubscribeResult(offset=5, epoch="e", recovered=True), False, 0),
        (SubscribeResult(offset=5, epoch="e"), False, 1),
        (SubscribeResult(offset=6, epoch="e", recovered=True), False, 1),
        (SubscribeResult(offset=0, epoch="f"), False, 1),
        (SubscribeResult(offset=0, epoch="f"), True, 0),
        (SubscribeResult(offset=6, epoch="e"), True, 1),
    ],
)
def test_who_comes_back_goes_on_where_it_was(result: SubscribeResult, may_move: bool, faulty: int) -> None:
    made, faults = witness(may_move=may_move)
    made.on_subscribed(NOBODY, "room", result)
    assert faults.count == faulty


def test_what_was_acknowledged_and_not_delivered_is_a_fault() -> None:
    faults = Faults()
    streams = Streams(faults)
    stream = ("room", "e")
    streams.ack(stream, 1, b"a")
    streams.ack(stream, 2, b"b")
    streams.see(stream, 1, b"a")
    assert streams.top(stream) == 2
    streams.judge()
    assert faults.count == 1
    streams.see(stream, 1, b"x")
    streams.ack(stream, 2, b"x")
    assert faults.count == 3


def report(**changed: Any) -> Report:
    fields: dict[str, Any] = {
        "open": 1,
        "subscribed": 1,
        "deliveries": 1,
        "pings": 12,
        "fewest_pings": 12,
        "seconds": 1.0,
    }
    fields |= {"cpu_seconds": 0.5, "slowest_ns": 3, "faults": 0, "first_fault": "", "latencies_ns": []}
    return Report(**(fields | changed))


@given(st.lists(st.lists(st.integers(1, 1000), min_size=1), min_size=1, max_size=4))
def test_percentiles_of_several_processes_are_those_of_all_their_latencies(groups: list[list[int]]) -> None:
    reports = [report(latencies_ns=[(latency, 1) for latency in sorted(group)]) for group in groups]
    latencies = sorted(latency for group in groups for latency in group)
    merged = together(reports)
    assert percentile_ms(merged, 1.0) == latencies[-1] / 1e6
    median = round(percentile_ms(merged, 0.5) * 1e6)
    assert sum(latency <= median for latency in latencies) * 2 >= len(latencies)
    assert sum(latency < median for latency in latencies) * 2 <= len(latencies)
    assert merged.open == len(groups)


def test_a_crowd_that_lost_somebody_kept_no_promise() -> None:
    options = argparse.Namespace(connections=10, seconds=100.0)
    broadcasts = [Broadcast(10, 1, 1, 1), Broadcast(9, 1, 1, 1)]
    found = crowded.faults(options, report(fewest_pings=2), report(open=9, first_fault="gone"), broadcasts)
    assert found == [
        "gone",
        "1 connections were lost",
        "a connection had 2 pings in 100 s",
        "a message came to 9 of 10",
    ]
    assert crowded.faults(options, report(fewest_pings=3), report(open=10), broadcasts[:1]) == []


@given(st.integers(1, 200))
def test_an_even_pace_has_no_peak(count: int) -> None:
    times_s = [100 + number / 7 for number in range(count * drain.PARTS)]
    assert drain.peak(times_s) <= 1 + 1 / count + 1e-6
    assert drain.peak([*times_s, *[times_s[0]] * len(times_s)]) > drain.PARTS / 2


def test_without_reconnects_there_is_no_peak() -> None:
    assert drain.peak([]) == 0
    assert drain.peak([1.0]) == drain.PARTS  # all at one moment


def test_a_connection_is_held_by_the_process_that_accepted_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as ours:
            assert holders(port, [os.getpid()]) == {}  # it waits in the queue
            with listener.accept()[0]:
                assert holders(port, [os.getpid()]) == {ours.getsockname()[1]: os.getpid()}
                assert holders(port, [os.getppid()]) == {}


@pytest.mark.parametrize(
    ("answer", "answered", "faulty"),
    [(b"HTTP/1.1 101 Switching Protocols\r\n\r\n", 1, 0), (b"HTTP/1.1 503 Busy\r\n\r\n", 0, 1), (b"", 0, 1)],
)
def test_a_knock_is_answered_with_101(answer: bytes, answered: int, faulty: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        knocks = Knocks(listener.getsockname()[1])
        knocks.knock(1)
        assert not knocks.look()
        with listener.accept()[0] as peer:
            peer.recv(4096)
            peer.sendall(answer)
        while not knocks.look():
            pass
    assert (knocks.asked, knocks.answered, len(knocks.faults)) == (1, answered, faulty)
    knocks.close()


def test_memory_is_read_from_the_kernel() -> None:
    read = memory.read([os.getpid()])
    assert 0 < read.pss <= read.rss
    assert read.slab > 0
    assert memory.read([2**22 + 1]).rss == 0
