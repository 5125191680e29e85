"""TLS from outside: `websockets` over wss, Python's own client for bad handshakes, HUP, and bad files."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError

from tests.system.daemon import PATIENCE_S, Daemon
from tests.system.peers import MESSAGING, Raw, upgrade_request
from tests.transport.test_tls_handshake import hello_of
from tests.transport.tls_kit import client_context, write_pair
from wsloop.testing.client import OPCODE_CLOSE, OPCODE_TEXT

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

pytestmark = pytest.mark.system

MIB = 1024 * 1024
BYTES = bytes(range(251)) * (5 * MIB // 251 + 1)
MANY = 200


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    return write_pair(tmp_path_factory.mktemp("pair"))


@pytest.fixture(scope="module")
def daemon(files: tuple[str, str]) -> Iterator[Daemon]:
    options = ("--ssl-certfile", files[0], "--ssl-keyfile", files[1], "--ws-max-size", str(8 * MIB))
    with Daemon(*options) as started:
        yield started
        assert started.is_running
        assert "Traceback" not in started.stderr()


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scenario, PATIENCE_S))


def opened(daemon: Daemon, path: str = "/echo") -> Any:
    context = client_context("http/1.1")
    return connect(daemon.url(path), ssl=context, max_size=None, proxy=None, ping_interval=None)


def wrapped(daemon: Daemon, context: ssl.SSLContext | None = None) -> ssl.SSLSocket:
    """Return a blocking TLS connection of Python's own, the handshake done."""
    sock = daemon.connect()
    try:
        return (context or client_context("http/1.1")).wrap_socket(sock, server_hostname="localhost")
    except BaseException:
        sock.close()
        raise


def upgraded(sock: ssl.SSLSocket) -> Raw:
    """Open /echo on a TLS connection."""
    sock.sendall(upgrade_request("/echo"))
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += sock.recv(1)
    return Raw(sock)


def new_log(daemon: Daemon, wanted: str, seen: int) -> str:
    """Return what was logged since, once `wanted` is in it; turns the daemon meanwhile."""
    for _ in range(1_000):
        log = daemon.stderr()[seen:]
        if wanted in log:
            return log
        with wrapped(daemon):
            pass
    raise AssertionError(f"{wanted!r} was not logged: {log}")


# -- good clients ----------------------------------------------------------------------------------


def test_the_banner_prints_addresses_that_work(daemon: Daemon) -> None:
    assert daemon.url() == f"wss://127.0.0.1:{daemon.port}/echo"
    assert f"wss://127.0.0.1:{daemon.port}{MESSAGING}" in daemon.banner
    assert f"https://127.0.0.1:{daemon.port}/" in daemon.banner
    with wrapped(daemon) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        page = Raw(sock).read_to_end()
    assert page.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"wss" in page


def test_every_size_comes_back_as_it_was(daemon: Daemon) -> None:
    async def scenario() -> None:
        async with opened(daemon) as peer:
            for size in (0, 1, 125, 126, 16_383, 16_384, 16_385, 65_535, 65_536, MIB, 5 * MIB):
                await peer.send(BYTES[:size])
                assert await peer.recv() == BYTES[:size]
            await peer.send("é" * MIB)
            assert await peer.recv() == "é" * MIB

    run(scenario())


def test_messages_sent_ahead_without_reading_all_come_back_in_order(daemon: Daemon) -> None:
    async def scenario() -> None:
        async with opened(daemon) as peer:
            messages = [BYTES[: number * 37] for number in range(500)]
            for message in messages:
                await peer.send(message)
            assert [await peer.recv() for _ in messages] == messages

    run(scenario())


def test_large_messages_go_both_ways_at_once_on_several_connections(daemon: Daemon) -> None:
    async def talk(peer: ClientConnection) -> None:
        for _ in range(3):
            await peer.send(BYTES[: 5 * MIB])
            assert await peer.recv() == BYTES[: 5 * MIB]

    async def scenario() -> None:
        async with opened(daemon) as one, opened(daemon) as two, opened(daemon) as three:
            await asyncio.gather(talk(one), talk(two), talk(three))

    run(scenario())


def test_many_connections_are_served_and_leave_nothing_behind(daemon: Daemon) -> None:
    before = daemon.open_descriptors()

    async def talk(number: int) -> None:
        async with opened(daemon) as peer:
            await peer.send(f"hello {number}")
            assert await peer.recv() == f"hello {number}"

    async def scenario() -> None:
        for start in range(0, MANY, 50):
            await asyncio.gather(*(talk(number) for number in range(start, start + 50)))

    run(scenario())
    while daemon.open_descriptors() > before:
        with wrapped(daemon):
            pass


@pytest.mark.parametrize("code", [1000, 1001, 3000, 4999])
def test_close_codes_go_both_ways(daemon: Daemon, code: int) -> None:
    async def scenario() -> None:
        async with opened(daemon) as peer:
            await peer.close(code, "bye")
            assert peer.close_code == code
        async with opened(daemon) as peer:
            with pytest.raises(ConnectionClosedError) as caught:
                await peer.send(b"x" * (8 * MIB + 1))
                await peer.recv()
            assert caught.value.rcvd is not None
            assert caught.value.rcvd.code == 1009

    run(scenario())


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_stream_ends_with_a_close_notify(daemon: Daemon, version: ssl.TLSVersion) -> None:
    context = client_context(lowest=version, highest=version)
    # An end without close_notify would raise.
    with context.wrap_socket(
        daemon.connect(), server_hostname="localhost", suppress_ragged_eofs=False
    ) as sock:
        peer = upgraded(sock)
        peer.send(OPCODE_CLOSE, b"\x03\xe8")
        assert peer.read_frame() == (OPCODE_CLOSE, b"\x03\xe8")
        assert sock.recv(10) == b""


# -- bad handshakes --------------------------------------------------------------------------------


def test_a_client_of_tls_1_1_is_told_protocol_version(daemon: Daemon) -> None:
    context = client_context()
    with pytest.warns(DeprecationWarning):
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    seen = len(daemon.stderr())
    with pytest.raises(ssl.SSLError, match="TLSV1_ALERT_PROTOCOL_VERSION"):
        wrapped(daemon, context)
    assert "UNSUPPORTED_PROTOCOL" in new_log(daemon, "failed", seen)


def test_a_client_that_offers_only_h2_is_told_no_application_protocol(daemon: Daemon) -> None:
    seen = len(daemon.stderr())
    with pytest.raises(ssl.SSLError, match=r"(?i)no.application.protocol"):
        wrapped(daemon, client_context("h2"))
    assert "NO_APPLICATION_PROTOCOL" in new_log(daemon, "failed", seen)


def test_http_1_1_is_chosen_where_it_is_offered(daemon: Daemon) -> None:
    with wrapped(daemon, client_context("h2", "http/1.1")) as sock:
        assert sock.selected_alpn_protocol() == "http/1.1"
        assert sock.compression() is None


def test_plain_http_is_told_to_use_tls(daemon: Daemon) -> None:
    with daemon.connect() as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = Raw(sock).read_to_end()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"https://" in answer


def test_garbage_is_one_line_in_the_log_without_a_byte_of_it(daemon: Daemon) -> None:
    seen = len(daemon.stderr())
    with daemon.connect() as sock:
        name = "{}:{}".format(*sock.getsockname())
        sock.sendall(b"\x00garbage \x1b[31m\r\nERROR forged line\r\n" * 10)
        alert = Raw(sock).read_to_end()
    assert alert[:1] in (b"", b"\x15")  # what is no record at all gets no alert from OpenSSL
    log = new_log(daemon, f"{name} failed", seen)
    assert "forged" not in log
    assert "garbage" not in log
    assert log.count(name) == 1


def test_silent_and_dribbling_peers_are_gone_after_ten_seconds_and_others_are_served(daemon: Daemon) -> None:
    with daemon.connect() as silent, daemon.connect() as dribbling:
        dribbling.sendall(b"\x16\x03\x01\x02\x00\x01")
        with wrapped(daemon) as polite:
            polite.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert polite.recv(100).startswith(b"HTTP/1.1 200 ")
        assert Raw(silent).read_to_end() == b""
        assert Raw(dribbling).read_to_end() == b""


def test_a_client_that_goes_away_in_the_middle_of_the_handshake_disturbs_nobody(daemon: Daemon) -> None:
    for count in (1, 100, 300):
        with daemon.connect() as sock:
            sock.sendall(hello_of(client_context())[:count])
    with daemon.connect() as sock:
        sock.sendall(hello_of(client_context()))
        assert sock.recv(1) == b"\x16"  # the server's hello; a close with it half read is a reset
    with wrapped(daemon):
        pass


# -- HUP -------------------------------------------------------------------------------------------


def serial(daemon: Daemon) -> str:
    with wrapped(daemon) as sock:
        shown = sock.getpeercert()
    assert shown is not None
    return str(shown["serialNumber"])


def test_hup_gives_new_clients_the_new_certificate_and_drops_nobody(tmp_path: Path) -> None:
    certfile, keyfile = write_pair(tmp_path)
    with Daemon("--ssl-certfile", certfile, "--ssl-keyfile", keyfile) as daemon, wrapped(daemon) as old:
        peer = upgraded(old)
        first = serial(daemon)
        write_pair(tmp_path)
        assert serial(daemon) == first
        daemon.send_signal(signal.SIGHUP)
        new_log(daemon, "read again", 0)
        second = serial(daemon)
        assert second != first
        peer.send(OPCODE_TEXT, b"still here")
        assert peer.read_frame() == (OPCODE_TEXT, b"still here")

        Path(certfile).write_text("ruined", encoding="ascii")
        daemon.send_signal(signal.SIGHUP)
        log = new_log(daemon, "nothing was changed", 0)
        assert f"{certfile} holds no certificate" in log
        assert serial(daemon) == second
        peer.send(OPCODE_TEXT, b"and still")
        assert peer.read_frame() == (OPCODE_TEXT, b"and still")
        assert "Traceback" not in daemon.stderr()


def test_term_drains_over_tls(files: tuple[str, str]) -> None:
    with Daemon("--ssl-certfile", files[0], "--ssl-keyfile", files[1]) as daemon, wrapped(daemon) as sock:
        peer = upgraded(sock)
        daemon.send_signal(signal.SIGTERM)
        assert peer.read_frame() == (OPCODE_CLOSE, b"\x03\xf4shutdown")
        peer.send(OPCODE_CLOSE, b"\x03\xf4")
        assert peer.read_to_end() == b""
        assert daemon.wait() == 0


def test_a_unix_socket_beside_it_stays_plain(files: tuple[str, str], tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    options = ("--ssl-certfile", files[0], "--ssl-keyfile", files[1], "-b", "127.0.0.1:0")
    with Daemon(*options, "-b", f"unix:{path}") as daemon, socket.socket(socket.AF_UNIX) as sock:
        assert re.search(r"wss://127\.0\.0\.1:\d+/echo", daemon.banner)
        sock.connect(path)
        sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert Raw(sock).read_to_end().startswith(b"HTTP/1.1 200 ")
