"""What the suites of a Broker stand on: a log of what it tells, and words to ask it with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wsloop.hub.broker import Appended, Draft, Retention, Unavailable
from wsloop.hub.history import HistoryQuery, Publication, StreamPosition, StreamView
from wsloop.testing.clock import FakeClock

if TYPE_CHECKING:
    from wsloop.hub.broker import Broker

KEEP_3 = Retention(3, 10.0, 60.0)
"""Three publications for ten seconds, the position for a minute."""

KEEP_NONE = Retention()
"""No history."""


class BrokerLog:
    """Records events and completions in the order in which they came."""

    def __init__(self) -> None:
        self.entries: list[tuple[Any, ...]] = []

    def on_publication(self, channel: str, publication: Publication, epoch: str) -> None:
        """Record a publication."""
        self.entries.append(("pub", channel, publication, epoch))

    def on_join(self, channel: str, info: bytes) -> None:
        """Record a join."""
        self.entries.append(("join", channel, info))

    def on_leave(self, channel: str, info: bytes) -> None:
        """Record a leave."""
        self.entries.append(("leave", channel, info))

    def on_interrupted(self) -> None:
        """Record an interruption."""
        self.entries.append(("interrupted",))

    def done(self, result: object) -> None:
        """Record a completion."""
        assert not isinstance(result, Unavailable), result
        self.entries.append(("done", result))

    def of(self, kind: str) -> list[tuple[Any, ...]]:
        """Return the entries of one kind, without the kind."""
        return [entry[1:] for entry in self.entries if entry[0] == kind]


class BrokerHarness:
    """A broker for each test. Override `make_broker`, and `settle` if it answers later."""

    broker: Broker
    clock: FakeClock
    log: BrokerLog

    def make_broker(self, clock: FakeClock) -> Broker:
        """Return a fresh broker that takes its time from `clock`."""
        raise NotImplementedError

    def settle(self) -> None:
        """Run until everything asked so far is done."""

    def setup_method(self) -> None:
        """Begin each test with a broker of its own, a log attached to it."""
        self.clock = FakeClock()
        self.log = BrokerLog()
        self.broker = self.make_broker(self.clock)
        self.broker.attach(self.log)

    def publish(self, data: bytes, retention: Retention = KEEP_3, channel: str = "c") -> StreamPosition:
        """Publish and return the position."""
        appended = self.append(Draft(data), retention, channel)
        return StreamPosition(appended.offset, appended.epoch)

    def append(self, draft: Draft, retention: Retention = KEEP_3, channel: str = "c") -> Appended:
        """Publish a draft and return the answer."""
        self.broker.publish(channel, draft, retention, self.log.done)
        self.settle()
        appended = self.log.of("done")[-1][0]
        assert isinstance(appended, Appended)
        return appended

    def read(self, query: HistoryQuery | None = None, channel: str = "c") -> StreamView:
        """Read a stream; by default all of it."""
        self.broker.history(channel, query or HistoryQuery(100), KEEP_3, self.log.done)
        self.settle()
        view = self.log.of("done")[-1][0]
        assert isinstance(view, StreamView)
        return view

    def offsets(self, query: HistoryQuery | None = None) -> list[int]:
        """Return the offsets that a read finds."""
        return [publication.offset for publication in self.read(query).publications]
