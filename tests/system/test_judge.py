"""The judge on a real daemon over real sockets: it must find nothing, whatever it says."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.system.daemon import Daemon
from wsloop.testing.strategies.conversing import groups

pytestmark = pytest.mark.system

CONVERSATIONS = "12"
PATIENCE_S = "20"
"""Waited for in full only where something is wrong."""


@pytest.mark.parametrize("deflate", ["off", "on"])
def test_nothing_is_found_in_our_own_daemon(deflate: str) -> None:
    with Daemon("--ws-per-message-deflate", deflate) as daemon:
        command = [sys.executable, "-m", "wsloop.testing.judge", daemon.url("/echo")]
        done = subprocess.run(
            [*command, "--count", CONVERSATIONS, "--patience", PATIENCE_S],
            capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert ("agreed to 0 times" in done.stdout) == (deflate == "off")
        assert done.stdout.count("nothing found") == len(groups("", ""))
