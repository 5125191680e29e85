"""systemd's two protocols: variables that name sockets, and datagrams that say how the service is."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsloop.daemon.systemd import MOST_DESCRIPTORS, Notifier, take_activated
from wsloop.errors import StartupError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PID = 4711


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A socket as systemd has it, and what $NOTIFY_SOCKET says of it."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@wsloop-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind(name.replace("@", "\0"))
        except OSError:
            pytest.skip("this system has no abstract addresses")
        sock.setblocking(False)
        yield sock, name


def test_each_state_is_one_datagram(manager: tuple[socket.socket, str]) -> None:
    sock, name = manager
    notifier = Notifier({"NOTIFY_SOCKET": name}, PID)
    notifier.ready("4 workers serve")
    assert sock.recv(512) == b"READY=1\nSTATUS=4 workers serve"
    notifier.reloading()
    first, _, second = sock.recv(512).partition(b"\n")
    assert first == b"RELOADING=1"
    assert second.startswith(b"MONOTONIC_USEC=")
    assert second.partition(b"=")[2].isdigit()
    notifier.stopping()
    assert sock.recv(512).startswith(b"STOPPING=1\nSTATUS=")
    notifier.send(f"MAINPID={PID}")
    assert sock.recv(512) == b"MAINPID=4711"


def test_who_is_muted_says_nothing_more(manager: tuple[socket.socket, str]) -> None:
    sock, name = manager
    notifier = Notifier({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "1000000"}, PID)
    notifier.mute()
    notifier.ready("")
    assert notifier.watchdog_s == 0
    with pytest.raises(BlockingIOError):
        sock.recv(512)


def test_a_service_that_nobody_asks_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    Notifier({}, PID).ready("serving")
    assert caplog.text == ""


def test_a_manager_that_is_gone_is_told_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}, PID)
    for _ in range(3):
        notifier.ready("serving")
    assert caplog.messages == ["cannot notify systemd: No such file or directory"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "gone"))
    notifier.ready("serving")
    notifier.ready("serving")
    assert caplog.messages[1:] == ["cannot notify systemd: Connection refused"]


@pytest.mark.parametrize(
    ("variables", "expected_s"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "4711"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, 0.0),
        ({"WATCHDOG_USEC": "soon"}, 0.0),
        ({}, 0.0),
    ],
)
def test_the_watchdog_is_for_the_process_that_it_names(variables: dict[str, str], expected_s: float) -> None:
    assert Notifier({"NOTIFY_SOCKET": "/run/notify", **variables}, PID).watchdog_s == expected_s


def test_sockets_have_names_and_numbers_from_3_up() -> None:
    environ = {"LISTEN_PID": "4711", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "wsloop:admin", "HOME": "/"}
    assert take_activated(environ, PID) == [("wsloop", 3), ("admin", 4)]
    assert environ == {"HOME": "/"}


def test_sockets_without_names_are_sockets() -> None:
    assert take_activated({"LISTEN_PID": "4711", "LISTEN_FDS": "2"}, PID) == [("", 3), ("", 4)]


def test_sockets_of_another_process_are_none_of_ours_and_are_told_to_nobody() -> None:
    environ = {"LISTEN_PID": "1", "LISTEN_FDS": "2"}
    assert take_activated(environ, PID) == []
    assert environ == {}


@pytest.mark.parametrize("count", ["", "-1", "x", "1.5", "٣", str(MOST_DESCRIPTORS + 1)])
def test_a_number_that_is_none_is_told(count: str) -> None:
    with pytest.raises(StartupError, match="LISTEN_FDS"):
        take_activated({"LISTEN_PID": "4711", "LISTEN_FDS": count}, PID)


names = st.text(st.characters(exclude_characters=":\0", exclude_categories=["Cs"]), max_size=8)


@given(st.lists(names, max_size=6), st.integers(0, 6))
def test_there_are_as_many_as_are_counted_whatever_they_are_called(called: list[str], count: int) -> None:
    environ = {"LISTEN_PID": "4711", "LISTEN_FDS": str(count), "LISTEN_FDNAMES": ":".join(called)}
    found = take_activated(environ, PID)
    assert [fd for _, fd in found] == list(range(3, 3 + count))
    assert [name for name, _ in found][: len(called)] == called[:count]
