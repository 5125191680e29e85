"""Requests that two readers would split at different places: refused, and what follows is not looked at."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.cve.kit import KIB, exchange, holding_at_most, stands_for, status, upgrade_request

if TYPE_CHECKING:
    from tests.cve.kit import Log
    from wsloop.testing.server import MemoryServer

SMUGGLED = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
"""What an attacker wants to be taken for a request of its own; it would be answered 200."""


def request(*headers: str, body: bytes = b"") -> bytes:
    """Return a request with a body, followed by the smuggled one.

    If the first were accepted it would be answered 200, and the connection kept for the second.
    """
    head = "\r\n".join(["GET /healthz HTTP/1.1", "Host: localhost", *headers, "", ""])
    return head.encode("latin-1") + body + SMUGGLED


def refused_with(house: MemoryServer, data: bytes) -> int:
    """Send `data`; return the status of the answer, which must be the only one and close the connection."""
    answer = exchange(house, data)
    assert len(re.findall(r"(?m)^HTTP/1\.1 ", answer)) == 1, answer
    assert "connection: close" in answer.lower()
    return status(answer)


@stands_for(
    "CVE-2023-47627",
    where="aiohttp",
    fault="a Content-Length that is no plain number was taken for one",
    answer="400",
)
@pytest.mark.parametrize("value", ["+43", "4_3", "-1", "0x2b", "4 3", "", "٤", "4" * 21, "43, 44"])
def test_a_content_length_is_a_plain_number(house: MemoryServer, log: Log, value: str) -> None:
    data = request("Content-Length: VALUE").replace(b"VALUE", value.encode())
    assert refused_with(house, data) == 400
    log.only("refused: 400")


@stands_for(
    "CVE-2019-20445",
    where="Netty",
    fault="a second Content-Length, or one beside Transfer-Encoding, was let through",
    answer="400",
)
@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("Content-Length: 43", "Content-Length: 0", 400),
        ("Content-Length: 0", "Transfer-Encoding: chunked", 400),
        ("Transfer-Encoding: chunked", "Content-Length: 43", 400),
        ("Transfer-Encoding: chunked", "Transfer-Encoding: chunked", 501),
    ],
)
def test_a_body_has_one_length(house: MemoryServer, log: Log, first: str, second: str, expected: int) -> None:
    assert refused_with(house, request(first, second, body=b"0\r\n\r\n")) == expected
    log.only(f"refused: {expected}")


@stands_for(
    "CVE-2019-16869",
    where="Netty",
    fault="white space before the colon of Transfer-Encoding hid the header from one of two readers",
    answer="400 for any header line that is not a token and a colon",
)
@pytest.mark.parametrize(
    "line",
    ["Transfer-Encoding : chunked", "Transfer-Encoding\t: chunked", " Transfer-Encoding: chunked",
     "Transfer\x0bEncoding: chunked", "Transfer-Encoding", ": chunked"],
)  # fmt: skip
def test_a_header_s_name_is_a_token(house: MemoryServer, line: str) -> None:
    assert refused_with(house, request("Content-Length: 0", line)) == 400


@stands_for(
    "CVE-2024-1135",
    where="Gunicorn",
    fault="an unknown, repeated or misspelled transfer coding was ignored, and the body with it",
    answer="501 for anything but `chunked`, once; 400 if it is not printable",
)
@pytest.mark.parametrize(
    "coding",
    ["gzip, chunked", "chunked, identity", "identity", "xchunked", "chunked;q=1", "chunked, chunked",
     '"chunked"', "\x0bchunked", "chunked\x0b", "", ","],
)  # fmt: skip
def test_the_only_transfer_coding_is_chunked(house: MemoryServer, coding: str) -> None:
    expected = 501 if coding.isprintable() else 400
    assert refused_with(house, request(f"Transfer-Encoding: {coding}", body=b"0\r\n\r\n")) == expected


@stands_for(
    "CVE-2025-43859",
    where="h11",
    fault="the two bytes behind a chunk were skipped whatever they were",
    answer="400",
)
@pytest.mark.parametrize("end", [b"XX", b"\rX", b"X\n", b"\n\n", b"0\r"])
def test_a_chunk_ends_where_it_says(house: MemoryServer, log: Log, end: bytes) -> None:
    body = b"3\r\nabc" + end + b"0\r\n\r\n"
    assert refused_with(house, request("Transfer-Encoding: chunked", body=body)) == 400
    log.only("refused: 400 the chunked body is malformed")


@stands_for(
    "CVE-2017-7657",
    where="Eclipse Jetty",
    fault="the length of a chunk overflowed, and part of its data became the next request",
    answer="400 for a length of more than 20 digits, 413 for one beyond the limit of a body",
)
@pytest.mark.parametrize(
    ("length", "expected"),
    [(b"10000000000000000000000000000000f", 400), (b"-3", 400), (b"+3", 400), (b"0x3", 400), (b"", 400),
     (b"100000003", 413), (b"10000000000000003", 413)],
)  # fmt: skip
def test_the_length_of_a_chunk_does_not_overflow(house: MemoryServer, length: bytes, expected: int) -> None:
    body = length + b"\r\nabc\r\n0\r\n\r\n" + SMUGGLED * 2000
    assert refused_with(house, request("Transfer-Encoding: chunked", body=body)) == expected


@stands_for(
    "CVE-2024-52304",
    where="aiohttp",
    fault="a line break inside a chunk's extension was read differently by a proxy",
    answer="400",
)
@pytest.mark.parametrize("extension", [b";a\nb", b";\n", b"\n;a"])
def test_a_chunk_s_extension_is_one_line(house: MemoryServer, extension: bytes) -> None:
    body = b"3" + extension + b"\r\nabc\r\n0\r\n\r\n"
    assert refused_with(house, request("Transfer-Encoding: chunked", body=body)) == 400


@stands_for(
    "CVE-2024-22019",
    where="Node.js",
    fault="the extension of a chunk was read without a limit, and without counting",
    answer="413 at 64 KiB of it; nothing of it is kept",
)
def test_a_chunk_s_extension_has_an_end(house: MemoryServer) -> None:
    client = house.dial()
    client.send_bytes(request("Transfer-Encoding: chunked").removesuffix(SMUGGLED) + b"1;")
    with holding_at_most(512 * KIB):
        for _ in range(200):
            if client.is_gone:
                break
            client.send_bytes(b"x" * KIB)
            house.run_for(0.01)
    house.run_until(lambda: client.is_gone)
    assert status(client.http.decode()) == 413


@stands_for(
    "CVE-2023-30589",
    where="Node.js (llhttp)",
    fault="a bare CR ended a header line for one reader and not for another",
    answer="400",
)
@pytest.mark.parametrize("place", [b"X: a\rTransfer-Encoding: chunked", b"X: a\r", b"\rX: a", b"X:\r a"])
def test_a_bare_carriage_return_ends_nothing(house: MemoryServer, place: bytes) -> None:
    data = request("Content-Length: 0", "PLACE").replace(b"PLACE", place)
    assert refused_with(house, data) == 400


@stands_for(
    "CVE-2026-69243",
    where="aiohttp",
    fault="an upgrade with a body was accepted, and the body read as the next protocol's bytes",
    answer="400",
)
@pytest.mark.parametrize("line", ["Content-Length: 43", "Transfer-Encoding: chunked"])
def test_an_upgrade_has_no_body(house: MemoryServer, log: Log, line: str) -> None:
    assert refused_with(house, upgrade_request(line) + SMUGGLED) == 400
    log.only("refused: 400 a WebSocket upgrade has no body")


@stands_for(
    "CVE-2019-17567",
    where="Apache httpd, mod_proxy_wstunnel",
    fault="a connection was tunnelled although its upgrade had been refused",
    answer="a refused upgrade closes: what follows is neither frames nor a request",
)
@pytest.mark.parametrize(
    ("change", "expected"), [("Sec-WebSocket-Version", 426), ("Sec-WebSocket-Key", 400), ("Connection", 400)]
)
def test_nothing_follows_a_refused_upgrade(house: MemoryServer, change: str, expected: int) -> None:
    assert refused_with(house, upgrade_request(without=change) + SMUGGLED) == expected


@stands_for(
    "CVE-2026-2833",
    where="Pingora",
    fault="bytes behind a request with an Upgrade header were passed on before anybody had agreed to it",
    answer="a request for another protocol is an ordinary request; the next is read as one",
)
def test_another_upgrade_is_no_upgrade(house: MemoryServer) -> None:
    client = house.dial()
    client.send_bytes(request("Connection: Upgrade", "Upgrade: h2c"))
    house.run_until(lambda: client.http.count(b"HTTP/1.1 200 ") == 2)
    client.close()
