"""Who holds a port, read from a real /proc and from made-up ones."""

from __future__ import annotations

import os
import socket
import sys
from typing import TYPE_CHECKING

import pytest

from wsloop.daemon import port_holder
from wsloop.daemon.port_holder import holder_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.skipif(sys.platform != "linux", reason="/proc/net/tcp is Linux's")
@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_this_process_is_found_by_its_listening_port(family: socket.AddressFamily, host: str) -> None:
    try:
        sock = socket.socket(family)
        sock.bind((host, 0))
    except OSError:
        pytest.skip(f"{host} cannot be bound here")
    with sock:
        sock.listen()
        assert holder_of(sock.getsockname()[1]).startswith(f"pid {os.getpid()}, ")


def test_a_port_that_nobody_holds_has_no_holder() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))  # bound but not listening
        assert holder_of(sock.getsockname()[1]) == ""


def made_up_proc(root: Path, name: str) -> Path:
    (root / "net").mkdir()
    header = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt uid timeout inode\n"
    line = "   0: 0100007F:223D 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 4242 1\n"
    (root / "net" / "tcp").write_text(header + line, encoding="ascii")
    (root / "77" / "fd").mkdir(parents=True)
    os.symlink("socket:[4242]", root / "77" / "fd" / "3")
    (root / "77" / "comm").write_text(name, encoding="utf-8")
    (root / "5").mkdir()  # a process whose descriptors may not be read
    return root


def test_a_hostile_process_name_cannot_write_on_the_terminal(tmp_path: Path) -> None:
    assert holder_of(8765, made_up_proc(tmp_path, "evil\x1b[2J\n")) == "pid 77, evil?[2J"


def test_a_process_that_ends_meanwhile_keeps_its_pid(tmp_path: Path) -> None:
    proc = made_up_proc(tmp_path, "gone")
    (proc / "77" / "comm").unlink()
    assert holder_of(8765, proc) == "pid 77, ?"


def test_a_process_with_very_many_descriptors_does_not_hold_up_the_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proc = made_up_proc(tmp_path, "nginx")
    (proc / "6" / "fd").mkdir(parents=True)
    for number in range(50):
        os.symlink("/dev/null", proc / "6" / "fd" / str(number))
    looked: list[str] = []
    readlink = os.readlink

    def counted(path: Path) -> str:
        looked.append(str(path))
        return readlink(path)

    monkeypatch.setattr(os, "readlink", counted)
    monkeypatch.setattr(port_holder, "MOST_PER_PROCESS", 20)
    assert port_holder.holder_of(8765, proc) == "pid 77, nginx"
    assert len(looked) == 21
    monkeypatch.setattr(port_holder, "MOST_DESCRIPTORS", 20)
    assert port_holder.holder_of(8765, proc) == ""
    assert len(looked) == 41


def test_of_a_table_without_end_only_the_beginning_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proc = made_up_proc(tmp_path, "nginx")
    header, line = (proc / "net" / "tcp").read_text(encoding="ascii").splitlines()
    others = [line.replace(" 0A ", " 01 ")] * 5
    (proc / "net" / "tcp").write_text("\n".join([header, line, *others, ""]), encoding="ascii")
    monkeypatch.setattr(port_holder, "MOST_SOCKETS", 3)
    assert port_holder.holder_of(8765, proc) == "pid 77, nginx"
    (proc / "net" / "tcp").write_text("\n".join([header, *others, line, ""]), encoding="ascii")
    assert port_holder.holder_of(8765, proc) == ""


def test_off_linux_the_answer_is_unknown(tmp_path: Path) -> None:
    assert holder_of(8765, tmp_path) == ""
