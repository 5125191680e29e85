"""Connections that go out: over real sockets and in memory, plain, and refused in every way."""

from __future__ import annotations

import errno
import select
import socket
from typing import TYPE_CHECKING

import pytest

from tests.transport.tls_kit import client_context
from wsloop.buffers.outbox import Outbox
from wsloop.errors import TransportError
from wsloop.testing.clock import FakeClock
from wsloop.testing.network import MemoryNetwork
from wsloop.transport.bind import SocketNetwork, TcpBind, UnixBind, local_bind
from wsloop.transport.connecting import UNABLE_ERRNOS, open_transport
from wsloop.transport.tls import TlsTransport

if TYPE_CHECKING:
    from pathlib import Path

    from wsloop.transport.base import SocketLike, Transport


def wait_for_write(transport: Transport) -> None:
    poll = select.poll()
    poll.register(transport.fileno(), select.POLLOUT)
    assert poll.poll(10_000)


@pytest.fixture(params=["tcp", "tcp6", "unix"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> TcpBind | UnixBind:
    if request.param == "unix":
        return UnixBind(str(tmp_path / "s"))
    return TcpBind("127.0.0.1" if request.param == "tcp" else "::1", 0)


def test_a_connection_carries_bytes_once_it_is_writable(place: TcpBind | UnixBind) -> None:
    network = SocketNetwork()
    listener = network.listen(place)
    transport = open_transport(network, local_bind(listener))
    wait_for_write(transport)
    assert transport.write(b"hello") == 5
    select.select([listener], [], [], 10)
    server, _ = listener.accept()
    server_fd = server.fileno()
    select.select([server_fd], [], [], 10)
    assert server.recv(10) == b"hello"
    transport.close()
    server.close()
    listener.close()


def test_a_refusal_is_told_by_the_first_write_or_at_once() -> None:
    network = SocketNetwork()
    listener = network.listen(TcpBind("127.0.0.1", 0))
    place = local_bind(listener)
    listener.close()
    with pytest.raises(TransportError, match="ECONNREFUSED"):
        transport = open_transport(network, place)
        wait_for_write(transport)
        transport.write(b"hello")
    transport.close()


def test_a_unix_socket_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(TransportError, match="ENOENT"):
        open_transport(SocketNetwork(), UnixBind(str(tmp_path / "none")))
    listener = SocketNetwork().listen(UnixBind(str(tmp_path / "s")))
    raw = socket.socket(socket.AF_UNIX)
    raw.bind(str(tmp_path / "dead"))
    raw.close()
    with pytest.raises(TransportError, match="ECONNREFUSED"):
        open_transport(SocketNetwork(), UnixBind(str(tmp_path / "dead")))
    listener.close()


def test_before_it_is_connected_it_takes_nothing() -> None:
    # 192.0.2.0/24 (RFC 5737) answers nobody; where there is no route at all, that is told instead.
    try:
        transport = open_transport(SocketNetwork(), TcpBind("192.0.2.1", 9))
    except TransportError as error:
        assert error.errno_name in {"ENETUNREACH", "EHOSTUNREACH", "EACCES", "EPERM"}
        return
    try:
        assert transport.write(b"x") == 0
        assert transport.read(1) is None
    except TransportError as error:
        assert error.errno_name in {"ENETUNREACH", "EHOSTUNREACH", "ECONNREFUSED", "ETIMEDOUT"}
    finally:
        transport.abort()


class Failing(MemoryNetwork):
    def __init__(self, number: int) -> None:
        super().__init__(FakeClock())
        self.number = number

    def connect(self, *_arguments: object, **_options: object) -> SocketLike:  # type: ignore[override]
        raise OSError(self.number, "told by the test")


@pytest.mark.parametrize("number", sorted(UNABLE_ERRNOS))
def test_what_may_happen_is_a_transport_error(number: int) -> None:
    with pytest.raises(TransportError) as caught:
        open_transport(Failing(number), TcpBind("127.0.0.1", 1))
    assert caught.value.errno_name == errno.errorcode[number]


def test_anything_else_is_a_bug_and_is_not_hidden() -> None:
    with pytest.raises(OSError, match="told by the test"):
        open_transport(Failing(errno.EBADF), TcpBind("127.0.0.1", 1))


def test_in_memory_it_is_the_same() -> None:
    network = MemoryNetwork(FakeClock())
    with pytest.raises(TransportError, match="ECONNREFUSED"):
        open_transport(network, TcpBind("127.0.0.1", 1))
    listener = network.listen(TcpBind("127.0.0.1", 1), backlog=1)
    transport = open_transport(network, TcpBind("127.0.0.1", 1))
    assert (transport.peer, transport.peer_host) == ("127.0.0.1:1", "127.0.0.1")
    with pytest.raises(TransportError, match="EAGAIN"):
        open_transport(network, TcpBind("127.0.0.1", 1))
    network.descriptors.limit = 3
    listener.accept()[0].close()
    network.descriptors.limit = 0
    with pytest.raises(TransportError, match="EMFILE"):
        open_transport(network, TcpBind("127.0.0.1", 1))


def test_with_a_context_it_speaks_tls_and_begins() -> None:
    network = MemoryNetwork(FakeClock())
    listener = network.listen(TcpBind("127.0.0.1", 1))
    transport = open_transport(network, TcpBind("127.0.0.1", 1), client_context(), "wsloop.test")
    assert isinstance(transport, TlsTransport)
    outbox = Outbox()
    outbox.append(b"secret")
    assert not transport.flush(outbox)
    server, _ = listener.accept()
    hello = server.recv(10_000)
    assert hello.startswith(b"\x16\x03")
    assert b"secret" not in hello
    transport.abort()
