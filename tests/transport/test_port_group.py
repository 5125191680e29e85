from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

import pytest

from wsloop.errors import StartupError
from wsloop.transport import port_group
from wsloop.transport.bind import AddressInUseError, TcpBind, listen_tcp
from wsloop.transport.port_group import DEALS_OUT, extend_group, listen_group

if TYPE_CHECKING:
    from collections.abc import Iterator

CONNECTS = 200
ANY_PORT = TcpBind("127.0.0.1", 0)
of_linux = pytest.mark.skipif(not DEALS_OUT, reason="this kernel gives all connections to one socket")


@contextlib.contextmanager
def closing(sockets: list[socket.socket]) -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        for sock in sockets:
            stack.enter_context(sock)
        yield sockets


def waiting(sock: socket.socket) -> int:
    """Accept who waits; return how many."""
    for count in range(CONNECTS + 1):
        try:
            sock.accept()[0].close()
        except BlockingIOError:
            return count
    raise AssertionError("more than ever connected")


def connect(bind: TcpBind) -> list[socket.socket]:
    return [socket.create_connection((bind.host, bind.port)) for _ in range(CONNECTS)]


def bind_of(sock: socket.socket) -> TcpBind:
    return TcpBind(*sock.getsockname()[:2])


@of_linux
def test_port_0_is_one_port_for_all_and_each_gets_its_share() -> None:
    with closing(listen_group(ANY_PORT, 3, 1000)) as group:
        binds = {bind_of(sock) for sock in group}
        assert len(binds) == 1
        with closing(connect(binds.pop())):
            counts = [waiting(sock) for sock in group]
    assert sum(counts) == CONNECTS
    assert all(counts)


def test_one_socket_is_no_group() -> None:
    with closing(listen_group(ANY_PORT, 1, 8)) as (sock,), pytest.raises(AddressInUseError):
        extend_group(bind_of(sock), 1, 8)


def test_where_the_kernel_does_not_deal_out_one_socket_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(port_group, "DEALS_OUT", False)
    with closing(listen_group(ANY_PORT, 4, 8)) as group:
        assert len(group) == 1


@of_linux
def test_the_port_of_another_daemons_group_is_in_use() -> None:
    with closing(listen_group(ANY_PORT, 2, 8)) as group, pytest.raises(AddressInUseError):
        listen_group(bind_of(group[0]), 2, 8)


@of_linux
def test_a_group_grows_and_the_new_ones_get_their_share() -> None:
    with closing(listen_group(ANY_PORT, 2, 1000)) as group:
        bind = bind_of(group[0])
        with closing(extend_group(bind, 1, 1000)) as (more,), closing(connect(bind)):
            counts = [waiting(sock) for sock in (*group, more)]
    assert sum(counts) == CONNECTS
    assert all(counts)


@of_linux
def test_when_one_cannot_be_had_none_is(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[socket.socket] = []

    def fail_third(bind: TcpBind, backlog: int, *, shares_port: bool = False) -> socket.socket:
        if len(opened) == 2:
            raise StartupError("no more")
        opened.append(listen_tcp(bind, backlog, shares_port=shares_port))
        return opened[-1]

    monkeypatch.setattr(port_group, "listen_tcp", fail_third)
    with pytest.raises(StartupError, match="no more"):
        extend_group(ANY_PORT, 3, 8)
    assert [sock.fileno() for sock in opened] == [-1, -1]
