"""Memory that runs out: judged, refused for, shed for; what is used is an argument."""

from __future__ import annotations

import itertools
import logging
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsloop.server.admission import Refusal
from wsloop.server.assembly import Options
from wsloop.server.overload import (
    CHECK_EVERY_S,
    FRUITLESS_PAUSE_S,
    GIVE_BACK_EVERY_S,
    MIN_SHED_BYTES,
    REFUSE_FROM,
    REFUSE_UNTIL,
    SHED_FROM,
    SHED_PER_TURN,
    SHED_UNTIL,
    TOLD,
    Level,
    Memory,
    judge,
)
from wsloop.server.refusing import ANSWERS
from wsloop.server.server import OutboxMarks
from wsloop.testing.server import MemoryServer
from wsloop.transport.bind import TcpBind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wsloop.testing.client import MemoryClient

MIB = 2**20
LIMIT = 512 * MIB
PIECE_BYTES = 8192
ADMIN = TcpBind("127.0.0.1", 8766)


class Gauge:
    """`used` is what `read` finds; each byte that is queued in `house`, if there is one, comes on top."""

    def __init__(self) -> None:
        self.used: float = 0.0
        self.house: MemoryServer | None = None
        self.given_back = 0
        self.free_but_kept = 0

    def read(self) -> Memory | None:
        """Return what a test says."""
        queued = 0
        if self.house is not None:
            queued = sum(each.queued_bytes for each in self.house.server.registry.snapshot())
        return Memory(int(self.used * LIMIT) + 1 + queued + self.free_but_kept, LIMIT)

    def give_back(self) -> None:
        """Return what is free."""
        self.given_back += 1
        self.free_but_kept = 0


@pytest.fixture
def gauge() -> Gauge:
    return Gauge()


@pytest.fixture
def house(gauge: Gauge, caplog: pytest.LogCaptureFixture) -> Iterator[MemoryServer]:
    caplog.set_level(logging.INFO, "wsloop.server")
    marks = OutboxMarks(hard_bytes=64 * MIB, high_bytes=32 * MIB, low_bytes=16 * MIB)
    with MemoryServer(seed=3, options=Options(dev=True, outbox=marks), memory=gauge) as made:
        yield made


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "memory at" in record.getMessage()]


# -- the judge ---------------------------------------------------------------------------------


@given(st.lists(st.floats(0, 1.2)))
def test_the_level_follows_the_marks_with_room_between_them(shares: list[float]) -> None:
    level = Level.NORMAL
    for share in shares:
        before, level = level, judge(level, share)
        if share >= SHED_FROM:
            assert level is Level.SHEDDING
        elif share >= SHED_UNTIL:
            assert level is (Level.SHEDDING if before is Level.SHEDDING else Level.REFUSING)
        elif share >= REFUSE_FROM:
            assert level is Level.REFUSING
        elif share >= REFUSE_UNTIL:
            assert level is (Level.NORMAL if before is Level.NORMAL else Level.REFUSING)
        else:
            assert level is Level.NORMAL


def test_every_change_has_its_words() -> None:
    assert set(TOLD) == set(itertools.permutations(Level, 2))


def test_memory_is_told_rounded_down() -> None:
    assert str(Memory(int(0.849 * LIMIT), LIMIT)) == "84 % of 512 MiB"


# -- refusing -----------------------------------------------------------------------------------


def test_from_80_percent_new_connections_are_refused_until_75(
    house: MemoryServer, gauge: Gauge, caplog: pytest.LogCaptureFixture
) -> None:
    inside = house.connect()
    waiting = house.dial()  # accepted, but no request yet
    gauge.used = 0.84
    house.run_for(1.5)
    refused = house.dial()
    house.run_until(lambda: refused.is_gone)
    assert refused.http == ANSWERS[Refusal.MEMORY]
    assert b"503" in refused.http.split(b"\r\n")[0]
    assert b"Retry-After: 5" in refused.http
    waiting.upgrade("/echo")
    house.run_until(lambda: waiting.is_gone)
    assert waiting.http.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 5" in waiting.http.lower()
    assert house.house.health.reasons() == ["overloaded: memory at 84 % of 512 MiB"]
    inside.send_text("still served")
    house.run_until(lambda: inside.texts)
    gauge.used = 0.76
    house.run_for(1.5)
    assert house.house.health.reasons() == ["overloaded: memory at 76 % of 512 MiB"]
    gauge.used = 0.74
    house.run_for(1.5)
    assert house.house.health.reasons() == []
    assert house.connect().is_open
    assert told(caplog) == [
        "memory at 84 % of 512 MiB: new connections are refused",
        "memory at 74 % of 512 MiB: everybody is let in again",
    ]
    assert gauge.given_back == 1


def test_the_operators_software_is_served_even_so(house: MemoryServer, gauge: Gauge) -> None:
    house.server.listen_admin(ADMIN, house.admin)
    gauge.used = 0.95
    house.run_for(1.5)
    client = house.dial(at=ADMIN)
    client.send_bytes(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
    house.run_until(lambda: b"ok\n" in client.http)


# -- shedding -----------------------------------------------------------------------------------


def fill(house: MemoryServer, client: MemoryClient, size_bytes: int) -> None:
    """Have so much wait for a client that does not read."""
    client.stop_reading()
    connection = house.server.registry.snapshot()[-1]
    for _ in range(size_bytes // PIECE_BYTES):
        connection.send_binary(b"x" * PIECE_BYTES)
    house.run_for(0.1)


def crowd(house: MemoryServer, *sizes_bytes: int) -> list[MemoryClient]:
    clients = []
    for size_bytes in sizes_bytes:
        client = house.connect()
        fill(house, client, size_bytes)
        clients.append(client)
    return clients


def alive(house: MemoryServer) -> set[int]:
    return {each.id for each in house.server.registry.snapshot() if each.state.value == "open"}


def test_from_90_percent_the_slowest_go_and_no_more_than_needed(
    house: MemoryServer, gauge: Gauge, caplog: pytest.LogCaptureFixture
) -> None:
    crowd(house, 2 * MIB, 12 * MIB, 5 * MIB, 20 * MIB)
    gauge.house, gauge.used = house, 0.835
    assert round(100 * read(gauge).share) == 91
    house.run_for(1.0)
    assert alive(house) == {1, 3}  # 31 MiB were over 85 %: those of 20 and of 12
    assert house.house.overload is not None
    assert house.house.overload.statistics().shed_total == 2
    assert told(caplog)[0].endswith("% of 512 MiB: new connections are refused, and the slowest are closed")
    house.run_for(2.0)
    assert told(caplog)[1].endswith("nobody is closed any more, new connections are still refused")
    assert alive(house) == {1, 3}


def read(gauge: Gauge) -> Memory:
    memory = gauge.read()
    assert memory is not None
    return memory


def test_messaging_clients_are_told_3008(house: MemoryServer, gauge: Gauge) -> None:
    client = house.join()
    client.stop_reading()
    (connection,) = house.server.registry.snapshot()
    for _ in range(300):
        connection.send_line(b'{"push":{"message":{"data":"%b"}}}' % (b"x" * 100_000))
    house.run_for(0.1)
    gauge.house, gauge.used = house, 0.9
    house.run_for(1.0)
    client.resume_reading()
    house.run_until(lambda: client.close_frame or client.is_gone)
    assert client.close_frame is not None
    assert client.close_frame[0] == 3008


def test_what_the_allocator_only_keeps_costs_nobody_the_connection(house: MemoryServer, gauge: Gauge) -> None:
    crowd(house, MIB)
    gauge.used, gauge.free_but_kept = 0.82, LIMIT // 8
    house.run_for(1.5)
    assert gauge.given_back == 1
    assert alive(house) == {1}
    assert house.house.health.reasons() == ["overloaded: memory at 82 % of 512 MiB"]


@pytest.mark.parametrize("share", [0.82, 0.95])
def test_what_clients_leave_behind_that_go_by_themselves_is_asked_for(
    house: MemoryServer, gauge: Gauge, share: float
) -> None:
    """The allocator keeps it, and nobody is shed whose round would ask."""
    gauge.used = share
    house.run_for(1.5)
    assert house.house.health.reasons()
    gauge.used, gauge.free_but_kept = 0.1, int(share * LIMIT)
    house.run_for(GIVE_BACK_EVERY_S + CHECK_EVERY_S)
    assert not house.house.health.reasons()


def test_what_is_free_already_refuses_nobody(house: MemoryServer, gauge: Gauge) -> None:
    gauge.used = 0.7
    for count in range(1, 4):
        gauge.free_but_kept = LIMIT // 8
        house.run_for(CHECK_EVERY_S + 0.1)
        assert gauge.given_back == count
        assert not house.house.health.reasons()


def test_the_allocator_is_not_asked_each_second(house: MemoryServer, gauge: Gauge) -> None:
    gauge.used = 0.82
    house.run_for(10 * GIVE_BACK_EVERY_S)
    assert 9 <= gauge.given_back <= 10


def test_who_keeps_up_is_never_shed(house: MemoryServer, gauge: Gauge) -> None:
    keeping_up = house.connect()
    crowd(house, MIN_SHED_BYTES // 2)
    gauge.used = 0.99
    house.run_for(10.0)
    assert alive(house) == {1, 2}
    keeping_up.send_text("hello")
    house.run_until(lambda: keeping_up.texts)


def test_a_few_go_in_a_turn(house: MemoryServer, gauge: Gauge) -> None:
    crowd(house, *[MIB] * 30)
    gauge.used = 0.99
    before = len(alive(house))
    most = 0
    for _ in range(400):
        house.reactor.run_once()
        after = len(alive(house))
        most, before = max(most, before - after), after
    assert most == SHED_PER_TURN


def test_if_it_does_not_help_the_rest_are_spared_for_a_while(
    house: MemoryServer, gauge: Gauge, caplog: pytest.LogCaptureFixture
) -> None:
    crowd(house, *[MIB] * 3)
    gauge.used = 0.95  # whatever goes
    house.run_for(1.5)
    assert alive(house) == set()
    for _ in range(3):
        crowd_of_one(house)
        house.run_for(1.0)
    assert "does not help" in caplog.text
    spared = crowd_of_one(house)
    house.run_for(FRUITLESS_PAUSE_S / 2)
    assert spared in alive(house)
    house.run_for(FRUITLESS_PAUSE_S)
    assert spared not in alive(house)


def crowd_of_one(house: MemoryServer) -> int:
    """Let in one slow client, although the memory is short; return its number."""
    house.server.is_short_of_memory = False
    crowd(house, MIB)
    house.server.is_short_of_memory = True
    return house.server.registry.snapshot()[-1].id


def test_a_gauge_that_fails_does_not_end_the_watch(
    house: MemoryServer, gauge: Gauge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gauge, "read", lambda: 1 // 0)
    house.run_for(1.5)
    monkeypatch.undo()
    gauge.used = 0.84
    house.run_for(1.5)
    assert house.house.health.reasons()


def test_a_ceiling_that_is_taken_away_is_none(
    house: MemoryServer, gauge: Gauge, monkeypatch: pytest.MonkeyPatch
) -> None:
    gauge.used = 0.84
    house.run_for(1.5)
    monkeypatch.setattr(gauge, "read", lambda: None)
    house.run_for(1.5)
    assert house.house.health.reasons() == []
