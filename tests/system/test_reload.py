"""HUP from outside: real daemons read their configuration again, and nobody notices who need not."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.system.daemon import PATIENCE_S, Daemon
from tests.system.peers import open_echo, raw, says
from tests.system.test_workers import children
from tests.transport.tls_kit import client_context, write_pair
from wsloop.daemon.validity import END
from wsloop.testing.client import OPCODE_CLOSE, OPCODE_TEXT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


pytestmark = pytest.mark.system

BEFORE = '[admin]\nport = 0\n[ws]\nmax_size = "1KiB"\n'
AFTER = '[admin]\nport = 0\n[ws]\nmax_size = "10B"\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "wsloop.toml"
    made.write_text(BEFORE, encoding="utf-8")
    return made


@pytest.fixture
def daemon(path: Path) -> Iterator[Daemon]:
    with Daemon("-c", str(path)) as made:
        yield made


def wait_for(condition: Callable[[], object]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def reload(daemon: Daemon, path: Path, text: str) -> list[str]:
    """Write another configuration and send HUP; return what is said about it."""
    seen = len(daemon.stderr())
    path.write_text(text, encoding="utf-8")
    daemon.send_signal(signal.SIGHUP)
    wait_for(lambda: daemon.stderr()[seen:].endswith("\n") and "reload: " in daemon.stderr()[seen:])
    return [line for line in daemon.stderr()[seen:].splitlines() if "reload: " in line]


def takes(daemon: Daemon, size: int) -> bool:
    """Whether a new connection may send a message of this size."""
    with raw(daemon) as peer:
        peer.send(OPCODE_TEXT, b"x" * size)
        opcode, payload = peer.read_frame()
        assert opcode == OPCODE_TEXT or (opcode, payload[:2]) == (OPCODE_CLOSE, b"\x03\xf1")
        return opcode == OPCODE_TEXT


def test_a_limit_changes_for_those_who_come_and_nobody_is_dropped(daemon: Daemon, path: Path) -> None:
    with open_echo(daemon) as old:
        assert says(old, "x" * 100) == "x" * 100
        (line,) = reload(daemon, path, AFTER)
        assert line.endswith('reload: ws.max_size: "1KiB" -> "10B"')
        assert takes(daemon, 10)
        assert not takes(daemon, 11)
        assert says(old, "x" * 100) == "x" * 100
        (line,) = reload(daemon, path, f"{AFTER}max_fragments = 'many'\n")
        assert f"ERROR wsloop.daemon: reload: {path}:5: ws.max_fragments: expected `int`, got `str`" in line
        assert line.endswith("; nothing was changed")
        assert not takes(daemon, 11)
        assert says(old, "x" * 100) == "x" * 100
        (line,) = reload(daemon, path, f"{AFTER}[server]\nbacklog = 7\n")
        assert line.endswith("reload: server.backlog: 1024 -> 7 needs a restart")
        assert "Traceback" not in daemon.stderr()


def test_the_flags_of_the_start_go_on_to_count(path: Path) -> None:
    with Daemon("-c", str(path), "--ws-max-size", "20") as daemon:
        (line,) = reload(daemon, path, AFTER)
        assert line.endswith("reload: no key was changed")
        assert takes(daemon, 20)


def test_the_level_and_the_format_of_the_log_change(daemon: Daemon, path: Path) -> None:
    reload(daemon, path, f'{BEFORE}[log]\nlevel = "debug"\nformat = "json"\n')
    with open_echo(daemon) as peer:
        says(peer, "something to tell of")
    wait_for(lambda: "DEBUG" in daemon.stderr())
    last = json.loads(daemon.stderr().splitlines()[-1])
    assert last["level"] == "DEBUG"


def test_the_drains_window_is_the_one_of_now(daemon: Daemon, path: Path) -> None:
    reload(daemon, path, f'{BEFORE}[server]\ntimeout_graceful_shutdown = "100ms"\n')
    with raw(daemon) as stubborn:
        daemon.send_signal(signal.SIGTERM)
        assert stubborn.read_frame()[0] == OPCODE_CLOSE
        assert daemon.wait() == 0
    assert "1 connections dropped" in daemon.stderr()


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc for processes")
@pytest.mark.usefixtures("measured")
def test_every_worker_reloads_and_so_does_one_that_comes_later(path: Path) -> None:
    with Daemon("-c", str(path), "--workers", "2") as daemon, ExitStack() as stack:
        old = [stack.enter_context(open_echo(daemon)) for _ in range(4)]
        wait_for(lambda: len(children(daemon)) == 3)
        lines = reload(daemon, path, AFTER)
        assert [line.partition("reload: ")[2] for line in lines] == ['ws.max_size: "1KiB" -> "10B"']
        # The workers follow a moment later than the line says; then none lets anybody in by the old limit.
        wait_for(lambda: not any(takes(daemon, 11) for _ in range(8)))
        for peer in old:
            assert says(peer, "x" * 100) == "x" * 100
        workers = children(daemon)[1:]
        os.kill(workers[0], signal.SIGKILL)
        wait_for(lambda: len(children(daemon)) == 3 and workers[0] not in children(daemon))
        assert not any(takes(daemon, 11) for _ in range(8))
        lines = reload(daemon, path, "[ws\n")
        assert lines[0].endswith("; nothing was changed")
        assert len(lines) == 1
        assert all(takes(daemon, 10) for _ in range(8))


def certificate(daemon: Daemon) -> bytes | None:
    """Return what a new client is shown."""
    with (
        socket.create_connection(("127.0.0.1", daemon.port), PATIENCE_S) as sock,
        client_context().wrap_socket(sock, server_hostname="localhost") as tls,
    ):
        return tls.getpeercert(binary_form=True)


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc for processes")
def test_a_worker_that_is_replaced_needs_no_file_that_was_good_at_the_start(tmp_path: Path) -> None:
    certfile, keyfile = write_pair(tmp_path)
    folder = tmp_path / "logs"
    folder.mkdir()
    config = tmp_path / "wsloop.toml"
    config.write_text(
        f'[admin]\nport = 0\n[tls]\ncertfile = "{certfile}"\nkeyfile = "{keyfile}"\n'
        f'[log]\nfile = "{folder}/wsloop.log"\nformat = "text"\n',
        encoding="utf-8",
    )
    with Daemon("-c", str(config), "--workers", "2") as daemon:
        first = certificate(daemon)
        lines = (folder / "wsloop.log").open(encoding="utf-8")
        write_pair(tmp_path)
        daemon.send_signal(signal.SIGHUP)
        wait_for(lambda: certificate(daemon) != first)
        renewed = ssl.PEM_cert_to_DER_cert(Path(certfile).read_text(encoding="ascii").partition(END)[0] + END)
        Path(certfile).write_text("no certificate\n", encoding="utf-8")
        folder.rename(tmp_path / "away")
        victims = children(daemon)[1:]
        for victim in victims:
            os.kill(victim, signal.SIGKILL)
        told = []

        def have_others_come() -> bool:
            told.append(lines.read())
            return "".join(told).count("the log goes on in the file that was open before") == 2

        wait_for(have_others_come)
        wait_for(lambda: len(children(daemon)) == 3 and not {*children(daemon)} & {*victims})
        assert {certificate(daemon) for _ in range(8)} == {renewed}
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait() == 0
        told.append(lines.read())
        lines.close()
        assert "ended with exit status" not in "".join(told)
