"""Frames and connections that cost their sender next to nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cve.kit import (
    KIB,
    MIB,
    close_code,
    exchange,
    frame,
    guest,
    holding_at_most,
    stands_for,
    status,
    upgrade_request,
)
from wsloop.server.assembly import Options
from wsloop.testing.client import OPCODE_PING, OPCODE_PONG

if TYPE_CHECKING:
    from tests.cve.kit import Log
    from wsloop.testing.server import MemoryServer

PING, PONG = 0x89, 0x8A
BURST = 50
"""Control frames that may come at once; ten a second from then on."""


@stands_for(
    "CVE-2019-9512",
    where="HTTP/2 servers (ping flood)",
    fault="every ping queued an answer, as fast as they came",
    answer="1008 for more than ten control frames a second after a burst of fifty",
)
@pytest.mark.parametrize("first", [PING, PONG])
@pytest.mark.parametrize("payload", [b"", bytes(125)])
def test_a_flood_of_control_frames(house: MemoryServer, log: Log, first: int, payload: bytes) -> None:
    client = house.connect()
    client.send_bytes(frame(first, payload) * BURST)
    house.run_for(0.01)
    assert not client.is_gone
    client.send_bytes(frame(first, payload) * 10_000)
    house.run_until(lambda: client.is_gone)
    assert close_code(client) == 1008
    assert len(client.pongs) == (0 if first == PONG else BURST)
    log.only("sends too many control frames")


def test_a_control_frame_every_tenth_of_a_second_is_no_flood(house: MemoryServer) -> None:
    client = house.connect()
    for number in range(200):
        client.send_frame(OPCODE_PING, str(number).encode())
        house.run_for(0.11)
    assert [int(pong) for pong in client.pongs] == list(range(200))
    client.close()


@stands_for(
    "CVE-2026-109932",
    "CVE-2026-11586",
    where="undici, curl",
    fault="pongs were queued without a bound for a peer that sends pings and reads nothing",
    answer="1008, or the close of a slow peer; what is queued stays under the limit",
)
def test_pings_from_a_peer_that_reads_nothing(house: MemoryServer) -> None:
    client = house.connect()
    client.stop_reading()
    with holding_at_most(2 * MIB):
        for _ in range(600):
            if client.is_gone or len(house.server.registry) == 1:
                break
            client.send_bytes(frame(PING, bytes(125)) * 10)
            house.run_for(0.5)
    client.close()


@stands_for(
    "CVE-2021-3690",
    where="Undertow",
    fault="the buffer of every pong that came was never given back",
    answer="nothing is kept of a pong",
)
def test_pongs_leave_nothing_behind(house: MemoryServer) -> None:
    client = house.connect()

    def send(count: int) -> None:
        for _ in range(count):
            client.send_frame(OPCODE_PONG, bytes(125))
            house.run_for(0.11)

    send(50)
    with holding_at_most(64 * KIB):
        send(500)
    assert house.server.statistics().rings_lent == 0
    client.close()


@stands_for(
    "CVE-2021-22883",
    where="Node.js",
    fault="connections that spoke an unknown protocol were never released",
    answer="400 at the first byte that cannot begin a request; nothing stays open",
)
@pytest.mark.parametrize(
    ("first", "expected"),
    [(b"\x16\x03\x01", 400), (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505), (b"\x00" * 9, 400)],
)
def test_unknown_protocols_are_let_go(house: MemoryServer, first: bytes, expected: int) -> None:
    before = len(house.network.open_descriptors())
    for _ in range(200):
        assert status(exchange(house, first)) == expected
    house.run_for(0.1)
    assert len(house.network.open_descriptors()) == before


@stands_for(
    "CVE-2023-44487",
    where="HTTP/2 servers (rapid reset)",
    fault="a stream that was reset at once cost the server far more than its sender",
    answer="a connection that is reset at once leaves nothing",
)
@pytest.mark.parametrize("said", [b"", upgrade_request(), upgrade_request() + frame(0x81, b"hello")])
def test_connections_that_are_reset_at_once(house: MemoryServer, said: bytes) -> None:
    before = len(house.network.open_descriptors())

    def storm(count: int) -> None:
        for _ in range(count):
            client = guest(house)
            client.sock.send(said or b"G")
            house.reactor.run_once()
            client.reset()
            house.run_until(lambda: len(house.server.registry) == 1, within_s=1)
            client.close()

    storm(20)
    with holding_at_most(256 * KIB):
        storm(300)
    assert len(house.network.open_descriptors()) == before


class TestLimitedConnections:
    @pytest.fixture
    def options(self) -> Options:
        return Options(dev=True, max_connections=30, max_accepts_per_s=20)

    @stands_for(
        "CVE-2023-44487",
        where="HTTP/2 servers (rapid reset)",
        fault="the same, by connections that are opened faster than they can be served",
        answer="503 and Retry-After beyond the limit of new connections a second, before any work",
    )
    def test_connections_beyond_the_rate_are_told_503(self, house: MemoryServer, log: Log) -> None:
        request = upgrade_request(without="Sec-WebSocket-Version")
        answers = [exchange(house, request) for _ in range(200)]
        statuses = [status(answer) for answer in answers]
        served = statuses.index(503)
        assert statuses == [426] * served + [503] * (200 - served)
        assert served < 45
        assert all("retry-after: 5\r\n" in answer.lower() for answer in answers[served:])
        (line,) = (line for line in log.lines if line.startswith("WARNING"))
        assert "refused 1 (too many new connections: 1)" in line
        house.run_for(1.0)
        assert status(exchange(house, request)) == 426

    def test_connections_beyond_the_limit_are_told_503(self, house: MemoryServer, log: Log) -> None:
        clients = [house.connect() for _ in range(29)]
        answer = exchange(house, upgrade_request())
        assert status(answer) == 503
        assert "retry-after: 5\r\n" in answer.lower()
        (line,) = log.lines
        assert line.endswith("refused 1 (too many connections: 1)")
        for client in clients:
            client.close()
