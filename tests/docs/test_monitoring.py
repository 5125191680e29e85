"""Dashboard and alert rules: they parse, name what there is, and each alert fires for what it is about."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import yaml

from tests.docs import monitoring
from wsloop.daemon.settings import Settings
from wsloop.observe.metrics import METRICS

if TYPE_CHECKING:
    from pathlib import Path

EXPRESSIONS = monitoring.expressions()
RULES = {rule["alert"]: rule for rule in monitoring.alerts()}

ONE = 'instance="HERE", job="wsloop"'
"""HERE becomes the alert's name: each trouble is that of a daemon of its own."""

RISING, FLAT = "0+60x40", "7x40"
"""Series of a sample a minute for 40 minutes: one that counts 60 a minute, and one that stands still."""

TROUBLES: dict[str, dict[str, str]] = {
    "WsloopDown": {f"up{{{ONE}}}": "1x20 0x20"},
    "WsloopWorkerDied": {f"wsloop_worker_deaths_total{{{ONE}}}": "0x30 1x10"},
    "WsloopLinkDown": {f'wsloop_link_up{{{ONE}, process="worker-1"}}': "1x20 0x20"},
    "WsloopLoopBlocked": {
        f'wsloop_loop_lag_seconds_bucket{{{ONE}, le="0.25"}}': FLAT,
        f'wsloop_loop_lag_seconds_bucket{{{ONE}, le="0.5"}}': RISING,
        f'wsloop_loop_lag_seconds_bucket{{{ONE}, le="+Inf"}}': RISING,
    },
    "WsloopSaturated": {f'wsloop_process_cpu_seconds_total{{{ONE}, process="worker-0"}}': "0+58x40"},
    "WsloopBug": {f'wsloop_websocket_closes_total{{{ONE}, code="1011"}}': "0x30 1x10"},
    "WsloopDescriptorsShort": {
        f'wsloop_process_open_descriptors{{{ONE}, process="alone"}}': "980x40",
        f'wsloop_process_max_descriptors{{{ONE}, process="alone"}}': "1024x40",
    },
    "WsloopRefusing": {f'wsloop_connections_refused_total{{{ONE}, reason="full"}}': "0+120x40"},
    "WsloopOverloaded": {f"wsloop_overload{{{ONE}}}": "0x20 1x20"},
    "WsloopSlowConsumers": {
        f"wsloop_slow_peers_closed_total{{{ONE}}}": "0+20x40",
        f"wsloop_websockets{{{ONE}}}": "1000x40",
    },
    "WsloopFanOutSlow": {
        f'wsloop_fan_out_seconds_bucket{{{ONE}, le="1.0"}}': FLAT,
        f'wsloop_fan_out_seconds_bucket{{{ONE}, le="2.5"}}': RISING,
        f'wsloop_fan_out_seconds_bucket{{{ONE}, le="+Inf"}}': RISING,
    },
    "WsloopAbnormalCloses": {
        f'wsloop_websocket_closes_total{{{ONE}, code="1006"}}': "0+100x40",
        f'wsloop_websocket_closes_total{{{ONE}, code="1000"}}': "0+10x40",
    },
    "WsloopBackendFailing": {f'wsloop_backend_breaker_open{{{ONE}, question="connect"}}': "0x20 1x20"},
    "WsloopHooksLost": {f"wsloop_hook_events_dropped_total{{{ONE}}}": "0x30 5x10"},
    "WsloopHooksWaiting": {f"wsloop_hook_events_waiting{{{ONE}}}": "2000x40"},
    "WsloopHistoryEvicted": {f"wsloop_broker_evicted_total{{{ONE}}}": "0x30 5x10"},
    "WsloopTokensRefused": {f'wsloop_tokens_refused_total{{{ONE}, reason="invalid"}}': "0+120x40"},
    "WsloopTlsFailing": {
        f"wsloop_tls_handshakes_total{{{ONE}}}": "0+10x40",
        f"wsloop_tls_handshake_failures_total{{{ONE}}}": "0+90x40",
    },
    "WsloopLogLost": {f"wsloop_log_lines_lost_total{{{ONE}}}": "0x30 5x10"},
    "WsloopReloadFailed": {f"wsloop_last_reload_failed{{{ONE}}}": "0x20 1x20"},
}
"""For each alert, the numbers of a daemon that it is about."""

WELL = {
    f"up{{{ONE}}}": "1x40",
    f"wsloop_websockets{{{ONE}}}": "1000x40",
    f"wsloop_worker_deaths_total{{{ONE}}}": FLAT,
    f'wsloop_link_up{{{ONE}, process="worker-1"}}': "1x40",
    f'wsloop_loop_lag_seconds_bucket{{{ONE}, le="0.005"}}': RISING,
    f'wsloop_loop_lag_seconds_bucket{{{ONE}, le="+Inf"}}': RISING,
    f'wsloop_fan_out_seconds_bucket{{{ONE}, le="0.005"}}': RISING,
    f'wsloop_fan_out_seconds_bucket{{{ONE}, le="+Inf"}}': RISING,
    f'wsloop_process_cpu_seconds_total{{{ONE}, process="worker-0"}}': "0+20x40",
    f"wsloop_loop_errors_total{{{ONE}}}": "0x40",
    f'wsloop_websocket_closes_total{{{ONE}, code="1000"}}': "0+200x40",
    f'wsloop_websocket_closes_total{{{ONE}, code="1006"}}': "0+50x40",
    f'wsloop_websocket_closes_total{{{ONE}, code="1011"}}': FLAT,
    f"wsloop_listener_shed_total{{{ONE}}}": FLAT,
    f'wsloop_process_open_descriptors{{{ONE}, process="alone"}}': "500x40",
    f'wsloop_process_max_descriptors{{{ONE}, process="alone"}}': "1024x40",
    f'wsloop_connections_refused_total{{{ONE}, reason="host"}}': "0+6x40",
    f"wsloop_overload{{{ONE}}}": "0x40",
    f"wsloop_slow_peers_closed_total{{{ONE}}}": "0+2x40",
    f'wsloop_backend_breaker_open{{{ONE}, question="connect"}}': "0x40",
    f'wsloop_backend_failures_total{{{ONE}, question="connect"}}': "0+2x40",
    f"wsloop_hook_events_dropped_total{{{ONE}}}": FLAT,
    f"wsloop_hook_events_waiting{{{ONE}}}": "90x40",
    f"wsloop_broker_evicted_total{{{ONE}}}": FLAT,
    f'wsloop_tokens_refused_total{{{ONE}, reason="expired"}}': "0+600x40",
    f'wsloop_tokens_refused_total{{{ONE}, reason="invalid"}}': "0+6x40",
    f"wsloop_tls_handshakes_total{{{ONE}}}": "0+100x40",
    f"wsloop_tls_handshake_failures_total{{{ONE}}}": "0+10x40",
    f"wsloop_log_lines_lost_total{{{ONE}}}": FLAT,
    f"wsloop_reload_failures_total{{{ONE}}}": FLAT,
    f"wsloop_last_reload_failed{{{ONE}}}": "0x40",
}
"""The numbers of a busy daemon that is well."""


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_an_expression_names_what_is_exported(name: str) -> None:
    names = monitoring.metric_names(EXPRESSIONS[name])
    assert names <= METRICS.keys()
    assert names or name == "WsloopDown"


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_a_label_in_an_expression_is_the_metrics_own(name: str) -> None:
    for metric, matchers in re.findall(r"\b(wsloop_[a-z_]+)\{([^}]*)\}", EXPRESSIONS[name]):
        (known,) = monitoring.metric_names(metric)
        labels = set(re.findall(r"([a-z_]+)\s*(?:=~|!~|!=|=)", matchers))
        assert labels <= {"instance", "job", METRICS[known].label}


def test_every_expression_parses(tmp_path: Path) -> None:
    rules = [
        {"record": f"test:expression:{number}", "expr": expression}
        for number, expression in enumerate(EXPRESSIONS.values())
    ]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": rules}]}), encoding="utf-8")
    checked(monitoring.tool("promtool"), "check", "rules", str(file))


def test_prometheus_takes_the_alert_rules() -> None:
    checked(monitoring.tool("promtool"), "check", "rules", str(monitoring.ALERTS))


def test_prometheus_takes_the_scrape_configuration() -> None:
    checked(monitoring.tool("promtool"), "check", "config", str(monitoring.DEPLOY / "prometheus.yml"))


@pytest.mark.parametrize("name", RULES)
def test_an_alert_says_what_is_so_what_it_means_and_what_to_do(name: str) -> None:
    rule = RULES[name]
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert set(rule["annotations"]) == {"summary", "meaning", "action"}
    assert "$labels.instance" in rule["annotations"]["summary"]


@pytest.mark.parametrize("name", RULES)
def test_a_setting_that_an_alert_names_exists(name: str) -> None:
    text = " ".join(RULES[name]["annotations"].values())
    sections = {field.name: field.type for field in msgspec.structs.fields(Settings)}
    for section, key in re.findall(r"\b([a-z]+)\.([a-z_]+)\b", text):
        if section in sections:
            assert hasattr(getattr(Settings(), section), key), f"{section}.{key}"


def test_each_alert_fires_for_its_trouble_and_none_for_a_daemon_that_is_well(tmp_path: Path) -> None:
    assert set(TROUBLES) == set(RULES)
    series = [
        {"series": name.replace("HERE", instance), "values": values}
        for instance, numbers in {**TROUBLES, "well": WELL}.items()
        for name, values in numbers.items()
    ]
    # What an alert would say is not compared: whether it fires is a metric as well.
    fires = [
        expected(f'count(ALERTS{{alertname="{name}", instance="{name}", alertstate="firing"}}) > bool 0', 1)
        for name in TROUBLES
    ]
    none = expected('count(ALERTS{instance="well"})')
    tests = [{"interval": "1m", "input_series": series, "promql_expr_test": [*fires, none]}]
    file = tmp_path / "test.yml"
    document = {"rule_files": [str(monitoring.ALERTS)], "tests": tests}
    file.write_text(json.dumps(document), encoding="utf-8")
    checked(monitoring.tool("promtool"), "test", "rules", str(file))


def expected(expression: str, *values: int) -> dict[str, Any]:
    """Return what promtool is to find after 35 minutes: samples without labels of these values."""
    samples = [{"labels": "{}", "value": value} for value in values]
    return {"expr": expression, "eval_time": "35m", "exp_samples": samples}


def checked(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
