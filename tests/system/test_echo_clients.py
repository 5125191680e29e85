"""`websockets` and `websocket-client`, as PyPI has them, against `/echo`: byte for byte."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import websocket
from websocket import ABNF
from websockets.asyncio.client import ClientConnection, connect, unix_connect
from websockets.exceptions import ConnectionClosedError
from websockets.frames import Frame, Opcode

from tests.system.daemon import PATIENCE_S, Daemon

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

    from websockets.typing import Data

pytestmark = pytest.mark.system

MIB = 1024 * 1024
LARGE_BYTES = 16 * MIB
CHANCE = random.Random(6455)
SIZES = [0, 1, 125, 126, 127, 16 * 1024, 65_535, 65_536, 65_537, MIB + 1]
"""Where the length field changes its form, and where the server's ring and its pieces do."""

BYTES = CHANCE.randbytes(LARGE_BYTES)
LETTERS = "".join(CHANCE.choices("aé\u20ac\U0001f600\n\0", k=MIB))
"""One to four bytes each, so that every cut of the bytes falls inside some character."""


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with Daemon("--ws-max-size", str(32 * MIB)) as started:
        yield started
        assert "Traceback" not in started.stderr()


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scenario, PATIENCE_S))


def text_of(size: int) -> str:
    return (LETTERS * (size // len(LETTERS) + 1))[:size]


def cut(data: bytes, pieces: int) -> list[bytes]:
    """Cut into `pieces`, some of them empty."""
    marks = sorted(CHANCE.choices(range(len(data) + 1), k=pieces - 1))
    return [data[start:end] for start, end in zip([0, *marks], [*marks, len(data)], strict=True)]


# -- websockets ----------------------------------------------------------------------------


def test_websockets_gets_every_size_back_as_it_was(daemon: Daemon) -> None:
    async def scenario() -> None:
        async with connect(daemon.url(), max_size=None, proxy=None) as peer:
            for size in SIZES:
                await peer.send(BYTES[:size])
                assert await peer.recv() == BYTES[:size]
                await peer.send(text_of(size))
                assert await peer.recv() == text_of(size)

    run(scenario())


def test_websockets_gets_16_mib_back_whole_and_in_fragments(daemon: Daemon) -> None:
    text = text_of(LARGE_BYTES // 4)

    async def scenario() -> None:
        async with connect(daemon.url(), max_size=None, proxy=None) as peer:
            for message in (BYTES, cut(BYTES, 100)):
                await peer.send(message)
                assert await peer.recv() == BYTES
            for words in (text, [text[start : start + 50_001] for start in range(0, len(text), 50_001)]):
                await peer.send(words)
                assert await peer.recv() == text

    run(scenario())


def test_a_message_of_exactly_the_limit_passes_and_one_byte_more_is_1009(daemon: Daemon) -> None:
    async def scenario() -> None:
        async with connect(daemon.url(), max_size=None, proxy=None) as peer:
            await peer.send(BYTES + BYTES)
            assert await peer.recv() == BYTES + BYTES
            with pytest.raises(ConnectionClosedError) as caught:
                await peer.send([BYTES, BYTES, b"!"])
                await peer.recv()
            assert caught.value.rcvd is not None
            assert caught.value.rcvd.code == 1009

    run(scenario())


def test_websockets_may_send_ahead_without_reading_and_gets_all_in_order(daemon: Daemon) -> None:
    messages: list[Data] = [
        part for number in range(500) for part in (f"text {number}", BYTES[number : number * 3])
    ]

    async def scenario() -> None:
        async with connect(daemon.url(), max_size=None, proxy=None) as peer:
            for message in messages:
                await peer.send(message)
            assert [await peer.recv() for _ in messages] == messages

    run(scenario())


def test_a_small_message_right_behind_a_large_one_is_not_taken_for_slowness(daemon: Daemon) -> None:
    async def scenario() -> None:
        async with connect(daemon.url(), max_size=None, proxy=None) as peer:
            for _ in range(3):
                await peer.send(BYTES)
                await peer.send("and this")
                assert await peer.recv() == BYTES
                assert await peer.recv() == "and this"

    run(scenario())


@pytest.mark.parametrize("payload", [b"", b"x", bytes(range(125))])
def test_websockets_gets_its_pings_answered_with_their_payload(daemon: Daemon, payload: bytes) -> None:
    async def scenario() -> None:
        async with connect(daemon.url(), proxy=None) as peer:
            await (await peer.ping(payload))  # resolved by a pong that carries the same payload only

    run(scenario())


def test_a_ping_between_two_fragments_is_answered_before_the_message_is_whole(daemon: Daemon) -> None:
    async def scenario() -> None:
        async with connect(daemon.url(), proxy=None) as peer:

            async def fragments() -> Any:
                yield "one, "
                await (await peer.ping(b"between"))
                yield "two"

            await peer.send(fragments())
            assert await peer.recv() == "one, two"

    run(scenario())


CLOSES = [
    pytest.param(1000, "", id="normal"),
    pytest.param(1001, "going away", id="going away"),
    pytest.param(3000, "x" * 123, id="longest reason"),
    pytest.param(4999, "näher, мой \u20ac", id="words of many bytes"),
    pytest.param(1011, "internal", id="internal error"),
]


@pytest.mark.parametrize(("code", "reason"), CLOSES)
def test_websockets_closes_and_hears_its_code_back(daemon: Daemon, code: int, reason: str) -> None:
    async def scenario() -> None:
        async with connect(daemon.url(), proxy=None) as peer:
            await peer.close(code, reason)
            received = peer.protocol.close_rcvd
            assert received is not None
            assert received.code == code
            assert peer.protocol.close_rcvd_then_sent is False

    run(scenario())


def test_every_reply_to_what_was_sent_before_the_close_still_arrives(daemon: Daemon) -> None:
    with dial(daemon.url()) as client:
        frames = [ABNF.create_frame(f"last words {number}", ABNF.OPCODE_TEXT) for number in range(100)]
        frames.append(ABNF.create_frame(b"\x0f\xa1bye", ABNF.OPCODE_CLOSE))
        stream(client).sendall(b"".join(frame.format() for frame in frames))
        assert [client.recv() for _ in range(100)] == [f"last words {number}" for number in range(100)]
        frame = next_frame(client)
        assert (frame.opcode, frame.data) == (ABNF.OPCODE_CLOSE, b"\x0f\xa1")


def test_an_offer_to_compress_is_declined_and_all_goes_on_uncompressed(daemon: Daemon) -> None:
    async def scenario() -> None:
        async with connect(daemon.url(), compression="deflate", max_size=None, proxy=None) as peer:
            assert peer.request is not None
            assert peer.response is not None
            assert "permessage-deflate" in peer.request.headers["Sec-WebSocket-Extensions"]
            assert "Sec-WebSocket-Extensions" not in peer.response.headers
            await peer.send("a" * 100_000)
            assert await peer.recv() == "a" * 100_000

    run(scenario())


class Watched(ClientConnection):
    """Tells when the server has sent a number of pings; the library answers them by itself."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.pings_left = 2
        self.pinged = asyncio.Event()

    def process_event(self, event: Any) -> None:
        super().process_event(event)
        if isinstance(event, Frame) and event.opcode is Opcode.PING:
            self.pings_left -= 1
            if not self.pings_left:
                self.pinged.set()


SHORT_HEARTBEAT = ("--ws-ping-interval", "1.0", "--ws-ping-timeout", "0.9")
"""An unanswered ping closes the connection before the next one: two pings prove an answer."""


def test_websockets_answers_the_daemons_pings_and_stays() -> None:
    async def scenario(daemon: Daemon) -> None:
        async with connect(daemon.url(), create_connection=Watched, proxy=None, ping_interval=None) as peer:
            assert isinstance(peer, Watched)
            await peer.pinged.wait()
            await peer.send("still here")
            assert await peer.recv() == "still here"

    with Daemon(*SHORT_HEARTBEAT) as daemon:
        run(scenario(daemon))


# -- websocket-client ------------------------------------------------------------------------


@contextlib.contextmanager
def dial(url: str, **options: Any) -> Iterator[websocket.WebSocket]:
    made = websocket.create_connection(url, timeout=PATIENCE_S, **options)
    try:
        yield made
    finally:
        made.shutdown()  # type: ignore[no-untyped-call]  # closes in every state, as close() does not


def stream(client: websocket.WebSocket) -> socket.socket:
    assert client.sock is not None
    return client.sock


def next_frame(client: websocket.WebSocket) -> ABNF:
    """Return the next frame without the library's answer to it."""
    frame = client.recv_frame()  # type: ignore[no-untyped-call]
    assert isinstance(frame, ABNF)
    return frame


@pytest.fixture
def client(daemon: Daemon) -> Iterator[websocket.WebSocket]:
    with dial(daemon.url()) as made:
        yield made


def test_websocket_client_gets_every_size_back_as_it_was(client: websocket.WebSocket) -> None:
    for size in SIZES:
        client.send_binary(BYTES[:size])
        assert client.recv_data() == (ABNF.OPCODE_BINARY, BYTES[:size])
        client.send_text(text_of(size))
        assert client.recv_data() == (ABNF.OPCODE_TEXT, text_of(size).encode())


def test_websocket_client_gets_16_mib_back_whole_and_in_fragments(client: websocket.WebSocket) -> None:
    client.send_binary(BYTES)
    assert client.recv_data() == (ABNF.OPCODE_BINARY, BYTES)
    send_fragments(client, ABNF.OPCODE_BINARY, cut(BYTES, 100))
    assert client.recv_data() == (ABNF.OPCODE_BINARY, BYTES)


def test_text_may_be_cut_inside_a_character(client: websocket.WebSocket) -> None:
    data = text_of(500).encode()
    send_fragments(client, ABNF.OPCODE_TEXT, [data[index : index + 1] for index in range(len(data))][:1024])
    assert client.recv_data() == (ABNF.OPCODE_TEXT, data[:1024])


def send_fragments(client: websocket.WebSocket, opcode: int, pieces: list[bytes]) -> None:
    for number, piece in enumerate(pieces):
        kind = ABNF.OPCODE_CONT if number else opcode
        is_last = number == len(pieces) - 1
        client.send_frame(ABNF.create_frame(piece, kind, int(is_last)))


def test_websocket_client_gets_its_pings_answered_with_their_payload(client: websocket.WebSocket) -> None:
    for payload in (b"", b"x", bytes(range(125))):
        client.ping(payload)
        opcode, frame = client.recv_data_frame(control_frame=True)
        assert (opcode, frame.data) == (ABNF.OPCODE_PONG, payload)


@pytest.mark.parametrize(("code", "reason"), CLOSES)
def test_websocket_client_closes_and_hears_its_code_back(
    client: websocket.WebSocket, code: int, reason: str
) -> None:
    client.send_close(code, reason.encode())
    frame = next_frame(client)
    assert (frame.opcode, frame.data[:2]) == (ABNF.OPCODE_CLOSE, code.to_bytes(2, "big"))
    assert stream(client).recv(1) == b""  # the server ends the stream (RFC 6455 section 7.1.1)


def test_a_message_over_the_limit_is_1009_and_at_the_limit_it_is_not(client: websocket.WebSocket) -> None:
    limit = BYTES + BYTES
    client.send_binary(limit)
    assert client.recv_data() == (ABNF.OPCODE_BINARY, limit)
    client.send_binary(limit + b"!")
    frame = next_frame(client)
    assert (frame.opcode, frame.data[:2]) == (ABNF.OPCODE_CLOSE, (1009).to_bytes(2, "big"))


def test_websocket_client_may_close_without_a_code(client: websocket.WebSocket) -> None:
    client.send(b"", ABNF.OPCODE_CLOSE)
    frame = next_frame(client)
    assert (frame.opcode, frame.data) == (ABNF.OPCODE_CLOSE, b"")
    assert stream(client).recv(1) == b""


def test_websocket_client_answers_the_daemons_pings_and_stays() -> None:
    with Daemon(*SHORT_HEARTBEAT) as daemon, dial(daemon.url()) as client:
        for _ in range(2):
            opcode, frame = client.recv_data_frame(control_frame=True)  # answers, then returns it
            assert (opcode, frame.data) == (ABNF.OPCODE_PING, b"")
        client.send_text("still here")
        assert client.recv() == "still here"


def test_a_client_that_answers_no_ping_is_closed_with_1011() -> None:
    with Daemon(*SHORT_HEARTBEAT) as daemon, dial(daemon.url()) as client:
        client.pong = lambda payload="": None  # type: ignore[method-assign]
        frames = [client.recv_data_frame(control_frame=True) for _ in range(2)]
        assert [opcode for opcode, _frame in frames] == [ABNF.OPCODE_PING, ABNF.OPCODE_CLOSE]
        assert frames[1][1].data == (1011).to_bytes(2, "big") + b"no pong"


# -- a Unix socket ------------------------------------------------------------------------------


def test_both_clients_over_a_unix_socket() -> None:
    async def scenario(path: str) -> None:
        async with unix_connect(path, "ws://localhost/echo", max_size=None) as peer:
            for size in SIZES:
                await peer.send(BYTES[:size])
                assert await peer.recv() == BYTES[:size]

    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "wsloop.sock")
        with Daemon("--ws-max-size", str(2 * MIB), uds=path):
            run(scenario(path))
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
                sock.settimeout(PATIENCE_S)
                sock.connect(path)
                with dial("ws://localhost/echo", socket=sock) as client:
                    for size in SIZES:
                        client.send_binary(BYTES[:size])
                        assert client.recv_data() == (ABNF.OPCODE_BINARY, BYTES[:size])
