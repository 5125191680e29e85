"""What a start costs, with everything on: no asyncio, little time, little memory."""

from __future__ import annotations

import http.client
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from tests.system.daemon import PATIENCE_S, Daemon
from tests.system.test_admin import port_of
from tests.transport.tls_kit import write_pair
from tools.bench.machine import process_cpu_s, process_tree
from tools.shows import memory

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(sys.platform != "linux", reason="asks /proc for memory and CPU time"),
]

EVERYTHING = """
[tls]
certfile = "{certfile}"
keyfile = "{keyfile}"

[admin]
port = 0
api_key = "a-key-of-the-tests"

[client]
personal_channel = true
broadcast_channel = "all"

[token]
hmac_secret_key = "a-secret-of-the-tests-long-enough"

[proxy]
rpc = "http://127.0.0.1:9/rpc"
connect = "http://127.0.0.1:9/connect"

[hooks]
url = "http://127.0.0.1:9/hooks"

[log]
format = "json"
access = true

[channels]
presence = true
history_size = 100
history_ttl_s = 300
force_recovery = true
allowed_delta_types = ["fossil"]
allow_subscribe_for_client = true
"""

MIB = 1024 * 1024
MOST_BYTES = 70 * MIB
"""Of the supervisor and one idle worker, with the shared pages counted once."""

MOST_CPU_S = 1.5
"""Until it listens. On a quiet machine it takes a third of this; a busy one doubles the time, and more."""


@pytest.fixture
def everything(tmp_path: Path) -> str:
    certfile, keyfile = write_pair(tmp_path)
    file = tmp_path / "wsloop.toml"
    file.write_text(EVERYTHING.format(certfile=certfile, keyfile=keyfile), encoding="utf-8")
    return str(file)


def imported(log: str) -> set[str]:
    """Return the modules that `python -X importtime` says were imported, by any of the processes."""
    return {line.rpartition("|")[2].strip() for line in log.splitlines() if line.startswith("import time:")}


@pytest.mark.parametrize("workers", ["1", "2"])
def test_no_process_imports_asyncio_with_everything_on(everything: str, workers: str) -> None:
    python = ("-X", "importtime")
    with Daemon("-c", everything, "--workers", workers, dev=False, python_options=python) as daemon:
        asked = http.client.HTTPConnection("127.0.0.1", port_of(daemon), timeout=PATIENCE_S)
        for path in ("/metrics", "/readyz"):
            asked.request("GET", path)
            assert asked.getresponse().read()
        asked.close()
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait() == 0
        modules = imported(daemon.stderr())
    assert {"jwt", "ssl", "prometheus_client", "wsloop.server.connection", "wsloop.client.hooks"} <= modules
    assert ("wsloop.daemon.supervisor" in modules) is (workers == "2")
    assert "asyncio" not in modules


def test_a_supervisor_and_one_idle_worker_take_little(everything: str) -> None:
    with Daemon("-c", everything, "--workers", "2", dev=False) as daemon:
        assert process_cpu_s(daemon.pid) < MOST_CPU_S
        supervisor, *children = process_tree(daemon.pid)
        assert len(children) == 3  # two workers and the hub process
        largest = max(memory.read([child]).pss for child in children)
        assert memory.read([supervisor]).pss + largest < MOST_BYTES
