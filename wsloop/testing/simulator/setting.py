"""What the simulated servers are set to: limits so small that each is met in some thousand steps."""

from __future__ import annotations

from wsloop.cluster.link_states import LinkLimits
from wsloop.hub.history import PUBLICATION_BYTES
from wsloop.hub.memory_broker import STREAM_BYTES, BrokerLimits
from wsloop.protocol.deflate import ZLIB, DeflateOptions
from wsloop.protocol.limits import Limits
from wsloop.server.assembly import Options
from wsloop.server.lifecycle import Deadlines
from wsloop.server.server import OutboxMarks
from wsloop.testing.simulator.people.channels import HUB, MESSAGE_BYTES, NAMESPACES
from wsloop.testing.simulator.people.tokens import OpenTokens

BROKER_LIMITS = BrokerLimits(memory_bytes=10 * STREAM_BYTES + 160 * (PUBLICATION_BYTES + 400))
"""A little less than all channels would keep: the ceiling is met as well, by long publications."""

LINK_LIMITS = LinkLimits(queue_bytes=100_000, read_bytes=4096, messages_per_turn=8)
"""So small that a worker that is stopped for a while is cut off, and that work is left for the next turn."""

SENDS_PER_TURN = 2
"""Fewer than there are people in most channels: a fan-out takes several turns, in which others talk."""

BACKLOG_SENDS = 30
"""With more to come, whoever publishes is held: a few dozen publications to everybody."""

DEFLATE = DeflateOptions(backend=ZLIB)
"""zlib's output depends on nothing but its input; isal's also on what was in its memory before."""

OPTIONS = Options(
    dev=True,
    namespaces=NAMESPACES,
    hub=HUB,
    verifier=OpenTokens(),
    broker=BROKER_LIMITS,
    deadlines=Deadlines(
        handshake_s=4.0,
        first_message_s=4.0,
        ping_interval_s=5.0,
        pong_timeout_s=2.0,
        stall_s=4.0,
        frame_s=6.0,
        close_s=2.0,
    ),
    outbox=OutboxMarks(
        hard_bytes=40 * 1024, high_bytes=8 * 1024, low_bytes=2 * 1024, hard_messages=16, age_s=5.0
    ),
    sends_per_turn=SENDS_PER_TURN,
    backlog_sends=BACKLOG_SENDS,
    echo_limits=Limits(message_bytes=128 * 1024),
    messaging_limits=Limits(message_bytes=MESSAGE_BYTES),
    echo_deflate=DEFLATE,
    messaging_deflate=DEFLATE,
)
