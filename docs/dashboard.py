"""Write the Grafana dashboard docs/deploy/grafana.json, from the table of panels below.

    python docs/dashboard.py           rewrites it
    python docs/dashboard.py --check   exits with 1 if it is out of date

A panel is one question of an operator's. `$instance` is chosen on the dashboard, `$__rate_interval` by
Grafana.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parent / "deploy" / "grafana.json"

COLUMNS, WIDTH, HEIGHT = 24, 8, 8
"""Grafana's grid, and a panel's size in it: three in a row."""

SOURCE = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True, slots=True)
class Panel:
    """`curves` are expressions with their legends; `unit` is one of Grafana's."""

    title: str
    unit: str
    about: str
    curves: tuple[tuple[str, str], ...]


def rate(metric: str, by: str = "") -> str:
    """Return the rate of a counter, summed over the chosen instances."""
    return f"sum{f' by ({by})' if by else ''} (rate({chosen(metric)}[$__rate_interval]))"


def chosen(metric: str) -> str:
    """Return a metric of the chosen instances."""
    name, brace, rest = metric.partition("{")
    return f'{name}{{instance=~"$instance"{", " + rest if brace else "}"}'


def quantiles(metric: str) -> tuple[tuple[str, str], ...]:
    """Return the middle and the tail of a histogram."""
    buckets = rate(f"{metric}_bucket", "le")
    return tuple(
        (f"histogram_quantile({each}, {buckets})", f"p{each * 100:g}") for each in (0.5, 0.99, 0.999)
    )


PANELS = (
    Panel(
        "Clients",
        "short",
        "WebSockets open; messaging clients among them; subscriptions.",
        (
            (f"sum ({chosen('wsloop_websockets')})", "WebSockets"),
            (f"sum ({chosen('wsloop_clients')})", "messaging clients"),
            (f"sum ({chosen('wsloop_subscriptions')})", "subscriptions"),
        ),
    ),
    Panel(
        "Opened and closed",
        "cps",
        "A peak of both at once is a reconnect storm.",
        (
            (rate("wsloop_websockets_opened_total"), "opened"),
            (rate("wsloop_websocket_closes_total"), "closed"),
            (rate("wsloop_connections_refused_total", "reason"), "refused: {{reason}}"),
        ),
    ),
    Panel(
        "Closes by code",
        "cps",
        "1006 went without a word, 3012 did not answer pings, 3008 read too slowly, 1011 met a bug.",
        ((f"{rate('wsloop_websocket_closes_total', 'code')} > 0", "{{code}}"),),
    ),
    Panel(
        "Messages",
        "cps",
        "WebSocket messages both ways.",
        (
            (rate("wsloop_messages_received_total"), "received"),
            (rate("wsloop_messages_sent_total"), "sent"),
        ),
    ),
    Panel(
        "Bytes",
        "Bps",
        "Bytes both ways, inside of TLS.",
        (
            (rate("wsloop_received_bytes_total"), "received"),
            (rate("wsloop_sent_bytes_total"), "sent"),
        ),
    ),
    Panel(
        "Publications",
        "cps",
        "What is published, and to how many subscribers it goes.",
        (
            (rate("wsloop_publications_total"), "publications"),
            (rate("wsloop_deliveries_total"), "deliveries"),
            (rate("wsloop_commands_total"), "commands"),
        ),
    ),
    Panel(
        "Fan-out",
        "s",
        "From the turn a publication came in until its last subscriber was sent it.",
        quantiles("wsloop_fan_out_seconds"),
    ),
    Panel(
        "Slow consumers",
        "cps",
        "Who reads too slowly, and what was done about it.",
        (
            (rate("wsloop_slow_peers_warned_total"), "warned"),
            (rate("wsloop_slow_peers_closed_total"), "closed"),
            (rate("wsloop_messages_dropped_total"), "messages dropped"),
            (rate("wsloop_connections_shed_total"), "shed for memory"),
        ),
    ),
    Panel(
        "Errors",
        "cps",
        "Commands refused by error code, tokens that were not good, rate limits.",
        (
            (f"{rate('wsloop_error_replies_total', 'code')} > 0", "error {{code}}"),
            (f"{rate('wsloop_tokens_refused_total', 'reason')} > 0", "token {{reason}}"),
            (f"{rate('wsloop_rate_limited_total', 'operation')} > 0", "rate limit: {{operation}}"),
        ),
    ),
    Panel(
        "Loop turns",
        "s",
        "How long a turn works: what everybody else waits for.",
        quantiles("wsloop_loop_turn_seconds"),
    ),
    Panel(
        "Loop lag",
        "s",
        "How late timers are: what clients feel.",
        (
            *quantiles("wsloop_loop_lag_seconds"),
            (chosen("wsloop_process_loop_lag_seconds"), "now: {{process}}"),
        ),
    ),
    Panel(
        "CPU",
        "percentunit",
        "Share of one core; a process has one thread that works.",
        (
            (
                f"rate({chosen('wsloop_process_cpu_seconds_total')}[$__rate_interval])",
                "{{instance}} {{process}}",
            ),
        ),
    ),
    Panel(
        "Memory",
        "bytes",
        "Resident memory of each process, and what history takes of it.",
        (
            (chosen("wsloop_process_resident_memory_bytes"), "{{instance}} {{process}}"),
            (f"sum ({chosen('wsloop_broker_bytes')})", "history"),
        ),
    ),
    Panel(
        "Descriptors",
        "percentunit",
        "Share of the descriptors that a process may open.",
        (
            (
                f"{chosen('wsloop_process_open_descriptors')} / {chosen('wsloop_process_max_descriptors')}",
                "{{instance}} {{process}}",
            ),
        ),
    ),
    Panel(
        "Overload",
        "short",
        "0: well, 1: new connections are refused, 2: slow ones are closed. And what blocked a loop.",
        (
            (f"max by (instance) ({chosen('wsloop_overload')})", "{{instance}}"),
            (f"sum (increase({chosen('wsloop_loop_blocked_total')}[$__rate_interval]))", "loop blocked"),
        ),
    ),
    Panel(
        "Workers",
        "short",
        "Workers that run, those that reach the hub process, and deaths.",
        (
            (f"sum by (instance) ({chosen('wsloop_workers')})", "{{instance}} workers"),
            (f"sum by (instance) ({chosen('wsloop_link_up')})", "{{instance}} links up"),
            (f"sum (increase({chosen('wsloop_worker_deaths_total')}[$__rate_interval]))", "deaths"),
            (
                f"sum (increase({chosen('wsloop_link_reconnects_total')}[$__rate_interval]))",
                "links made again",
            ),
        ),
    ),
    Panel(
        "Settings",
        "s",
        "How long ago the settings that hold were read; processes whose last reload failed.",
        (
            (f"time() - {chosen('wsloop_last_reload_success_timestamp_seconds')}", "{{instance}}"),
            (f"{chosen('wsloop_last_reload_failed')} > 0", "{{instance}} failed"),
        ),
    ),
    Panel(
        "Backend",
        "s",
        "How long the operator's application takes to answer, at p99 by question.",
        (
            (
                f"histogram_quantile(0.99, {rate('wsloop_backend_question_seconds_bucket', 'le, question')})",
                "{{question}}",
            ),
        ),
    ),
    Panel(
        "Backend and hooks: failures",
        "short",
        "Questions that failed, breakers that are open, events that wait.",
        (
            (rate("wsloop_backend_failures_total", "question"), "{{question}} failed a second"),
            (
                f"sum by (question) ({chosen('wsloop_backend_breaker_open')})",
                "{{question}} breakers open",
            ),
            (f"sum ({chosen('wsloop_hook_events_waiting')})", "events waiting"),
            (rate("wsloop_hook_events_dropped_total"), "events lost a second"),
        ),
    ),
)


def dashboard() -> dict[str, Any]:
    """Return the dashboard as Grafana imports it."""
    return {
        "title": "wsloop",
        "uid": "wsloop",
        "tags": ["wsloop"],
        "schemaVersion": 39,
        "editable": True,
        "time": {"from": "now-1h", "to": "now"},
        "refresh": "30s",
        "templating": {"list": [datasource(), instances()]},
        "panels": [placed(number, panel) for number, panel in enumerate(PANELS)],
    }


def datasource() -> dict[str, Any]:
    """Return the variable by which a Prometheus server is chosen."""
    return {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus"}


def instances() -> dict[str, Any]:
    """Return the variable by which daemons are chosen."""
    return {
        "name": "instance",
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": "label_values(wsloop_build_info, instance)", "refId": "instances"},
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def placed(number: int, panel: Panel) -> dict[str, Any]:
    """Return a panel as Grafana has it, at its place in the grid."""
    per_row = COLUMNS // WIDTH
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.about,
        "datasource": SOURCE,
        "gridPos": {
            "x": number % per_row * WIDTH,
            "y": number // per_row * HEIGHT,
            "w": WIDTH,
            "h": HEIGHT,
        },
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list"}, "tooltip": {"mode": "multi", "sort": "desc"}},
        "targets": [
            {"refId": chr(ord("A") + index), "expr": expression, "legendFormat": legend}
            for index, (expression, legend) in enumerate(panel.curves)
        ],
    }


def main() -> int:
    """Write, or check, the dashboard; return the exit code."""
    fresh = json.dumps(dashboard(), indent=1) + "\n"
    if "--check" in sys.argv:
        return int(fresh != PAGE.read_text(encoding="utf-8"))
    PAGE.write_text(fresh, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
