"""Clients that misbehave over real sockets, each beside a polite one that must not notice.

Every kind of bad input is in tests/server/test_bad_input.py, in memory; what is here depends on
the kernel: buffers that fill, resets, silence.
"""

from __future__ import annotations

import json
import re
import socket
import struct
from typing import TYPE_CHECKING

import pytest

from tests.system.daemon import Daemon
from tests.system.peers import (
    MESSAGING,
    close_of,
    hear,
    http,
    open_echo,
    open_messaging,
    raw,
    says,
    turn_until,
    upgrade_request,
)
from wsloop.testing.client import (
    OPCODE_BINARY,
    OPCODE_CLOSE,
    OPCODE_PING,
    OPCODE_PONG,
    OPCODE_TEXT,
    masked_frame,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from websockets.sync.client import ClientConnection

pytestmark = pytest.mark.system

SEND_LIMIT_BYTES = 64 * 1024
LARGEST_MESSAGE_BYTES = 64 * 1024
"""Of the messaging protocol, by default."""

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with a timeout of 0: close(2) sends RST."""


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with Daemon(
        "--ws-ping-interval", "1.0", "--ws-ping-timeout", "0.9", "--ws-send-limit", str(SEND_LIMIT_BYTES)
    ) as started:
        yield started
        assert started.is_running
        assert "Traceback" not in started.stderr()


@pytest.fixture(autouse=True)
def polite(daemon: Daemon) -> Iterator[ClientConnection]:
    """Is connected while others misbehave, and served as before when they are through."""
    with open_echo(daemon) as peer:
        assert says(peer, "before") == "before"
        yield peer
        assert says(peer, "after") == "after"
        assert peer.protocol.close_rcvd is None


# -- instead of an upgrade --------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/echo", MESSAGING])
def test_plain_http_on_a_websocket_path_is_426(daemon: Daemon, path: str) -> None:
    status, headers, body = http(daemon, f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    assert status == 426
    assert headers["upgrade"] == "websocket"
    assert headers["sec-websocket-version"] == "13"
    assert body.strip()


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        pytest.param(upgrade_request("/echo").replace(b"13", b"12"), 426, id="wrong version"),
        pytest.param(upgrade_request("/echo").replace(b"dGhl", b"!!!!"), 400, id="malformed key"),
        pytest.param(upgrade_request("/echo", "Content-Length: 1") + b"x", 400, id="body"),
        pytest.param(upgrade_request("/echo", "Origin: http://evil.example"), 403, id="foreign origin"),
        pytest.param(upgrade_request("/nowhere"), 404, id="no such path"),
        pytest.param(upgrade_request("/echo").replace(b"GET", b"POST"), 405, id="POST"),
        pytest.param(upgrade_request("/echo").replace(b"1.1", b"1.0"), 426, id="HTTP/1.0"),
        pytest.param(upgrade_request("/echo", "X: " + "y" * 9000), 431, id="long line"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, id="TLS"),
        pytest.param(bytes(range(256)) * 100, 400, id="garbage"),
    ],
)
def test_a_bad_request_is_refused_in_http(daemon: Daemon, request_bytes: bytes, status: int) -> None:
    assert http(daemon, request_bytes)[0] == status


def test_bytes_right_behind_the_handshake_are_used(daemon: Daemon) -> None:
    with daemon.connect() as sock:
        first = masked_frame(OPCODE_TEXT, b"early", b"abcd")
        bye = masked_frame(OPCODE_CLOSE, b"\x03\xe8", b"abcd")
        sock.sendall(upgrade_request("/echo") + first + bye)
        answer = b""
        while piece := sock.recv(65536):
            answer += piece
    assert answer.partition(b"\r\n\r\n")[2] == b"\x81\x05early" + b"\x88\x02\x03\xe8"


# -- instead of good frames -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(b"\x81\x05hello", 1002, id="unmasked"),
        pytest.param(masked_frame(OPCODE_TEXT, b"\xff\xfe", b"abcd"), 1007, id="text that is not UTF-8"),
        pytest.param(masked_frame(0x3, b"", b"abcd"), 1002, id="reserved opcode"),
        pytest.param(b"\xc1" + masked_frame(OPCODE_TEXT, b"", b"abcd")[1:], 1002, id="reserved bit"),
        pytest.param(masked_frame(0x0, b"", b"abcd"), 1002, id="continuation of nothing"),
        pytest.param(masked_frame(OPCODE_PING, b"x" * 126, b"abcd"), 1002, id="long ping"),
        pytest.param(masked_frame(OPCODE_PING, b"", b"abcd", fin=False), 1002, id="fragmented ping"),
        pytest.param(masked_frame(OPCODE_CLOSE, b"\x03", b"abcd"), 1002, id="close of one byte"),
        pytest.param(masked_frame(OPCODE_CLOSE, b"\x03\xed", b"abcd"), 1002, id="close with 1005"),
        pytest.param(masked_frame(OPCODE_CLOSE, b"\x03\xe8\xff", b"abcd"), 1007, id="close reason"),
        pytest.param(b"\x82\xff" + b"\x3f" + b"\xff" * 7 + b"abcd", 1009, id="a frame of 2**62 bytes"),
        pytest.param(masked_frame(OPCODE_TEXT, b"", b"abcd", fin=False) * 2, 1002, id="interleaved"),
    ],
)
def test_a_bad_frame_ends_the_connection_with_the_code_for_it(daemon: Daemon, data: bytes, code: int) -> None:
    with raw(daemon) as peer:
        peer.sock.sendall(data)
        opcode, payload = peer.read_frame()
        assert opcode == OPCODE_CLOSE
        assert int.from_bytes(payload[:2], "big") == code
        peer.send(OPCODE_CLOSE, payload[:2])
        assert peer.read_to_end() == b""


@pytest.mark.parametrize(
    "command",
    [
        pytest.param("not json", id="not JSON"),
        pytest.param("", id="empty frame"),
        pytest.param('{"id":1,"subscribe":{"channel":"chat:lobby"}}', id="before connect"),
        pytest.param('{"connect":{}}', id="no id"),
        pytest.param("[" * 5000, id="deep nesting"),
    ],
)
def test_a_bad_command_is_3501(daemon: Daemon, command: str) -> None:
    with raw(daemon, MESSAGING) as peer:
        peer.send(OPCODE_TEXT, command.encode())
        opcode, payload = peer.read_frame()
        assert (opcode, int.from_bytes(payload[:2], "big")) == (OPCODE_CLOSE, 3501)


def test_binary_on_the_json_protocol_is_3501(daemon: Daemon) -> None:
    with raw(daemon, MESSAGING) as peer:
        peer.send(OPCODE_BINARY, b"\x00")
        assert peer.read_frame()[1][:2] == (3501).to_bytes(2, "big")


# -- peers that are too slow, too fast, or gone ------------------------------------------------


def test_a_peer_that_never_reads_its_echo_is_not_read_either(daemon: Daemon) -> None:
    with raw(daemon) as greedy:
        greedy.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        piece = masked_frame(OPCODE_BINARY, bytes(16 * 1024), b"abcd")
        greedy.sock.settimeout(0.5)
        with pytest.raises(TimeoutError):
            for _ in range(10_000):  # 160 MB, were they taken
                greedy.sock.sendall(piece)


def test_a_subscriber_that_never_reads_does_not_hold_up_the_others(daemon: Daemon) -> None:
    count, size = 400, 30_000
    with open_messaging(daemon, "chat:stall") as reader, raw(daemon, MESSAGING) as deaf:
        deaf.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.send(OPCODE_TEXT, b'{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"chat:stall"}}')
        hear(reader, '"join"')
        for number in range(count):
            publish = {"channel": "chat:stall", "data": f"{number} " + "x" * size}
            reader.send(json.dumps({"id": number + 3, "publish": publish}))
            hear(reader, f'"data":"{number} x')
        # Twelve megabytes do not fit into two kernel buffers and the limit: it was closed as slow.
        hear(reader, '"leave"')
    waited = [int(queued) for queued in re.findall(r"is slow, (\d+) bytes queued", daemon.stderr())]
    assert waited
    assert max(waited) < SEND_LIMIT_BYTES + LARGEST_MESSAGE_BYTES + 2 * size


def test_a_flood_of_pings_is_1008_and_disturbs_nobody(daemon: Daemon, polite: ClientConnection) -> None:
    with raw(daemon) as flooder:
        flooder.sock.sendall(masked_frame(OPCODE_PING, b"", b"abcd") * 1000)
        for number in range(20):
            assert says(polite, str(number)) == str(number)
        frame = flooder.read_frame()
        while frame[0] in (OPCODE_PONG, OPCODE_PING):  # answers, and the heartbeat
            frame = flooder.read_frame()
        assert frame == (OPCODE_CLOSE, b"\x03\xf0too many control frames")


@pytest.mark.parametrize("path", ["/echo", MESSAGING])
def test_a_peer_that_falls_silent_is_closed_by_the_heartbeat(daemon: Daemon, path: str) -> None:
    with raw(daemon, path) as silent:
        if path == MESSAGING:
            silent.send(OPCODE_TEXT, b'{"id":1,"connect":{}}')
            assert b'"connect"' in silent.read_frame()[1]
        ping = silent.read_frame()
        assert ping == ((OPCODE_TEXT, b"{}") if path == MESSAGING else (OPCODE_PING, b""))
        code = 3012 if path == MESSAGING else 1011
        assert silent.read_frame() == (OPCODE_CLOSE, code.to_bytes(2, "big") + b"no pong")


@pytest.mark.parametrize(
    "last_words",
    [
        pytest.param(b"GET /ec", id="mid request"),
        pytest.param(upgrade_request("/echo"), id="right after the request"),
        pytest.param(upgrade_request("/echo") + b"\x81", id="mid header"),
        pytest.param(upgrade_request("/echo") + b"\x81\xfe\xff\xffabcdhalf", id="mid frame"),
        pytest.param(
            upgrade_request("/echo") + masked_frame(OPCODE_TEXT, b"half", b"abcd", fin=False),
            id="mid message",
        ),
    ],
)
@pytest.mark.parametrize("how", ["FIN", "RST"])
def test_a_peer_that_vanishes_leaves_nothing_open(
    daemon: Daemon, polite: ClientConnection, last_words: bytes, how: str
) -> None:
    descriptors = daemon.open_descriptors()
    with daemon.connect() as sock:
        sock.sendall(last_words)
        turn_until(polite, lambda: daemon.open_descriptors() > descriptors)
        if how == "RST":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        else:
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(65536):
                pass
    turn_until(polite, lambda: daemon.open_descriptors() <= descriptors)


def test_a_client_gone_without_a_word_leaves_the_room(daemon: Daemon) -> None:
    with open_messaging(daemon, "chat:gone") as witness:
        with raw(daemon, MESSAGING) as sudden:
            sudden.send(OPCODE_TEXT, b'{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"chat:gone"}}')
            hear(witness, '"join"')
            sudden.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        hear(witness, '"leave"')


def test_what_a_client_writes_into_the_log_cannot_act_on_the_terminal(daemon: Daemon) -> None:
    http(daemon, b"GET /\x1b[2J\x07 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    http(daemon, b"GET /%1b[2J HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert "\x1b" not in daemon.stderr()
    assert "\x07" not in daemon.stderr()


def test_more_connections_than_allowed_are_told_503_and_those_inside_stay() -> None:
    with Daemon("--limit-concurrency", "3") as small:
        with open_echo(small) as one, open_echo(small) as two, open_echo(small) as three:
            status, headers, _body = http(small, upgrade_request("/echo"))
            assert status == 503
            assert int(headers["retry-after"]) > 0
            for peer in (one, two, three):
                assert says(peer, "still here") == "still here"
        assert close_of(one)[0] == 1000
