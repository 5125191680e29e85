"""Refusals at the door: what the peer is told, what it costs, and what is left of it: nothing."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import h11
import pytest

from wsloop.server.assembly import Options
from wsloop.server.refusing import ANSWERS, LINGER_S, LINGERING_MAX, LOG_EVERY_S
from wsloop.testing.network import NetworkFaults
from wsloop.testing.server import ADDRESS, MemoryServer

if TYPE_CHECKING:
    from wsloop.testing.client import MemoryClient
    from wsloop.testing.memory_socket import MemorySocket

UPGRADE = (
    b"GET /echo HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def told(client: MemoryClient) -> tuple[int, bytes]:
    """The status a client was told, and the body; the answer must be whole."""
    peer = h11.Connection(h11.CLIENT)
    peer.send(h11.Request(method="GET", target="/", headers=[("Host", "h")]))
    peer.send(h11.EndOfMessage())
    peer.receive_data(client.http)
    peer.receive_data(b"")
    answer = peer.next_event()
    assert isinstance(answer, h11.Response)
    assert (b"retry-after", b"5") in list(answer.headers)
    assert (b"connection", b"close") in list(answer.headers)
    body = peer.next_event()
    assert isinstance(body, h11.Data)
    assert isinstance(peer.next_event(), h11.EndOfMessage)
    return answer.status_code, bytes(body.data)


def house_with(*, per_host: int = 0, rate: float = 0, total: int = 10_000, seed: int = 21) -> MemoryServer:
    options = Options(dev=True, max_connections=total, max_per_host=per_host, max_accepts_per_s=rate)
    return MemoryServer(seed=seed, options=options)


def dial_from(house: MemoryServer, host: str, count: int) -> list[MemorySocket]:
    return [house.network.connect(ADDRESS, host) for _ in range(count)]


def answers(sockets: list[MemorySocket]) -> list[bytes]:
    """The status line's beginning for each that was answered, b"" for the others."""
    return [sock.recv(12) if sock.readable() else b"" for sock in sockets]


def test_over_the_rate_peers_are_told_503_before_they_have_said_anything() -> None:
    with house_with(rate=5) as house:
        clients = [house.dial() for _ in range(15)]
        house.run_until(lambda: sum(client.is_gone for client in clients) == 5)
        assert [client.is_gone for client in clients] == [False] * 10 + [True] * 5
        assert told(clients[-1]) == (503, b"too many new connections\n")
        assert len(house.server.registry) == 10
        assert house.server.statistics().refused_total == 5
        house.run_for(1.0)
        later = [house.connect("/echo") for _ in range(6)]
        assert [client.is_open for client in later] == [True] * 5 + [False]


def test_over_the_total_a_peer_is_told_503_and_let_in_when_another_has_left() -> None:
    with house_with(total=2) as house:
        first, second = house.connect("/echo"), house.connect("/echo")
        third = house.connect("/echo")
        assert told(third) == (503, b"too many connections\n")
        first.send_close()
        house.run_until(lambda: first.is_gone and len(house.server.registry) == 1)
        assert house.connect("/echo").is_open
        assert not second.is_gone


def test_over_the_limit_per_address_a_peer_is_told_429_and_others_are_let_in() -> None:
    with house_with(per_host=3) as house:
        greedy = dial_from(house, "192.0.2.1", 5)
        others = dial_from(house, "192.0.2.2", 3)
        local = dial_from(house, "127.0.0.1", 9)
        house.run_for(0.1)
        assert answers(greedy) == [b"", b"", b"", b"HTTP/1.1 429", b"HTTP/1.1 429"]
        assert answers(others + local) == [b""] * 12
        greedy[0].close()
        house.run_for(0.1)
        again = dial_from(house, "192.0.2.1", 2)
        house.run_for(0.1)
        assert answers(again) == [b"", b"HTTP/1.1 429"]
        for sock in [*greedy, *others, *local, *again]:
            sock.close()
        house.run_for(2.0)


@pytest.mark.parametrize("speaks_first", [True, False])
def test_the_answer_is_not_destroyed_by_the_request_that_nobody_reads(speaks_first: bool) -> None:
    with house_with(rate=1) as house:
        [house.dial() for _ in range(2)]
        house.run_for(0.1)
        house.network.faults = NetworkFaults(min_delay_s=0.2, max_delay_s=0.2)
        client = house.network.connect(ADDRESS)
        if speaks_first:
            client.send(UPGRADE)
            house.run_for(0.5)
        else:
            house.run_for(0.5)
            client.send(UPGRADE)
        house.run_for(LINGER_S + 0.5)
        assert client.recv(10_000).startswith(b"HTTP/1.1 503 ")
        assert client.recv(10_000) == b""
        client.close()
        house.run_for(1.0)


def test_a_peer_that_never_closes_is_gone_after_a_second() -> None:
    with house_with(total=1) as house:
        first = house.connect("/echo")
        before = len(house.network.open_descriptors())
        silent = dial_from(house, "192.0.2.1", 1)
        house.run_for(LINGER_S / 2)
        silent += dial_from(house, "192.0.2.1", 1)
        house.run_for(0.1)
        assert len(house.network.open_descriptors()) == before + 4
        house.run_for(LINGER_S / 2)
        assert len(house.network.open_descriptors()) == before + 3
        house.run_for(LINGER_S / 2)
        assert len(house.network.open_descriptors()) == before + 2
        for sock in silent:
            sock.close()
        assert first.is_open


def test_no_more_linger_than_their_number_and_all_get_their_answer() -> None:
    with house_with(total=1) as house:
        house.connect("/echo")
        before = len(house.network.open_descriptors())
        crowd = dial_from(house, "192.0.2.1", 5 * LINGERING_MAX)
        house.run_for(0.1)
        assert len(house.network.open_descriptors()) == before + len(crowd) + LINGERING_MAX
        assert answers(crowd) == [b"HTTP/1.1 503"] * len(crowd)
        house.run_for(LINGER_S + 0.1)
        assert len(house.network.open_descriptors()) == before + len(crowd)
        for sock in crowd:
            sock.close()


@pytest.mark.parametrize("ending", ["reset before", "reset after", "short write"])
def test_a_refused_peer_that_fails_leaves_nothing(ending: str) -> None:
    with house_with(total=1) as house:
        house.connect("/echo")
        before = house.network.open_descriptors()
        client = house.network.connect(ADDRESS)
        if ending == "reset before":
            client.reset()
        elif ending == "short write":
            house.network.capacity_bytes = 10
        house.run_for(0.1)
        if ending == "reset after":
            client.reset()
        house.run_for(LINGER_S + 0.1)
        client.close()
        assert house.network.open_descriptors() == before
        assert house.reactor.statistics().errors == 0


def test_nothing_of_a_connection_is_made_for_who_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with house_with(total=1) as house:
        house.connect("/echo")

        def fail(*_arguments: object) -> None:
            raise AssertionError("a connection was made")

        monkeypatch.setattr("wsloop.server.server.Connection", fail)
        descriptors, timers = house.reactor.statistics().descriptors, house.reactor.statistics().timers
        crowd = dial_from(house, "192.0.2.1", 5)
        house.run_for(0.1)
        assert answers(crowd) == [b"HTTP/1.1 503"] * 5
        assert house.reactor.statistics().descriptors == descriptors
        assert house.reactor.statistics().timers <= timers + 2
        for sock in crowd:
            sock.close()


def test_a_storm_is_one_line_at_once_and_one_every_ten_seconds(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "wsloop.server")
    with house_with(total=1, per_host=1) as house:
        house.connect("/echo")
        for _ in range(3):
            for sock in dial_from(house, "192.0.2.1", 40):
                sock.close()
            house.run_for(1.0)
        house.run_for(2 * LOG_EVERY_S)
        assert [record.getMessage() for record in caplog.records] == [
            "refused 1 (too many connections: 1)",
            "refused 119 (too many connections: 119)",
        ]
        caplog.clear()
        for sock in dial_from(house, "192.0.2.1", 1):
            sock.close()
        house.run_for(LOG_EVERY_S)
        assert [record.getMessage() for record in caplog.records] == ["refused 1 (too many connections: 1)"]


def test_over_tls_a_refusal_is_a_close_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsloop.transport.tcp.TcpTransport.is_secure", True)
    with house_with(total=0) as house:
        client = house.network.connect(ADDRESS)
        house.run_for(0.1)
        assert client.recv(100) == b""
        client.close()
        assert house.server.statistics().refused_total == 1


def test_a_server_that_is_closed_keeps_nobody_waiting_at_the_door() -> None:
    with house_with(total=0) as house:
        client = house.network.connect(ADDRESS)
        house.run_for(0.1)
        assert len(house.network.open_descriptors()) > 1
        house.server.close()
        assert len(house.network.open_descriptors()) == 1
        assert client.recv(100).startswith(b"HTTP/1.1 503 ")
        client.close()


def test_a_connection_that_is_forgotten_twice_is_counted_once() -> None:
    with house_with(per_host=2) as house:
        clients = dial_from(house, "192.0.2.1", 2)
        house.run_for(0.1)
        (first, _second) = house.server.registry.snapshot()
        clients[0].close()
        house.run_for(0.1)
        house.server.forget(first)
        clients += dial_from(house, "192.0.2.1", 2)
        house.run_for(0.1)
        assert answers(clients[2:]) == [b"", b"HTTP/1.1 429"]
        for sock in clients:
            sock.close()


def test_a_connection_whose_making_failed_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    with house_with(per_host=1) as house:
        with monkeypatch.context() as patch:
            patch.setattr("wsloop.server.server.Connection", None)
            (broken,) = dial_from(house, "192.0.2.1", 1)
            house.run_for(0.1)
            broken.close()
        (first,) = dial_from(house, "192.0.2.1", 1)
        house.run_for(0.1)
        assert answers([first]) == [b""]
        first.close()


def test_every_answer_is_small_enough_for_one_send() -> None:
    assert all(len(answer) < 512 for answer in ANSWERS.values())
