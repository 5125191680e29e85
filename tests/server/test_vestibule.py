"""Listed proxies that speak the PROXY protocol: whom they bring is the peer, to everybody behind."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.protocol.test_proxy_header import addresses, binary, line
from wsloop.protocol.proxy_header import SIGNATURE
from wsloop.server.assembly import CONNECTION_PATH, Options
from wsloop.server.forwarded import Proxies
from wsloop.testing.client import MessagingMemoryClient
from wsloop.testing.network import NetworkFaults
from wsloop.testing.server import MemoryServer
from wsloop.transport.bind import UnixBind

if TYPE_CHECKING:
    from wsloop.testing.client import MemoryClient

PROXY, CLIENT, STRANGER = "10.0.0.1", "203.0.113.9", "192.0.2.7"
ONE = line("TCP4", CLIENT, PROXY, 4711, 443)
TWO = binary(0x11, addresses(CLIENT, PROXY, 4711, 443) + b"\x03\x00\x04more")
LOCAL = binary(0x00, b"", command=0x20)
GET = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
UNIX = UnixBind("/run/wsloop.sock")


class House(MemoryServer):
    """A server behind 10.0.0.0/8 and a Unix socket's proxy, which speak the PROXY protocol."""

    def __init__(self, seed: int = 0, **options: Any) -> None:
        proxies = Proxies(["10.0.0.0/8", "unix"], "proxy-protocol")
        made = Options(**{"dev": True, "proxies": proxies, "max_per_host": 2, **options})
        super().__init__(seed=seed, options=made)
        self.server.listen(UNIX)

    def come(self, said: bytes = ONE, peer: str = PROXY, **at: Any) -> MessagingMemoryClient:
        """Return a client whose upgrade request stands behind `said` and was answered."""
        client = self.dial(MessagingMemoryClient, source_host=peer, **at)
        client.send_bytes(said)
        client.upgrade(CONNECTION_PATH, (("X-Forwarded-For", "1.1.1.1"), ("Forwarded", "for=1.1.1.1")))
        self.run_until(lambda: client.is_open or client.is_gone)
        return client

    def say(self, said: bytes, peer: str = PROXY) -> MemoryClient:
        client = self.dial(source_host=peer)
        client.send_bytes(said)
        self.run_for(0.1)
        return client

    def peers(self) -> list[str]:
        return [each.peer for each in self.server.client_connections()]


@pytest.mark.parametrize(
    ("said", "peer"),
    [
        (ONE, f"{CLIENT}:4711"),
        (TWO, f"{CLIENT}:4711"),
        (line("TCP6", "2001:db8::7", "::1", 4711, 443), "[2001:db8::7]:4711"),
        (line("TCP6", f"::ffff:{CLIENT}", "::1", 4711, 443), f"{CLIENT}:4711"),
    ],
)
def test_the_client_is_the_peer_and_no_header_of_a_request_counts(said: bytes, peer: str) -> None:
    with House() as house:
        assert house.come(said).is_open
        assert house.come(said, at=UNIX).is_open
        assert house.peers() == [peer, peer]


def test_a_proxys_own_connection_is_its_own() -> None:
    with House() as house:
        for said in (LOCAL, b"PROXY UNKNOWN\r\n"):
            client = house.say(said + GET)
            assert client.http.startswith(b"HTTP/1.1 200 ")
        assert house.come(LOCAL).is_open
        assert house.come(LOCAL, at=UNIX).is_open
        assert [each.peer_host for each in house.server.client_connections()] == [PROXY, "unix"]


def test_a_limit_by_address_counts_whom_the_proxy_brings_before_it_has_asked_for_anything() -> None:
    with House() as house:
        first, _ = house.come(), house.come(TWO)
        third = house.say(ONE)
        assert third.http.startswith(b"HTTP/1.1 429 ")
        assert house.come(line("TCP4", "198.51.100.1", PROXY, 1, 2)).is_open
        assert house.server.refusals()["host"] == 1
        first.close()
        house.run_until(lambda: len(house.peers()) == 2)
        assert house.come().is_open


def test_a_client_whose_own_address_is_listed_is_a_client_like_others() -> None:
    """There may be clients in the proxies' network; and a list of all networks lists everybody."""
    with House() as house:
        said = line("TCP4", "10.9.9.9", PROXY, 4711, 443)
        first, _ = house.come(said), house.come(said)
        assert house.say(said).http.startswith(b"HTTP/1.1 429 ")
        assert house.peers() == ["10.9.9.9:4711", "10.9.9.9:4711"]
        house.server.limit_admission(100, 2, 0)
        assert house.say(said).http.startswith(b"HTTP/1.1 429 ")
        first.close()
        house.run_until(lambda: len(house.peers()) == 1)
        assert house.come(said).is_open


@given(st.integers(0, 2**32), st.sampled_from([ONE, TWO, LOCAL]))
def test_however_the_bytes_come_the_client_is_served(seed: int, said: bytes) -> None:
    with House(seed) as house:
        house.network.faults = NetworkFaults(max_delay_s=0.5, max_read_bytes=3, eagain_chance=0.3)
        client = house.come(said)
        assert client.is_open
        (peer,) = house.peers()
        assert peer.startswith(PROXY if said is LOCAL else f"{CLIENT}:4711")
        assert house.server.arriving() == 0


def test_who_is_not_listed_cannot_speak_it_and_need_not() -> None:
    with House() as house:
        assert house.say(ONE + GET, STRANGER).http.startswith(b"HTTP/1.1 400 ")
        assert house.say(TWO + GET, STRANGER).http.startswith(b"HTTP/1.1 400 ")
        assert house.come(b"", STRANGER).is_open
        (peer,) = house.peers()
        assert peer.startswith(f"{STRANGER}:")


@pytest.mark.parametrize(
    "said", [GET, b"PROXY TCP4 1 2 3 4\r\n", SIGNATURE + b"\x21\x11\x00\x00", b"\x16\x03\x01"]
)
def test_a_listed_proxy_that_speaks_otherwise_is_not_guessed_at(
    said: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with House() as house:
        client = house.say(said)
        assert client.is_gone
        assert client.http == b""
        assert house.server.statistics().connections == 0
    (told,) = caplog.messages
    assert told.startswith(f"{PROXY}:")
    assert "is a listed proxy and its PROXY header is wrong: " in told


def test_who_says_half_of_it_waits_no_longer_than_for_a_handshake_and_counts_meanwhile() -> None:
    with House(max_connections=2) as house:
        half, silent = house.say(ONE[:20]), house.say(b"")
        assert house.server.arriving() == 2
        refused = house.say(b"")
        assert refused.http.startswith(b"HTTP/1.1 503 ")
        assert house.server.refusals()["full"] == 1
        house.run_for(house.server.deadlines.handshake_s)
        assert half.is_gone
        assert silent.is_gone
        assert house.server.arriving() == 0
        assert house.come().is_open


@given(st.lists(st.sampled_from([ONE, TWO, ONE[:20], b""]), max_size=10), st.booleans())
def test_who_waits_and_who_is_in_are_never_more_than_may_be(said: list[bytes], comes_at_once: bool) -> None:
    with House(max_connections=3, max_per_host=0) as house:
        listeners = house.server.listeners
        for listener in listeners if comes_at_once else ():
            listener.pause()
        for each in said:
            house.say(each)
        for listener in listeners if comes_at_once else ():
            listener.resume()
        house.run_for(0.1)
        assert house.server.arriving() == min(3, len(said))
        assert house.server.accepted_total == len(said)
        assert house.server.refusals()["full"] == max(0, len(said) - 3)


@pytest.mark.parametrize("is_reset", [True, False])
def test_who_goes_before_it_has_said_all_is_forgotten(is_reset: bool) -> None:
    with House() as house:
        client = house.say(ONE[:20])
        if is_reset:
            client.reset()
        else:
            client.close()
        house.run_for(0.1)
        assert house.server.arriving() == 0
        assert house.server.statistics().connections == 0


def test_a_drain_and_an_end_leave_nobody_waiting() -> None:
    with House() as house:
        client = house.say(ONE[:20])
        ended: list[None] = []
        house.server.drain(lambda: ended.append(None))
        house.run_until(lambda: ended)
        assert client.is_gone
    with House() as house:
        house.say(ONE[:20])
    assert house.network.open_descriptors() == {}


def test_what_fails_in_here_costs_one_connection(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with House() as house:
        client = house.say(ONE[:20])

        def fail(_data: bytes) -> None:
            raise RuntimeError("a bug")

        with monkeypatch.context() as patch:
            patch.setattr("wsloop.server.vestibule.ProxyHeader.receive", lambda _self, data: fail(data))
            client.send_bytes(ONE[20:])
            house.run_for(0.1)
        assert client.is_gone
        assert house.come().is_open
        assert house.server.arriving() == 0
    assert "was dropped" in caplog.text
    assert caplog.records[0].levelno == logging.ERROR


def test_the_operators_software_speaks_nothing_else() -> None:
    with House() as house:
        house.server.listen_admin(UnixBind("/run/admin.sock"), house.admin)
        client = house.dial(at=UnixBind("/run/admin.sock"))
        client.send_bytes(GET)
        house.run_until(lambda: client.is_gone)
        assert client.http.startswith(b"HTTP/1.1 200 ")
