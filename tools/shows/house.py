"""The daemon of a show: started with a configuration of its own, asked by its API, always ended.

Only processes that a show started are touched: the daemon, and what `/proc` lists below it.
"""

from __future__ import annotations

import json
import re
import tempfile
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.system.daemon import Daemon
from tools.bench.machine import process_tree

if TYPE_CHECKING:
    from collections.abc import Iterator

API_S = 30.0
"""What a call may take on a machine that is busy with 100,000 connections."""

CONFIGURATION = """
[server]
limit_accept_rate = 0
timeout_graceful_shutdown = {window_s:g}

[log]
level = "info"

[client]
allow_anonymous = true

[admin]
port = 0
api_insecure = true

[channels]
allow_subscribe_for_client = true
allow_publish_for_client = true
allow_subscribe_for_anonymous = true
allow_publish_for_anonymous = true
{channels}
"""

RECOVERABLE = """history_size = 100000
history_ttl_s = 3600
force_recovery = true
"""


class House:
    """A daemon that serves a show."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        found = re.search(r"http://127\.0\.0\.1:(\d+)/healthz", daemon.banner)
        assert found, daemon.banner
        self.admin_port = int(found[1])

    @property
    def port(self) -> int:
        """Where clients connect."""
        return self.daemon.port

    def pids(self) -> list[int]:
        """Return all processes of the daemon, the one that was started first."""
        return process_tree(self.daemon.pid)

    def call(self, method: str, **request: object) -> dict[str, Any]:
        """Call a method of the server API and return its result; an error of it is a RuntimeError."""
        address = f"http://127.0.0.1:{self.admin_port}/api/{method}"
        body = json.dumps(request).encode()
        asked = urllib.request.Request(address, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(asked, timeout=API_S) as answer:
            told = json.load(answer)
        if "result" not in told:
            raise RuntimeError(f"{method}: {told}")
        result: dict[str, Any] = told["result"]
        return result


@contextmanager
def house(workers: int, *, window_s: float = 30.0, channels: str = "", dev: bool = False) -> Iterator[House]:
    """Run a daemon for the time of a `with` block.

    `channels` are further lines of `[channels]`; `window_s` is its drain window; with `dev` it has `/echo`.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "wsloop.toml"
        file.write_text(CONFIGURATION.format(window_s=window_s, channels=channels), encoding="utf-8")
        several = ["--workers", str(workers)] if workers > 1 else []
        with Daemon("-c", str(file), *several, dev=dev) as daemon:
            yield House(daemon)
