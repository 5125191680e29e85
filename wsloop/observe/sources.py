"""Where the numbers come from: what the rooms below know of themselves, by the names of the table.

Each function reads one object and changes nothing; none walks over connections or channels, since a scrape
must not hold up the loop of a server with a hundred thousand of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsloop.hub import codes
from wsloop.hub.rate_limits import Operation
from wsloop.protocol.close import CloseCode
from wsloop.server.tally import STATUS_CLASSES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from wsloop.hub.broker import BrokerStatistics
    from wsloop.hub.hub import Hub
    from wsloop.loop.reactor import Reactor
    from wsloop.observe.loop_watch import LoopWatch
    from wsloop.observe.snapshot import Numbers
    from wsloop.server.server import Server

OTHER = "other"
"""The label's value of all codes that only a client or a backend has thought of: a label is bounded."""

_OWN_CODES = frozenset(code.code for code in vars(codes).values() if isinstance(code, codes.Code))
CLOSE_CODES = frozenset(map(int, CloseCode)) | {code for code in _OWN_CODES if code >= 3000}
ERROR_CODES = frozenset(code for code in _OWN_CODES if code < 2000)


def server_numbers(server: Server) -> Numbers:
    """Return what a server counts: connections, traffic, slow peers, listeners, TLS."""
    listened, tally, slow = server.listened.totals(), server.tally, server.slow
    rings = server.pool.statistics()
    tls = server.certificates.statistics() if server.certificates is not None else None
    return {
        "wsloop_connections": server.clients,
        "wsloop_connections_accepted_total": server.accepted_total,
        "wsloop_connections_refused_total": server.refusals(),
        "wsloop_http_responses_total": {
            f"{each}xx": tally.responses[each] for each in range(1, STATUS_CLASSES)
        },
        "wsloop_websockets": tally.opened - tally.closes.total(),
        "wsloop_websockets_opened_total": tally.opened,
        "wsloop_websockets_compressed_total": tally.compressed,
        "wsloop_websocket_closes_total": by_code(tally.closes, CLOSE_CODES),
        "wsloop_handshake_seconds": tally.handshake,
        "wsloop_tls_handshakes_total": tls.handshakes if tls else 0,
        "wsloop_tls_handshake_failures_total": sum(tls.failures.values()) if tls else 0,
        "wsloop_tls_reloads_total": tls.reloads if tls else 0,
        "wsloop_received_bytes_total": tally.bytes_received,
        "wsloop_sent_bytes_total": tally.bytes_sent,
        "wsloop_messages_received_total": tally.messages_received,
        "wsloop_messages_sent_total": tally.messages_sent + server.fan_out.sent_total,
        "wsloop_fan_out_pending": server.fan_out.pending_sends,
        "wsloop_rings_lent": rings.lent,
        "wsloop_rings_exhausted_total": rings.exhausted_total,
        "wsloop_slow_peers_warned_total": slow.warned_total,
        "wsloop_slow_peers_closed_total": slow.closed_total,
        "wsloop_messages_dropped_total": slow.dropped_total,
        "wsloop_subscriptions_cut_total": slow.cut_total,
        "wsloop_listener_shed_total": listened.shed,
        "wsloop_listener_aborted_total": listened.aborted,
        "wsloop_listener_back_offs_total": listened.back_offs,
        "wsloop_listeners_paused": listened.paused,
    }


def hub_numbers(hub: Hub) -> Numbers:
    """Return what a hub counts, without its broker, which others may share."""
    statistics, tally = hub.statistics(), hub.tally
    return {
        "wsloop_clients": statistics.clients,
        "wsloop_channels": statistics.channels,
        "wsloop_subscriptions": statistics.subscriptions,
        "wsloop_commands_total": statistics.commands_total,
        "wsloop_error_replies_total": by_code(tally.errors, ERROR_CODES),
        "wsloop_tokens_refused_total": tally.tokens,
        "wsloop_rate_limited_total": {each.name.lower(): tally.rate_limited[each] for each in Operation},
        "wsloop_publications_total": tally.published,
        "wsloop_deliveries_total": statistics.deliveries_total,
    }


def broker_numbers(broker: BrokerStatistics) -> Numbers:
    """Return what a broker holds; to be told once, by the process that it lives in."""
    return {
        "wsloop_broker_streams": broker.streams,
        "wsloop_broker_publications": broker.publications,
        "wsloop_broker_bytes": broker.bytes,
        "wsloop_broker_idempotency_keys": broker.keys,
        "wsloop_broker_evicted_total": broker.evicted,
    }


def loop_numbers(reactor: Reactor, watch: LoopWatch, process: str) -> Numbers:
    """Return what the loop of the process called `process` counts, and how long its turns take."""
    statistics = reactor.statistics()
    return {
        "wsloop_loop_turns_total": statistics.turns,
        "wsloop_loop_errors_total": statistics.errors,
        "wsloop_loop_descriptors": statistics.descriptors,
        "wsloop_loop_timers": statistics.timers,
        "wsloop_loop_callbacks": statistics.callbacks,
        "wsloop_loop_turn_seconds": watch.turns.durations,
        "wsloop_loop_lag_seconds": watch.lag,
        "wsloop_fan_out_seconds": watch.fan_out,
        "wsloop_process_loop_lag_seconds": {process: watch.lag_s},
    }


def by_code(counts: Mapping[int, int], known: Iterable[int]) -> dict[str, float]:
    """Return `counts` by the known codes as text, and the sum of the others as OTHER."""
    found: dict[str, float] = {str(code): counts.get(code, 0) for code in sorted(known)}
    found[OTHER] = sum(counts.values()) - sum(found.values())
    return found
