"""Peers that take their time, stop half way, or never come back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cve.kit import (
    KIB,
    MIB,
    close_code,
    frame,
    guest,
    holding_at_most,
    stands_for,
    status,
    upgrade_request,
)
from wsloop.testing.client import OPCODE_BINARY

if TYPE_CHECKING:
    from tests.cve.kit import Log
    from wsloop.testing.server import MemoryServer

HANDSHAKE_S = 10.0
CLOSE_S = 5.0
STALL_S = 10.0

PLAIN = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


@stands_for(
    "CVE-2007-6750",
    where="Apache httpd (Slowloris)",
    fault="heads that never ended held connections for as long as a byte came now and then",
    answer="408 ten seconds after the connection began, however often bytes come",
)
@pytest.mark.parametrize("every_s", [0.5, 2.0, 9.0])
def test_a_head_that_never_ends(house: MemoryServer, log: Log, every_s: float) -> None:
    clients = [house.dial() for _ in range(50)]
    began_s = house.clock.now()
    line = 0
    while any(not client.is_gone for client in clients):
        line += 1
        for client in clients:
            if not client.is_gone:
                client.send_bytes(b"GET / HTTP/1.1\r\n" if line == 1 else b"X-%d: y\r\n" % line)
        house.run_for(every_s)
    assert house.clock.now() - began_s <= HANDSHAKE_S + CLOSE_S + every_s
    assert {status(client.http.decode()) for client in clients} == {408}
    assert len(log.lines) == 10


@stands_for(
    "CVE-2018-12122",
    "CVE-2019-5737",
    where="Node.js",
    fault="the deadline was not applied to the second request of a connection",
    answer="each request has a deadline of its own; nothing is said to a peer that is merely idle",
)
@pytest.mark.parametrize(("second", "answered"), [(b"GET / HT", 408), (b"", None)])
def test_a_second_request_has_a_deadline(house: MemoryServer, second: bytes, answered: int | None) -> None:
    client = house.dial()
    client.send_bytes(PLAIN)
    house.run_until(lambda: client.http)
    assert status(client.http.decode()) == 200
    client.http = b""
    client.send_bytes(second)
    house.run_until(lambda: client.is_gone, within_s=HANDSHAKE_S + CLOSE_S)
    assert (status(client.http.decode()) if client.http else None) == answered


@stands_for(
    "CVE-2018-12121",
    where="Node.js",
    fault="many large heads at once, not finished, exhausted the memory",
    answer="16 KiB a connection at most, then 431",
)
def test_large_heads_hold_little(house: MemoryServer) -> None:
    clients = [house.dial() for _ in range(50)]
    head = b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"".join(
        b"X: " + b"y" * 1000 + b"\r\n" for _ in range(15)
    )
    with holding_at_most(len(clients) * 64 * KIB):
        for client in clients:
            client.send_bytes(head)
        house.run_for(1)
    for client in clients:
        client.send_bytes(b"X: " + b"y" * 2000 + b"\r\n")
    house.run_until(lambda: all(client.is_gone for client in clients))
    assert {status(client.http.decode()) for client in clients} == {431}


@stands_for(
    "CVE-2020-36048",
    where="engine.io",
    fault="the body of a request was collected whatever its length",
    answer="413 for a body over 64 KiB; a shorter one is thrown away as it comes",
)
@pytest.mark.parametrize("how", ["Content-Length: 100000000", "Transfer-Encoding: chunked"])
def test_a_large_body_is_not_collected(house: MemoryServer, how: str) -> None:
    client = house.dial()
    client.send_bytes(f"POST / HTTP/1.1\r\nHost: localhost\r\n{how}\r\n\r\n".encode())
    with holding_at_most(1 * MIB):
        for _ in range(100):
            if client.is_gone:
                break
            client.send_bytes(b"8000\r\n" + bytes(32 * KIB) + b"\r\n")
            house.run_for(0.1)
    assert status(client.http.decode()) == 413
    client.close()


@stands_for(
    "CVE-2024-49769",
    where="Waitress",
    fault="a client that was gone before its connection was set up left the loop spinning on it",
    answer="the connection is forgotten within a few turns",
)
@pytest.mark.parametrize("how", ["close", "reset", "half"])
def test_a_client_that_is_gone_at_once(house: MemoryServer, how: str) -> None:
    before = house.reactor.statistics().turns
    for _ in range(20):
        client = house.dial()
        if how == "reset":
            client.reset()
        elif how == "half":
            client.sock.shutdown(1)
        house.reactor.run_once()
        client.close()
        house.run_until(lambda: len(house.server.registry) == 1, within_s=1)
    assert house.reactor.statistics().turns - before < 20 * 10


@stands_for(
    "CVE-2017-2670",
    where="Undertow",
    fault="a WebSocket whose TCP connection ended without a close frame left its thread in a loop",
    answer="the connection is forgotten within a few turns",
)
@pytest.mark.parametrize("how", ["close", "reset", "half"])
@pytest.mark.parametrize(
    "unsent", [b"", b"\x81", frame(0x81, b"x" * 200)[:50], frame(0x02, bytes(70_000))[:-1]]
)
def test_a_websocket_that_ends_without_a_close(house: MemoryServer, how: str, unsent: bytes) -> None:
    client = house.connect()
    client.send_bytes(unsent)
    house.run_until(client.has_sent_all)
    house.reactor.run_once()
    before = house.reactor.statistics().turns
    if how == "reset":
        client.reset()
    elif how == "half":
        client.sock.shutdown(1)
    else:
        client.close()
    house.run_until(lambda: len(house.server.registry) == 1, within_s=1)
    assert house.reactor.statistics().turns - before < 20
    client.close()


@stands_for(
    "CVE-2024-23672",
    where="Apache Tomcat",
    fault="a client kept its WebSocket open by never finishing the close handshake",
    answer="dropped five seconds after the close frame",
)
@pytest.mark.parametrize("keeps_sending", [False, True])
def test_a_close_that_is_never_answered(house: MemoryServer, keeps_sending: bool) -> None:
    client = house.connect()
    client.stop_reading()
    client.send_bytes(frame(0x83))  # a fault: the server sends its close frame
    house.run_for(0.1)
    began_s = house.clock.now()
    while len(house.server.registry) > 1:
        assert house.clock.now() - began_s < CLOSE_S + 1
        if keeps_sending and not client.is_gone:
            client.send_bytes(frame(0x81, b"still here"))
        house.run_for(0.25)
    client.close()


@stands_for(
    "CVE-2024-23672",
    where="Apache Tomcat",
    fault="the same, by a peer that is no longer there",
    answer="found by the heartbeat, in 35 seconds at most",
)
@pytest.mark.parametrize("unsent", [b"", frame(0x81, b"x" * 200)[:50]])
def test_a_peer_that_vanishes_is_found(house: MemoryServer, unsent: bytes) -> None:
    client = house.connect()
    client.send_bytes(unsent)
    house.run_for(0.1)
    client.vanish()
    house.run_until(lambda: len(house.server.registry) == 1, within_s=35 + CLOSE_S)


@stands_for(
    "CVE-2021-42340",
    where="Apache Tomcat",
    fault="an object of every WebSocket that had been closed was kept",
    answer="hundreds of connections later memory is as before",
)
def test_closed_connections_leave_nothing_behind(house: MemoryServer) -> None:
    def come_and_go(*, politely: bool) -> None:
        client = guest(house)
        client.upgrade("/echo")
        client.send_text("hello")
        house.run_until(lambda: client.texts)
        if politely:
            client.send_close()
            house.run_until(lambda: client.is_gone)
        client.close()
        house.run_until(lambda: len(house.server.registry) == 1)

    for _ in range(50):
        come_and_go(politely=True)
    with holding_at_most(256 * KIB):
        for number in range(300):
            come_and_go(politely=bool(number % 2))


@stands_for(
    "CVE-2020-35896",
    where="ws (crates.io)",
    fault="what a peer did not read was queued without a limit",
    answer="a peer that stops reading is not read either, and closed if it takes nothing for ten seconds",
)
def test_an_echo_that_is_not_read(house: MemoryServer, log: Log) -> None:
    client = house.connect()
    client.stop_reading()
    for _ in range(100):
        client.send_frame(OPCODE_BINARY, bytes(100 * KIB))
    connection, most_bytes = house.server.registry.snapshot()[-1], 0
    began_s = house.clock.now()
    while len(house.server.registry) > 1:
        assert house.clock.now() - began_s < STALL_S + CLOSE_S + 2
        house.reactor.run_once()
        most_bytes = max(most_bytes, connection._outbox.size)
    assert most_bytes <= (256 + 2 * 100) * KIB
    log.only("is slow")
    client.close()


@stands_for(
    "CVE-2020-35896",
    where="ws (crates.io)",
    fault="the same, by a subscriber of a busy channel",
    answer="3008 at 1 MiB; the publisher and the other subscribers notice nothing",
)
def test_a_subscription_that_is_not_read(house: MemoryServer, log: Log) -> None:
    slow, fast, writer = house.join(), house.join(), house.join()
    for client in (slow, fast):
        house.ask(client, subscribe={"channel": "chat:busy"})
    slow.stop_reading()
    text = "x" * 30_000
    for number in range(80):
        house.ask(writer, publish={"channel": "chat:busy", "data": {"n": number, "text": text}})
    house.run_until(lambda: len(fast.publications("chat:busy")) == 80)
    slow.resume_reading()
    house.run_until(lambda: slow.is_gone)
    assert close_code(slow) == 3008
    warned, closed = log.lines
    assert "falls behind" in warned
    assert "is slow" in closed
    for client in (slow, fast, writer):
        client.close()


@stands_for(
    "CVE-2019-5737",
    where="Node.js",
    fault="a connection that had been upgraded, or half of it, escaped every deadline",
    answer="a handshake whose last byte never comes is 408",
)
def test_an_upgrade_that_lacks_its_last_byte(house: MemoryServer) -> None:
    client = house.dial()
    client.send_bytes(upgrade_request()[:-1])
    house.run_until(lambda: client.is_gone, within_s=HANDSHAKE_S + CLOSE_S)
    assert status(client.http.decode()) == 408
