"""A real Prometheus server scrapes a running daemon, evaluates all expressions, and raises an alert."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.docs import monitoring
from tests.observe.kit import counters, parsed
from tests.system.daemon import PATIENCE_S, Daemon
from tests.system.peers import open_echo, open_messaging
from tests.system.test_workers import children, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.system

LOOK_EVERY_S = 0.2
"""Between two questions to Prometheus, which scrapes once a second."""


class PrometheusServer:
    """A Prometheus server of its own, that scrapes `target` every second and knows the alert rules.

    They fire at once here: `for` is left out.
    """

    def __init__(self, directory: Path, target: str) -> None:
        self._directory = directory
        self.port = free_port()
        rules = yaml.safe_load(monitoring.ALERTS.read_text(encoding="utf-8"))
        for rule in rules["groups"][0]["rules"]:
            rule.pop("for", None)
        (directory / "alerts.yml").write_text(yaml.safe_dump(rules), encoding="utf-8")
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": ["alerts.yml"],
            "scrape_configs": [{"job_name": "wsloop", "static_configs": [{"targets": [target]}]}],
        }
        (directory / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
        self._log = (directory / "log").open("wb")
        self._process = subprocess.Popen(
            [
                monitoring.tool("prometheus"),
                f"--config.file={directory / 'prometheus.yml'}",
                f"--storage.tsdb.path={directory / 'data'}",
                f"--web.listen-address=127.0.0.1:{self.port}",
            ],
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._log.close()

    def ask(self, path: str, **query: str) -> Any:
        """Ask the HTTP API; return what is in `data`. Raises OSError while it starts."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            connection.request("GET", f"/api/v1/{path}?{urllib.parse.urlencode(query)}")
            response = connection.getresponse()
            if response.status == 503:
                raise ConnectionError("it is still starting")
            answer = json.loads(response.read())
        finally:
            connection.close()
        assert answer["status"] == "success", answer
        return answer["data"]

    def wait_for(self, condition: Callable[[], object], what: str) -> None:
        """Ask until it is so."""
        deadline_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline_s:
            with contextlib.suppress(OSError):  # it is still starting
                if condition():
                    return
            assert self._process.poll() is None, (self._directory / "log").read_text(encoding="utf-8")
            time.sleep(LOOK_EVERY_S)
        raise AssertionError(f"not so: {what}\n{(self._directory / 'log').read_text(encoding='utf-8')}")

    def value(self, expression: str) -> float:
        """Return the sum of what an expression gives now."""
        return sum(float(each["value"][1]) for each in self.ask("query", query=expression)["result"])

    def firing(self) -> set[str]:
        return {
            each["labels"]["alertname"] for each in self.ask("alerts")["alerts"] if each["state"] == "firing"
        }


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


def admin_port(daemon: Daemon) -> int:
    found = re.search(r"http://127\.0\.0\.1:(\d+)/metrics", daemon.banner)
    assert found, daemon.banner
    return int(found[1])


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    with Daemon() as made:
        yield made


@pytest.fixture
def prometheus(tmp_path: Path, daemon: Daemon) -> Iterator[PrometheusServer]:
    made = PrometheusServer(tmp_path, f"127.0.0.1:{admin_port(daemon)}")
    yield made
    made.close()


def test_it_is_scraped_all_expressions_evaluate_and_its_death_is_an_alert(
    daemon: Daemon, prometheus: PrometheusServer
) -> None:
    with open_echo(daemon), open_messaging(daemon):
        prometheus.wait_for(lambda: prometheus.value('up{job="wsloop"}') == 1, "the target is up")
        prometheus.wait_for(lambda: prometheus.value("wsloop_websockets") == 2, "two clients are seen")
        prometheus.wait_for(
            lambda: prometheus.value("rate(wsloop_loop_turns_total[1m])") > 0, "there are two scrapes"
        )
        for name, expression in monitoring.expressions().items():
            assert prometheus.ask("query", query=expression)["resultType"] == "vector", name
        (target,) = prometheus.ask("targets")["activeTargets"]
        assert (target["health"], target["lastError"]) == ("up", "")
        assert all(rule["health"] in ("ok", "unknown") for rule in rules_of(prometheus))
        prometheus.wait_for(lambda: all(rule["health"] == "ok" for rule in rules_of(prometheus)), "rules")
        assert "WsloopDown" not in prometheus.firing()  # others may: the machine may be busy
    daemon.kill()
    prometheus.wait_for(lambda: "WsloopDown" in prometheus.firing(), "the alert fires")


def rules_of(prometheus: PrometheusServer) -> list[dict[str, Any]]:
    (group,) = prometheus.ask("rules")["groups"]
    rules: list[dict[str, Any]] = group["rules"]
    return rules


def test_what_a_daemon_exports_is_as_prometheus_wants_it(daemon: Daemon) -> None:
    text = scraped(daemon)
    command = [monitoring.tool("promtool"), "check", "metrics"]
    done = subprocess.run(command, input=text, capture_output=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


def test_every_metric_that_a_panel_or_an_alert_names_is_in_a_daemons_metrics(daemon: Daemon) -> None:
    exported = set(re.findall(r"^# TYPE (\S+)", scraped(daemon).decode(), re.MULTILINE))
    for name, expression in monitoring.expressions().items():
        assert monitoring.metric_names(expression) <= exported, name


def scraped(daemon: Daemon) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", admin_port(daemon), timeout=PATIENCE_S)
    connection.request("GET", "/metrics")
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    assert answer.status == 200
    return body


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc for processes")
def test_the_numbers_are_those_of_all_workers_and_do_not_fall_when_a_process_is_killed() -> None:
    with Daemon("--workers", "2") as daemon, contextlib.ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(open_echo(daemon))
        text = scraped(daemon).decode()
        before = parsed(text)
        assert before["wsloop_workers", ()] == 2
        assert before["wsloop_websockets", ()] == before["wsloop_websockets_opened_total", ()] == 8
        processes = {labels for name, labels in before if name == "wsloop_process_resident_memory_bytes"}
        assert processes == {(("process", name),) for name in ("hub", "worker-0", "worker-1")}
        _, worker, other = children(daemon)
        os.kill(worker, signal.SIGKILL)
        wait_for(lambda: len({*children(daemon)} - {worker}) == 3)
        wait_for(lambda: parsed(scraped(daemon).decode())["wsloop_workers", ()] == 2)
        wait_for(lambda: parsed(scraped(daemon).decode())["wsloop_worker_deaths_total", ()] == 1)
        text = assert_none_falls(text, daemon)
        assert other in children(daemon)
        hub, *_ = children(daemon)
        os.kill(hub, signal.SIGKILL)
        wait_for(lambda: len({*children(daemon)} - {hub}) == 3)
        wait_for(lambda: parsed(scraped(daemon).decode())["wsloop_workers", ()] == 2)
        wait_for(lambda: parsed(scraped(daemon).decode())["wsloop_worker_deaths_total", ()] == 2)
        assert_none_falls(text, daemon)


def assert_none_falls(before: str, daemon: Daemon) -> str:
    """Compare the counters that are no single process's; return those of now."""
    after = scraped(daemon).decode()
    now = parsed(after)
    counted = {key: value for key, value in counters(before).items() if "process" not in dict(key[1])}
    assert {key: now[key] for key, value in counted.items() if now[key] < value} == {}
    return after
