"""The states of a link, its limits, and what it tells of itself."""

from __future__ import annotations

import enum

import msgspec


class LinkLimits(msgspec.Struct, frozen=True):
    """How much a link holds and how long it waits.

    `queue_bytes`: said and not yet taken by the kernel; twice the longest message, and at 10 MB/s, more
    than Python decodes, three seconds. `read_bytes` in one read, and `messages_per_turn`, twice in the turn
    that reads them: some milliseconds of work.
    `ping_s`: between pings. `stalled_s`: a silence that is told; a loop that blocks so long is ill.
    `dead_s`: a silence that ends the link; a supervisor kills a hung worker after 10 s.
    `greet_s`: until the greetings have been exchanged.
    """

    queue_bytes: int = 32 * 1024 * 1024
    read_bytes: int = 256 * 1024
    messages_per_turn: int = 500
    ping_s: float = 1.0
    stalled_s: float = 5.0
    dead_s: float = 30.0
    greet_s: float = 5.0


class LinkState(enum.Enum):
    """Where a link stands."""

    CONNECTING = "connecting"
    READY = "ready"
    CLOSED = "closed"


class LinkStep(enum.Enum):
    """What moves it on."""

    WELCOMED = "welcomed"
    END = "end"


LINK_TRANSITIONS: dict[LinkState, dict[LinkStep, LinkState]] = {
    LinkState.CONNECTING: {
        LinkStep.WELCOMED: LinkState.READY,
        LinkStep.END: LinkState.CLOSED,
    },
    LinkState.READY: {
        LinkStep.END: LinkState.CLOSED,
    },
    LinkState.CLOSED: {},
}
"""WELCOMED: the worker has said `Hello`, and the hub process `Welcome`."""


class Traffic:
    """Totals of all links of one owner; they only grow. `overflows`: ended since too much was queued."""

    __slots__ = ("bytes_in", "bytes_out", "ended", "messages_in", "messages_out", "overflows")

    def __init__(self) -> None:
        self.messages_in = self.messages_out = self.bytes_in = self.bytes_out = 0
        self.ended = self.overflows = 0


class LinkStatistics(msgspec.Struct, frozen=True):
    """A snapshot of one link: what is queued, how long the other end has been silent, the last round trip.

    `round_trip_s` is None until a ping was answered, and at the hub process's end, which does not ping.
    """

    state: LinkState
    queue_bytes: int
    silence_s: float
    round_trip_s: float | None
