"""What a start costs, with everything on: no asyncio, little time, little memory."""

from __future__ import annotations

import http.client
import re
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.system.daemon import PATIENCE_S, Daemon
from tests.system.test_admin import port_of
from tests.transport.tls_kit import client_context, write_pair
from tools.bench.machine import process_cpu_s, process_tree
from tools.bench.process import free_port
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
"""Of the supervisor and one idle worker; pages that several processes share are counted once."""

MOST_CPU_S = 1.0
"""Until it listens. It takes a quarter of this, and half a second is promised; on a machine that is busy with
ten other things everything takes twice as much CPU time, and more."""

LOOK_EVERY_S = 0.002


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


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("is_scraped", [True, False])
def test_what_writes_metrics_is_loaded_once_before_the_first_scrape_and_only_where_there_is_one(
    everything: str, workers: str, is_scraped: bool
) -> None:
    admin = () if is_scraped else ("--no-admin",)
    python = ("-X", "importtime")
    with Daemon("-c", everything, "-w", workers, *admin, dev=False, python_options=python) as daemon:
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait() == 0
        loaded = re.findall(r"^import time:.*\| +prometheus_client$", daemon.stderr(), re.MULTILINE)
    assert len(loaded) == int(is_scraped)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_it_listens_before_it_has_loaded_the_house(everything: str, workers: str) -> None:
    port = free_port()
    command = [sys.executable, "-m", "wsloop", "serve", "-c", everything, "-w", workers, "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            sock = connected(port, process)
            took_s = process_cpu_s(process.pid)
            assert process.stdout is not None
            assert (
                b"clients"
                in process.stdout.readline() + process.stdout.readline() + process.stdout.readline()
            )
            with client_context("http/1.1").wrap_socket(sock, server_hostname="localhost") as served:
                assert served.version()  # it waited in the queue, and is served
        finally:
            process.terminate()
    assert took_s < MOST_CPU_S


def connected(port: int, process: subprocess.Popen[bytes]) -> socket.socket:
    """Return a connection as soon as somebody listens on `port`."""
    give_up_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), PATIENCE_S)
        except ConnectionRefusedError:
            assert process.poll() is None
            assert time.monotonic() < give_up_s
            time.sleep(LOOK_EVERY_S)


def test_a_supervisor_and_one_idle_worker_take_little(everything: str) -> None:
    with Daemon("-c", everything, "--workers", "2", dev=False) as daemon:
        supervisor, *children = process_tree(daemon.pid)
        assert len(children) == 3  # two workers and the hub process
        largest = max(memory.read([child]).pss for child in children)
        assert memory.read([supervisor]).pss + largest < MOST_BYTES
