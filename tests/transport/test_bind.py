from __future__ import annotations

import errno
import os
import socket
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsloop.errors import ConfigError, StartupError
from wsloop.transport import bind as bind_module
from wsloop.transport.bind import (
    UNIX_PATH_BYTES,
    AddressInUseError,
    FdBind,
    SocketNetwork,
    TcpBind,
    UnixBind,
    local_bind,
    parse_bind,
)
from wsloop.transport.path_lock import PathLock

if TYPE_CHECKING:
    from collections.abc import Iterator

network = SocketNetwork()


@pytest.mark.parametrize(
    ("text", "bind"),
    [
        ("127.0.0.1:8765", TcpBind("127.0.0.1", 8765)),
        ("localhost:0", TcpBind("localhost", 0)),
        ("[::1]:80", TcpBind("::1", 80)),
        ("[::]:65535", TcpBind("::", 65535)),
        ("unix:/run/wsloop.sock", UnixBind("/run/wsloop.sock")),
        ("unix:relative", UnixBind("relative")),
        ("fd://3", FdBind(3)),
    ],
)
def test_an_address_is_parsed_and_printed_back(text: str, bind: TcpBind | UnixBind | FdBind) -> None:
    assert parse_bind(text) == bind
    assert str(bind) == text


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "host:port"),
        ("8765", "host:port"),
        (":8765", "0.0.0.0:8765"),
        ("host:", "host:port"),
        ("host:http", "host:port"),
        ("host:65536", "65535"),
        ("host:-1", "host:port"),
        ("host:٣", "host:port"),
        ("::1:80", "[::1]:80"),
        ("unix:", "unix:/run"),
        ("unix:a\0b", "unix:/run"),
        ("fd://", "fd://3"),
        ("fd://x", "fd://3"),
    ],
)
def test_what_is_no_address_gets_a_hint(text: str, hint: str) -> None:
    with pytest.raises(ConfigError, match="not an address") as caught:
        parse_bind(text)
    assert hint in caught.value.hint


@given(st.text(max_size=20))
def test_any_text_is_an_address_or_a_config_error(text: str) -> None:
    try:
        bind = parse_bind(text)
    except ConfigError:
        return
    assert parse_bind(str(bind)) == bind


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_port_0_becomes_a_real_port(host: str) -> None:
    with network.listen(TcpBind(host, 0)) as sock:
        bind = local_bind(sock)
        assert isinstance(bind, TcpBind)
        assert bind.port > 0
        assert not sock.getblocking()
        assert not sock.get_inheritable()
        with socket.create_connection((bind.host, bind.port)):
            pass


def test_a_port_may_be_used_again_at_once_after_a_close() -> None:
    with network.listen(TcpBind("127.0.0.1", 0)) as sock:
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
        bind = local_bind(sock)
        assert isinstance(bind, TcpBind)
        client = socket.create_connection((bind.host, bind.port))
        sock.setblocking(True)
        accepted, _ = sock.accept()
    accepted.close()  # the server closes first: its end goes to TIME_WAIT
    client.close()
    network.listen(bind).close()


def test_ipv6_does_not_take_the_ipv4_port() -> None:
    with network.listen(TcpBind("::", 0)) as six:
        bind = local_bind(six)
        assert isinstance(bind, TcpBind)
        network.listen(TcpBind("0.0.0.0", bind.port)).close()


def test_a_port_in_use_is_named_with_a_hint() -> None:
    with network.listen(TcpBind("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
        with pytest.raises(AddressInUseError) as caught:
            network.listen(TcpBind("127.0.0.1", port))
    assert (caught.value.host, caught.value.port) == ("127.0.0.1", port)
    assert caught.value.message == f"port {port} is already in use"
    assert caught.value.hint.startswith("try --port ")


def test_the_hint_never_names_a_port_beyond_the_last() -> None:
    assert AddressInUseError("h", 8765).hint == "try --port 8775"
    assert AddressInUseError("h", 65_530).hint == "try --port 65520"


def test_an_address_of_another_machine_is_told() -> None:
    with pytest.raises(StartupError, match="not an address of this machine"):
        network.listen(TcpBind("192.0.2.1", 0))


@pytest.mark.parametrize("host", ["no such host.invalid", "a" * 64 + ".invalid"])
def test_an_unknown_host_is_told(host: str) -> None:
    with pytest.raises(StartupError, match="is not known"):
        network.listen(TcpBind(host, 0))


class RefusingSocket(socket.socket):
    number = errno.EACCES

    def bind(self, _address: object) -> None:
        raise OSError(self.number, os.strerror(self.number))


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.EACCES, "no permission to listen on port 80"),
        (errno.EPERM, "no permission to listen on port 80"),
        (errno.EADDRNOTAVAIL, "localhost is not an address of this machine"),
        (errno.EINVAL, "cannot listen on localhost:80: Invalid argument"),
    ],
)
def test_why_a_port_cannot_be_bound(monkeypatch: pytest.MonkeyPatch, number: int, message: str) -> None:
    monkeypatch.setattr(RefusingSocket, "number", number)
    monkeypatch.setattr(bind_module, "ListeningSocket", RefusingSocket)
    with pytest.raises(StartupError, match=message):
        network.listen(TcpBind("localhost", 80))


def test_a_name_falls_back_to_the_family_this_machine_has(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2001:db8::1", 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_a, **_k: found)
    with network.listen(TcpBind("two-families", 0)) as sock:
        assert sock.family == socket.AF_INET


def test_a_first_family_that_fails_for_another_reason_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    with network.listen(TcpBind("127.0.0.1", 0)) as sock:
        address = sock.getsockname()
        entry = (socket.AF_INET, socket.SOCK_STREAM, 6, "", address)
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_a, **_k: [entry, entry])
        with pytest.raises(AddressInUseError):
            network.listen(TcpBind("127.0.0.1", address[1]))


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "wsloop.sock")


def test_a_unix_socket_is_for_owner_and_group_and_goes_with_its_listener(path: str) -> None:
    sock = network.listen(UnixBind(path))
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o660
    assert local_bind(sock) == UnixBind(path)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
    sock.close()
    sock.close()
    assert not os.path.exists(path)


def test_the_path_stays_this_sockets_even_after_chdir(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sock = network.listen(UnixBind("relative.sock"))
    monkeypatch.chdir("/")
    sock.close()
    assert not (tmp_path / "relative.sock").exists()


def test_a_stale_socket_file_is_replaced(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    assert os.path.exists(path)
    with network.listen(UnixBind(path)), socket.socket(socket.AF_UNIX) as client:
        client.connect(path)


@pytest.fixture(params=[5, 0], ids=["idle", "backlog full"])
def busy_listener(request: pytest.FixtureRequest, path: str) -> Iterator[str]:
    clients = []
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen(request.param)
        if request.param == 0:
            for _ in range(2):
                client = socket.socket(socket.AF_UNIX)
                clients.append(client)
                client.setblocking(False)
                try:
                    client.connect(path)
                except BlockingIOError:
                    break
        yield path
    for client in clients:
        client.close()


def test_a_socket_somebody_listens_on_is_refused_and_left_alone(busy_listener: str) -> None:
    with pytest.raises(AddressInUseError, match="already in use") as caught:
        network.listen(UnixBind(busy_listener))
    assert (caught.value.host, caught.value.port) == (busy_listener, 0)
    assert os.path.exists(busy_listener)


def test_a_file_that_is_no_socket_is_never_removed(path: str) -> None:
    Path(path).write_text("precious")
    with pytest.raises(StartupError, match="not a socket"):
        network.listen(UnixBind(path))
    assert Path(path).read_text() == "precious"


def test_a_path_that_is_too_long_is_refused_with_the_limit(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="too long") as caught:
        network.listen(UnixBind(str(tmp_path / ("x" * UNIX_PATH_BYTES))))
    assert str(UNIX_PATH_BYTES) in caught.value.hint


def test_the_longest_path_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    network.listen(UnixBind("x" * UNIX_PATH_BYTES)).close()


def test_a_missing_directory_is_told(path: str) -> None:
    with pytest.raises(StartupError, match="does not exist"):
        network.listen(UnixBind(path + ".d/x"))


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.EACCES, "no permission to create"),
        (errno.EROFS, "no permission to create"),
        (errno.EADDRINUSE, "already in use"),
        (errno.ENOTDIR, "cannot listen on"),
    ],
)
def test_why_a_path_cannot_be_bound(
    monkeypatch: pytest.MonkeyPatch, path: str, number: int, message: str
) -> None:
    def refuse(_sock: object, _address: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(bind_module.UnixListeningSocket, "bind", refuse)
    with pytest.raises(StartupError, match=message):
        network.listen(UnixBind(path))
    assert not os.path.exists(path + ".lock")


def test_a_successors_socket_file_is_left_alone(path: str) -> None:
    old = network.listen(UnixBind(path))
    os.rename(path, path + ".old")
    with socket.socket(socket.AF_UNIX) as successor:
        successor.bind(path)
        old.close()
        assert os.path.exists(path)


def test_a_socket_file_somebody_tidied_up_is_no_error_at_close(path: str) -> None:
    sock = network.listen(UnixBind(path))
    os.unlink(path)
    sock.close()


def test_a_forked_copy_leaves_the_socket_file_alone(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sock = network.listen(UnixBind(path))
    monkeypatch.setattr(os, "getpid", lambda: -1)
    sock.close()
    assert os.path.exists(path)


def test_of_two_that_find_a_stale_file_at_once_one_listens_and_the_other_is_told(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    remove = os.unlink
    failures = []

    def let_the_other_go_first(removed: str) -> None:
        monkeypatch.setattr(os, "unlink", remove)
        with pytest.raises(AddressInUseError) as caught:
            network.listen(UnixBind(path))
        failures.append(caught.value)
        remove(removed)

    monkeypatch.setattr(os, "unlink", let_the_other_go_first)
    with network.listen(UnixBind(path)), socket.socket(socket.AF_UNIX) as client:
        assert len(failures) == 1
        client.connect(path)


def test_a_path_between_bind_and_listen_is_left_alone(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    start = bind_module._start

    def let_the_other_try(sock: socket.socket, backlog: int) -> socket.socket:
        with pytest.raises(AddressInUseError):
            network.listen(UnixBind(path))
        return start(sock, backlog)

    monkeypatch.setattr(bind_module, "_start", let_the_other_try)
    with network.listen(UnixBind(path)), socket.socket(socket.AF_UNIX) as client:
        client.connect(path)


def test_a_path_is_free_again_after_a_close_and_nothing_lies_about(path: str) -> None:
    for _ in range(2):
        network.listen(UnixBind(path)).close()
    assert os.listdir(os.path.dirname(path)) == []


def test_a_lock_file_that_its_last_holder_removed_is_no_lock(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = PathLock(path)
    opened = os.open

    def close_the_first_meanwhile(*arguments: Any) -> int:
        fd = opened(*arguments)
        first.release(remove=True)
        return fd

    monkeypatch.setattr(os, "open", close_the_first_meanwhile)
    second = PathLock(path)
    monkeypatch.setattr(os, "open", opened)
    with pytest.raises(BlockingIOError):
        PathLock(path)
    second.release(remove=True)
    assert os.listdir(os.path.dirname(path)) == []


def test_a_forked_copy_leaves_the_lock_file_alone(path: str) -> None:
    lock = PathLock(path)
    lock.release(remove=False)
    assert os.path.exists(path + ".lock")
    PathLock(path).release(remove=True)


def test_a_stream_socket_of_another_family_is_refused_and_left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bind_module, "FAMILIES", frozenset({socket.AF_INET6}))
    with socket.socket() as sock:
        with pytest.raises(StartupError, match="not a stream socket of TCP or Unix"):
            network.listen(FdBind(sock.fileno()))
        os.fstat(sock.fileno())


def test_an_inherited_socket_is_taken_over() -> None:
    inherited = socket.socket()
    inherited.bind(("127.0.0.1", 0))
    address = inherited.getsockname()
    inherited.set_inheritable(True)
    with network.listen(FdBind(inherited.detach())) as sock:
        assert sock.getsockname() == address
        assert not sock.get_inheritable()
        assert not sock.getblocking()
        with socket.create_connection(address):
            pass


def test_a_descriptor_that_is_not_open_is_told() -> None:
    fd = os.dup(0)
    os.close(fd)
    with pytest.raises(StartupError, match="is not an open socket: Bad file descriptor"):
        network.listen(FdBind(fd))


def test_a_descriptor_that_is_a_file_is_told(tmp_path: Path) -> None:
    with (
        open(tmp_path / "file", "w") as file,
        pytest.raises(StartupError, match="is not an open socket: Socket operation on non-socket"),
    ):
        network.listen(FdBind(file.fileno()))


def test_a_datagram_socket_is_refused_and_left_open() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        with pytest.raises(StartupError, match="not a stream socket"):
            network.listen(FdBind(sock.fileno()))
        os.fstat(sock.fileno())


def test_a_connected_socket_is_refused_and_left_open() -> None:
    left, right = socket.socketpair()
    with left, right:
        with pytest.raises(StartupError, match="cannot listen on fd://"):
            network.listen(FdBind(left.fileno()))
        right.send(b"x")
        assert left.recv(1) == b"x"
