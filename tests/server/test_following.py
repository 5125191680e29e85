"""A running server is given other options: what is open stays, what comes goes by the new ones."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from tests.server.api_kit import ADMIN, KEY, ApiHouse
from wsloop.protocol.deflate import DeflateOptions
from wsloop.protocol.limits import Limits
from wsloop.server.admission import Refusal
from wsloop.server.assembly import Options
from wsloop.server.following import follow
from wsloop.server.lifecycle import Deadlines
from wsloop.server.server import OutboxMarks
from wsloop.testing.server import MemoryServer

if TYPE_CHECKING:
    from wsloop.testing.client import MemoryClient

DEV = Options(dev=True)
SMALL = Limits(message_bytes=10)
GUEST = "192.0.2.1"


def change(server: MemoryServer, **changed: Any) -> None:
    follow(server.house, dataclasses.replace(DEV, **changed))


def echo(server: MemoryServer, client: MemoryClient, text: str) -> str | tuple[int, str]:
    """Return what comes back, or what the client is closed with."""
    before = len(client.texts)
    client.send_text(text)
    server.run_until(lambda: len(client.texts) > before or client.close_frame)
    return client.texts[-1] if client.close_frame is None else client.close_frame


def asking(server: MemoryServer, *headers: tuple[str, str]) -> MemoryClient:
    client = server.dial()
    client.upgrade("/echo", headers=headers)
    server.run_until(lambda: client.is_open or client.is_gone)
    return client


def admitted(server: MemoryServer, host: str = GUEST) -> MemoryClient:
    client = server.dial(source_host=host)
    client.upgrade("/echo")
    server.run_until(lambda: client.is_open or client.is_gone or client.http)
    return client


def test_a_connection_keeps_the_largest_message_it_was_told_and_the_next_has_the_new_one() -> None:
    with MemoryServer() as server:
        old = server.connect()
        change(server, echo_limits=SMALL)
        new = server.connect()
        assert echo(server, old, "eleven bytes") == "eleven bytes"
        assert echo(server, new, "ten bytes!") == "ten bytes!"
        assert echo(server, new, "eleven bytes") == (1009, new.close_frame and new.close_frame[1])


def test_compression_is_agreed_on_with_those_who_come() -> None:
    offer = (("Sec-WebSocket-Extensions", "permessage-deflate"),)
    with MemoryServer() as server:
        for deflate in (None, DeflateOptions(), None):
            change(server, echo_deflate=deflate)
            client = asking(server, *offer)
            assert (b"permessage-deflate" in client.http) is (deflate is not None)


@pytest.mark.parametrize(("before_s", "after_s"), [(25.0, 100.0), (100.0, 25.0)])
def test_pings_keep_the_pace_that_a_client_was_promised(before_s: float, after_s: float) -> None:
    def options(ping_s: float) -> dict[str, Any]:
        return {"deadlines": Deadlines(ping_interval_s=ping_s, pong_timeout_s=20.0)}

    with MemoryServer(options=dataclasses.replace(DEV, **options(before_s))) as server:
        old = server.join()
        change(server, **options(after_s))
        new = server.join()
        assert [client.replies[1]["connect"]["ping"] for client in (old, new)] == [before_s, after_s]
        server.run_for(1000.0)
        for client, pace_s in ((old, before_s), (new, after_s)):
            assert client.heartbeats == pytest.approx(1000 / pace_s, abs=2)
            assert client.close_frame is None


def test_origins_are_those_of_now() -> None:
    with MemoryServer() as server:
        for origins, opens in (((), False), (("https://a.example",), True), ((), False)):
            change(server, allowed_origins=frozenset(origins))
            assert asking(server, ("Origin", "https://a.example")).is_open is opens


def test_those_of_one_address_are_counted_though_there_was_no_limit_when_they_came() -> None:
    with MemoryServer() as server:
        first = [admitted(server) for _ in range(3)]
        change(server, max_per_host=3)
        assert Refusal.HOST.value.encode() in admitted(server).http
        first[0].close()
        server.run_until(lambda: server.server.clients == 2)
        assert admitted(server).is_open
        assert Refusal.HOST.value.encode() in admitted(server).http
        change(server, max_per_host=0)
        assert all(admitted(server).is_open for _ in range(3))
        change(server, max_per_host=6)
        for client in first[1:]:
            client.close()
        server.run_until(lambda: server.server.clients == 4)
        assert [admitted(server).is_open for _ in range(3)] == [True, True, False]


def test_who_is_in_stays_though_they_are_too_many_now() -> None:
    with MemoryServer() as server:
        clients = [server.connect() for _ in range(4)]
        change(server, max_connections=2, max_accepts_per_s=1000.0)
        assert Refusal.FULL.value.encode() in admitted(server).http
        for client in clients:
            assert echo(server, client, "still here") == "still here"
        for client in clients[1:]:
            client.close()
        server.run_until(lambda: server.server.clients == 1)
        assert admitted(server).is_open


def status(server: ApiHouse, key: str, client: MemoryClient) -> int:
    before = len(client.http)
    head = f"POST /api/info HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {key}\r\nContent-Length: 2"
    client.send_bytes(f"{head}\r\n\r\n{{}}".encode())
    server.run_until(lambda: len(client.http) > before)
    return int(client.http[before:].split()[1])


def test_a_key_of_the_api_is_not_good_any_more_even_on_a_connection_that_showed_it() -> None:
    with ApiHouse() as server:
        kept = server.dial(at=ADMIN)
        assert status(server, KEY, kept) == 200
        for key, expected in ((None, 404), ("another-key", 401), (KEY, 200), ("", 200)):
            change(server, api_key=key, dev=False)
            assert status(server, KEY, server.dial(at=ADMIN)) == expected
            assert status(server, "wrong-key", server.dial(at=ADMIN)) == (
                expected if key in (None, "") else 401
            )
        kept = server.dial(at=ADMIN)
        assert status(server, KEY, kept) == 200
        change(server, api_key="another-key")
        assert status(server, KEY, kept) == 401


def test_messages_are_joined_and_delayed_otherwise_from_the_next_one_on() -> None:
    with MemoryServer() as server:
        ann = server.join("ann")
        server.ask(ann, subscribe={"channel": "x"})
        change(server, batch_delay_s=0.5, messages_per_frame=2)
        began_s = server.clock.now()
        server.hub.publish("x", b"1")
        server.run_until(lambda: ann.publications("x"))
        assert server.clock.now() - began_s >= 0.5
        change(server)
        began_s = server.clock.now()
        server.hub.publish("x", b"2")
        server.run_until(lambda: len(ann.publications("x")) == 2)
        assert server.clock.now() - began_s < 0.5


def test_history_is_cut_to_a_smaller_ceiling_when_the_next_publication_comes() -> None:
    with MemoryServer() as server:
        for number in range(20):
            server.hub.publish(f"chat:{number}", b'"%b"' % (b"x" * 1000))
        held = server.hub.statistics().broker.bytes
        change(server, broker=type(DEV.broker)(memory_bytes=held // 4))
        server.hub.publish("chat:0", b"1")
        assert server.hub.statistics().broker.bytes <= held // 4


def test_nobody_loses_the_connection_whatever_is_changed() -> None:
    with MemoryServer() as server:
        echoing, messaging = server.connect(), server.join("ann")
        change(
            server, echo_limits=SMALL, messaging_limits=SMALL, max_connections=1, max_per_host=1,
            deadlines=Deadlines(ping_interval_s=5.0, pong_timeout_s=2.0, stall_s=1.0),
            outbox=OutboxMarks(10, 8, 4, hard_messages=1, age_s=1.0), namespaces={},
            allowed_origins=frozenset({"https://a.example"}), api_key="a-key-of-the-test",
        )  # fmt: skip
        server.run_for(300.0)
        assert echo(server, echoing, "still") == "still"
        assert server.ask(messaging, rpc={})["error"] == {"code": 108, "message": "not available"}
