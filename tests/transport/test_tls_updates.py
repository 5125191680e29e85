"""What an engine may ask for once the handshake is done: key updates, renegotiation, and the unforeseen."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import ssl
import subprocess
from typing import TYPE_CHECKING, cast

import pytest

from tests.transport.test_tcp import wait_really
from tests.transport.tls_kit import certificates
from tests.transport.told import Told, ToldSocket
from wsloop.buffers.outbox import Outbox
from wsloop.errors import TransportError
from wsloop.loop.poller import READ
from wsloop.transport import tls
from wsloop.transport.tls_state import SHAKING, TlsState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wsloop.transport.base import SocketLike
    from wsloop.transport.tls import TlsTransport

needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None and "CI" not in os.environ,
    reason="no `openssl` command (apt-get install openssl)",
)
UPDATE, UPDATE_AND_ASK, RENEGOTIATE = b"k\n", b"K\n", b"R\n"
"""What `openssl s_client` does when it reads such a line; Python's client can do none of these."""


class Client:
    """`openssl s_client`, connected to a transport of ours."""

    def __init__(self, process: subprocess.Popen[bytes], sock: socket.socket) -> None:
        self.process = process
        self.sock = sock
        self.transport = certificates().wrap(sock)

    def say(self, line: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line)
        self.process.stdin.flush()

    def ciphertext(self, line: bytes, count: int) -> bytes:
        """Return what the client sends when it is told a line `count` times, unread by the transport."""
        data = b""
        for _ in range(count):
            self.say(line)
            wait_really(self.transport, READ)
            data += self.sock.recv(65_536)
        return data


@contextlib.contextmanager
def s_client(*options: str) -> Iterator[Client]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = "{}:{}".format(*listening.getsockname())
        process = subprocess.Popen(
            ["openssl", "s_client", "-connect", address, *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        sock, _ = listening.accept()
    sock.setblocking(False)
    client = Client(process, sock)
    try:
        while client.transport.state in SHAKING:
            wait_really(client.transport, READ)
            assert not client.transport.read(1)
        yield client
    finally:
        client.transport.close()
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


@needs_openssl
def test_a_key_update_is_answered_from_a_read_and_data_goes_on_both_ways() -> None:
    with s_client("-tls1_3") as client:
        transport = client.transport
        for number in range(3):
            client.say(UPDATE_AND_ASK)
            wait_really(transport, READ)
            assert transport.read(100) is None
            line = b"line %d\n" % number
            client.say(line)
            wait_really(transport, READ)
            assert transport.read(100) == line
            assert transport.write(b"answer %d\n" % number) == 9
        assert not transport.has_output
        heard = b""
        assert client.process.stdout is not None
        while b"answer 2" not in heard:
            heard += os.read(client.process.stdout.fileno(), 65_536)
        assert heard.count(b"answer") == 3


@needs_openssl
@pytest.mark.parametrize("line", [UPDATE, UPDATE_AND_ASK])
def test_a_flood_of_key_updates_is_served_a_budget_at_a_time_then_given_up(line: bytes) -> None:
    with s_client("-tls1_3") as client:
        transport = client.transport
        flood = ToldSocket()
        flood.arriving = [client.ciphertext(line, 400)]
        transport._tcp._sock = cast("SocketLike", flood)
        turns = 0
        with pytest.raises(TransportError, match="TOO_MANY_KEY_UPDATES"):
            while True:
                assert transport.read(65_536) is None
                turns += 1
        assert turns == tls.RECORD_CREDIT // tls.RECORDS_PER_READ
        assert transport.state is TlsState.FAILED
        transport._tcp._sock = client.sock


@needs_openssl
def test_answers_that_are_not_read_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "WAITING_BYTES", 1_000)
    with s_client("-tls1_3") as client:
        transport = client.transport
        flood = ToldSocket()
        flood.arriving, flood.room = [client.ciphertext(UPDATE_AND_ASK, 50)], 0
        transport._tcp._sock = cast("SocketLike", flood)
        with pytest.raises(TransportError, match="EXCESSIVE_OUTPUT"):
            while True:
                assert transport.read(65_536) is None
        transport._tcp._sock = client.sock


@needs_openssl
def test_a_renegotiation_is_not_entered_into() -> None:
    with s_client("-tls1_2") as client:
        client.say(b"before\n")
        wait_really(client.transport, READ)
        assert client.transport.read(100) == b"before\n"
        client.say(RENEGOTIATE)
        # It is told no_renegotiation, and gives up.
        with contextlib.suppress(TransportError):
            while client.transport.read(100) != b"":
                wait_really(client.transport, READ)
        assert client.process.wait(10) != 0


# -- an engine that asks for what no engine should ------------------------------------------------


class WillfulEngine:
    """An SSLObject that raises as it is told, whatever is asked of it."""

    def __init__(self, error: ssl.SSLError) -> None:
        error.reason = None  # type: ignore[assignment] # as the library says where it has no name
        self.error = error

    def refuse(self, *_: object) -> bytes:
        raise self.error

    read = write = unwrap = do_handshake = refuse


def willful(error: ssl.SSLError) -> TlsTransport:
    """Return an open transport whose engine raises `error` from now on."""
    told = Told()
    assert told.transport._engine is not None
    told.transport._engine._ssl = cast("ssl.SSLObject", WillfulEngine(error))
    told.arrive(b"\x17\x03\x03\x00\x01x")
    return told.transport


def test_a_write_that_wants_input_on_an_open_stream_is_the_end_of_it() -> None:
    transport, outbox = willful(ssl.SSLWantReadError()), Outbox()
    outbox.append(b"x")
    with pytest.raises(TransportError, match="WANT_READ"):
        transport.flush(outbox)
    assert transport.state is TlsState.FAILED
    with pytest.raises(TransportError, match="EPIPE"):
        transport.write(b"x")
    transport.close()


def test_an_engine_that_cannot_write_into_memory_is_a_fault() -> None:
    transport = willful(ssl.SSLWantWriteError(3, "no reason given"))
    with pytest.raises(TransportError, match="SSL_ERROR_WANT_WRITE"):
        transport.read(10)


@pytest.mark.parametrize(
    ("number", "name"), [(1, "SSL_ERROR_SSL"), (5, "SSL_ERROR_SYSCALL"), (99, "SSL_ERROR_SSL")]
)
@pytest.mark.parametrize("call", ["read", "write"])
def test_a_fault_without_a_reason_is_named_by_its_kind(call: str, number: int, name: str) -> None:
    transport = willful(ssl.SSLError(number, "no reason given"))
    with pytest.raises(TransportError, match=f"^{name}$"):
        transport.read(10) if call == "read" else transport.write(b"x")
    assert transport.state is TlsState.FAILED


def test_a_fault_of_the_close_notify_is_no_obstacle_to_the_end() -> None:
    transport = willful(ssl.SSLError(1, "no"))
    transport.shutdown_write()
    transport.close()
    assert transport.state is TlsState.RELEASED
