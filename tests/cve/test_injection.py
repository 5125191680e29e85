"""Bytes of a peer's that reach a log or an answer; and floods of lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cve.kit import attack, exchange, frame, stands_for, status, upgrade_request
from wsloop.daemon.logs import LINES_PER_SECOND
from wsloop.server.assembly import CONNECTION_PATH

if TYPE_CHECKING:
    from tests.cve.kit import Log
    from wsloop.testing.server import MemoryServer

HOSTILE = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202e%s%(message)s{0}${jndi:ldap://x}\x00"


@stands_for(
    "CVE-2020-7694",
    where="Uvicorn",
    fault="escape sequences and line breaks in a URL reached the terminal through the log",
    answer="a log line is printable; refusals repeat no byte of the request",
)
@pytest.mark.parametrize(
    "request_bytes",
    [
        upgrade_request(path="/" + HOSTILE.encode("unicode_escape").decode()),
        b"GET /\x1b[2J HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: \x1b[2J\r\n\r\n",
        b"G\x1b[2JT / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        upgrade_request("Origin: http://\x1b[2J%s"),
        upgrade_request("Sec-WebSocket-Protocol: \x9b31m"),
        upgrade_request("Sec-WebSocket-Extensions: %s%n\x1b"),
    ],
)
def test_a_request_cannot_write_on_the_terminal(house: MemoryServer, log: Log, request_bytes: bytes) -> None:
    answer = exchange(house, request_bytes)
    assert status(answer) >= 400
    line = log.only("refused: ")
    for text in (answer.partition("\r\n\r\n")[2], line):
        assert text.isascii()
        assert "[2J" not in text
        assert "jndi" not in text
        assert "31m" not in text


@stands_for(
    "CVE-2020-7694",
    where="Uvicorn",
    fault="the same, through the reason of a close frame or the data of a command",
    answer="neither is logged",
)
def test_a_message_cannot_write_in_the_log(house: MemoryServer, log: Log) -> None:
    attack(house, frame(0x88, b"\x03\xe8" + HOSTILE.encode()))
    attack(house, frame(0x81, HOSTILE.encode()), CONNECTION_PATH)
    assert log.lines == []


@stands_for(
    "CVE-2020-7695",
    where="Uvicorn",
    fault="a line break in the value of a header became a header of the answer",
    answer="an answer holds nothing of the request but a subprotocol that the server itself knows",
)
@pytest.mark.parametrize("target", ["/%0d%0aSet-Cookie:%20a=b", "/echo%0d%0aSet-Cookie:%20a=b"])
def test_a_target_cannot_add_a_header(house: MemoryServer, target: str) -> None:
    for request in (
        upgrade_request(path=target),
        f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(),
    ):
        answer = exchange(house, request)
        assert status(answer) == 404
        assert "set-cookie" not in answer.lower()


@stands_for(
    "CVE-2020-7695",
    where="Uvicorn",
    fault="the same, by a subprotocol that the server repeats",
    answer="only a known subprotocol is agreed on; one that is no token is 400",
)
def test_a_subprotocol_cannot_add_a_header(house: MemoryServer) -> None:
    assert status(exchange(house, upgrade_request("Sec-WebSocket-Protocol: a\rSet-Cookie: b"))) == 400
    client = house.dial()
    client.send_bytes(upgrade_request("Sec-WebSocket-Protocol: evil, centrifuge-json", path=CONNECTION_PATH))
    house.run_until(lambda: client.is_open)
    assert b"sec-websocket-protocol: centrifuge-json\r\n" in client.http.lower()
    assert b"evil" not in client.http
    client.close()


@stands_for(
    "CVE-2025-47287",
    where="Tornado",
    fault="every fault of a client's wrote a line, as fast as it could send them",
    answer="ten lines a second for one cause; the next one tells how many were left out",
)
@pytest.mark.parametrize("kind", ["requests", "frames"])
def test_a_flood_of_faults_is_ten_lines_a_second(house: MemoryServer, log: Log, kind: str) -> None:
    def fail(count: int) -> None:
        for _ in range(count):
            if kind == "requests":
                exchange(house, b"\x16\x03\x01\x02\x00")
            else:
                attack(house, frame(0x83))

    began_s = house.clock.now()
    fail(300)
    assert house.clock.now() - began_s < 1.0
    assert len(log.lines) == LINES_PER_SECOND
    house.run_for(1.0)
    fail(1)
    assert "(and 290 more like it)" in log.lines[-1]


def test_a_token_is_never_logged(house: MemoryServer, log: Log) -> None:
    client = house.connect(CONNECTION_PATH)
    client.send_text('{"id":1,"connect":{"token":"very.secret.token"}}')
    house.run_until(lambda: client.is_gone)
    exchange(
        house, upgrade_request("Authorization: Bearer very.secret.token", path="/nowhere?token=very.secret")
    )
    assert not any("secret" in line for line in log.lines)
