"""Hypothesis strategies for whatever speaks WebSocket: public, documented, stable.

Every strategy is a function that returns one. What they draw are frozen values (`wsloop.testing.wire`,
`deflating`, `requests`, `commands`) whose repr is the call that makes them, so that a failing example reads
like a conversation; payloads, masks and damaged bytes are just bytes. They shrink towards short streams of
plain ASCII under a mask of zeros. The only place in wsloop that imports hypothesis:
`pip install 'wsloop[testing]'`.
"""

from wsloop.testing.strategies.commands import command_sequences, commands, connects
from wsloop.testing.strategies.compression import (
    broken_offers,
    compressed_messages,
    damaged_deflate,
    deflate_offers,
    repetitive_payloads,
)
from wsloop.testing.strategies.cutting import cuttings, network_faults, schedules
from wsloop.testing.strategies.frames import (
    broken_sequences,
    close_frames,
    control_frames,
    damaged_streams,
    encoded,
    hostile_frames,
    huge_frames,
    masks,
    messages,
    valid_sequences,
)
from wsloop.testing.strategies.handshakes import broken_handshakes, handshakes, request_heads
from wsloop.testing.strategies.search import Found, shortest
from wsloop.testing.strategies.texts import (
    binary_payloads,
    invalid_utf8,
    large_payloads,
    text_payloads,
    utf8_edge_cases,
)

__all__ = [
    "Found",
    "binary_payloads",
    "broken_handshakes",
    "broken_offers",
    "broken_sequences",
    "close_frames",
    "command_sequences",
    "commands",
    "compressed_messages",
    "connects",
    "control_frames",
    "cuttings",
    "damaged_deflate",
    "damaged_streams",
    "deflate_offers",
    "encoded",
    "handshakes",
    "hostile_frames",
    "huge_frames",
    "invalid_utf8",
    "large_payloads",
    "masks",
    "messages",
    "network_faults",
    "repetitive_payloads",
    "request_heads",
    "schedules",
    "shortest",
    "text_payloads",
    "utf8_edge_cases",
    "valid_sequences",
]
