"""What kosoku's cases leave unchecked, with a client that checks it; see `strict.py`."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from tests.conformance.strict import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Frame, StrictClient
from tests.system.daemon import Daemon

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with Daemon() as started:
        yield started


@pytest.fixture
def client(daemon: Daemon) -> Iterator[StrictClient]:
    with daemon.connect() as sock:
        yield StrictClient(sock)


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65535, 65536, 65537])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_the_length_of_an_answer_is_in_its_shortest_form(
    client: StrictClient, opcode: int, length: int
) -> None:
    client.send(opcode, b"*" * length)
    assert client.frame() == Frame(opcode, b"*" * length, fin=True)


@pytest.mark.parametrize("length", [0, 1, 125])
def test_a_pong_is_the_ping_s_payload_and_a_pong_gets_no_answer(client: StrictClient, length: int) -> None:
    client.send(PONG, b"nobody asked")
    client.send(PING, b"*" * length)
    assert client.frame() == Frame(PONG, b"*" * length, fin=True)


@pytest.mark.parametrize(
    "payload", [b"", struct.pack("!H", 1000), struct.pack("!H", 4999) + "ende ß".encode()]
)
def test_a_close_is_answered_with_its_code_and_the_server_closes_first(
    client: StrictClient, payload: bytes
) -> None:
    client.send(CLOSE, payload)
    code = client.close_code()
    assert code == (struct.unpack("!H", payload[:2])[0] if payload else 1005)
    client.expect_fin()


@pytest.mark.parametrize(
    ("opcode", "first_bits", "payload", "code"),
    [
        pytest.param(TEXT, 0x40, b"x", 1002, id="RSV1"),
        pytest.param(3, 0, b"x", 1002, id="reserved opcode"),
        pytest.param(CONTINUATION, 0, b"x", 1002, id="continues nothing"),
        pytest.param(PING, 0, b"x" * 126, 1002, id="long ping"),
        pytest.param(TEXT, 0, b"\xff", 1007, id="not UTF-8"),
        pytest.param(CLOSE, 0, b"\x03", 1002, id="half a close code"),
        pytest.param(CLOSE, 0, struct.pack("!H", 1005), 1002, id="close code 1005"),
        pytest.param(CLOSE, 0, struct.pack("!H", 1000) + b"\xff", 1007, id="reason not UTF-8"),
    ],
)
def test_a_failure_is_a_close_frame_and_a_fin_once_the_client_has_ended(
    client: StrictClient, opcode: int, first_bits: int, payload: bytes, code: int
) -> None:
    client.send(opcode, payload, first_bits=first_bits)
    assert client.close_code() == code
    client.expect_fin()


def test_what_came_before_a_failure_is_answered_first(client: StrictClient) -> None:
    client.send(TEXT, b"one")
    client.send(BINARY, b"two")
    client.send(TEXT, b"\xff")
    assert client.frame() == Frame(TEXT, b"one", fin=True)
    assert client.frame() == Frame(BINARY, b"two", fin=True)
    assert client.close_code() == 1007
    client.expect_fin()


def test_a_message_cut_at_every_byte_with_pings_between_is_one_message(client: StrictClient) -> None:
    text = "κόσμε 𤭢".encode()
    for at, byte in enumerate(text):
        client.send(TEXT if at == 0 else CONTINUATION, bytes([byte]), fin=False)
        client.send(PING, bytes([at]))
        assert client.frame() == Frame(PONG, bytes([at]), fin=True)
    client.send(CONTINUATION, b"")
    assert client.frame() == Frame(TEXT, text, fin=True)
