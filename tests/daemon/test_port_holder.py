"""Who holds a port, read from a real /proc and from made-up ones."""

from __future__ import annotations

import os
import socket
import sys
from typing import TYPE_CHECKING

import pytest

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


def test_off_linux_the_answer_is_unknown(tmp_path: Path) -> None:
    assert holder_of(8765, tmp_path) == ""
