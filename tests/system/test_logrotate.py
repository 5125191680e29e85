"""docs/deploy/wsloop.logrotate with Debian's logrotate: a daemon goes on in a new file, no line is lost."""

from __future__ import annotations

import getpass
import grp
import os
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests.system import fronts
from tests.system.daemon import PATIENCE_S, Daemon

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.system

REFUSED = " refused: 404 "


def lines_with(file: Path, text: str) -> int:
    return file.read_text(encoding="utf-8").count(text) if file.exists() else 0


def ask(daemon: Daemon, number: int) -> None:
    """Make a request that the daemon refuses, which is a line in its log."""
    with daemon.connect() as sock:
        sock.sendall(b"GET /nothing-%d HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" % number)
        while sock.recv(65536):
            pass


def wait_for_lines(file: Path, text: str, count: int) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while lines_with(file, text) < count:
        assert time.monotonic() < deadline_s, f"{file} has not {count} lines with {text}"
        time.sleep(0.02)


def test_lines_before_are_in_the_old_file_and_lines_behind_in_the_new_one(tmp_path: Path) -> None:
    logrotate, log = fronts.tool("logrotate", "logrotate"), tmp_path / "wsloop.log"
    (tmp_path / "wsloop.toml").write_text(f'[log]\nfile = "{log}"\n', encoding="utf-8")
    with Daemon("-c", str(tmp_path / "wsloop.toml")) as daemon:
        for number in range(3):
            ask(daemon, number)
        wait_for_lines(log, REFUSED, 3)
        texts = {
            "/var/log/wsloop/*.log": log,
            "su wsloop wsloop": f"su {getpass.getuser()} {grp.getgrgid(os.getgid()).gr_name}",
            "/bin/systemctl kill --kill-whom=main --signal=USR1 wsloop.service": f"kill -USR1 {daemon.pid}",
        }
        file = tmp_path / "logrotate.conf"
        file.write_text(fronts.substituted("wsloop.logrotate", texts), encoding="utf-8")
        file.chmod(0o644)
        command = [logrotate, "--force", "--state", str(tmp_path / "state"), str(file)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        asked, deadline_s = 3, time.monotonic() + PATIENCE_S
        while not lines_with(log, REFUSED):
            assert time.monotonic() < deadline_s
            ask(daemon, asked)
            asked += 1
        wait_for_lines(log, REFUSED, asked - lines_with(tmp_path / "wsloop.log.1", REFUSED))
        assert daemon.is_running
