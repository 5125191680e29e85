"""The listening socket with the cheap accept behaves as the stdlib's does."""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING

import pytest

from wsloop.transport.accepting import ListeningSocket
from wsloop.transport.bind import SocketNetwork, TcpBind, UnixBind, local_bind
from wsloop.transport.listener import INHERITS_OPTIONS
from wsloop.transport.tcp import switch_nagle_off

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OPTIONS = [
    (socket.SOL_SOCKET, socket.SO_TYPE),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
    (socket.SOL_SOCKET, socket.SO_LINGER),
]


@pytest.fixture(params=["127.0.0.1", "::1", "unix"])
def listening(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[socket.socket]:
    bind = UnixBind(str(tmp_path / "s")) if request.param == "unix" else TcpBind(request.param, 0)
    with SocketNetwork().listen(bind) as sock:
        yield sock


def connected(listening: socket.socket) -> socket.socket:
    client = socket.socket(listening.family)
    client.connect(listening.getsockname())
    return client


def test_an_accepted_socket_is_what_the_stdlib_would_have_made(listening: socket.socket) -> None:
    with connected(listening) as first, connected(listening) as second:
        ours, address = listening.accept()
        theirs, other_address = socket.socket.accept(listening)
        assert type(ours) is socket.SocketType
        assert (ours.family, ours.type, ours.proto) == (theirs.family, theirs.type, theirs.proto)
        assert type(address) is type(other_address)
        assert address == first.getsockname() or listening.family == socket.AF_UNIX
        for level, option in OPTIONS:
            assert ours.getsockopt(level, option, 8) == theirs.getsockopt(level, option, 8)
        for sock, client in ((ours, first), (theirs, second)):
            assert sock.getblocking()
            sock.setblocking(False)
            with pytest.raises(BlockingIOError):
                sock.recv(1)
            client.sendall(b"hello")
            assert sock.sendmsg([b"a", b"b"]) == 2
            assert client.recv(2) == b"ab"
            sock.close()
            assert sock.fileno() == -1


def test_an_accepted_socket_is_not_inherited_by_a_child(listening: socket.socket) -> None:
    with connected(listening):
        sock, _ = listening.accept()
        assert not os.get_inheritable(sock.fileno())
        sock.close()


def test_nobody_waiting_is_eagain_and_a_closed_socket_ebadf(listening: socket.socket) -> None:
    with pytest.raises(BlockingIOError):
        listening.accept()
    listening.close()
    with pytest.raises(OSError, match="Bad file") as caught:
        listening.accept()
    assert caught.value.errno == errno.EBADF


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_fact_under_linux_an_accepted_socket_has_its_listeners_nodelay(host: str) -> None:
    with SocketNetwork().listen(TcpBind(host, 0)) as listening:
        switch_nagle_off(listening)
        with connected(listening):
            sock, _ = listening.accept()
            assert bool(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)) is INHERITS_OPTIONS
            sock.close()


def test_an_inherited_descriptor_becomes_one_too() -> None:
    original = socket.create_server(("127.0.0.1", 0))
    with ListeningSocket(fileno=original.detach()) as listening, connected(listening):
        sock, _ = listening.accept()
        assert sock.family == socket.AF_INET
        assert local_bind(listening) == TcpBind(*listening.getsockname())
        sock.close()
