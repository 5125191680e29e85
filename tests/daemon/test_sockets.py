"""The listening sockets that a daemon holds: opened, grown, left to a successor."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import msgspec
import pytest

from wsloop.daemon import systemd
from wsloop.daemon.inheritance import VARIABLE, Inheritance, bequeath, take
from wsloop.daemon.sockets import Purpose, Sockets
from wsloop.errors import StartupError
from wsloop.transport.bind import FdBind, TcpBind, UnixBind
from wsloop.transport.port_group import DEALS_OUT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wsloop.daemon.sockets import Place

ANY_PORT = TcpBind("127.0.0.1", 0)
of_linux = pytest.mark.skipif(not DEALS_OUT, reason="this kernel gives all connections to one socket")


@pytest.fixture
def sockets() -> Iterator[Sockets]:
    made = Sockets(16)
    yield made
    made.close()


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def successor_of(old: Sockets) -> Sockets:
    """Return the sockets of a successor, as if their descriptors had come through exec(2) as copies."""
    left = [
        msgspec.structs.replace(
            each,
            descriptors=tuple(os.dup(number) for number in each.descriptors),
            lock=os.dup(each.lock) if each.lock >= 0 else -1,
        )
        for each in bequeath(old.places)
    ]
    return Sockets(16, Inheritance(tuple(left)).places())


def connects(place: Place) -> bool:
    """Whether somebody listens there."""
    is_tcp = isinstance(place.bind, TcpBind)
    with socket.socket(socket.AF_INET if is_tcp else socket.AF_UNIX) as sock:
        where = (place.bind.host, place.bind.port) if isinstance(place.bind, TcpBind) else place.bind.path
        return sock.connect_ex(where) == 0


@of_linux
def test_each_slot_has_a_socket_of_its_own_and_all_one_port(sockets: Sockets) -> None:
    place = sockets.open(Purpose.CLIENTS, ANY_PORT, 3)
    assert len(set(place.descriptors)) == 3
    assert isinstance(place.bind, TcpBind)
    assert place.bind.port > 0
    assert place.name == "127.0.0.1:0"


def test_a_unix_path_has_one_socket_for_all(sockets: Sockets, tmp_path: Path) -> None:
    path = tmp_path / "s"
    place = sockets.open(Purpose.CLIENTS, UnixBind(str(path)), 3)
    assert len(place.descriptors) == 1
    assert path.is_socket()
    sockets.close()
    assert not path.exists()
    assert not is_open(place.descriptors[0])


def test_a_port_in_use_is_told_with_who_has_it(sockets: Sockets) -> None:
    place = sockets.open(Purpose.CLIENTS, ANY_PORT)
    assert isinstance(place.bind, TcpBind)
    with pytest.raises(StartupError, match=f"port {place.bind.port} is already in use"):
        sockets.open(Purpose.ADMIN, place.bind)


@of_linux
def test_a_place_grows_though_it_was_opened_for_one(sockets: Sockets) -> None:
    place = sockets.open(Purpose.CLIENTS, ANY_PORT)
    assert len(sockets.grow(place, 2)) == 2
    assert len(place.descriptors) == 3
    assert sockets.grow(place, 0) == []


def test_places_are_found_by_their_purpose(sockets: Sockets) -> None:
    clients = sockets.open(Purpose.CLIENTS, ANY_PORT)
    admin = sockets.open(Purpose.ADMIN, ANY_PORT)
    assert sockets.of(Purpose.CLIENTS) == [clients]
    assert sockets.bind_for(Purpose.ADMIN) == FdBind(admin.descriptors[0])
    assert sockets.bind_for(Purpose.CONTROL) is None
    sockets.close(Purpose.CLIENTS)
    assert sockets.places == [admin]
    assert is_open(admin.descriptors[0])


def test_what_is_lent_to_a_server_is_the_servers_to_close(sockets: Sockets, tmp_path: Path) -> None:
    path = tmp_path / "s"
    place = sockets.open(Purpose.CLIENTS, UnixBind(str(path)))
    sockets.lend()
    sockets.close()
    assert is_open(place.descriptors[0])
    assert not path.exists()
    os.close(place.descriptors[0])


def test_a_forked_process_closes_all_but_its_own(sockets: Sockets, tmp_path: Path) -> None:
    kept = sockets.open(Purpose.CLIENTS, ANY_PORT)
    other = sockets.open(Purpose.ADMIN, UnixBind(str(tmp_path / "s")))
    sockets.close_copies(tuple(kept.descriptors))
    assert is_open(kept.descriptors[0])
    assert not is_open(other.descriptors[0])
    assert (tmp_path / "s").is_socket()
    os.close(kept.descriptors[0])


# -- inheritance -------------------------------------------------------------------------------


def test_a_successor_finds_the_sockets_by_the_names_in_its_settings(sockets: Sockets) -> None:
    old = sockets.open(Purpose.CLIENTS, ANY_PORT)
    new = successor_of(sockets)
    place = new.open(Purpose.CLIENTS, ANY_PORT)
    assert place.bind == old.bind
    sockets.hand_over()
    new.confirm()
    assert connects(place)
    new.close()
    assert not connects(place)


@of_linux
@pytest.mark.parametrize(("before", "after"), [(1, 3), (3, 1), (2, 2)])
def test_with_more_workers_it_opens_more_and_with_fewer_it_closes_none(
    sockets: Sockets, before: int, after: int
) -> None:
    sockets.open(Purpose.CLIENTS, ANY_PORT, before)
    new = successor_of(sockets)
    assert len(new.open(Purpose.CLIENTS, ANY_PORT, after).descriptors) == max(before, after)
    new.close()


def test_an_address_that_is_not_in_the_settings_any_more_is_closed_once_the_successor_serves(
    sockets: Sockets, tmp_path: Path
) -> None:
    path = tmp_path / "s"
    sockets.open(Purpose.CLIENTS, UnixBind(str(path)))
    new = successor_of(sockets)
    new.open(Purpose.CLIENTS, ANY_PORT)
    assert path.is_socket()
    new.confirm()
    assert not path.exists()
    sockets.hand_over()
    new.close()


def test_the_path_is_the_successors_from_then_on(sockets: Sockets, tmp_path: Path) -> None:
    path = tmp_path / "s"
    place = sockets.open(Purpose.CLIENTS, UnixBind(str(path)))
    new = successor_of(sockets)
    new.open(Purpose.CLIENTS, UnixBind(str(path)))
    new.confirm()
    sockets.hand_over()
    assert path.is_socket()
    assert connects(place)
    with pytest.raises(StartupError, match="already in use"):
        Sockets(16).open(Purpose.CLIENTS, UnixBind(str(path)))
    new.close()
    assert not path.exists()
    assert not (tmp_path / "s.lock").exists()


def test_a_successor_that_fails_leaves_the_path_as_it_was(sockets: Sockets, tmp_path: Path) -> None:
    path = tmp_path / "s"
    place = sockets.open(Purpose.CLIENTS, UnixBind(str(path)))
    new = successor_of(sockets)
    new.open(Purpose.CLIENTS, UnixBind(str(path)))
    new.close()
    assert connects(place)
    with pytest.raises(StartupError, match="already in use"):
        Sockets(16).open(Purpose.CLIENTS, UnixBind(str(path)))


def test_what_is_said_goes_through_one_variable(sockets: Sockets) -> None:
    sockets.open(Purpose.CLIENTS, ANY_PORT)
    said = Inheritance(
        bequeath(sockets.places), ready=7, predecessor=12, pid_file="/run/pid", pid_file_lock=8
    )
    environ = {VARIABLE: msgspec.json.encode(said).decode(), "HOME": "/"}
    assert take(environ, 4711) == said
    assert environ == {"HOME": "/"}
    assert said.descriptors() == (*sockets.places[0].descriptors, 7, 8)


def test_nonsense_in_that_variable_is_told() -> None:
    with pytest.raises(StartupError, match="makes no sense"):
        take({VARIABLE: '{"ready": "soon"}'}, 4711)


def test_sockets_of_systemds_stand_for_host_and_port(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as client, socket.create_server(("127.0.0.1", 0)) as admin:
        numbers = [("wsloop", os.dup(client.fileno())), ("admin", os.dup(admin.fileno()))]
        monkeypatch.setattr(systemd, "take_activated", lambda *_: numbers)
        sockets = Sockets(16, take({}, os.getpid()).places())
        (bind,) = sockets.activated(Purpose.CLIENTS)
        place = sockets.open(Purpose.CLIENTS, bind, 4)
        assert place.descriptors == [numbers[0][1]]
        assert place.bind == TcpBind(*client.getsockname())
        assert sockets.activated(Purpose.ADMIN) == [FdBind(numbers[1][1])]
        assert not os.get_inheritable(numbers[0][1])
        sockets.confirm()
        sockets.close()
