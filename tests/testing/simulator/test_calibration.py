"""The simulator finds bugs: a server with one planted breaks a promise within some thousand steps.

Each bug is put into the real server from outside; `make teeth` does the same with many more, as patches.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import msgspec
import pytest

from wsloop.hub import dispatcher, joining
from wsloop.hub.broker import Appended
from wsloop.hub.history import Stream, StreamView, missed
from wsloop.hub.idempotency import Keys
from wsloop.hub.memory_broker import MemoryBroker
from wsloop.hub.presence import MemoryPresence
from wsloop.loop.reactor import Reactor
from wsloop.server import assembly
from wsloop.server.assembly import OwnDomain
from wsloop.server.connection import Connection
from wsloop.server.fan_out import PacedFanOut, _Job
from wsloop.server.lifecycle import State
from wsloop.server.slowness import Slowness
from wsloop.server.upkeep import Upkeep
from wsloop.testing.simulator.run import simulate
from wsloop.transport.tcp import TcpTransport

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_STEPS = 96_000
"""Eight histories, in which each kind of fault is on in four; most bugs need a part of the first."""

Bug = tuple[Any, str, "Callable[[Any], Callable[..., Any]]", frozenset[str]]


def _bug(where: Any, name: str, make: Callable[[Any], Callable[..., Any]], *promises: str) -> Bug:
    return where, name, make, frozenset(promises)


def acknowledge_first(real: Any) -> Any:
    def publish(self: Any, channel: str, draft: Any, retention: Any, done: Any) -> None:
        if draft.key or not retention.size:
            real(self, channel, draft, retention, done)
            return
        stream = self._touch(channel, retention).stream
        done(Appended(stream.top + 1, stream.epoch))
        real(self, channel, draft, retention, lambda _: None)

    return publish


def keep_one_more(real: Any) -> Any:
    def append(self: Any, draft: Any, *, size: int, ttl_s: float, now_s: float) -> Any:
        return real(self, draft, size=size + 1, ttl_s=ttl_s, now_s=now_s)

    return append


def forget_whose_key_it_is(_real: Any) -> Any:
    def key_of(_user: str, request: Any) -> str:
        return f"{request.idem} {request.seq and (request.seq.sender, request.seq.n)}" if request.idem else ""

    return key_of


def ignore_the_epoch(_real: Any) -> Any:
    return lambda view, offset, _epoch: missed(view, offset, view.top.epoch)


def pop_before_the_send(_real: Any) -> Any:
    def flush(self: Any, outbox: Any, _max_bytes: int = 0) -> bool:
        first = outbox.peek()
        if first is not None:
            outbox.advance(len(first))
            self.write(first)
        return not outbox.size

    return flush


def forget_the_rest(_real: Any) -> Any:
    return lambda self, _data, _packets, sent_bytes: self._after_write(sent_bytes)


def free_at_once(real: Any) -> Any:
    def lose(self: Any, why: str, *, abort: bool = False) -> None:
        was_closed = self.state is State.CLOSED
        real(self, why, abort=abort)
        if not was_closed:
            self._server.reactor._reaps.pop()()

    return lose


def read_twice(real: Any) -> Any:
    def on_ready(self: Any, events: int) -> None:
        real(self, events)
        if self.state is State.OPEN:
            real(self, events)

    return on_ready


def read_three_only(real: Any) -> Any:
    def read(self: Any, query: Any) -> StreamView:
        view: StreamView = real(self, query)
        return msgspec.structs.replace(view, publications=view.publications[:3])

    return read


def turn_a_turn_around(real: Any) -> Any:
    def pack(self: Any, per_frame: int) -> Any:
        if not self._data:
            self.messages.reverse()
        return real(self, per_frame)

    return pack


def call_all_timers(_real: Any) -> Any:
    def run_timers(self: Any) -> None:
        self._wheel.advance(self.now)
        while (timer := self._wheel.pop()) is not None:
            timer.callback()

    return run_timers


def serve_all(real: Any) -> Any:
    return lambda self, job, _budget: real(self, job, len(job.receivers))


def take_everybody_for_alive(real: Any) -> Any:
    def tend_pulse(self: Any) -> float:
        self._was_heard = True
        due_s: float = real(self)
        return due_s

    return tend_pulse


def count_on_the_wall(_real: Any) -> Any:
    def own_domain(_reactor: Any, ports: Any, limits: Any) -> Any:
        return OwnDomain(MemoryBroker(ports.unix_s, ports.entropy, limits), MemoryPresence())

    return own_domain


def _nothing(_real: Any) -> Any:
    return lambda *_: None


BUGS: dict[str, Bug] = {
    "an acknowledgement before the append": _bug(MemoryBroker, "publish", acknowledge_first, "P1"),
    "one publication too many is kept": _bug(Stream, "append", keep_one_more, "bounds"),
    "keys of all users are one": _bug(dispatcher, "key_of", forget_whose_key_it_is, "P1", "P2"),
    "keys are forgotten": _bug(Keys, "find", _nothing, "P2"),
    "the epoch is ignored": _bug(joining, "missed", ignore_the_epoch, "P7"),
    "recovery leaves some out": _bug(Stream, "read", read_three_only, "P4", "P5"),
    "what one turn published is turned around": _bug(_Job, "pack", turn_a_turn_around, "P3", "P4"),
    "what was said before an unsubscribe comes later": _bug(PacedFanOut, "settle", _nothing, "P4"),
    "the queue moves on before the send": _bug(TcpTransport, "flush", pop_before_the_send, "wire"),
    "what the kernel did not take is forgotten": _bug(Slowness, "_keep_rest", forget_the_rest, "wire"),
    "a connection is freed inside a callback": _bug(Connection, "lose", free_at_once, "states"),
    "a connection is read twice in a turn": _bug(Connection, "_on_ready", read_twice, "budget"),
    "timers have no budget": _bug(Reactor, "_run_timers", call_all_timers, "budget"),
    "timers are not cancelled": _bug(Reactor, "cancel", _nothing, "bounds", "faults", "own fault"),
    "who leaves stays present": _bug(MemoryPresence, "remove", _nothing, "rest"),
    "a fan-out takes one turn": _bug(PacedFanOut, "_serve", serve_all, "budget"),
    "nobody is found dead": _bug(Upkeep, "_tend_pulse", take_everybody_for_alive, "pulse"),
    "the broker goes by the wall clock": _bug(assembly, "own_domain", count_on_the_wall, "P2", "P5"),
    "nobody is pinged": _bug(Upkeep, "_tend_pulse", lambda _: lambda _: math.inf, "rest", "P8"),
}
"""What is wrong, where, and which promises it may be found by first."""


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found(bug: str) -> None:
    where, name, make, promises = BUGS[bug]
    with patch.object(where, name, make(getattr(where, name))):
        outcome = simulate(1, MOST_STEPS, shape="one")
    assert outcome.failure is not None, f"survived {outcome.steps} steps"
    assert outcome.failure.name in promises, outcome.violation
    assert outcome.steps <= MOST_STEPS + 12_000  # the calm of the last history
