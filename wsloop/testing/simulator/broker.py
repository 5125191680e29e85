"""A broker behind a network, at the port: what it says may be late, double, out of order, lost, or nothing.

Stands before any broker, in histories drawn for it. Within the port's contract for a broker that says
`may_lose_events`, but for one thing: order. Events and answers may overtake each other here, so a hub that
relies on it more than it must for the promises is found out. What never happens: an answer that comes twice,
since every port in the program sees to that itself, and a question that is never completed: a port gives up
a store that is silent.
"""

from __future__ import annotations

import functools
from collections import deque
from typing import TYPE_CHECKING, Any

from wsloop.cluster.uplink_states import UplinkRules
from wsloop.hub.broker import Broker, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.hub.broker import Appended, BrokerEvents, BrokerStatistics, Done, Draft, Retention
    from wsloop.hub.history import HistoryQuery, Publication, StreamPosition, StreamView
    from wsloop.hub.operations.core import Operations
    from wsloop.hub.presence import Presence
    from wsloop.loop.reactor import Reactor
    from wsloop.server.assembly import Domain
    from wsloop.testing.simulator.faults import Storm

LATE_S = 2.0
"""The longest that what a broker says is late: a question must be answered within `UplinkRules.answer_s`."""

SILENT_S = (UplinkRules().answer_s, UplinkRules().answer_s + 1.0)
"""When the port to a silent store gives a question up: the longest that anybody waits for its completion."""

DOWN = Unavailable("the simulated broker is down")
SILENT = Unavailable("the simulated broker has not answered")


class UnrulyDomain:
    """A domain with an unruly broker before its own. Satisfies `Domain`; `inner` is the real one."""

    def __init__(self, inner: Domain, reactor: Reactor, storm: Storm) -> None:
        self.inner = inner
        self.broker = UnrulyBroker(inner.broker, reactor, storm)
        self.presence: Presence = inner.presence

    def limit_history(self, memory_bytes: int) -> None:
        """See `Domain.limit_history`."""
        self.inner.limit_history(memory_bytes)

    def join(self, operations: Operations) -> None:
        """See `Domain.join`."""
        self.inner.join(operations)

    def close(self) -> None:
        """See `Domain.close`."""
        self.inner.close()
        self.broker.say_all()


class UnrulyBroker(Broker):
    """`Broker` and, for the one behind it, `BrokerEvents`.

    `unanswered_s`: when a question about a stream was last left without an answer, by channel.
    """

    may_lose_events = True

    def __init__(self, inner: Broker, reactor: Reactor, storm: Storm) -> None:
        self._inner = inner
        self._reactor = reactor
        self._events: BrokerEvents | None = None
        self.unanswered_s: dict[str, float] = {}
        self._waiting: deque[Callable[[], object]] = deque()
        self._down, self._late = storm["broker-down"], storm["broker-late"]
        self._double, self._reorder = storm["broker-duplicate"], storm["broker-reorder"]
        self._lost = storm["broker-lost"]

    # -- what the hub asks -------------------------------------------------------------------

    def attach(self, events: BrokerEvents) -> None:
        """See `Broker.attach`."""
        self._events = events
        self._inner.attach(self)

    def subscribe(self, channel: str) -> None:
        """See `Broker.subscribe`."""
        self._inner.subscribe(channel)

    def unsubscribe(self, channel: str) -> None:
        """See `Broker.unsubscribe`."""
        self._inner.unsubscribe(channel)

    def subscribe_pattern(self, pattern: str) -> None:
        """See `Broker.subscribe_pattern`."""
        self._inner.subscribe_pattern(pattern)

    def unsubscribe_pattern(self, pattern: str) -> None:
        """See `Broker.unsubscribe_pattern`."""
        self._inner.unsubscribe_pattern(pattern)

    def confirm(self, name: str, done: Done[None]) -> None:
        """See `Broker.confirm`."""
        self._ask(functools.partial(self._inner.confirm, name), done)

    def publish(self, channel: str, draft: Draft, retention: Retention, done: Done[Appended]) -> None:
        """See `Broker.publish`."""
        self._ask(functools.partial(self._inner.publish, channel, draft, retention), done)

    def publish_join(self, channel: str, info: bytes) -> None:
        """See `Broker.publish_join`."""
        self._inner.publish_join(channel, info)

    def publish_leave(self, channel: str, info: bytes) -> None:
        """See `Broker.publish_leave`."""
        self._inner.publish_leave(channel, info)

    def history(
        self, channel: str, query: HistoryQuery, retention: Retention, done: Done[StreamView]
    ) -> None:
        """See `Broker.history`."""
        given_up_s = self._ask(functools.partial(self._inner.history, channel, query, retention), done)
        if given_up_s:
            self.unanswered_s[channel] = given_up_s

    def remove_history(self, channel: str, done: Done[StreamPosition]) -> None:
        """See `Broker.remove_history`."""
        self._ask(functools.partial(self._inner.remove_history, channel), done)

    def expire(self, now_s: float, limit: int) -> int:
        """See `Broker.expire`."""
        return self._inner.expire(now_s, limit)

    def statistics(self) -> BrokerStatistics:
        """See `Broker.statistics`."""
        return self._inner.statistics()

    # -- what the broker behind tells ----------------------------------------------------------

    def on_publication(self, channel: str, publication: Publication, epoch: str) -> None:
        """See `BrokerEvents.on_publication`."""
        assert self._events is not None
        self._tell(functools.partial(self._events.on_publication, channel, publication, epoch))

    def on_join(self, channel: str, info: bytes) -> None:
        """See `BrokerEvents.on_join`."""
        assert self._events is not None
        self._tell(functools.partial(self._events.on_join, channel, info))

    def on_leave(self, channel: str, info: bytes) -> None:
        """See `BrokerEvents.on_leave`."""
        assert self._events is not None
        self._tell(functools.partial(self._events.on_leave, channel, info))

    def on_interrupted(self) -> None:
        """See `BrokerEvents.on_interrupted`."""
        assert self._events is not None
        self._say(self._events.on_interrupted)

    # -- how it gets there -----------------------------------------------------------------------

    def say_all(self) -> None:
        """Say what waits: the end of it is near."""
        while self._waiting:
            self._waiting.popleft()()

    def _ask(self, question: Callable[[Done[Any]], object], done: Done[Any]) -> float:
        """Ask the broker behind; return when the question is given up, 0.0 if there will be an answer."""
        if self._down.strikes():
            if self._down.random.random() < 0.5:  # it was done, and only the answer is lost
                question(_ignore)
            if self._down.random.random() < 0.5:
                self._say(functools.partial(done, DOWN))
                return self._reactor.now
            delay_s = self._down.random.uniform(*SILENT_S)
            self._reactor.call_later(delay_s, functools.partial(done, SILENT))
            return self._reactor.now + delay_s
        question(lambda result: self._say(functools.partial(done, result)))
        return 0.0

    def _tell(self, event: Callable[[], object]) -> None:
        if self._lost.strikes():
            return
        self._say(event)
        if self._double.strikes():
            self._reactor.call_later(self._double.random.uniform(0.0, LATE_S), event)

    def _say(self, words: Callable[[], object]) -> None:
        if self._reorder.strikes():
            self._reactor.call_later(self._reorder.random.uniform(0.0, LATE_S), words)
        elif self._waiting:
            self._waiting.append(words)
        elif self._late.strikes():
            self._waiting.append(words)
            self._reactor.call_later(self._late.random.uniform(0.0, LATE_S), self.say_all)
        else:
            words()


def _ignore(_result: object) -> None:
    """Complete a question whose answer is lost."""
