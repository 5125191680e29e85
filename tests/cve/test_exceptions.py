"""Input that killed a process: here it ends one connection, with its code, and nobody else's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.cve.kit import attack, close_code, exchange, frame, stands_for, status, upgrade_request
from wsloop.server.assembly import CONNECTION_PATH

if TYPE_CHECKING:
    from tests.cve.kit import Log
    from wsloop.testing.client import MessagingMemoryClient
    from wsloop.testing.server import MemoryServer

TEXT, BINARY = 0x81, 0x82


def say(house: MemoryServer, text: str | bytes) -> MessagingMemoryClient:
    """Return a messaging client that has said `text` after its connect, and was closed for it."""
    client = house.join()
    client.send_bytes(frame(TEXT, text if isinstance(text, bytes) else text.encode()))
    house.run_until(lambda: client.is_gone)
    return client


@stands_for(
    "CVE-2022-21676",
    where="engine.io",
    fault="a frame with reserved bits raised where nobody caught it",
    answer="1002",
)
@pytest.mark.parametrize("bits", [0x40, 0x20, 0x10, 0x70])
@pytest.mark.parametrize("path", ["/echo", CONNECTION_PATH])
def test_reserved_bits_are_refused(house: MemoryServer, log: Log, path: str, bits: int) -> None:
    assert close_code(attack(house, frame(TEXT | bits, b"{}"), path)) == 1002
    log.only("failed: 1002")


@stands_for(
    "GHSA-mq44-7p77-q5h7",
    where="aiohttp",
    fault="compressed frames were inflated although compression had not been agreed on",
    answer="1002 for RSV1 on a connection without the extension",
)
def test_compression_that_was_not_agreed_on_is_refused(house: MemoryServer, log: Log) -> None:
    assert close_code(attack(house, frame(TEXT | 0x40, b"\xf2\x48\xcd\xc9\xc9\x07\x00"))) == 1002
    log.only("failed: 1002")


@stands_for(
    "CVE-2022-39386",
    where="@fastify/websocket",
    fault="a malformed frame right behind the handshake came before anybody listened for errors",
    answer="101, then 1002",
)
@pytest.mark.parametrize("bad", [b"\xff\xff\xff\xff", frame(0x83), frame(TEXT | 0x70), b"\x81\x01x"])
def test_a_bad_frame_in_the_handshake_s_own_packet(house: MemoryServer, log: Log, bad: bytes) -> None:
    client = house.dial()
    client.send_bytes(upgrade_request() + bad)
    house.run_until(lambda: client.is_gone)
    assert client.is_open
    assert close_code(client) == 1002
    log.only("failed: 1002")


@stands_for(
    "CVE-2022-41940",
    where="engine.io",
    fault="a connection that broke in the middle of its upgrade raised ECONNRESET where nobody caught it",
    answer="the connection is forgotten at once",
)
@pytest.mark.parametrize("share", range(11))
def test_a_reset_anywhere_in_the_handshake(house: MemoryServer, share: int) -> None:
    request = upgrade_request() + frame(TEXT, b"hello")
    client = house.dial()
    client.sock.send(request[: len(request) * share // 10] or b"G")
    for _ in range(share % 4):
        house.reactor.run_once()
    client.reset()
    house.run_until(lambda: len(house.server.registry) == 1, within_s=1)
    client.close()


@stands_for(
    "CVE-2023-31125",
    where="engine.io",
    fault="a request whose query was not what the code expected raised where nobody caught it",
    answer="400 or 404, or the query is ignored",
)
@pytest.mark.parametrize(
    ("target", "expected"),
    [("/echo?EIO=4&transport=__proto__", 101), ("/echo?" + "&" * 500, 101), ("/%00", 404), ("//echo", 404),
     ("/echo/../echo", 404), ("/constructor", 404), ("/echo#x", 400), ("echo", 400), ("*", 400),
     ("http://", 400), ("http://localhost/echo", 101), ("/%", 404)],
)  # fmt: skip
def test_a_strange_target_is_answered(house: MemoryServer, target: str, expected: int) -> None:
    client = house.dial()
    client.send_bytes(upgrade_request(path=target))
    house.run_until(lambda: client.is_gone or client.is_open)
    assert status(client.http.decode()) == expected
    client.close()


@stands_for(
    "CVE-2017-16025",
    where="nes",
    fault="an invalid Cookie in the upgrade request crashed the process",
    answer="101: no cookie is read",
)
@pytest.mark.parametrize("cookie", ["=", ";;;", "a=\x80\xff", '"', "a=b; $Version=1", "x" * 4000])
def test_a_strange_cookie_is_ignored(house: MemoryServer, cookie: str) -> None:
    client = house.dial()
    client.send_bytes(upgrade_request(f"Cookie: {cookie}"))
    house.run_until(lambda: client.is_open)
    client.close()


@stands_for(
    "CVE-2024-37890",
    where="ws (npm)",
    fault="more headers than the HTTP parser kept left the upgrade header undefined",
    answer="431 for more than 128 header lines",
)
@pytest.mark.parametrize("position", ["before", "behind"])
def test_too_many_headers(house: MemoryServer, log: Log, position: str) -> None:
    extra = tuple(f"X-{number}: y" for number in range(2000))
    request = upgrade_request(*extra)
    if position == "before":
        lines = "\r\n".join(extra).encode()
        request = upgrade_request().replace(b"Host:", lines + b"\r\nHost:")
    assert status(exchange(house, request)) == 431
    log.only("refused: 431 more than 128 header lines")


@stands_for(
    "GHSA-5v72-xg48-5rpm",
    where="ws (npm)",
    fault="an extension or parameter named like a property that every object has crashed the process",
    answer="101 without the extension",
)
@pytest.mark.parametrize(
    "offer",
    ["constructor", "__proto__", "toString; hasOwnProperty=1", "permessage-deflate; constructor",
     "__class__", "__init__; __dict__=x"],
)  # fmt: skip
def test_an_extension_named_like_a_property(house: MemoryServer, offer: str) -> None:
    client = house.dial()
    client.send_bytes(upgrade_request(f"Sec-WebSocket-Extensions: {offer}"))
    house.run_until(lambda: client.is_open)
    assert b"extensions" not in client.http.lower()
    client.close()


@stands_for(
    "CVE-2023-32695",
    "CVE-2024-38355",
    where="socket.io-parser, socket.io",
    fault="a packet with a value of another kind than expected raised where nobody caught it",
    answer="3501",
)
@pytest.mark.parametrize(
    "command",
    [
        [], 1, None, "x", True, {"id": "1"}, {"id": -1}, {"id": 1.5}, {"id": 2**40},
        {"id": 1, "subscribe": []}, {"id": 1, "subscribe": {"channel": {"toString": "x"}}},
        {"id": 1, "publish": {"channel": 5}}, {"id": 1, "history": {"channel": "a", "limit": "all"}},
        {"id": 1, "connect": {"token": []}}, {"id": 1, "subscribe": {"channel": "a", "offset": -1}},
    ],
)  # fmt: skip
def test_a_command_of_the_wrong_shape(house: MemoryServer, command: object) -> None:
    assert close_code(say(house, json.dumps(command))) == 3501


@stands_for(
    "CVE-2020-36518",
    where="jackson-databind",
    fault="deeply nested JSON overflowed the stack",
    answer="3501; what is not nested too deeply is published",
)
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
@pytest.mark.parametrize("depth", [1_500, 10_000])
def test_deeply_nested_json(house: MemoryServer, opening: str, closing: str, depth: int) -> None:
    data = opening * depth + "1" + closing * depth
    text = '{"id":9,"publish":{"channel":"chat:deep","data":' + data + "}}"
    assert close_code(say(house, text[:60_000])) == 3501


@stands_for(
    "CVE-2020-10735",
    where="CPython",
    fault="a number of many digits took time that grew with their square",
    answer="3501; a payload's numbers are never parsed",
)
def test_a_number_of_many_digits(house: MemoryServer) -> None:
    assert close_code(say(house, '{"id":' + "1" * 60_000 + "}")) == 3501
    subscriber, number = house.connect(CONNECTION_PATH), "9" * 50_000
    subscriber.send_text('{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"chat:numbers"}}')
    subscriber.send_text('{"id":3,"publish":{"channel":"chat:numbers","data":' + number + "}}")
    house.run_until(lambda: any(f'"data":{number}' in text for text in subscriber.texts))
    subscriber.close()


@stands_for(
    "CVE-2017-7653",
    where="Eclipse Mosquitto",
    fault="text that is not UTF-8 was passed on, and the subscribers that checked it disconnected",
    answer="1007 for the sender; subscribers are not reached",
)
@pytest.mark.parametrize(
    "text", [b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\xf8\x88\x80\x80\x80"]
)
def test_what_is_not_utf_8_reaches_nobody(house: MemoryServer, log: Log, text: bytes) -> None:
    subscriber = house.join()
    house.ask(subscriber, subscribe={"channel": "chat:text"})
    command = b'{"id":5,"publish":{"channel":"chat:text","data":"' + text + b'"}}'
    assert close_code(say(house, command)) == 1007
    log.only("failed: 1007 text is not valid UTF-8")
    assert subscriber.publications("chat:text") == []
    subscriber.close()


@stands_for(
    "CVE-2017-7653",
    where="Eclipse Mosquitto",
    fault="the same, by half a surrogate pair written as an escape",
    answer="it becomes U+FFFD, so that every subscriber can read it",
)
def test_half_a_surrogate_reaches_everybody_as_a_replacement(house: MemoryServer) -> None:
    subscriber, publisher = house.join(), house.join()
    house.ask(subscriber, subscribe={"channel": "chat:text"})
    publisher.send_text('{"id":5,"publish":{"channel":"chat:text","data":"a\\ud800b"}}')
    house.run_until(lambda: subscriber.publications("chat:text"))
    assert subscriber.publications("chat:text") == ["a\ufffdb"]
    subscriber.close()
    publisher.close()


@pytest.mark.parametrize("bad", [b"", b"\n", b"\n\n\n", b"{", b"\x00", b"NaN", b'{"id":1,"id":2}', b"{}{}"])
def test_what_is_no_command_is_3501(house: MemoryServer, bad: bytes) -> None:
    client = house.join()
    client.send_bytes(frame(TEXT, bad))
    if bad == b'{"id":1,"id":2}':
        house.run_until(lambda: client.replies.get(2))
        client.close()
    else:
        house.run_until(lambda: client.is_gone)
        assert close_code(client) == 3501
