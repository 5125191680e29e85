"""Bad input gets a clear answer, and nobody else notices.

Each test lets one peer misbehave while a polite one has a connection open, and ends by proving
that the polite one is still served and that the server is at rest again.
"""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING

import pytest

from wsloop.protocol.limits import Limits
from wsloop.server.assembly import CONNECTION_PATH, Options
from wsloop.testing.client import OPCODE_BINARY, OPCODE_CLOSE, OPCODE_PING, OPCODE_TEXT, MessagingMemoryClient
from wsloop.testing.server import MemoryServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wsloop.testing.client import MemoryClient

KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
UPGRADE = "Host: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
GOOD = f"GET /echo HTTP/1.1\r\n{UPGRADE}{KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"


@pytest.fixture
def house() -> Iterator[MemoryServer]:
    options = Options(dev=True, echo_limits=Limits(message_bytes=100_000, fragments=8))
    with MemoryServer(seed=1, options=options) as made:
        polite = made.connect("/echo")
        yield made
        polite.send_text("still here?")
        made.run_until(lambda: polite.texts == ["still here?"])
        made.run_until(lambda: len(made.server.registry) == 1, within_s=90)
        assert made.server.statistics().rings_lent == 0
    assert made.network.open_descriptors() == {}


def exchange(house: MemoryServer, data: bytes | str) -> str:
    """Send raw bytes, run until the server has closed, and return its answer."""
    client = house.dial()
    client.send_bytes(data.encode("latin-1") if isinstance(data, str) else data)
    house.run_until(lambda: client.is_gone, within_s=120)
    return client.http.decode("latin-1")


def status(answer: str) -> int:
    return int(answer.split(" ", 2)[1])


@pytest.mark.parametrize(
    ("request_text", "expected"),
    [
        pytest.param(GOOD.replace("13", "8"), 426, id="wrong version"),
        pytest.param(GOOD.replace("Sec-WebSocket-Version: 13\r\n", ""), 426, id="no version"),
        pytest.param(GOOD.replace(KEY + "\r\n", ""), 400, id="missing key"),
        pytest.param(GOOD.replace("bXBsZSBub25jZQ==", "!"), 400, id="malformed key"),
        pytest.param(GOOD.replace(KEY, f"{KEY}\r\n{KEY}"), 400, id="repeated key"),
        pytest.param(GOOD.replace("GET", "POST"), 405, id="POST"),
        pytest.param(GOOD.replace("HTTP/1.1", "HTTP/1.0"), 426, id="HTTP/1.0"),
        pytest.param(GOOD.replace("Host: a", "Host: a b"), 400, id="bad Host"),
        pytest.param(GOOD.replace("Host: a\r\n", ""), 400, id="no Host"),
        pytest.param(GOOD.replace("Host: a", "Host: a\r\nHost: b"), 400, id="two Hosts"),
        pytest.param(GOOD.replace("\r\n\r\n", "\r\nContent-Length: 3\r\n\r\nabc"), 400, id="body"),
        pytest.param(GOOD.replace("\r\n\r\n", "\r\nTransfer-Encoding: chunked\r\n\r\n"), 400, id="chunked"),
        pytest.param(GOOD.replace("Connection: Upgrade\r\n", ""), 400, id="no Connection: Upgrade"),
        pytest.param(GOOD.replace("/echo", "/nowhere"), 404, id="no such WebSocket"),
        pytest.param(GOOD.replace("\r\n\r\n", "\r\nOrigin: http://evil\r\n\r\n"), 403, id="foreign origin"),
        pytest.param(GOOD.replace("/echo", "/" + "x" * 9000), 414, id="target too long"),
        pytest.param(GOOD.replace("Host", "X: " + "y" * 9000 + "\r\nHost"), 431, id="line too long"),
        pytest.param(GOOD.replace("Host", "X: y\r\n" * 129 + "Host"), 431, id="too many headers"),
        pytest.param(
            GOOD.replace("Host", ("X: " + "y" * 6000 + "\r\n") * 3 + "Host"), 431, id="head too long"
        ),
        pytest.param(
            GOOD.replace("\r\n\r\n", "\r\nSec-WebSocket-Protocol: \xff\r\n\r\n"), 400, id="protocol 0xff"
        ),
        pytest.param("\x16\x03\x01\x02\x00\x01", 400, id="a TLS client"),
        pytest.param("GET / HTTP/1.1\r\nnonsense\r\n\r\n", 400, id="no header line"),
        pytest.param("GET /echo HTTP/1.1\r\nHost: a\r\n\r\n", 426, id="plain GET on a WebSocket path"),
        pytest.param("GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n", 404, id="no such page"),
        pytest.param("DELETE / HTTP/1.1\r\nHost: a\r\n\r\n", 405, id="method"),
    ],
)
def test_a_bad_request_is_refused_in_http(house: MemoryServer, request_text: str, expected: int) -> None:
    answer = exchange(house, request_text)
    head, _, body = answer.partition("\r\n\r\n")
    assert status(answer) == expected, answer
    assert "connection: close" in head.lower()
    assert body.strip()
    assert body.isascii()


def test_plain_http_on_a_websocket_path_is_told_which_protocol_to_speak(house: MemoryServer) -> None:
    head = exchange(house, f"GET {CONNECTION_PATH} HTTP/1.1\r\nHost: a\r\n\r\n").lower()
    assert " 426 " in head
    assert "upgrade: websocket" in head
    assert "sec-websocket-version: 13" in head


def test_a_405_names_the_methods_allowed(house: MemoryServer) -> None:
    assert "allow: get, head" in exchange(house, "PUT /healthz HTTP/1.1\r\nHost: a\r\n\r\n").lower()


def test_a_handshake_that_dribbles_is_ended_with_408(house: MemoryServer) -> None:
    client = house.dial()
    began_s = house.clock.now()
    for byte in GOOD.encode()[:30]:
        if client.is_gone:
            break
        client.send_bytes(bytes([byte]))
        house.run_for(0.5)
    house.run_until(lambda: client.is_gone)
    assert status(client.http.decode()) == 408
    assert house.clock.now() - began_s <= 16.0


def test_a_peer_that_says_nothing_at_all_is_dropped_without_a_word(house: MemoryServer) -> None:
    client = house.dial()
    house.run_until(lambda: client.is_gone)
    assert client.http == b""


def test_bytes_right_behind_the_handshake_are_used(house: MemoryServer) -> None:
    client = house.dial()
    client.upgrade("/echo")
    client.send_text("in the same packet")
    house.run_until(lambda: client.texts)
    assert client.texts == ["in the same packet"]
    client.close()


def open_and_send(house: MemoryServer, data: bytes, path: str = "/echo") -> MemoryClient:
    client = house.connect(path)
    client.send_bytes(data)
    house.run_until(lambda: client.is_gone, within_s=120)
    return client


MASK = b"\x00\x00\x00\x00"


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        pytest.param(b"\x81\x82" + MASK + b"\xc3\x28", 1007, id="not UTF-8"),
        pytest.param(b"\x81\x02hi", 1002, id="unmasked"),
        pytest.param(b"\xc1\x82" + MASK + b"hi", 1002, id="RSV1"),
        pytest.param(b"\xa1\x82" + MASK + b"hi", 1002, id="RSV2"),
        pytest.param(b"\x91\x82" + MASK + b"hi", 1002, id="RSV3"),
        pytest.param(b"\x83\x80" + MASK, 1002, id="reserved opcode 3"),
        pytest.param(b"\x8b\x80" + MASK, 1002, id="reserved opcode 11"),
        pytest.param(b"\x89\xfe\x00\x7e" + MASK + b"x" * 126, 1002, id="ping of 126 bytes"),
        pytest.param(b"\x09\x80" + MASK, 1002, id="fragmented ping"),
        pytest.param(b"\x80\x80" + MASK, 1002, id="continuation of nothing"),
        pytest.param(b"\x81\xfe\x00\x05" + MASK + b"hello", 1002, id="length not minimal"),
        pytest.param(b"\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00" + MASK, 1002, id="length with the high bit"),
        pytest.param(b"\x82\xff\x40\x00\x00\x00\x00\x00\x00\x00" + MASK, 1009, id="2**62 bytes declared"),
        pytest.param(b"\x82\xff" + struct.pack("!Q", 100_001) + MASK, 1009, id="one byte too many declared"),
        pytest.param(b"\x88\x81" + MASK + b"x", 1002, id="close of one byte"),
        pytest.param(b"\x88\x82" + MASK + struct.pack("!H", 1005), 1002, id="close with 1005"),
        pytest.param(b"\x88\x82" + MASK + struct.pack("!H", 999), 1002, id="close with 999"),
        pytest.param(
            b"\x88\x84" + MASK + struct.pack("!H", 1000) + b"\xc3\x28", 1007, id="close reason no UTF-8"
        ),
    ],
)
def test_a_bad_frame_is_answered_with_its_code(house: MemoryServer, frame: bytes, code: int) -> None:
    client = open_and_send(house, frame)
    assert client.close_frame is not None
    assert client.close_frame[0] == code


def test_what_was_sent_before_the_bad_frame_is_still_answered(house: MemoryServer) -> None:
    client = open_and_send(house, b"\x81\x85" + MASK + b"first" + b"\x81\x02hi")
    assert client.texts == ["first"]
    assert client.close_frame is not None
    assert client.close_frame[0] == 1002


def test_too_many_fragments_are_1008_and_empty_ones_count(house: MemoryServer) -> None:
    client = open_and_send(house, b"\x02\x80" + MASK + (b"\x00\x80" + MASK) * 8)
    assert client.close_frame is not None
    assert client.close_frame[0] == 1008


def test_fragments_over_the_message_limit_together_are_1009(house: MemoryServer) -> None:
    piece = b"\xfe" + struct.pack("!H", 60_000) + MASK + b"x" * 60_000
    client = open_and_send(house, b"\x02" + piece + b"\x80" + piece)
    assert client.close_frame is not None
    assert client.close_frame[0] == 1009


def test_a_message_of_exactly_the_limit_passes(house: MemoryServer) -> None:
    client = house.connect("/echo")
    client.send_binary(bytes(100_000))
    house.run_until(lambda: client.binaries)
    assert client.binaries == [bytes(100_000)]
    client.close()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        pytest.param("{", 3501, id="JSON that is not JSON"),
        pytest.param("", 3501, id="an empty frame"),
        pytest.param('{"id":1,"subscribe":{"channel":"a"}}', 3501, id="a command before connect"),
        pytest.param('{"connect":{}}', 3501, id="a command without an id"),
        pytest.param('{"id":1,"connect":{}}\n{"id":2,"connect":{}}', 3501, id="two connects"),
        pytest.param('{"id":1,"connect":{"token":"x"}}', 3500, id="a token nobody can verify"),
    ],
)
def test_a_broken_command_is_closed_with_its_code(house: MemoryServer, text: str, code: int) -> None:
    client = house.dial(MessagingMemoryClient)
    client.upgrade(CONNECTION_PATH)
    client.send_text(text)
    house.run_until(lambda: client.is_gone)
    assert client.close_frame is not None
    assert client.close_frame[0] == code


def test_an_unknown_namespace_is_error_102_and_an_unknown_command_104(house: MemoryServer) -> None:
    client = house.join()
    assert house.ask(client, subscribe={"channel": "nobody:knows"})["error"]["code"] == 102  # type: ignore[index]
    assert house.ask(client, dance={})["error"]["code"] == 104  # type: ignore[index]
    client.close()


def test_a_binary_frame_on_the_json_protocol_is_3501(house: MemoryServer) -> None:
    client = house.dial(MessagingMemoryClient)
    client.upgrade(CONNECTION_PATH)
    client.send_binary(b"\x00")
    house.run_until(lambda: client.is_gone)
    assert client.close_frame is not None
    assert client.close_frame[0] == 3501


def test_a_client_that_never_sends_connect_is_stale(house: MemoryServer) -> None:
    client = house.dial(MessagingMemoryClient)
    client.upgrade(CONNECTION_PATH)
    house.run_until(lambda: client.is_gone)
    assert client.close_frame is not None
    assert client.close_frame[0] == 3502


def test_a_peer_that_vanishes_mid_frame_is_found_by_the_heartbeat(house: MemoryServer) -> None:
    client = house.connect("/echo")
    client.send_bytes(b"\x82\xfe\x13\x88" + MASK + bytes(2500))
    house.run_for(0.1)
    assert house.server.statistics().rings_lent == 1  # the half frame waits in a ring
    client.vanish()
    house.run_until(lambda: len(house.server.registry) == 1)
    client.close()


def test_a_few_bytes_of_a_frame_take_no_ring(house: MemoryServer) -> None:
    """Else a thousand peers with one byte each would leave no ring for anybody else."""
    clients = [house.connect("/echo") for _ in range(5)]
    for client in clients:
        client.send_bytes(b"\x81")
    house.run_for(0.1)
    assert house.server.statistics().rings_lent == 0
    rest = b"\x82" + MASK + bytes(byte ^ mask for byte, mask in zip(b"ok", MASK, strict=False))
    for client in clients:
        client.send_bytes(rest)
    house.run_until(lambda: all(client.texts == ["ok"] for client in clients))
    for client in clients:
        client.close()


@pytest.mark.parametrize("begun_bytes", [0, 1, 2500], ids=["a head", "a few bytes", "more than a few"])
def test_a_frame_that_is_dripped_is_1008(house: MemoryServer, begun_bytes: int) -> None:
    client = house.connect("/echo")
    client.send_bytes(b"\x82\xfe\x13\x88" + MASK + bytes(begun_bytes))
    for _ in range(30):
        house.run_for(5.0)
        if client.is_gone:
            break
        client.send_bytes(b"x")
    assert client.close_frame == (1008, "a frame took too long")
    assert house.server.statistics().rings_lent == 0


def test_a_frame_that_is_dripped_gets_no_time_by_being_looked_at(house: MemoryServer) -> None:
    """As it is when a slow reader's pressure eases."""
    others = house.server.registry.snapshot()
    client = house.connect("/echo")
    client.send_bytes(b"\x82\xfe\x13\x88" + MASK)
    house.run_for(0.1)
    (connection,) = (each for each in house.server.registry.snapshot() if each not in others)
    for _ in range(30):
        house.run_for(5.0)
        if client.is_gone:
            break
        connection.go_on_later()
    assert client.close_frame == (1008, "a frame took too long")


def test_a_peer_that_resets_mid_frame_is_forgotten_at_once(house: MemoryServer) -> None:
    client = house.connect("/echo")
    client.send_bytes(b"\x82\xfe\x03\xe8" + MASK + b"half")
    house.run_for(0.1)
    client.reset()
    house.run_until(lambda: len(house.server.registry) == 1, within_s=1)


def test_a_peer_that_does_not_answer_pings_is_1011_or_3012(house: MemoryServer) -> None:
    messaging = house.join()
    messaging.answers_pings = False
    house.run_until(lambda: messaging.is_gone)
    assert messaging.close_frame == (3012, "no pong")
    assert messaging.heartbeats == 1


def test_an_echo_peer_that_never_reads_is_stopped_and_then_dropped() -> None:
    with MemoryServer(seed=2) as house:
        client = house.connect("/echo")
        client.stop_reading()
        for _ in range(100):
            client.send_binary(bytes(50_000))
        house.run_until(lambda: not len(house.server.registry), within_s=60)
        client.close()


def test_a_subscriber_that_never_reads_is_closed_as_slow_and_the_others_get_everything() -> None:
    with MemoryServer(seed=3) as house:
        slow, fast, writer = house.join(), house.join(), house.join()
        for client in (slow, fast):
            house.ask(client, subscribe={"channel": "chat:flood"})
        slow.stop_reading()
        text = "x" * 20_000
        for number in range(100):
            house.ask(writer, publish={"channel": "chat:flood", "data": {"n": number, "text": text}})
        house.run_until(lambda: len(fast.publications("chat:flood")) == 100)
        assert [data["n"] for data in fast.publications("chat:flood")] == list(range(100))
        slow.resume_reading()
        house.run_until(lambda: slow.is_gone)
        assert slow.close_frame is None or slow.close_frame[0] == 3008
        assert len(slow.publications("chat:flood")) < 100
        house.run_until(lambda: len(house.server.registry) == 2)


def test_a_ping_flood_and_a_close_are_answered_by_the_book(house: MemoryServer) -> None:
    client = house.connect("/echo")
    client.send_ping(b"one")
    client.send_frame(OPCODE_TEXT, b"a", fin=False)
    client.send_frame(OPCODE_PING, b"between")
    client.send_frame(0, b"b")
    client.send_frame(OPCODE_BINARY, b"\x00")
    client.send_frame(OPCODE_CLOSE, b"")
    house.run_until(lambda: client.is_gone)
    assert client.pongs == [b"one", b"between"]
    assert client.texts == ["ab"]
    assert client.binaries == [b"\x00"]
    assert client.close_frame == (1005, "")


def test_the_reply_line_of_a_hostile_payload_is_one_line(house: MemoryServer) -> None:
    client = house.join()
    house.ask(client, subscribe={"channel": "chat:x"})
    data = {"text": "a\nb\r\u2028\x00</script>"}
    house.ask(client, publish={"channel": "chat:x", "data": data})
    house.run_until(lambda: client.publications("chat:x"))
    assert client.publications("chat:x") == [data]
    assert json.loads(client.texts[-1]) is not None
    client.close()
