"""Who may open a WebSocket: pages of other origins, and names that were made to lead here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cve.kit import exchange, stands_for, status, upgrade_request
from wsloop.server.assembly import CONNECTION_PATH, Options

if TYPE_CHECKING:
    from tests.cve.kit import Log
    from wsloop.testing.server import MemoryServer


@pytest.fixture
def options() -> Options:
    return Options(dev=True, loopback_only=True, allowed_origins=frozenset({"https://chat.example.org"}))


def answer(house: MemoryServer, origin: str, path: str = CONNECTION_PATH) -> int:
    """Return the status of an upgrade from a page of `origin`."""
    client = house.dial()
    client.send_bytes(upgrade_request(f"Origin: {origin}", path=path))
    house.run_until(lambda: client.is_gone or client.is_open)
    client.close()
    return status(client.http.decode())


@stands_for(
    "CVE-2019-13611",
    where="python-engineio",
    fault="any page could open a WebSocket here with its visitor's cookies",
    answer="403 for a foreign origin",
)
@pytest.mark.parametrize("path", ["/echo", CONNECTION_PATH])
@pytest.mark.parametrize("origin", ["https://evil.example", "http://localhost:1", "null", "file://", "", "*"])
def test_a_foreign_origin_is_refused(house: MemoryServer, log: Log, origin: str, path: str) -> None:
    assert answer(house, origin, path) == 403
    log.only("refused: 403 this origin may not connect")


@stands_for(
    "CVE-2018-6651",
    where="uncurl (Parsec)",
    fault="an origin that merely contained the right name was let in",
    answer="403 unless the origin is equal to a listed one, or to the page's own",
)
@pytest.mark.parametrize(
    "origin",
    ["https://chat.example.org.evil.example", "https://evilchat.example.org", "http://chat.example.org",
     "https://chat.example.org:444", "https://chat.example.org/", "https://evil.example/?https://chat.example.org",
     "https://chat.example.org@evil.example", "https://CHAT.example.org ", "https://localhost.evil.example",
     "http://localhost@evil.example", "http://evil.example#localhost"],
)  # fmt: skip
def test_an_origin_is_compared_as_a_whole(house: MemoryServer, origin: str) -> None:
    expected = 403
    assert answer(house, origin.rstrip()) == expected


def test_the_page_s_own_origin_and_a_listed_one_are_let_in(house: MemoryServer) -> None:
    assert answer(house, "http://localhost") == 101
    assert answer(house, "https://chat.example.org") == 101


@stands_for(
    "CVE-2025-30360",
    where="webpack-dev-server",
    fault="an origin that was an IP address was let in",
    answer="403: an address is an origin like any other",
)
@pytest.mark.parametrize("origin", ["http://127.0.0.1", "http://[::1]", "http://0.0.0.0", "http://192.0.2.1"])
def test_an_address_is_no_better_than_a_name(house: MemoryServer, origin: str) -> None:
    assert answer(house, origin) == 403


@stands_for(
    "CVE-2018-14732",
    "CVE-2026-44211",
    where="webpack-dev-server, Cline",
    fault="a server on the loopback address took that for protection enough, and looked at no origin",
    answer="403 in development mode too",
)
def test_development_mode_looks_at_the_origin(house: MemoryServer) -> None:
    assert answer(house, "https://evil.example", "/echo") == 403


@stands_for(
    "CVE-2020-28481",
    where="socket.io",
    fault="answers carried Access-Control-Allow-Origin for every origin",
    answer="no answer carries it",
)
@pytest.mark.parametrize("method", ["GET", "OPTIONS", "HEAD", "POST"])
@pytest.mark.parametrize("path", ["/", "/healthz", "/echo", CONNECTION_PATH, "/nowhere"])
def test_no_answer_lets_other_origins_read(house: MemoryServer, method: str, path: str) -> None:
    request = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\n"
    request += "Access-Control-Request-Method: GET\r\nConnection: close\r\n\r\n"
    assert "access-control" not in exchange(house, request.encode()).lower()


@stands_for(
    "CVE-2018-7160",
    "CVE-2025-24010",
    where="Node.js inspector, Vite",
    fault="a page whose own name was made to resolve to this machine passed for a local one",
    answer="421 in development mode for every Host that is not this machine's own",
)
@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8765", "localhost.evil.example", "evil.localhost"]
)
@pytest.mark.parametrize("kind", ["upgrade", "page"])
def test_a_rebound_name_is_refused(house: MemoryServer, log: Log, host: str, kind: str) -> None:
    request = upgrade_request(f"Origin: http://{host}").replace(b"Host: localhost", b"Host: " + host.encode())
    if kind == "page":
        request = f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    assert status(exchange(house, request)) == 421
    log.only("refused: 421 development mode answers to localhost")


@stands_for(
    "CVE-2021-22884",
    where="Node.js inspector",
    fault="`localhost6` was trusted, a name that an attacker's DNS may answer for",
    answer="421: `localhost` is the only name",
)
@pytest.mark.parametrize(
    "host", ["localhost6", "localhost4", "localhost.localdomain", "localhost.", "ip6-localhost"]
)
def test_only_localhost_is_this_machine_s_name(house: MemoryServer, host: str) -> None:
    request = f"GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    assert status(exchange(house, request)) == 421


@stands_for(
    "CVE-2022-32212",
    where="Node.js inspector",
    fault="what looked like an address but is none went to DNS, and was trusted",
    answer="421, or 400 where it is no host at all; only addresses written in full are addresses",
)
@pytest.mark.parametrize(
    "host",
    ["127.0.0.256", "127.0.0.1.2", "127.1", "0177.0.0.1", "2130706433", "0x7f.1", "127.0.0.01", "[::1%25lo]",
     "[::ffff:8.8.8.8]", "0.0.0.0", "[::]", "1.09.0.0"],
)  # fmt: skip
def test_only_a_loopback_address_is_this_machine_s(house: MemoryServer, host: str) -> None:
    request = f"GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    assert status(exchange(house, request)) == (400 if "%" in host else 421)


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "127.0.0.1", "127.8.9.10:80", "[::1]", "[::1]:8765"]
)
def test_this_machine_s_own_names_are_served(house: MemoryServer, host: str) -> None:
    request = f"GET /healthz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
    assert status(exchange(house, request)) == 200
