"""What wsloop is to reach, and whether it did. Pure.

Goals are ratios of costs within one run, never absolute times, but for memory and pauses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from tools.bench.peers import PEERS, REFERENCE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tools.bench.summary import Summary

LEVEL = 0.95
"""From here on two servers are called level: less is within the spread of good rounds."""
WITHIN_TENTH = 1 / 1.1
RIVALS = tuple(peer.name for peer in PEERS if not peer.raw and not peer.name.startswith(REFERENCE))


class Goal(msgspec.Struct, frozen=True):
    """In `cell`, `peer` costs at least `bound` times what `subject` does; or `figure` <= `bound`.

    `figure` is one of the generator's or the server's own, or "max_ms", the longest latency.
    """

    cell: str
    bound: float
    peer: str = ""
    figure: str = ""
    subject: str = REFERENCE

    @property
    def words(self) -> str:
        """The goal in words."""
        whose = "" if self.subject == REFERENCE else f"{self.subject}: "
        if self.peer:
            return f"{whose}at least {self.bound:.2f}x {self.peer}"
        return f"{whose}{self.figure} at most {self.bound:g}"


class Verdict(msgspec.Struct, frozen=True):
    """A goal and what was measured; None if it was not."""

    goal: Goal
    measured: float | None

    @property
    def word(self) -> str:
        """Return "yes", "no", or "not measured"."""
        if self.measured is None:
            return "not measured"
        goal = self.goal
        reached = self.measured >= goal.bound if goal.peer else self.measured <= goal.bound
        return "yes" if reached else "no"


def ahead_of(cell: str, peers: Iterable[str], bound: float = 1.0) -> tuple[Goal, ...]:
    """Return goals to cost at most `1 / bound` of what each of `peers` costs."""
    return tuple(Goal(cell, bound, peer) for peer in peers)


GOALS = (
    Goal("echo-100", 2.2, "websockets"),
    Goal("echo-100", 2.8, "uvicorn-wsproto"),
    *ahead_of("echo-100", ("aiohttp", "aiohttp-uvloop", "ws")),
    Goal("echo-100", 0.85, "picows-uvloop"),
    Goal("echo-100", 0.70, "bare-selectors"),
    *ahead_of("echo-1000", RIVALS),
    *ahead_of("echo-inflight", RIVALS),
    Goal("echo-inflight", 2.0, "socketify"),
    *ahead_of("echo-inflight", ("picows-uvloop", "gorilla"), 4.0),
    Goal("fanout-1000", WITHIN_TENTH, "bare-selectors"),
    *ahead_of("fanout-1000", ("gorilla", "picows-uvloop")),
    Goal("fanout-5000", WITHIN_TENTH, "bare-selectors"),
    *ahead_of("fanout-5000", ("gorilla", "picows-uvloop")),
    *ahead_of("fanout-burst", ("gorilla", "picows-uvloop", "websockets"), 10.0),
    Goal("fanout-burst", LEVEL, "socketify"),
    Goal("echo-16k", 1.0, "gorilla"),
    Goal("echo-16k", 1.0, "websockets", subject="wsloop+numpy"),
    Goal("connect", 2.0, "websockets"),
    Goal("connect", LEVEL, "ws"),
    Goal("idle", 2.0, figure="idle_kb"),
    Goal("deflate", 4.0, "websockets"),
    Goal("flood", 20.0, figure="pause_p99_ms"),
    Goal("flood", 50.0, figure="max_ms"),
    Goal("flood", 20.0, figure="pause_p99_ms", subject="wsloop-unlimited"),
    Goal("flood", 50.0, figure="max_ms", subject="wsloop-unlimited"),
)


def judge(goals: Sequence[Goal], summaries: Sequence[Summary]) -> list[Verdict]:
    """Return a verdict for every goal of a cell that was measured; runs with errors count as not measured."""
    found = {(one.cell, one.peer): one for one in summaries if not one.errors}
    cells = {one.cell for one in summaries}
    return [Verdict(goal, _measured(goal, found)) for goal in goals if goal.cell in cells]


def _measured(goal: Goal, found: dict[tuple[str, str], Summary]) -> float | None:
    subject = found.get((goal.cell, goal.subject))
    if subject is None:
        return None
    if not goal.peer:
        return subject.max_us / 1e3 if goal.figure == "max_ms" else subject.figures.get(goal.figure)
    peer = found.get((goal.cell, goal.peer))
    if peer is None:
        return None
    if goal.subject == REFERENCE:
        return peer.cost_ratio
    return peer.cost / subject.cost if subject.cost else None
