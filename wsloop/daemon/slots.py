"""A place in the daemon, the process that fills it, and what the operating system does for both.

`crew.py` keeps the slots filled; what a child is told goes over its `Line`, whose real form is `channel.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from wsloop.daemon.respawn import Backoff
from wsloop.daemon.roles import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from wsloop.daemon.channel import Beat, Message
    from wsloop.loop.wheel import Timer


@dataclass(frozen=True, slots=True)
class Patience:
    """How long, in seconds, a process may be silent before it is killed.

    A worker holds some thousands of clients, which reconnect elsewhere and miss nothing. The hub process
    holds the history of all: killing it costs everybody what they have not seen, so it has longer. Who
    has only begun has `start_s`: it may have to read what others wrote.
    """

    worker_s: float = 10.0
    hub_s: float = 30.0
    start_s: float = 30.0

    def with_child(self, child: Child) -> float:
        """Return how long this child may be silent."""
        usual_s = self.hub_s if child.slot.kind is Kind.HUB else self.worker_s
        return usual_s if child.beat is not None else max(usual_s, self.start_s)


@dataclass(slots=True)
class Slot:
    """A place to be filled. `timer` runs while it is empty and waits for the next try; `deaths` in it.

    `failed_starts`: how many in a row have died before their first beat.
    """

    kind: Kind
    number: int = 0
    child: Child | None = None
    backoff: Backoff = field(default_factory=Backoff)
    timer: Timer | None = None
    deaths: int = 0
    failed_starts: int = 0

    @property
    def name(self) -> str:
        """What its processes are called: "hub", "worker-3"."""
        return "hub" if self.kind is Kind.HUB else f"worker-{self.number}"


class Line(Protocol):
    """What the supervisor says something to a child through."""

    def send(self, message: Message, descriptors: tuple[int, ...] = ()) -> None:
        """Say it, at once or when the child reads."""
        ...

    def close(self) -> None:
        """End the line."""
        ...

    def finish(self) -> None:
        """Hand out what the child, which is gone, has said before, and end the line."""
        ...

    def detach(self) -> None:
        """Close a forked process's copy of it."""
        ...


@dataclass(slots=True, eq=False)
class Child:
    """A process. `beat` is the last it sent, None before the first; `owed` are signals for then.

    `is_missed`: its silence was told. `is_hung`: it was silent for too long, and killed for it. `is_gone`: it
    has ended. `failure`: why it could not start, as it said.
    """

    slot: Slot
    began_s: float
    heard_s: float
    beat: Beat | None = None
    is_missed: bool = False
    is_hung: bool = False
    is_gone: bool = False
    failure: str = ""
    owed: set[int] = field(default_factory=set)
    pid: int = field(init=False)
    line: Line = field(init=False)

    def __str__(self) -> str:
        return f"{self.slot.name} (pid {self.pid})"

    @property
    def is_up(self) -> bool:
        """Whether it serves, be it those who are there already only."""
        return self.beat is not None and self.beat.is_up


class Processes(Protocol):
    """What the operating system does for a crew."""

    def start(self, slot: Slot, on_message: Callable[[Message, list[int]], object]) -> tuple[int, Line]:
        """Start a process for `slot`; return its pid and the line to it. Raises OSError if it cannot be."""
        ...

    def kill(self, pid: int, number: int) -> None:
        """Send a signal."""
        ...

    def reap(self, pids: Iterable[int]) -> list[tuple[int, int]]:
        """Return those that have ended, each with its exit code, a signal's number negative."""
        ...
