"""Plain HTTP beside WebSocket on one port: pages, keep-alive, pipelining."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from wsloop.server.assembly import Options
from wsloop.server.pages import content_security_policy
from wsloop.testing.server import MemoryServer

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def house() -> Iterator[MemoryServer]:
    with MemoryServer(seed=4) as made:
        yield made


def get(path: str, *headers: str, method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: a", *headers, "", ""]).encode()


def test_the_page_comes_with_a_policy_that_allows_only_its_own_script(house: MemoryServer) -> None:
    client = house.dial()
    client.send_bytes(get("/", "Connection: close"))
    house.run_until(lambda: client.is_gone)
    head, _, body = client.http.decode().partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 200 ")
    assert f"content-security-policy: {content_security_policy(body)}".lower() in head.lower()
    assert "script-src 'sha256-" in head.lower()
    assert "<script" in body
    assert not re.search(r"(src|href)\s*=\s*[\"']?(https?:)?//", body)


def test_outside_dev_mode_there_is_a_short_text_and_no_echo() -> None:
    with MemoryServer(seed=5, options=Options(dev=False)) as house:
        page = house.dial()
        page.send_bytes(get("/", "Connection: close"))
        echo = house.dial()
        echo.upgrade("/echo")
        house.run_until(lambda: page.is_gone and echo.is_gone)
        assert b"/connection/websocket" in page.http
        assert echo.http.startswith(b"HTTP/1.1 404 ")
        client = house.join()
        assert not client.replies.get(1, {}).get("connect")


def test_one_connection_answers_many_requests_in_order(house: MemoryServer) -> None:
    client = house.dial()
    for number in range(3):
        client.send_bytes(get("/healthz"))
        house.run_until(lambda: client.http.count(b"\r\n\r\nok\n") == number + 1)  # noqa: B023
        house.run_for(8.0)  # each request has a deadline of its own
    assert not client.is_gone
    house.run_until(lambda: client.is_gone)


def test_pipelined_requests_are_all_answered_in_order(house: MemoryServer) -> None:
    client = house.dial()
    client.send_bytes(get("/healthz") * 40 + get("/nowhere"))
    house.run_until(lambda: client.is_gone)
    assert client.http.count(b"HTTP/1.1 200 ") == 40
    assert client.http.count(b"HTTP/1.1 404 ") == 1
    assert client.http.rindex(b" 200 ") < client.http.index(b" 404 ")


def test_an_upgrade_may_follow_plain_requests_on_one_connection(house: MemoryServer) -> None:
    client = house.dial()
    client.send_bytes(get("/healthz"))
    house.run_until(lambda: client.http.endswith(b"ok\n"))
    client.http = b""
    client.upgrade("/echo")
    client.send_text("hello")
    house.run_until(lambda: client.texts == ["hello"])


def test_head_has_the_length_but_not_the_body(house: MemoryServer) -> None:
    client = house.dial()
    client.send_bytes(get("/healthz", "Connection: close", method="HEAD"))
    house.run_until(lambda: client.is_gone)
    head, _, body = client.http.partition(b"\r\n\r\n")
    assert b"content-length: 3" in head.lower()
    assert body == b""


def test_a_peer_that_pipelines_without_reading_is_not_read_for_ever(house: MemoryServer) -> None:
    client = house.dial()
    client.stop_reading()
    client.send_bytes(get("/") * 2000)
    house.run_until(lambda: not len(house.server.registry), within_s=60)


def test_over_the_limit_a_connection_is_told_503_and_when_to_retry() -> None:
    with MemoryServer(seed=6, options=Options(dev=True, max_connections=2)) as house:
        first, second = house.connect("/echo"), house.connect("/echo")
        third = house.dial()
        third.upgrade("/echo")
        house.run_until(lambda: third.is_gone)
        assert third.http.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 5" in third.http.lower()
        first.send_close()
        house.run_until(lambda: first.is_gone)
        assert house.connect("/echo").is_open
        assert not second.is_gone


@pytest.mark.parametrize(
    ("origin", "accepted"),
    [("http://wsloop.test", True), ("http://evil.test", False), ("null", False), ("https://ok.test", True)],
)
def test_only_its_own_and_listed_origins_may_connect(origin: str, accepted: bool) -> None:
    options = Options(dev=True, allowed_origins=frozenset({"https://ok.test"}))
    with MemoryServer(seed=7, options=options) as house:
        client = house.dial()
        client.upgrade("/echo", (("Origin", origin),))
        house.run_until(lambda: client.is_open or client.is_gone)
        assert client.is_open is accepted


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8765", 101),
        ("127.0.0.1:8765", 101),
        ("[::1]:8765", 101),
        ("127.1.2.3", 101),
        ("evil.example:8765", 421),
        ("192.0.2.1", 421),
    ],
)
def test_a_name_made_to_lead_here_is_refused_in_loopback_mode(host: str, status: int) -> None:
    """DNS rebinding: the page's origin and Host agree, and neither is this machine's."""
    with MemoryServer(seed=8, options=Options(dev=True, loopback_only=True)) as house:
        client = house.dial()
        client.upgrade("/echo", host=host, headers=(("Origin", f"http://{host}"),))
        page = house.dial()
        page.send_bytes(b"GET / HTTP/1.1\r\nConnection: close\r\nHost: %s\r\n\r\n" % host.encode())
        house.run_until(lambda: page.is_gone and (client.is_open or client.is_gone))
        assert client.http.startswith(b"HTTP/1.1 %d " % status)
        assert page.http.startswith(b"HTTP/1.1 200 ") is (status == 101)
