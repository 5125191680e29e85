"""A second codec, the one that docs/how-to/codec.md shows, end to end beside JSON."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsloop.hub.codec import JSON
from wsloop.server.assembly import CONNECTION_PATH, Options
from wsloop.testing.client import MemoryClient
from wsloop.testing.server import MemoryServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wsloop.hub.codec import Codec


def load() -> Codec:
    """Return the codec of the page."""
    path = Path(__file__).parents[2] / "docs/how-to/messagepack.py"
    spec = importlib.util.spec_from_file_location("messagepack", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    codec: Codec = module.MESSAGE_PACK
    return codec


MESSAGE_PACK = load()


class CountingCodec:
    """A codec that counts what it encodes."""

    def __init__(self, inner: Codec) -> None:
        self.name, self.is_text = inner.name, inner.is_text
        self.split, self.decode, self.is_pong, self.join = (
            inner.split,
            inner.decode,
            inner.is_pong,
            inner.join,
        )
        self._inner = inner
        self.encoded: list[bytes] = []

    def encode(self, line: bytes) -> bytes:
        self.encoded.append(line)
        return self._inner.encode(line)


def packed(*messages: object) -> bytes:
    parts = [msgspec.msgpack.encode(message) for message in messages]
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def unpacked(message: bytes) -> list[Any]:
    return [msgspec.msgpack.decode(part) for part in reversed(MESSAGE_PACK.split(message)) if part]  # type: ignore[arg-type]


class PackedClient:
    """A client that speaks MessagePack."""

    def __init__(self, house: MemoryServer) -> None:
        self.house = house
        self.client = house.dial(MemoryClient)
        self.client.upgrade(CONNECTION_PATH, (("Sec-WebSocket-Protocol", MESSAGE_PACK.name),))
        house.run_until(lambda: self.client.is_open)
        self._last_id = 0

    def messages(self) -> list[Any]:
        return [message for frame in self.client.binaries for message in unpacked(frame)]

    def ask(self, **command: object) -> Any:
        """Send a command and run until it is answered; return the reply."""
        self._last_id += 1
        number = self._last_id
        self.client.send_binary(packed({"id": number, **command}))
        self.house.run_until(lambda: any(each.get("id") == number for each in self.messages()))
        return next(each for each in self.messages() if each.get("id") == number)

    def pushes(self) -> list[Any]:
        return [each["push"] for each in self.messages() if "push" in each]

    def join(self) -> PackedClient:
        assert self.ask(connect={})["connect"]["ping"] == 25
        return self


@pytest.fixture
def house() -> Iterator[MemoryServer]:
    with MemoryServer(options=Options(dev=True, codecs=(JSON, MESSAGE_PACK))) as server:
        yield server


def test_the_subprotocol_chooses_the_codec(house: MemoryServer) -> None:
    peer = PackedClient(house)
    assert b"Sec-WebSocket-Protocol: centrifuge-msgpack\r\n" in peer.client.http
    assert set(peer.ask(connect={})) == {"id", "connect"}


def test_clients_of_two_codecs_meet_in_a_channel(house: MemoryServer) -> None:
    peer, other = PackedClient(house).join(), house.join()
    result = peer.ask(subscribe={"channel": "chat:a"})["subscribe"]
    house.ask(other, subscribe={"channel": "chat:a"})
    peer.ask(publish={"channel": "chat:a", "data": {"text": "hé", "n": [1, 2.5, None]}})
    house.ask(other, publish={"channel": "chat:a", "data": "from JSON"})
    house.run_for(1.0)
    expected = [{"text": "hé", "n": [1, 2.5, None]}, "from JSON"]
    assert other.publications("chat:a") == expected
    heard = [push["pub"] for push in peer.pushes() if "pub" in push]
    assert [pub["data"] for pub in heard] == expected
    assert [pub["offset"] for pub in heard] == [result["offset"] + 1, result["offset"] + 2]
    assert [
        pub["data"] for pub in peer.ask(history={"channel": "chat:a", "limit": 2})["history"]["publications"]
    ]
    assert len(peer.ask(presence={"channel": "chat:a"})["presence"]["presence"]) == 2
    assert peer.ask(publish={"channel": "no:x", "data": 1})["error"]["code"] == 102


def test_a_publication_is_encoded_once_for_all_of_a_codec() -> None:
    json, message_pack = CountingCodec(JSON), CountingCodec(MESSAGE_PACK)
    with MemoryServer(options=Options(dev=True, codecs=(json, message_pack))) as house:
        peers = [PackedClient(house).join() for _ in range(3)]
        others = [house.join() for _ in range(3)]
        for peer in peers:
            peer.ask(subscribe={"channel": "chat:a"})
        for other in others:
            house.ask(other, subscribe={"channel": "chat:a"})
        json.encoded.clear()
        message_pack.encoded.clear()
        house.hub.publish("chat:a", b'"x"')
        house.run_for(1.0)
        assert [len(codec.encoded) for codec in (json, message_pack)] == [1, 1]
        assert all("pub" in peer.pushes()[-1] for peer in peers)


def test_messages_share_a_frame(house: MemoryServer) -> None:
    peer = PackedClient(house).join()
    peer.client.send_binary(
        packed(*({"id": 90 + n, "subscribe": {"channel": f"chat:{n}"}} for n in range(3)))
    )
    house.run_until(lambda: any(each.get("id") == 92 for each in peer.messages()))
    assert max(len(unpacked(frame)) for frame in peer.client.binaries) > 1


def test_pings_are_answered_in_the_codec(house: MemoryServer) -> None:
    peer = PackedClient(house).join()
    house.run_until(lambda: {} in peer.messages())
    peer.client.send_binary(packed({}))
    house.run_for(12.0)
    assert not peer.client.is_gone
    house.run_until(lambda: peer.client.close_frame)
    assert peer.client.close_frame is not None
    assert peer.client.close_frame[0] == 3012


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\0\0",
        b"\0\0\0\x09{}",
        b"\0\0\0\x01\xc1",
        packed([1]),
        packed({"id": "x"}),
        packed({"id": 1, "connect": {"data": msgspec.msgpack.Ext(5, b"x")}}),
        packed({"id": 1, "connect": {"data": {(1, 2): 3}}}),
        b"\0\0\0\x03\x81\xa1\xff",
        b"\0\0\xff\xff" + b"\x91" * 65535,
    ],
)
def test_what_is_no_command_ends_the_connection(house: MemoryServer, message: bytes) -> None:
    peer, witness = PackedClient(house), house.join()
    peer.client.send_binary(message)
    house.run_until(lambda: peer.client.close_frame)
    assert peer.client.close_frame is not None
    assert peer.client.close_frame[0] in (3501, 1009)
    assert house.ask(witness, subscribe={"channel": "chat:a"})["subscribe"]


def test_the_kind_of_frame_is_the_codecs(house: MemoryServer) -> None:
    peer, other = PackedClient(house), house.join()
    peer.client.send_text('{"id":1,"connect":{}}')
    other.send_binary(packed({"id": 1, "connect": {}}))
    house.run_until(lambda: peer.client.close_frame and other.close_frame)
    assert peer.client.close_frame == (3501, "bad request: text frame on a binary protocol")
    assert other.close_frame == (3501, "bad request: binary frame on a text protocol")


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.lists(JSON_VALUES, min_size=1, max_size=4))
def test_what_one_end_joins_the_other_takes_apart(values: list[Any]) -> None:
    lines = [msgspec.json.encode({"data": value}) for value in values]
    message = MESSAGE_PACK.join([MESSAGE_PACK.encode(line) for line in lines])
    assert unpacked(message) == [{"data": value} for value in values]


@given(JSON_VALUES)
def test_a_payload_becomes_the_json_that_it_is(value: object) -> None:
    command = msgspec.msgpack.encode({"id": 1, "publish": {"channel": "a", "data": value}})
    publish = MESSAGE_PACK.decode(command).publish
    assert publish is not None
    assert msgspec.json.decode(publish.data) == value
