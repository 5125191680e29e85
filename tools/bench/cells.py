"""The cells: every load that is measured, by name. A new one is one more entry here.

`goals.py` says what wsloop must reach in them.
"""

from __future__ import annotations

import random
import string

from tools.bench.model import Cell, Kind

ECHO = Kind("echo", "echo", "message", "messages", saturates=True)
FANOUT = Kind("fanout", "fanout", "delivered message", "delivered messages", path="/fanout")
CONNECT = Kind("connect", "connects", "cycle", "cycles", saturates=True)
IDLE = Kind("idle", "idle", "connection", "connections", cost="idle_kb", cost_unit="kB")
DEFLATE = Kind("deflate", "fanout", "delivered message", "delivered messages", path="/fanout")
FLOOD = Kind("flood", "flood", "polite echo", "polite echoes", cost="p99_ms", cost_unit="ms")

IDLE_CONNECTIONS = 15_000
"""What fits below 20,000 descriptors in one process, on either side."""

CELLS = (
    Cell("echo-100", ECHO, "echo, 100 connections x 128 B, one message in flight"),
    Cell("echo-1000", ECHO, "echo, 1,000 connections x 128 B, one message in flight", connections=1000),
    Cell("echo-inflight", ECHO, "echo, 50 connections x 128 B, 32 in flight", connections=50, inflight=32),
    Cell("echo-16k", ECHO, "echo, 100 connections x 16 KiB, one in flight", size_bytes=16 * 1024),
    Cell("echo-1m", ECHO, "echo, 10 connections x 1 MiB, one in flight", connections=10, size_bytes=1 << 20),
    Cell("fanout-1000", FANOUT, "fan-out of 128 B to 1,000, one publish at a time", connections=1000),
    Cell("fanout-5000", FANOUT, "fan-out of 128 B to 5,000, one publish at a time", connections=5000),
    Cell(
        "fanout-burst",
        FANOUT,
        "fan-out of 128 B to 1,000, 16 publishes at a time by one publisher",
        connections=1000,
        inflight=16,
    ),
    Cell(
        "fanout-crowd",
        FANOUT,
        "fan-out of 128 B to 1,000, 16 publishers with one publish each",
        connections=1000,
        publishers=16,
    ),
    Cell("connect", CONNECT, "connect, upgrade, one echo, close; 64 at a time", connections=64),
    Cell(
        "idle",
        IDLE,
        "private memory per idle connection, 15,000 connections",
        connections=IDLE_CONNECTIONS,
        malloc="plain",
        rounds=1,
    ),
    Cell(
        "deflate",
        DEFLATE,
        "deflated broadcast of 1 KiB JSON to 1,000, one publish at a time",
        connections=1000,
        size_bytes=1024,
        document=True,
    ),
    Cell(
        "flood",
        FLOOD,
        "a polite peer, 200 echoes/s of 128 B, beside 100 that flood pings and fragments",
        seconds=2.0,
    ),
)

DOCUMENT_STAMP = '{"id":"'
"""What stands before a document's id; the generator stamps the id over what follows."""

DOCUMENTS = 64
"""So many different documents are published in turns: a server that compresses with the context of
earlier messages finds their shape in it, as it would in practice, but not the same values."""


def documents(size_bytes: int) -> list[bytes]:
    """Return `DOCUMENTS` JSON documents, as applications publish, of exactly `size_bytes` (at least 64).

    The id of each, 16 characters long, stands behind `DOCUMENT_STAMP`.
    """
    return [_document(size_bytes, random.Random(number)) for number in range(DOCUMENTS)]


def _document(size_bytes: int, chance: random.Random) -> bytes:
    text, tail = DOCUMENT_STAMP + "0" * 16 + '","entries":[', '],"pad":"'
    separator = ""
    while len(text) + len(entry := separator + _entry(chance)) + len(tail) + 2 <= size_bytes:
        text += entry
        separator = ","
    pad = size_bytes - len(text) - len(tail) - 2
    return (text + tail + "".join(chance.choices(string.ascii_lowercase, k=pad)) + '"}').encode("ascii")


def _entry(chance: random.Random) -> str:
    symbol = "".join(chance.choices(string.ascii_uppercase, k=4))
    side = chance.choice(("buy", "sell"))
    return (
        f'{{"symbol":"{symbol}","price":{chance.uniform(1, 900):.2f},"volume":{chance.randrange(100_000)},'
        f'"side":"{side}","time":{1_700_000_000 + chance.randrange(10**6)}}}'
    )
