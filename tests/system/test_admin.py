"""The admin listener of a real daemon, called with Python's own HTTP client."""

from __future__ import annotations

import http.client
import json
import re
import signal
from typing import TYPE_CHECKING

import pytest

from tests.system.daemon import PATIENCE_S, Daemon
from tests.transport.tls_kit import client_context, write_pair

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.system

KEY = "a-key-of-the-tests"


def configured(path: Path, *, tls: bool = False) -> str:
    """Write a configuration with an admin listener on any port; return its path."""
    file = path / "wsloop.toml"
    lines = ["[admin]", "port = 0", f'api_key = "{KEY}"', f"tls = {str(tls).lower()}"]
    file.write_text("\n".join(lines), encoding="utf-8")
    return str(file)


def port_of(daemon: Daemon, scheme: str = "http") -> int:
    found = re.search(rf"api      {scheme}://127\.0\.0\.1:(\d+)/api/", daemon.banner)
    assert found, daemon.banner
    return int(found[1])


def call(
    connection: http.client.HTTPConnection, method: str, body: object, *, key: str = KEY
) -> tuple[int, bytes]:
    """Call a method; an iterable of bytes as body goes out in chunks."""
    data = json.dumps(body).encode() if isinstance(body, dict) else body
    connection.request("POST", f"/api/{method}", data, {"X-API-Key": key})  # type: ignore[arg-type]
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_one_connection_carries_many_calls_plain_and_chunked(tmp_path: Path) -> None:
    with Daemon("-c", configured(tmp_path)) as daemon:
        connection = http.client.HTTPConnection("127.0.0.1", port_of(daemon), timeout=PATIENCE_S)
        for number in range(1, 20):
            status, body = call(connection, "publish", {"channel": "a", "data": number})
            assert (status, json.loads(body)["result"]["offset"]) == (200, number)
        chunks = iter([b'{"channel":', b'"a","data":"', b"x" * 100_000, b'"}'])
        assert json.loads(call(connection, "publish", chunks)[1])["result"]["offset"] == 20
        connection.request("GET", "/healthz")
        assert connection.getresponse().read() == b"ok\n"
        connection.close()
        assert "Traceback" not in daemon.stderr()


def test_a_stranger_learns_nothing_and_the_key_is_in_no_log(tmp_path: Path) -> None:
    with Daemon("-c", configured(tmp_path), "--log-level", "debug", dev=False) as daemon:
        connection = http.client.HTTPConnection("127.0.0.1", port_of(daemon), timeout=PATIENCE_S)
        assert call(connection, "info", {}, key="guess-of-a-key")[0] == 401
        connection.close()
        assert call(connection, "info", {})[0] == 200
        connection.close()
        connection.request("POST", f"/api/info?api_key={KEY}", "{}")
        assert connection.getresponse().status == 200
        connection.close()
        assert KEY not in daemon.stderr() + daemon.banner
        assert "guess-of-a-key" not in daemon.stderr()


def test_without_a_key_there_is_health_and_no_api() -> None:
    with Daemon(dev=False) as daemon:
        assert "api      off" in daemon.banner
        found = re.search(r"admin    http://127\.0\.0\.1:(\d+)/", daemon.banner)
        assert found
        connection = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=PATIENCE_S)
        assert call(connection, "info", {})[0] == 404
        connection.request("GET", "/healthz")
        assert connection.getresponse().read() == b"ok\n"
        connection.close()


@pytest.mark.parametrize("tls", [True, False])
def test_with_a_certificate_it_speaks_tls_only_if_it_is_told_to(tmp_path: Path, tls: bool) -> None:
    cert, key = write_pair(tmp_path)
    files = ("--ssl-certfile", cert, "--ssl-keyfile", key)
    with Daemon("-c", configured(tmp_path, tls=tls), *files) as daemon:
        connection: http.client.HTTPConnection
        if tls:
            context = client_context("http/1.1")
            port = port_of(daemon, "https")
            connection = http.client.HTTPSConnection("localhost", port, timeout=PATIENCE_S, context=context)
        else:
            connection = http.client.HTTPConnection("127.0.0.1", port_of(daemon), timeout=PATIENCE_S)
        for _ in range(3):
            status, body = call(connection, "publish", {"channel": "a", "data": "x" * 200_000})
            assert (status, json.loads(body)["result"]["epoch"] != "") == (200, True)
        connection.close()


def test_an_open_connection_does_not_keep_it_from_stopping(tmp_path: Path) -> None:
    with Daemon("-c", configured(tmp_path)) as daemon:
        connection = http.client.HTTPConnection("127.0.0.1", port_of(daemon), timeout=PATIENCE_S)
        assert call(connection, "info", {})[0] == 200
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait() == 0
        connection.close()
