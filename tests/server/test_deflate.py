"""permessage-deflate on a connection: what is agreed on, and what then goes over the wire."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import pytest

from tests.protocol.kit import client_frame
from wsloop.hub.codec import JSON
from wsloop.hub.fan_out import kept
from wsloop.protocol.deflate import DeflateOptions
from wsloop.protocol.frames import Opcode, encode_frame
from wsloop.server.assembly import Options
from wsloop.testing.client import OPCODE_TEXT, MemoryClient, masked_frame
from wsloop.testing.deflating import deflated
from wsloop.testing.server import MemoryServer
from wsloop.transport.tcp import TcpTransport

if TYPE_CHECKING:
    from collections.abc import Iterator

LONG = '{"text":"' + "hello, hello, world. " * 60 + '"}'


class RawClient(MemoryClient):
    """Keeps the bytes behind the 101 as they come."""

    raw = b""

    def _receive(self, data: bytes) -> None:
        if not self.is_open:
            super()._receive(data)
        elif data:
            self.raw += data
        else:
            self._end()

    def messages(self) -> list[tuple[bool, bytes]]:
        """(was it compressed, payload) of the data frames so far."""
        found = []
        rest = self.raw
        while rest:
            length, start = rest[1], 2
            if length == 126:
                length, start = int.from_bytes(rest[2:4], "big"), 4
            payload, compressed = rest[start : start + length], bool(rest[0] & 0x40)
            if compressed:
                payload = zlib.decompressobj(-15).decompress(payload + b"\x00\x00\xff\xff")
            found.append((compressed, payload))
            rest = rest[start + length :]
        return found


@pytest.fixture
def house() -> Iterator[MemoryServer]:
    deflate = DeflateOptions()
    with MemoryServer(
        seed=9, options=Options(dev=True, echo_deflate=deflate, messaging_deflate=deflate)
    ) as made:
        yield made


def connect(house: MemoryServer, offer: str = "permessage-deflate") -> RawClient:
    client = house.dial(RawClient)
    client.upgrade("/echo", (("Sec-WebSocket-Extensions", offer),))
    house.run_until(lambda: client.is_open)
    return client


def test_the_answer_names_what_was_agreed_on(house: MemoryServer) -> None:
    client = connect(house, "permessage-deflate; client_max_window_bits")
    assert (
        b"sec-websocket-extensions: permessage-deflate; server_no_context_takeover; "
        b"server_max_window_bits=12; client_no_context_takeover\r\n"
    ) in client.http.lower()
    other = connect(house, "permessage-deflate; server_max_window_bits=7, x-webkit-deflate-frame")
    assert b"sec-websocket-extensions" not in other.http.lower()
    other.send_text(LONG)
    house.run_until(other.messages)
    assert other.messages() == [(False, LONG.encode())]


def test_long_messages_come_compressed_and_short_ones_plain(house: MemoryServer) -> None:
    client = connect(house)
    client.send_text(LONG)
    client.send_bytes(client_frame(OPCODE_TEXT, deflated(LONG.encode()), rsv=4))
    client.send_text("short")
    client.send_bytes(client_frame(OPCODE_TEXT, deflated(b"short"), rsv=4))
    house.run_until(lambda: len(client.messages()) == 4)
    assert client.messages() == [(True, LONG.encode())] * 2 + [(False, b"short")] * 2


def test_a_broadcast_is_compressed_once_for_all_and_only_for_those_who_agreed(
    house: MemoryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    clients = [connect(house) for _ in range(5)] + [connect(house, "permessage-nothing") for _ in range(2)]
    sent: list[bytes] = []
    connections = house.server.registry.snapshot()

    def write(_transport: object, data: bytes) -> int:
        sent.append(data)
        return len(data)

    monkeypatch.setattr(TcpTransport, "write", write)
    frame = encode_frame(Opcode.TEXT, LONG.encode())
    house.server.fan_out.send(connections, LONG.encode(), kept(JSON))
    house.run_for(0.1)
    assert len(sent) == len(clients)
    assert len({id(data) for data in sent}) == 2
    assert sent.count(frame) == 2


def test_a_bomb_is_1009_and_holds_no_more_than_the_limit(house: MemoryServer) -> None:
    client = house.dial()
    client.upgrade("/echo", (("Sec-WebSocket-Extensions", "permessage-deflate"),))
    house.run_until(lambda: client.is_open)
    client.send_bytes(client_frame(OPCODE_TEXT, deflated(bytes(64 << 20)), rsv=4))
    house.run_until(lambda: client.is_gone, within_s=10)
    assert client.close_frame == (1009, "a message is larger than 1048576 bytes")


def test_a_reserved_bit_without_an_agreement_is_1002(house: MemoryServer) -> None:
    client = house.connect("/echo")
    client.send_bytes(client_frame(OPCODE_TEXT, deflated(b"x"), rsv=4))
    house.run_until(lambda: client.is_gone, within_s=10)
    assert client.close_frame is not None
    assert client.close_frame[0] == 1002


def test_messages_that_inflate_to_much_share_the_turn(house: MemoryServer) -> None:
    """A mebibyte in a kilobyte: a read of 64 KiB would hold the turn for a tenth of a second."""
    client = house.dial(RawClient)
    client.upgrade("/echo", (("Sec-WebSocket-Extensions", "permessage-deflate"),))
    polite = house.connect("/echo")
    house.run_until(lambda: client.is_open)
    bomb = client_frame(OPCODE_TEXT, deflated(b"a" * (1 << 19)), rsv=4)
    client.send_bytes(bomb * 20 + masked_frame(OPCODE_TEXT, b"end", bytes(4)))
    polite.send_text("hello")
    house.run_until(lambda: polite.texts)
    assert len(client.messages()) < 20
    house.run_until(lambda: len(client.messages()) == 21)
