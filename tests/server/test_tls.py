"""Connections over TLS on virtual ports: what the transport holds must not be forgotten by the loop."""

from __future__ import annotations

import gc
import logging
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.server.tls_client import TlsMemoryClient, TlsMessagingMemoryClient, tls_server
from tests.transport.tls_kit import write_pair
from wsloop.protocol.limits import Limits
from wsloop.server.assembly import CONNECTION_PATH, Options
from wsloop.server.connection import Connection
from wsloop.server.turn import Turn
from wsloop.testing.client import OPCODE_CLOSE, MemoryClient, masked_frame
from wsloop.testing.network import NetworkFaults
from wsloop.testing.server import MemoryServer
from wsloop.transport.bind import TcpBind, UnixBind
from wsloop.transport.certificates import Certificates
from wsloop.transport.client_hello import HTTP_REFUSAL
from wsloop.transport.tls import TlsTransport
from wsloop.transport.tls_engine import TlsEngine
from wsloop.transport.tls_state import TlsState

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MIB = 1024 * 1024


@pytest.fixture
def side(tmp_path: Path) -> Certificates:
    return Certificates(*write_pair(tmp_path))


@pytest.fixture
def house(side: Certificates) -> Iterator[MemoryServer]:
    options = Options(dev=True, echo_limits=Limits(message_bytes=8 * MIB))
    with tls_server(seed=5, side=side, options=options) as made:
        yield made
    assert made.network.open_descriptors() == {}
    assert made.reactor.statistics().errors == 0


def opened(house: MemoryServer, path: str = "/echo", *headers: tuple[str, str]) -> TlsMemoryClient:
    """Return a client whose upgrade was answered."""
    client = house.dial(TlsMemoryClient)
    client.upgrade(path, headers)
    run_until_open(house, client)
    return client


def run_until_open(house: MemoryServer, client: MemoryClient) -> None:
    """Turn until the upgrade was answered, or the client is gone."""
    house.run_until(lambda: client.is_open or client.is_gone)


def run_until_gone(house: MemoryServer, client: MemoryClient) -> None:
    """Turn until the client has seen the end."""
    house.run_until(lambda: client.is_gone)


def at_rest(house: MemoryServer) -> bool:
    statistics = house.server.statistics()
    return statistics.connections == 0 and statistics.rings_lent == 0


# -- bytes -----------------------------------------------------------------------------------------


@given(
    seed=st.integers(0, 10_000),
    delay_s=st.sampled_from([0.0, 0.3]),
    most_read=st.one_of(st.none(), st.integers(1, 2_000)),
    most_written=st.one_of(st.none(), st.integers(1, 2_000)),
    eagain=st.sampled_from([0.0, 0.3]),
    sizes=st.lists(st.one_of(st.integers(0, 200), st.integers(0, 150_000)), min_size=1, max_size=6),
    paused=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_every_message_comes_back_over_any_network(
    seed: int,
    delay_s: float,
    most_read: int | None,
    most_written: int | None,
    eagain: float,
    sizes: list[int],
    paused: bool,
) -> None:
    faults = NetworkFaults(0.0, delay_s, most_read, most_written, eagain)
    with tls_server(seed, faults=faults) as house:
        client = opened(house)
        # A network that takes a byte at a time is not given a megabyte.
        most = min(most_read or MIB, most_written or MIB) * 50
        messages = [bytes([size % 251]) * min(size, most) for size in sizes]
        if paused:
            client.stop_reading()
        for message in messages:
            client.send_binary(message)
        if paused:
            house.run_for(1.0)
            client.resume_reading()
        house.run_until(lambda: len(client.binaries) == len(messages), within_s=600)
        assert client.binaries == messages
        client.send_close()
        house.run_until(lambda: at_rest(house) and client.is_gone)
        assert client.close_frame == (1000, "")
    assert house.network.open_descriptors() == {}


def test_five_mebibytes_go_both_ways(house: MemoryServer) -> None:
    client = opened(house)
    message = bytes(range(256)) * (5 * MIB // 256)
    client.send_binary(message)
    house.run_until(lambda: client.binaries)
    assert client.binaries == [message]


def test_a_thousand_messages_in_few_records_are_all_answered_though_nothing_more_arrives(
    house: MemoryServer,
) -> None:
    client = opened(house)
    client.send_bytes(b"".join(masked_frame(1, b"%d" % number, b"abcd") for number in range(1_000)))
    house.run_until(lambda: len(client.texts) == 1_000, within_s=1)
    assert client.texts == [str(number) for number in range(1_000)]


@pytest.mark.parametrize("capacity_bytes", range(100, 3_000, 200))
def test_answers_over_a_turns_budget_and_the_kernels_room_arrive_without_a_nudge(
    house: MemoryServer, capacity_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = opened(house)
    monkeypatch.setattr(Turn, "grant", lambda _turn, _size_bytes: 20)
    client.tls.write(b"".join(masked_frame(1, b"number %3d" % number, b"abcd") for number in range(200)))
    house.network.capacity_bytes = capacity_bytes
    client.stop_reading()
    house.run_for(0.5)
    client.resume_reading()
    house.run_until(lambda: len(client.texts) == 200, within_s=5)


def test_a_thousand_records_in_one_piece_are_all_answered_though_nothing_more_arrives(
    house: MemoryServer,
) -> None:
    client = opened(house)
    for number in range(1_000):
        client.tls.write(masked_frame(1, b"%d" % number, b"abcd"))
    house.run_until(lambda: len(client.texts) == 1_000, within_s=1)


def test_pipelined_requests_over_the_turns_budget_are_all_answered(house: MemoryServer) -> None:
    client = house.dial(TlsMemoryClient)
    for _ in range(100):
        client.send_bytes(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    house.run_until(lambda: client.http.count(b"200 OK") == 100, within_s=1)


def test_messaging_works_as_without_tls(house: MemoryServer) -> None:
    client = house.dial(TlsMessagingMemoryClient)
    client.upgrade(CONNECTION_PATH)
    number = client.command(connect={})
    house.run_until(lambda: number in client.replies)
    house.ask(client, subscribe={"channel": "chat:a"})
    house.ask(client, publish={"channel": "chat:a", "data": {"text": "x" * 20_000}})
    house.run_until(lambda: client.publications("chat:a"))
    house.run_for(300)
    assert client.heartbeats > 5
    assert not client.is_gone


def test_a_peer_that_does_not_read_is_not_read_and_gets_all_when_it_does(house: MemoryServer) -> None:
    client = opened(house)
    (connection,) = house.server.registry.snapshot()
    client.stop_reading()
    for _ in range(40):
        client.send_binary(bytes(50_000))
    house.run_for(2.0)
    assert not client.has_sent_all()
    assert connection._outbox.is_high
    client.resume_reading()
    house.run_until(lambda: len(client.binaries) == 40)
    assert not connection._transport.has_output
    house.run_until(lambda: connection._interest == 1)


# -- the end ---------------------------------------------------------------------------------------


def test_a_drain_closes_by_the_protocol_and_with_a_close_notify(house: MemoryServer) -> None:
    client = opened(house)
    drained: list[bool] = []
    house.server.drain(lambda: drained.append(True))
    house.run_until(lambda: drained, within_s=10)
    house.run_until(lambda: client.is_gone)
    assert client.close_frame == (1012, "shutdown")
    assert client.tls.state is TlsState.PEER_ENDED


def test_a_peer_that_broke_a_rule_hears_why_and_is_read_to_its_end(house: MemoryServer) -> None:
    client = opened(house)
    client.send_bytes(b"\x83\x80\0\0\0\0" + bytes(200_000))
    house.run_until(lambda: client.is_gone)
    assert client.close_frame is not None
    assert client.close_frame[0] == 1002
    house.run_until(lambda: at_rest(house))


def test_last_words_that_the_kernel_does_not_take_at_once_arrive_all_the_same(house: MemoryServer) -> None:
    house.network.capacity_bytes = 3_000
    client = opened(house)
    client.stop_reading()
    client.send_binary(bytes(5_000))
    client.send_close(1000)
    house.run_for(1.0)
    assert house.server.statistics().connections == 1
    client.resume_reading()
    house.run_until(lambda: client.is_gone)
    assert client.binaries == [bytes(5_000)]
    assert client.close_frame == (1000, "")
    house.run_until(lambda: at_rest(house))


@pytest.mark.parametrize("turns", range(0, 40, 3))
@pytest.mark.parametrize("how", ["reset", "close", "vanish"])
def test_a_client_may_go_at_any_point_and_leaves_nothing(house: MemoryServer, turns: int, how: str) -> None:
    house.network.faults = NetworkFaults(max_delay_s=0.01, max_read_bytes=300, max_write_bytes=300)
    client = house.dial(TlsMemoryClient)
    client.upgrade("/echo")
    client.send_binary(bytes(2_000))
    for _ in range(turns):
        house.reactor.run_once()
    getattr(client, how)()
    house.run_until(lambda: at_rest(house), within_s=120)


def test_nothing_of_a_closed_connection_is_left_to_the_collector(house: MemoryServer) -> None:
    gc.collect()
    gc.disable()
    try:
        for ending in ("close", "reset", "http", "half"):
            client = house.dial(MemoryClient if ending == "http" else TlsMemoryClient)
            client.upgrade("/echo")
            if ending in ("close", "reset"):
                run_until_open(house, client)
            elif ending == "http":
                run_until_gone(house, client)
            if ending == "close":
                client.send_close()
            elif ending == "reset":
                client.reset()
            house.run_for(0.5)
            client.close()
            house.run_until(lambda: at_rest(house))
        house._clients.clear()
        del client
        kinds = (Connection, TlsTransport, TlsEngine)
        left = [type(thing).__name__ for thing in gc.get_objects() if isinstance(thing, kinds)]
        assert left == []
    finally:
        gc.enable()


# -- handshakes that fail ---------------------------------------------------------------------------


def test_a_silent_peer_is_gone_after_the_handshakes_deadline(
    house: MemoryServer, side: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    client = house.dial(MemoryClient)
    began_s = house.clock.now()
    house.run_until(lambda: client.is_gone)
    assert 10.0 <= house.clock.now() - began_s < 10.2
    assert (client.http, caplog.records) == (b"", [])
    assert side.statistics().failures == {}


def test_a_handshake_that_stops_half_way_has_the_same_deadline_and_one_line(
    house: MemoryServer, side: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    client = house.dial(TlsMemoryClient)
    client.stop_reading()
    began_s = house.clock.now()
    house.run_until(lambda: len(house.server.registry))
    house.run_until(lambda: not len(house.server.registry))
    assert 10.0 <= house.clock.now() - began_s < 10.2
    assert side.statistics().failures == {"UNFINISHED": 1}
    assert len(caplog.records) == 1


def test_a_client_that_dribbles_its_request_over_tls_has_the_same_deadline(house: MemoryServer) -> None:
    client = house.dial(TlsMemoryClient)
    began_s = house.clock.now()
    client.send_bytes(b"GET ")
    house.run_for(9.0)
    assert not client.is_gone
    client.send_bytes(b"/")
    house.run_until(lambda: client.is_gone)
    assert client.http.startswith(b"HTTP/1.1 408 ")
    assert house.clock.now() - began_s < 10.2


def test_plain_http_is_told_that_the_port_speaks_tls_and_nobody_else_notices(house: MemoryServer) -> None:
    polite = opened(house)
    for size in (0, 100_000):
        client = house.dial(MemoryClient)
        client.send_bytes(b"POST /echo HTTP/1.1\r\nHost: localhost\r\n\r\n" + bytes(size))
        run_until_gone(house, client)
        assert client.http == HTTP_REFUSAL
    polite.send_text("still here")
    house.run_until(lambda: polite.texts)
    house.run_until(lambda: len(house.server.registry) == 1)


def test_garbage_ends_the_handshake_and_nobody_else_notices(
    house: MemoryServer, side: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    polite = opened(house)
    caplog.set_level(logging.INFO)
    client = house.dial(MemoryClient)
    client.send_bytes(bytes(range(256)) * 10)
    house.run_until(lambda: client.is_gone)
    polite.send_text("still here")
    house.run_until(lambda: polite.texts)
    assert sum(side.statistics().failures.values()) == 1
    assert [record.levelno for record in caplog.records] == [logging.INFO]


def test_a_stream_that_is_damaged_later_ends_with_1006_for_the_handler(house: MemoryServer) -> None:
    client = opened(house)
    client.sock.send(b"\x17\x03\x03\x00\x20" + bytes(32))
    house.run_until(lambda: at_rest(house))
    assert client.close_frame is None


# -- who may come -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("origin", "is_let_in"),
    [
        ("https://wsloop.test", True),
        ("HTTPS://WSLOOP.TEST", True),
        ("http://wsloop.test", False),
        ("https://elsewhere.test", False),
        ("null", False),
    ],
)
def test_over_tls_the_pages_own_origin_is_an_https_one(
    house: MemoryServer, origin: str, is_let_in: bool
) -> None:
    client = opened(house, "/echo", ("Origin", origin))
    assert client.is_open is is_let_in
    assert is_let_in or client.http.startswith(b"HTTP/1.1 403 ")


def test_without_tls_an_https_origin_is_that_of_a_proxy_in_front() -> None:
    with MemoryServer() as house:
        for scheme in ("http", "https"):
            client = house.dial()
            client.upgrade("/echo", (("Origin", f"{scheme}://wsloop.test"),))
            run_until_open(house, client)
            assert client.is_open


def test_a_unix_socket_stays_plain(house: MemoryServer) -> None:
    path = UnixBind("/run/wsloop.sock")
    house.server.listen(path)
    plain = MemoryClient(house.reactor, house.network.connect(path), house._chance)
    plain.upgrade("/echo")
    house.run_until(lambda: plain.is_open)
    plain.close()
    house.run_until(lambda: at_rest(house))


def test_every_tcp_port_speaks_tls(house: MemoryServer) -> None:
    other = TcpBind("127.0.0.1", 9000)
    house.server.listen(other)
    client = TlsMemoryClient(house.reactor, house.network.connect(other), house._chance)
    client.upgrade("/echo")
    house.run_until(lambda: client.is_open)
    client.send_frame(OPCODE_CLOSE, b"")
    house.run_until(lambda: client.is_gone)
    house.run_until(lambda: at_rest(house))
