"""Health, readiness and metrics over HTTP, on the admin listener and in public."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.observe.kit import Watched, parsed
from wsloop.observe.metrics import METRICS
from wsloop.observe.snapshot import Snapshot, snapshot_of
from wsloop.server.health import Health

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def house() -> Iterator[Watched]:
    with Watched() as made:
        yield made


def public(house: Watched, path: str) -> tuple[int, str]:
    """Ask the listener of the clients."""
    client = house.dial()
    client.send_bytes(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    house.run_until(lambda: client.is_gone)
    head, _, body = client.http.decode().partition("\r\n\r\n")
    return int(head.split(" ", 2)[1]), body


def test_metrics_are_text_that_prometheus_reads(house: Watched) -> None:
    status, head, body = house.get("/metrics")
    assert status == 200
    assert "content-type: text/plain; version=0.0.4; charset=utf-8" in head
    assert "cache-control: no-store" in head
    samples = parsed(body)
    assert samples["wsloop_connections_accepted_total", ()] == 1
    assert {name for name, _ in samples} <= {
        f"{name}{suffix}" for name in METRICS for suffix in ("", "_bucket", "_count", "_sum")
    }


def test_who_is_well_says_so_in_three_ways(house: Watched) -> None:
    assert house.get("/livez")[::2] == (200, "ok\n")
    assert house.get("/healthz")[::2] == (200, "ok\n")
    assert house.get("/readyz")[::2] == (200, "ready\n")
    assert [public(house, path) for path in ("/livez", "/healthz", "/readyz")] == [
        (200, "ok\n"),
        (200, "ok\n"),
        (200, "ready\n"),
    ]


def test_who_is_not_ready_says_why_to_the_operator_and_in_a_word_to_the_public(house: Watched) -> None:
    reasons = ["", ""]
    house.house.health.add(lambda: reasons[0])
    house.house.health.add(lambda: reasons[1])
    reasons[:] = ["overloaded: 83 % of 512 MiB", "link: the hub process does not answer"]
    text = "overloaded: 83 % of 512 MiB\nlink: the hub process does not answer\n"
    assert house.get("/readyz")[::2] == (503, f"not ready:\n{text}")
    assert house.get("/healthz")[::2] == (200, f"ok, but not ready:\n{text}")
    assert house.get("/livez")[::2] == (200, "ok\n")
    assert public(house, "/readyz") == (503, "not ready: overloaded\n")
    reasons[0] = ""
    assert public(house, "/readyz") == (503, "not ready: unavailable\n")
    reasons[1] = ""
    assert public(house, "/readyz") == (200, "ready\n")


@given(st.lists(st.tuples(st.sampled_from(["", "a", "b"]), st.booleans())))
def test_only_reasons_take_a_process_out_of_rotation(warnings: list[tuple[str, bool]]) -> None:
    health = Health()
    for text, is_own in warnings:
        add = health.add_warning if is_own else health.add_warning_of_others
        add(functools.partial(str, text))
    assert health.reasons() == health.own_reasons() == []
    assert sorted(health.warnings()) == sorted(text for text, _ in warnings if text)
    assert health.own_warnings() == [text for text, is_own in warnings if text and is_own]


def test_a_warning_is_told_to_the_operator_alone_and_changes_no_status(house: Watched) -> None:
    house.house.health.add_warning(lambda: "log: lines lost: 5 (No space left on device)")
    house.house.health.add_warning_of_others(lambda: "worker-0: log: lines lost: 2 (Input/output error)")
    text = (
        "warning: log: lines lost: 5 (No space left on device)\n"
        "warning: worker-0: log: lines lost: 2 (Input/output error)\n"
    )
    assert house.get("/readyz")[::2] == (200, f"ready\n{text}")
    assert house.get("/healthz")[::2] == (200, f"ok\n{text}")
    assert public(house, "/readyz") == (200, "ready\n")
    house.house.health.add(lambda: "draining")
    assert house.get("/readyz")[::2] == (503, f"not ready:\ndraining\n{text}")
    assert public(house, "/readyz") == (503, "not ready: draining\n")


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        ("/readyz?format=json", ()),
        ("/readyz", ("Accept: application/json",)),
        ("/readyz", ("Accept: text/html, Application/JSON;q=0.9",)),
    ],
)
def test_readiness_is_told_in_json_to_who_asks(house: Watched, target: str, headers: tuple[str, ...]) -> None:
    well = {"status": "ready", "reasons": [], "warnings": []}
    assert json.loads(house.get(target, *headers)[2]) == well
    house.house.health.add_warning(lambda: "log: the disk is full")
    assert json.loads(house.get(target, *headers)[2]) == {**well, "warnings": ["log: the disk is full"]}
    house.house.health.add(lambda: "draining")
    status, head, body = house.get(target, *headers)
    told = {"status": "not ready", "reasons": ["draining"], "warnings": ["log: the disk is full"]}
    assert (status, json.loads(body)) == (503, told)
    assert "content-type: application/json" in head


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/readyz"])
def test_they_are_only_read(house: Watched, path: str) -> None:
    status, head, _ = house.get(path, "Content-Length: 0", method="POST")
    assert status == 405
    assert "allow: get, head" in head
    status, head, body = house.get(path, method="HEAD")
    assert (status, body) == (200, "")


def test_during_a_drain_the_operator_is_told_that_it_is_not_ready(house: Watched) -> None:
    client = house.connect()
    client.stop_reading()
    house.server.drain(lambda: None, 10.0)
    assert house.get("/readyz")[::2] == (503, "not ready:\ndraining\n")
    assert house.get("/metrics")[0] == 200


def test_the_numbers_of_others_are_waited_for_and_added() -> None:
    waiting: list[Callable[[list[Snapshot]], object]] = []
    with Watched(gather=waiting.append) as house:
        house.reactor.call_later(1.0, lambda: waiting.pop()([worker("worker-0", 3), worker("worker-1", 4)]))
        samples = parsed(house.get("/metrics")[2])
        assert samples["wsloop_clients", ()] == 7
        house.reactor.call_later(1.0, lambda: waiting.pop()([worker("worker-0", 3)]))
        samples = parsed(house.get("/metrics")[2])
        assert samples["wsloop_clients", ()] == 3
        assert samples["wsloop_commands_total", ()] == 7


def worker(name: str, number: int) -> Snapshot:
    return snapshot_of([{"wsloop_clients": number, "wsloop_commands_total": number}], name, "life")


def test_numbers_that_do_not_come_are_a_504() -> None:
    with Watched(gather=lambda done: None) as house:
        assert house.get("/metrics")[0] == 504


def test_a_fault_of_ours_is_a_500_and_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    bad = Snapshot({"wsloop_loop_turn_seconds": {"": [1.0]}})
    with Watched(gather=lambda done: done([bad])) as house:
        assert house.get("/metrics")[::2] == (500, "internal error\n")
    assert "internal error in /metrics" in caplog.text
