"""What is done when memory runs out: first nobody new, then the slowest go.

Measured once a second against a ceiling, which is a port (`MemoryGauge`): from 80 % new connections are
refused until it is below 75 %; from 90 % those for whom most waits are closed until it is below 85 %.
The two marks of each are apart so that they do not flap.

Freed memory is not all given back to the kernel, which counts what is left in the allocator's hands. So
the allocator is asked to give it back before anybody is refused or shed, after each round of shedding, and
every `GIVE_BACK_EVERY_S` while it lasts, for clients that are in need also leave by themselves; and if
`FRUITLESS_ROUNDS` rounds changed nothing, what fills the memory is something else, and the rest of the
clients are spared for a while. A round is one look at all connections, once a second at most.

Next: `daemon/memory.py`, which measures; `slowness.py`, whose end for a slow peer this is.
"""

from __future__ import annotations

import enum
import heapq
import logging
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from wsloop.server.health import OVERLOADED

if TYPE_CHECKING:
    from wsloop.loop.reactor import Reactor
    from wsloop.server.connection import Connection
    from wsloop.server.server import Server

log = logging.getLogger("wsloop.server")

REFUSE_FROM, REFUSE_UNTIL = 0.80, 0.75
SHED_FROM, SHED_UNTIL = 0.90, 0.85
"""Shares of the ceiling. What is left above is for what a second may bring: a hundred connections a
second of 10 KiB are a megabyte."""

CHECK_EVERY_S = 1.0

SHED_PER_TURN = 8
SHED_PER_ROUND = 64
"""Peers closed in one turn, and in one second: freeing the megabyte of each takes some 0.1 ms."""

MIN_SHED_BYTES = 16 * 1024
"""Nobody is closed for less than this waiting: it would free nothing worth a reconnect."""

GIVE_BACK_EVERY_S = 10.0

FRUITLESS_ROUNDS = 3
FRUITLESS_PAUSE_S = 30.0


class Level(enum.Enum):
    """What is done about memory."""

    NORMAL = "normal"
    REFUSING = "refusing"
    SHEDDING = "shedding"


@dataclass(frozen=True, slots=True)
class Memory:
    """What is used of a ceiling, in bytes."""

    used_bytes: int
    limit_bytes: int

    @property
    def share(self) -> float:
        """How much of it, 1.0 for all."""
        return self.used_bytes / self.limit_bytes

    def __str__(self) -> str:
        """Return it for an operator's eyes."""
        return f"{math.floor(100 * self.share)} % of {self.limit_bytes / 2**20:,.0f} MiB"


class MemoryGauge(Protocol):
    """The port: how much memory there is, and how the allocator lets go of what is free."""

    def read(self) -> Memory | None:
        """Return what is used of the ceiling that is nearest; None where there is none."""
        ...

    def give_back(self) -> None:
        """Have the allocator return what is free to the kernel: milliseconds of work."""
        ...


@dataclass(frozen=True, slots=True)
class OverloadStatistics:
    """A snapshot: the level, the last reading, and how many connections were shed so far."""

    level: Level
    memory: Memory | None
    shed_total: int


def judge(level: Level, share: float) -> Level:
    """Return the level that follows `level` when `share` of the memory is used."""
    if share >= SHED_FROM or (level is Level.SHEDDING and share >= SHED_UNTIL):
        return Level.SHEDDING
    if share >= REFUSE_FROM or (level is not Level.NORMAL and share >= REFUSE_UNTIL):
        return Level.REFUSING
    return Level.NORMAL


TOLD = {
    (Level.NORMAL, Level.REFUSING): "new connections are refused",
    (Level.NORMAL, Level.SHEDDING): "new connections are refused, and the slowest are closed",
    (Level.REFUSING, Level.SHEDDING): "the slowest are closed too",
    (Level.SHEDDING, Level.REFUSING): "nobody is closed any more, new connections are still refused",
    (Level.REFUSING, Level.NORMAL): "everybody is let in again",
    (Level.SHEDDING, Level.NORMAL): "everybody is let in again",
}


class Overload:
    """Watches the memory of one server's process, from its making for as long as the reactor runs."""

    def __init__(self, reactor: Reactor, server: Server, gauge: MemoryGauge) -> None:
        self._reactor = reactor
        self._server = server
        self._gauge = gauge
        self._level = Level.NORMAL
        self._memory: Memory | None = None
        self._shed_total = 0
        # Of the round under way: who is to go, the worst last, and how much is to be freed still.
        self._doomed: list[Connection] = []
        self._excess_bytes = 0
        self._used_before = 0
        self._fruitless = 0
        self._spared_until_s = self._given_back_s = -math.inf
        reactor.call_later(CHECK_EVERY_S, self._on_time)

    def reason(self) -> str:
        """Return why the process is not ready for more clients; "" if it is (`Health`)."""
        return "" if self._level is Level.NORMAL else f"{OVERLOADED}: memory at {self._memory}"

    def statistics(self) -> OverloadStatistics:
        """Return a snapshot; costs nothing."""
        return OverloadStatistics(self._level, self._memory, self._shed_total)

    def _on_time(self) -> None:
        try:
            self._check()
        finally:  # a fault is logged by the reactor, and the watch goes on
            self._reactor.call_later(CHECK_EVERY_S, self._on_time)

    def _check(self) -> None:
        memory = self._gauge.read()
        if memory is not None and self._may_be_freed(memory):
            self._give_back()
            memory = self._gauge.read()
        self._memory = memory
        self._go_to(Level.NORMAL if memory is None else judge(self._level, memory.share))
        if memory is not None and self._level is Level.SHEDDING:
            self._begin_round(memory)

    def _may_be_freed(self, memory: Memory) -> bool:
        """Tell whether to ask the allocator first: if it did not help, not each second."""
        level = judge(self._level, memory.share)
        if level is Level.NORMAL:
            return False
        if level is not self._level and (self._level is Level.NORMAL or level is Level.SHEDDING):
            return True
        return self._reactor.now >= self._given_back_s + GIVE_BACK_EVERY_S

    def _give_back(self) -> None:
        self._given_back_s = self._reactor.now
        self._gauge.give_back()

    def _go_to(self, level: Level) -> None:
        if level is self._level:
            return
        report = log.info if level is Level.NORMAL else log.warning
        report("memory at %s: %s", self._memory or "no limit", TOLD[self._level, level])
        self._level = level
        self._server.is_short_of_memory = level is not Level.NORMAL
        self._fruitless = self._used_before = 0
        self._spared_until_s = -math.inf

    # -- shedding ---------------------------------------------------------------------------

    def _begin_round(self, memory: Memory) -> None:
        """Choose who goes, the worst of all; nobody while it is known not to help."""
        now_s = self._reactor.now
        if self._doomed or now_s < self._spared_until_s:
            return
        if self._used_before and memory.used_bytes >= self._used_before:
            self._fruitless += 1
        else:
            self._fruitless = 0
        if self._fruitless >= FRUITLESS_ROUNDS:
            self._fruitless = self._used_before = 0
            self._spared_until_s = now_s + FRUITLESS_PAUSE_S
            log.warning("memory at %s: closing the slowest does not help, it is something else", memory)
            return
        slow = (each for each in self._server.client_connections() if each.queued_bytes >= MIN_SHED_BYTES)
        worst = heapq.nlargest(SHED_PER_ROUND, slow, key=lambda each: each.queued_bytes)
        if not worst:
            self._used_before = 0
            return
        self._used_before = memory.used_bytes
        self._excess_bytes = memory.used_bytes - int(SHED_UNTIL * memory.limit_bytes)
        self._doomed = worst[::-1]
        self._server.turn.go_on_later(self._shed_some)

    def _shed_some(self) -> None:
        """Close a few, and the next in the next turn, until enough is free or nobody is left."""
        for _ in range(SHED_PER_TURN):
            if not self._doomed or self._excess_bytes <= 0:
                break
            peer = self._doomed.pop()
            before = peer.queued_bytes
            if before >= MIN_SHED_BYTES and peer.shed():
                self._shed_total += 1
                self._excess_bytes -= before
        if self._doomed and self._excess_bytes > 0:
            self._server.turn.go_on_later(self._shed_some)
        else:
            self._doomed = []
            self._give_back()
