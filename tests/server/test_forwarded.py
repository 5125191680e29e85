"""Whom a request came from: a listed proxy's word counts, and nobody can choose an address."""

from __future__ import annotations

import ipaddress
import logging
import random
import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wsloop.protocol.events import Request
from wsloop.server import access
from wsloop.server.assembly import CONNECTION_PATH, Options
from wsloop.server.forwarded import HOPS, Header, Proxies, Sender, network_of
from wsloop.testing.client import MessagingMemoryClient
from wsloop.testing.server import MemoryServer
from wsloop.transport.bind import UnixBind

LISTED = ("10.0.0.0/8", "2001:db8:1::/48", "127.0.0.1", "unix")
PROXY = "10.0.0.1"
CLIENT = "203.0.113.9"

listed_hosts = st.sampled_from(["10.1.2.3", "2001:db8:1::7", "127.0.0.1"])
foreign_hosts = (
    st.ip_addresses()
    .map(str)
    .filter(lambda host: "%" not in host and "::ffff:" not in host and not Proxies(LISTED).lists(host))
)
headers: st.SearchStrategy[Header] = st.sampled_from(["x-forwarded-for", "forwarded"])
hearsay = st.one_of(
    st.lists(st.one_of(listed_hosts, foreign_hosts), max_size=4).map(", ".join),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, blacklist_characters="\x7f"), max_size=60),
    st.text('for=";,\\ 1.:[]', max_size=40),
)


def request(**named: str) -> Request:
    pairs = tuple((name.replace("_", "-").encode(), text.encode("latin-1")) for name, text in named.items())
    return Request("GET", "/", "/", "", pairs)


def written(header: Header, host: str, port: str = "") -> str:
    """Return what a proxy writes about whom it serves."""
    node = f"[{host}]{port}" if ":" in host and (port or header == "forwarded") else f"{host}{port}"
    if header == "x-forwarded-for":
        return node
    return f'for="{node}";proto=http' if ":" in node else f"for={node};proto=http"


def sender(header: Header, text: str, peer: str = PROXY) -> str:
    heard = request(**{header.replace("-", "_"): text})
    return Proxies(LISTED, header).sender(heard, peer, is_secure=False).host


# -- the properties --------------------------------------------------------------------------


@given(headers, foreign_hosts, hearsay, st.booleans())
def test_nobody_who_is_not_listed_can_choose_its_address(
    header: Header, peer: str, text: str, is_secure: bool
) -> None:
    heard = request(x_forwarded_for=text, forwarded=f"for={text}", x_forwarded_proto="https", x_real_ip=text)
    judged = Proxies(LISTED, header).sender(heard, peer, is_secure=is_secure)
    assert judged == Sender(peer, is_secure)


@given(headers, hearsay, foreign_hosts, st.lists(listed_hosts, max_size=4), st.sampled_from(["", ":443"]))
@example("forwarded", 'for="', CLIENT, [], "")
@example("forwarded", 'for=1.2.3.4;host="', "2001:db8::1", ["2001:db8:1::7"], ":443")
@example("x-forwarded-for", "1.2.3.4", CLIENT, [], "")
def test_behind_listed_proxies_it_is_whom_the_first_of_them_saw_whatever_that_one_said(
    header: Header, said: str, client: str, proxies: list[str], port: str
) -> None:
    """The client sends `said`; each proxy adds whom it serves and passes it on."""
    text = said
    for host in [client, *proxies]:
        text = f"{text}, {written(header, host, port)}" if text else written(header, host, port)
    assert sender(header, text) == client


@given(headers, st.text(st.characters(min_codepoint=1, max_codepoint=0xFF), max_size=80), hearsay)
def test_whatever_a_header_holds_the_answer_is_an_address_or_the_peer(
    header: Header, text: str, other: str
) -> None:
    for whole in (text, f"{other},{text}"):
        host = sender(header, whole, "unix")
        assert host == "unix" or str(ipaddress.ip_address(host)) == host


@given(headers, st.lists(listed_hosts, min_size=1, max_size=HOPS))
def test_where_all_are_listed_it_is_the_furthest(header: Header, hosts: list[str]) -> None:
    assert sender(header, ", ".join(written(header, host) for host in hosts)) == hosts[0]


# -- single cases ----------------------------------------------------------------------------

MALFORMED = [
    "", ",", "unknown", "_hidden", "1.2.3", "1.2.3.4.5", "1.2.3.4:5:6", "[1.2.3.4]", "[::1", "::1]", "[::1]x",
    "fe80::1%eth0", '"1.2.3.4"', "localhost", "unix", "unix:", "1.2.3.4,", "1.2.3.4 5.6.7.8", "1.2.3.4;",
    "0x7f.1", "01.2.3.4", "\u00b9.2.3.4",
]  # fmt: skip


@pytest.mark.parametrize("text", MALFORMED)
def test_a_malformed_right_end_is_the_peers_own_address(text: str) -> None:
    assert sender("x-forwarded-for", text) == PROXY
    assert sender("x-forwarded-for", f"{CLIENT}, {text}, 10.9.9.9") == PROXY


@pytest.mark.parametrize(
    "text",
    ["", "for", "for=", "by=1.2.3.4", "for=1.2.3.4;for=1.2.3.5", 'for="1.2.3.4', r'for="1.2.3.\4"', "for=_x"],
)
def test_a_malformed_forwarded_is_the_peers_own_address(text: str) -> None:
    assert sender("forwarded", text) == PROXY


@pytest.mark.parametrize(
    ("text", "client"),
    [
        ("203.0.113.9", CLIENT),
        ("203.0.113.9:4711", CLIENT),
        ("::ffff:203.0.113.9", CLIENT),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("198.51.100.1,\t203.0.113.9 , 10.3.3.3", CLIENT),
    ],
)
def test_an_address_may_have_brackets_and_a_port(text: str, client: str) -> None:
    assert sender("x-forwarded-for", text) == client


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("for=203.0.113.9", Sender(CLIENT, is_secure=False)),
        ("For=203.0.113.9;Proto=HTTPS;by=10.0.0.1", Sender(CLIENT, is_secure=True)),
        ('for="203.0.113.9:80";proto="https"', Sender(CLIENT, is_secure=True)),
        ('for="[2001:db8::1]:80";host="a;b,c";', Sender("2001:db8::1", is_secure=False)),
        ("for=203.0.113.9;proto=https, for=10.2.2.2;proto=http", Sender(CLIENT, is_secure=True)),
        ("for=203.0.113.9;proto=ftp", Sender(CLIENT, is_secure=False)),
    ],
)
def test_forwarded_tells_of_each_hop_its_address_and_protocol(text: str, expected: Sender) -> None:
    heard = request(forwarded=text, x_forwarded_for="1.2.3.4", x_forwarded_proto="http")
    assert Proxies(LISTED, "forwarded").sender(heard, PROXY, is_secure=False) == expected


@pytest.mark.parametrize(
    ("proto", "over_tls", "is_secure"),
    [
        ("https", False, True), ("WSS", False, True), ("http, https", False, True), ("http", True, False),
        ("https, http", False, False), ("on", True, True), ("on", False, False), ("", True, True),
    ],
)  # fmt: skip
def test_the_last_x_forwarded_proto_tells_how_the_proxy_was_reached(
    proto: str, over_tls: bool, is_secure: bool
) -> None:
    heard = request(x_forwarded_proto=proto, x_forwarded_for=CLIENT, forwarded="for=1.2.3.4;proto=https")
    assert Proxies(LISTED).sender(heard, PROXY, is_secure=over_tls) == Sender(CLIENT, is_secure)


def test_without_a_header_it_is_the_peer() -> None:
    assert Proxies(LISTED).sender(request(), "unix", is_secure=False) == Sender("unix", is_secure=False)
    assert Proxies(LISTED, "forwarded").sender(request(), PROXY, is_secure=True) == Sender(PROXY, True)


def test_more_hops_than_there_are_anywhere_are_malformed() -> None:
    assert sender("x-forwarded-for", ",".join([CLIENT] + ["10.0.0.2"] * (HOPS - 1))) == CLIENT
    assert sender("x-forwarded-for", ",".join([CLIENT] + ["10.0.0.2"] * 2 * HOPS)) == PROXY


@pytest.mark.parametrize("host", ["unix", "10.255.0.1", "2001:db8:1:ffff::1", "127.0.0.1"])
def test_who_is_listed(host: str) -> None:
    assert Proxies(LISTED).lists(host)
    assert not Proxies().lists(host)


@pytest.mark.parametrize("host", ["?", "11.0.0.1", "2001:db8:2::1", "127.0.0.2", "fe80::1%eth0"])
def test_who_is_not(host: str) -> None:
    assert not Proxies(LISTED).lists(host)


@pytest.mark.parametrize(
    "text", ["*", "", "localhost", "10.0.0.1/8", "::1%lo", "::ffff:1.2.3.4", "10.0.0.0/33"]
)
def test_what_cannot_be_listed(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        network_of(text)


# -- in the server ---------------------------------------------------------------------------


class House(MemoryServer):
    """A server behind 10.0.0.1 to 10.255.255.255, on its own port and with an admin listener."""

    def __init__(self, **options: Any) -> None:
        super().__init__(options=Options(dev=True, proxies=Proxies(LISTED), max_per_host=2, **options))

    def come(self, peer: str = PROXY, forwarded_for: str = CLIENT, **more: str) -> MessagingMemoryClient:
        """Return a client whose upgrade request was answered, from `peer` and with these headers."""
        client = self.dial(MessagingMemoryClient, source_host=peer)
        named = {
            "X-Forwarded-For": forwarded_for,
            **{name.replace("_", "-"): text for name, text in more.items()},
        }
        client.upgrade(CONNECTION_PATH, tuple(each for each in named.items() if each[1]))
        self.run_until(lambda: client.is_open or client.is_gone)
        return client


def test_a_limit_by_address_counts_whom_the_proxy_serves() -> None:
    with House() as house:
        first, second = house.come(), house.come("10.0.0.2")
        third, other = house.come(), house.come(forwarded_for="198.51.100.7")
        assert first.is_open
        assert second.is_open
        assert other.is_open
        assert third.http.startswith(b"HTTP/1.1 429 ")
        assert b"\r\nRetry-After: 5\r\n" in third.http
        assert house.server.statistics().refused_total == 1
        first.close()
        house.run_until(lambda: house.server.statistics().connections == 2)
        assert house.come().is_open


def test_a_proxy_that_says_nothing_is_counted_itself_and_a_client_that_lies_too() -> None:
    with House() as house:
        for peer, claimed in (
            (PROXY, ""),
            (PROXY, "unknown"),
            ("192.0.2.7", "1.1.1.1"),
            ("192.0.2.7", "1.1.1.2"),
        ):
            assert house.come(peer, claimed).is_open
        assert house.come(PROXY, "").http.startswith(b"HTTP/1.1 429 ")
        assert house.come("192.0.2.7", "1.1.1.3").http.startswith(b"HTTP/1.1 429 ")


def test_whoever_uses_a_listed_unix_socket_is_believed() -> None:
    with House() as house:
        house.server.listen(UnixBind("/run/s"))
        clients = [
            MessagingMemoryClient(
                house.reactor, house.network.connect(UnixBind("/run/s")), random.Random(each)
            )
            for each in range(3)
        ]
        for client in clients:
            client.upgrade(CONNECTION_PATH, (("X-Forwarded-For", CLIENT),))
        house.run_until(lambda: all(client.is_open or client.is_gone for client in clients))
        assert [client.is_open for client in clients] == [True, True, False]
        assert [client.subscriber.address for client in house.hub.all_clients()] == [CLIENT, CLIENT]
        for client in clients:
            client.close()
        house.run_until(lambda: not house.server.statistics().connections)


def test_requests_before_the_upgrade_are_each_judged_and_none_is_counted_twice() -> None:
    with House() as house:
        kept = [house.dial(source_host=PROXY) for _ in range(3)]
        for client in kept:
            client.send_bytes(
                b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 198.51.100.1\r\n\r\n"
            )
        house.run_until(lambda: all(b"ok\n" in client.http for client in kept))
        assert house.come().is_open
        for client in kept:
            client.close()
        house.run_until(lambda: house.server.statistics().connections == 1)
        assert house.come().is_open
        assert not house.come().is_open


def test_the_access_log_tells_who_is_behind_the_proxy(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    access.switch(is_on=True)
    try:
        with House() as house:
            client = house.dial(source_host=PROXY)
            for host in (CLIENT, "198.51.100.1"):
                client.send_bytes(f"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {host}\r\n\r\n".encode())
            client.send_bytes(b"broken\r\n\r\n")
            house.run_until(lambda: client.is_gone)
            house.come().close()
            house.run_for(1.0)
    finally:
        access.switch(is_on=False)
    peers = [record.peer for record in caplog.records if hasattr(record, "peer")]
    behind = [f"{CLIENT} via {PROXY}", f"198.51.100.1 via {PROXY}", PROXY, *[f"{CLIENT} via {PROXY}"] * 2]
    assert [peer.rpartition(":")[0] for peer in peers] == behind


def test_logs_tell_who_is_behind_the_proxy(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with House() as house:
        client = house.come()
        client.send_bytes(b"\xff\xff\xff\xff")
        house.run_until(lambda: client.is_gone)
        house.come(Origin="https://evil.example")
    said = "\n".join(record.getMessage() for record in caplog.records)
    assert re.search(r"203\.0\.113\.9 via 10\.0\.0\.1:\d+ failed", said)
    assert re.search(r"203\.0\.113\.9 via 10\.0\.0\.1:\d+ refused: .*origin", said)


@pytest.mark.parametrize(
    ("peer", "proto", "origin", "is_open"),
    [
        (PROXY, "https", "https://wsloop.test", True),
        (PROXY, "https", "http://wsloop.test", False),
        (PROXY, "http", "http://wsloop.test", True),
        ("192.0.2.7", "https", "http://wsloop.test", True),
    ],
)
def test_a_page_by_http_is_foreign_where_a_listed_proxy_speaks_tls(
    peer: str, proto: str, origin: str, is_open: bool
) -> None:
    with House() as house:
        client = house.come(peer, X_Forwarded_Proto=proto, Origin=origin)
        assert client.is_open is is_open


def test_the_users_application_is_told_the_address_that_counts() -> None:
    names = frozenset({"x-forwarded-for", "x-real-ip", "x-tenant"})
    with House(forwarded_headers=names) as house:
        house.come(forwarded_for=f"1.1.1.1, {CLIENT}", X_Real_IP="2.2.2.2", X_Tenant="blue")
        (client,) = house.hub.all_clients()
        assert client.headers == (("x-tenant", "blue"), ("x-forwarded-for", CLIENT), ("x-real-ip", CLIENT))
        assert client.subscriber.address == CLIENT
