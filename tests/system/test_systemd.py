"""docs/deploy/wsloop.service: judged by systemd's own tools, and its restrictions on a real daemon."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from websockets.sync.client import ClientConnection, connect

from tests.hub.token_kit import public_pem, sign
from tests.system import confined, fronts
from tests.system.application import Application
from tests.system.daemon import PATIENCE_S, Daemon
from tests.system.fronts import DEPLOY
from tests.system.peers import MESSAGING
from tests.system.test_application import Talk
from wsloop.daemon.config import load

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.system

SERVICE, SOCKET = DEPLOY / "wsloop.service", DEPLOY / "wsloop.socket"
COMMAND = "/opt/wsloop/bin/wsloop"


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    tool = fronts.tool("systemd-analyze", "systemd")
    return subprocess.run([tool, *arguments], capture_output=True, text=True, timeout=60, check=False)


def settings(name: str, unit: Path = SERVICE) -> list[str]:
    """Return all values of a setting, in their order."""
    return re.findall(rf"^{name}=(.*)$", unit.read_text(encoding="utf-8"), re.MULTILINE)


def test_the_units_are_ones_that_systemd_takes(tmp_path: Path) -> None:
    for unit in (SERVICE, SOCKET):
        text = unit.read_text(encoding="utf-8").replace(COMMAND, "/bin/true")
        (tmp_path / unit.name).write_text(text, encoding="utf-8")
    done = analyze("verify", "--man=no", str(tmp_path / SERVICE.name), str(tmp_path / SOCKET.name))
    assert (done.returncode, done.stderr) == (0, "")


def test_its_exposure_is_two_at_most() -> None:
    done = analyze("security", "--offline=true", "--threshold=20", "--no-pager", str(SERVICE))
    assert done.returncode == 0, done.stdout
    found = re.search(r"Overall exposure level for wsloop\.service: ([\d.]+) OK", done.stdout)
    assert found, done.stdout
    assert float(found[1]) <= 2.0


def test_the_times_leave_room_for_a_drain() -> None:
    (stop,) = settings("TimeoutStopSec")
    assert int(stop.removesuffix("s")) > load(None, {}).server.timeout_graceful_shutdown


def allowed_calls() -> list[str]:
    """Return the system calls that the unit's filter lets through, as systemd itself lists its groups."""
    first, second = settings("SystemCallFilter")
    denied = {name for group in second.removeprefix("~").split() for name in calls_of(group)}
    return sorted(set(calls_of(first)) - denied)


def calls_of(group: str) -> Iterator[str]:
    for line in analyze("syscall-filter", group).stdout.splitlines()[1:]:
        name = line.strip().partition("#")[0].strip()
        if name.startswith("@"):
            yield from calls_of(name)
        elif name:
            yield name


class Confined(Daemon):
    """A daemon under the unit's restrictions."""

    def __init__(self, calls: Path, *options: str) -> None:
        super().__init__(*options, dev=False)
        self._command = [sys.executable, confined.__file__, str(calls), *self._command]


FORBIDDEN = """
import mmap, os, socket
for attempt in (
    lambda: socket.socket(socket.AF_NETLINK),
    lambda: os.sched_setaffinity(0, {0}),
    lambda: os.chroot("/"),
    lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC),
):
    try:
        attempt()
        print("done")
    except PermissionError:
        print("refused")
"""


def test_the_restrictions_are_in_force(tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    calls.write_text("\n".join(allowed_calls()), encoding="ascii")
    command = [sys.executable, confined.__file__, str(calls), sys.executable, "-c", FORBIDDEN]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    is_old = "PR_SET_MDWE" in done.stderr
    assert done.stdout.split() == ["refused"] * 3 + ["done" if is_old else "refused"]


def test_a_daemon_with_workers_tokens_and_hooks_serves_under_its_restrictions(tmp_path: Path) -> None:
    assert settings("RestrictAddressFamilies") == [" ".join(family.name for family in confined.FAMILIES)]
    assert settings("SystemCallErrorNumber") == ["EPERM"]
    assert settings("MemoryDenyWriteExecute") == settings("NoNewPrivileges") == ["yes"]
    calls, key, file = tmp_path / "calls", tmp_path / "key.pem", tmp_path / "wsloop.toml"
    calls.write_text("\n".join(allowed_calls()), encoding="ascii")
    key.write_bytes(public_pem("RSA"))
    with Application() as application:
        url = application.url("hooks").replace("127.0.0.1", "localhost")
        file.write_text(
            "[server]\nworkers = 2\n"
            f'[token]\nrsa_public_key = "{key}"\n'
            f'[hooks]\nurl = "{url}"\nspool = "{tmp_path / "spool"}"\nbatch_delay = 0\n'
            "[channels]\nallow_subscribe_for_client = true\nallow_publish_for_client = true\n"
            "history_size = 10\nhistory_ttl_s = 60\npresence = true\n"
            "[admin]\nport = 0\napi_insecure = true\n",
            encoding="utf-8",
        )
        with Confined(calls, "-c", str(file)) as daemon:
            status = Path(f"/proc/{daemon.pid}/status").read_text(encoding="ascii")
            assert "\nSeccomp:\t2\n" in status
            assert "\nNoNewPrivs:\t1\n" in status
            talk = Talk(daemon)
            now_s = int(time.time())
            token = sign({"sub": "ann", "iat": now_s, "exp": now_s + 600}, "RS256")
            assert talk.ask(connect={"token": token})["connect"]["expires"] is True
            assert "subscribe" in talk.ask(subscribe={"channel": "a"})
            assert "publish" in talk.ask(publish={"channel": "a", "data": 1})
            talk.close()
            application.wait_for(lambda: application.asked)  # over a name that a helper thread has looked up
            assert "Traceback" not in daemon.stderr()


def test_the_socket_that_systemd_holds_is_served_and_systemd_is_told(tmp_path: Path) -> None:
    """systemd's own tool opens the socket under the unit's name, and the daemon when somebody comes."""
    tool = fronts.tool("systemd-socket-activate", "systemd")
    calls, file, notify = tmp_path / "calls", tmp_path / "wsloop.toml", str(tmp_path / "notify")
    calls.write_text("\n".join(allowed_calls()), encoding="ascii")
    file.write_text("[client]\nallow_anonymous = true\n[admin]\nenabled = false\n", encoding="utf-8")
    port, (name,) = fronts.free_port(), settings("FileDescriptorName", SOCKET)
    command = [tool, "--listen", f"127.0.0.1:{port}", f"--fdname={name}"]
    command += [f"--setenv={variable}" for variable in ("PATH", "PYTHONPATH", "NOTIFY_SOCKET")]
    command += [sys.executable, confined.__file__, str(calls)]
    command += [sys.executable, "-m", "wsloop", "serve", "-c", str(file)]
    environment = {**os.environ, "NOTIFY_SOCKET": notify, "PYTHONPATH": str(DEPLOY.parents[1])}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told, (tmp_path / "said").open("wb") as said:
        told.bind(notify)
        told.settimeout(PATIENCE_S)
        process = subprocess.Popen(command, env=environment, stdout=said, stderr=said)
        try:
            with connected(port) as peer:
                peer.send('{"id":1,"connect":{}}')
                assert '"connect"' in str(peer.recv(PATIENCE_S))
                assert hears(told, "READY=1")
                process.terminate()
                assert hears(told, "STOPPING=1")
            assert process.wait(PATIENCE_S) == 0, (tmp_path / "said").read_text(encoding="utf-8")
        finally:
            process.kill()
            process.wait()


def hears(told: socket.socket, line: str) -> bool:
    """Wait until systemd is told that line."""
    while line not in told.recv(65536).decode().split("\n"):
        pass
    return True


@contextlib.contextmanager
def connected(port: int) -> Iterator[ClientConnection]:
    """Connect as soon as somebody listens."""
    deadline_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            peer = connect(f"ws://127.0.0.1:{port}{MESSAGING}", proxy=None, open_timeout=PATIENCE_S)
            break
        except ConnectionRefusedError:  # the tool has not come so far
            assert time.monotonic() < deadline_s
            time.sleep(0.02)
    with peer:
        yield peer
