"""The table of all metrics: what `/metrics` shows is what stands here.

Names follow the rules of Prometheus ("Metric and label naming"): the prefix, base units, `_total` for
counters. No channel and no user is ever a label's value: every label has a bounded set of them.

To add a metric: a row here, and its number from a contributor (`Observer.add`). The reference page
docs/reference/metrics.md is made of this table.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Kind(enum.Enum):
    """What Prometheus calls the types."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Merge(enum.Enum):
    """What the numbers of several processes become: their sum, or the largest of them."""

    SUM = "sum"
    MAX = "max"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. `label` is the name of its only label, "" if it has none."""

    name: str
    kind: Kind
    help: str
    label: str = ""
    merge: Merge = Merge.SUM


def _counter(name: str, text: str, label: str = "") -> Metric:
    return Metric(f"wsloop_{name}_total", Kind.COUNTER, text, label)


def _gauge(name: str, text: str, label: str = "", merge: Merge = Merge.SUM) -> Metric:
    return Metric(f"wsloop_{name}", Kind.GAUGE, text, label, merge)


def _histogram(name: str, text: str, label: str = "") -> Metric:
    return Metric(f"wsloop_{name}_seconds", Kind.HISTOGRAM, text, label)


GROUPS: tuple[tuple[str, tuple[Metric, ...]], ...] = (
    (
        "Connections",
        (
            _gauge("connections", "Connections of clients open now"),
            _counter("connections_accepted", "Connections accepted, before any was refused"),
            _counter("connections_refused", "Connections turned away at once, by limit", "reason"),
            _counter("connections_shed", "Connections closed to free memory"),
            _counter("http_responses", "HTTP answers by class of status; 1xx are WebSockets opened", "class"),
            _gauge("websockets", "WebSockets open now, those that are closing included"),
            _counter("websockets_opened", "WebSockets opened"),
            _counter("websockets_compressed", "WebSockets opened with permessage-deflate"),
            _counter("websocket_closes", "WebSockets that ended, by close code; 1006: without one", "code"),
            _histogram("handshake", "Time from accept to the upgrade, TLS included"),
            _counter("tls_handshakes", "TLS handshakes that succeeded"),
            _counter("tls_handshake_failures", "TLS handshakes that failed"),
            _counter("tls_reloads", "Times that the certificate was read again"),
        ),
    ),
    (
        "Traffic",
        (
            _counter("received_bytes", "Bytes received, HTTP and WebSocket, inside of TLS"),
            _counter("sent_bytes", "Bytes sent, HTTP and WebSocket, inside of TLS"),
            _counter("messages_received", "WebSocket messages received, control frames not counted"),
            _counter("messages_sent", "WebSocket messages sent or queued, control frames not counted"),
            _gauge("rings_lent", "Buffers of 64 KiB that hold unfinished frames now"),
            _counter("rings_exhausted", "Times that no buffer was left for an unfinished frame"),
        ),
    ),
    (
        "Messaging",
        (
            _gauge("clients", "Messaging clients, those included that have not connected yet"),
            _gauge("channels", "Channels with subscribers, summed over the workers"),
            _gauge("subscriptions", "Subscriptions"),
            _counter("commands", "Commands of clients"),
            _counter("error_replies", "Commands answered with an error, by its code", "code"),
            _counter("tokens_refused", "Tokens refused, by reason", "reason"),
            _counter("rate_limited", "Commands and upgrades refused by a rate limit", "operation"),
            _counter("publications", "Publications asked for, by clients and by the server API"),
            _counter("deliveries", "Publications given to subscribers, one for each of them"),
            _histogram(
                "fan_out", "Time from the turn of a publication, join or leave until all were sent it"
            ),
            _gauge("fan_out_pending", "Sends to subscribers that wait for their turn"),
        ),
    ),
    (
        "Slow consumers",
        (
            _counter("slow_peers_warned", "Peers that were half-way to the limit of what may wait"),
            _counter("slow_peers_closed", "Peers closed because they read too slowly"),
            _counter("messages_dropped", "Messages dropped by a namespace's policy, or for their age"),
            _counter("subscriptions_cut", "Subscriptions ended since messages of them were dropped"),
        ),
    ),
    (
        "History",
        (
            _gauge("broker_streams", "Streams that the broker knows"),
            _gauge("broker_publications", "Publications kept"),
            _gauge("broker_bytes", "Memory of the kept publications, as the broker counts it"),
            _gauge("broker_idempotency_keys", "Idempotency keys remembered"),
            _counter("broker_evicted", "Publications dropped before their time, for want of memory"),
        ),
    ),
    (
        "The operator's application",
        (
            _histogram("backend_question", "Time until the backend answered, or was given up", "question"),
            _counter("backend_failures", "Questions that failed, or were not asked", "question"),
            _gauge("backend_breaker_open", "Processes whose circuit breaker is open", "question"),
            _gauge("hook_events_waiting", "Events that the hooks' receiver has not taken yet"),
            _counter("hook_events_delivered", "Events that the receiver has taken"),
            _counter("hook_events_dropped", "Events lost for want of room"),
            _counter("hook_failures", "Attempts to deliver events that failed"),
        ),
    ),
    (
        "The loop",
        (
            _counter("loop_turns", "Turns of the loops"),
            _counter("loop_errors", "Exceptions that a loop caught: each is a bug"),
            _counter("loop_blocked", "Turns that held up a loop for too long"),
            _gauge("loop_descriptors", "Descriptors registered with the loops"),
            _gauge("loop_timers", "Timers waiting"),
            _gauge("loop_callbacks", "Callbacks waiting"),
            _histogram("loop_turn", "Time that a turn worked, without its sleep"),
            _histogram("loop_lag", "How late a timer was that is due twice a second"),
            _counter("listener_shed", "Connections reset for want of a descriptor"),
            _counter("listener_aborted", "Connections that failed before they were accepted"),
            _counter("listener_back_offs", "Times that accepting paused because it failed"),
            _gauge("listeners_paused", "Listeners that do not accept now"),
        ),
    ),
    (
        "Processes",
        (
            Metric("wsloop_build_info", Kind.GAUGE, "Always 1; the version that runs", "version", Merge.MAX),
            _gauge("workers", "Workers that have reached the hub process"),
            _counter("worker_deaths", "Workers and hub processes that ended without being told to"),
            _gauge("link_up", "Whether the hub process hears a worker", "process"),
            _counter("link_reconnects", "Times that a worker has reached the hub process again"),
            _counter("log_lines_lost", "Lines of the log that could not be written"),
            _counter("reload_failures", "Reloads that a mistake made fail"),
            _gauge("last_reload_failed", "Processes whose last reload failed; 0: all go by the files"),
            _gauge(
                "last_reload_success_timestamp_seconds",
                "When the settings that hold were read, at the start or by a reload, in Unix seconds",
                merge=Merge.MAX,
            ),
            _gauge("overload", "0: well, 1: refusing new connections, 2: closing slow ones", merge=Merge.MAX),
            _gauge("process_resident_memory_bytes", "Resident memory", "process"),
            _counter("process_cpu_seconds", "CPU time used, user and system", "process"),
            _gauge("process_open_descriptors", "Open descriptors", "process"),
            _gauge("process_max_descriptors", "Most descriptors that may be open", "process"),
            _gauge("process_start_time_seconds", "When it started, in Unix seconds", "process"),
            _gauge("process_loop_lag_seconds", "How late the loop was found last", "process"),
        ),
    ),
)
"""In the order of the reference."""

METRICS: dict[str, Metric] = {metric.name: metric for _, group in GROUPS for metric in group}
