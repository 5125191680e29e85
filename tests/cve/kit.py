"""The tools of the CVE pack: which fault a test stands for, a polite bystander, logs, memory, work."""

from __future__ import annotations

import contextlib
import gc
import logging
import random
import struct
import sys
import tracemalloc
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from wsloop.daemon.log_format import TextFormat
from wsloop.daemon.logs import RateLimit
from wsloop.testing.client import MemoryClient
from wsloop.testing.server import ADDRESS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wsloop.testing.server import MemoryServer

KIB = 1024
MIB = 1024 * KIB

MASK = b"\x37\xfa\x21\x3d"

UPGRADE_LINES = (
    "Host: localhost",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
)


# -- what a test stands for ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Fault:
    """A row of docs/reference/cve-pack.md: a published fault, and what is answered here instead."""

    identifiers: tuple[str, ...]
    where: str
    fault: str
    answer: str
    test: str


FAULTS: list[Fault] = []
"""Filled by `stands_for` as the modules of the pack are imported."""

AnyTest = TypeVar("AnyTest", bound="Callable[..., None]")


def stands_for(*identifiers: str, where: str, fault: str, answer: str) -> Callable[[AnyTest], AnyTest]:
    """Enter the test in the table. `where` names the software, `answer` says what wsloop does."""

    def enter(test: AnyTest) -> AnyTest:
        place = f"{test.__module__.rpartition('.')[2]}.py::{test.__name__}"
        FAULTS.append(Fault(identifiers, where, fault, answer, place))
        return test

    return enter


# -- requests and frames -----------------------------------------------------------------------


def upgrade_request(*extra: str, path: str = "/echo", without: str = "") -> bytes:
    """Return an opening handshake with `extra` header lines, and without those that begin so."""
    lines = [line for line in UPGRADE_LINES if not (without and line.startswith(without))]
    return "\r\n".join([f"GET {path} HTTP/1.1", *lines, *extra, "", ""]).encode("latin-1")


def exchange(house: MemoryServer, data: bytes, *, cut_at_bytes: int = 0) -> str:
    """Send raw bytes, run until the server has ended the connection, and return its answer.

    With `cut_at_bytes` they arrive in pieces of that length, each read by itself.
    """
    client = house.dial()
    if cut_at_bytes:
        for at in range(0, len(data), cut_at_bytes):
            if client.is_gone:
                break
            client.send_bytes(data[at : at + cut_at_bytes])
            house.run_until(lambda: client.has_sent_all() or client.is_gone)
            house.reactor.run_once()
    else:
        client.send_bytes(data)
    house.run_until(lambda: client.is_gone, within_s=120)
    return client.http.decode("latin-1")


def status(answer: str) -> int:
    """Return an answer's HTTP status."""
    return int(answer.split(" ", 2)[1])


def header(first: int, length: int, *, bits: int | None = None) -> bytes:
    """Return a masked frame's header; `bits` (7, 16, 64) forces how the length is written."""
    if bits is None:
        bits = 7 if length < 126 else 16 if length < 65536 else 64
    if bits == 7:
        return bytes([first, 0x80 | length]) + MASK
    if bits == 16:
        return bytes([first, 0xFE]) + struct.pack("!H", length) + MASK
    return bytes([first, 0xFF]) + struct.pack("!Q", length) + MASK


def masked(payload: bytes) -> bytes:
    """Return `payload` masked with MASK."""
    key = (MASK * (len(payload) // 4 + 1))[: len(payload)]
    number = int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")
    return number.to_bytes(len(payload), "big")


def frame(first: int, payload: bytes = b"") -> bytes:
    """Return one masked frame whose first byte is `first`."""
    return header(first, len(payload)) + masked(payload)


def attack(house: MemoryServer, data: bytes, path: str = "/echo") -> MemoryClient:
    """Open a WebSocket, send `data`, and run until the server has ended the connection."""
    client = house.connect(path)
    client.send_bytes(data)
    house.run_until(lambda: client.is_gone, within_s=120)
    return client


def trickle(house: MemoryServer, client: MemoryClient, data: bytes, piece_bytes: int = 1) -> None:
    """Send `data` so that the server reads it in pieces of `piece_bytes`, until it ends the connection."""
    for at in range(0, len(data), piece_bytes):
        if client.is_gone:
            return
        client.sock.send(data[at : at + piece_bytes])
        house.reactor.run_once()


def guest(house: MemoryServer) -> MemoryClient:
    """Return a client that nobody keeps, for tests that look at memory; it must be closed by the test."""
    return MemoryClient(house.reactor, house.network.connect(ADDRESS), random.Random(0))


def close_code(client: MemoryClient) -> int | None:
    """Return the code of the close frame that the client got; None if it got none."""
    return client.close_frame[0] if client.close_frame else None


# -- logs ------------------------------------------------------------------------------------------


class Log(logging.Handler):
    """What the daemon would write to its log: the real rate limit and formatter, in virtual time."""

    def __init__(self, now: Callable[[], float]) -> None:
        super().__init__(logging.INFO)
        self.lines: list[str] = []
        self.addFilter(RateLimit(now))
        self.setFormatter(TextFormat())

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the line, or the lines of a traceback."""
        _date, _time, line = self.format(record).split(" ", 2)
        self.lines.append(line)

    def only(self, text: str) -> str:
        """Return the log's only line, which must be at INFO and hold `text`."""
        assert len(self.lines) == 1, self.lines
        (line,) = self.lines
        assert line.startswith("INFO "), line
        assert text in line
        return line


@contextlib.contextmanager
def logging_to(log: Log) -> Iterator[None]:
    """Hand `log` all records of the package meanwhile."""
    root = logging.getLogger("wsloop")
    before = root.level
    root.setLevel(logging.INFO)
    root.addHandler(log)
    try:
        yield
    finally:
        root.removeHandler(log)
        root.setLevel(before)


# -- the bystander -----------------------------------------------------------------------------


class Bystander:
    """A polite client that asks for an echo every second of virtual time, whatever happens around it."""

    EVERY_S = 1.0
    PATIENCE_S = 0.5

    def __init__(self, house: MemoryServer) -> None:
        self._house = house
        self._client = house.dial()
        self._client.upgrade("/echo", host="localhost")
        house.run_until(lambda: self._client.is_open)
        self._asked: list[str] = []
        self._is_watching = True
        self._ask()

    def _ask(self) -> None:
        if self._is_watching:
            assert self._client.texts == self._asked, "an echo was late"
            self._asked.append(f"number {len(self._asked)}")
            self._client.send_text(self._asked[-1])
            self._house.reactor.call_later(self.EVERY_S, self._ask)

    def leave_content(self) -> None:
        """Assert that every echo came, in order, the last of them soon; then stop asking."""
        self._is_watching = False
        house, client = self._house, self._client
        house.run_until(lambda: len(client.texts) == len(self._asked), within_s=self.PATIENCE_S)
        assert client.texts == self._asked
        assert client.close_frame is None
        assert not client.is_gone


# -- memory and work ---------------------------------------------------------------------------


@contextlib.contextmanager
def holding_at_most(limit_bytes: int) -> Iterator[None]:
    """Assert that what is allocated meanwhile never exceeds `limit_bytes` at once."""
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before <= limit_bytes, f"{peak - before} bytes were held at once"


def work(action: Callable[[], object]) -> int:
    """Return how many calls `action` makes, into Python and C: its work, on any machine."""
    calls = 0

    def count(_frame: object, event: str, _argument: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        action()
    finally:
        sys.setprofile(before)
    return calls


def is_linear(measure: Callable[[int], int], size: int) -> bool:
    """Tell whether `measure` grows no faster than its argument, by its values at n, 2n and 4n.

    Each step is compared with the one before it, so that a constant part does not hide the rest: a
    linear measure grows twice as much from 2n to 4n as from n to 2n, a quadratic one four times. A step
    of a seventh of the whole may come in between, where a longer input takes another way.
    """
    measure(size)  # what is only done once is done
    first, second, third = (measure(size * factor) for factor in (1, 2, 4))
    return third - second <= 2.5 * (second - first) + 0.15 * third
