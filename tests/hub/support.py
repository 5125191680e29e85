"""A hub with stand-ins around it: recorded subscribers, virtual time, counted entropy."""

from __future__ import annotations

import json
from collections import deque
from typing import TYPE_CHECKING, Any

from wsloop.hub.broker import Appended, BrokerEvents, BrokerStatistics, Done, Draft, Retention, Unavailable
from wsloop.hub.channels import Subscriber
from wsloop.hub.hub import Hub
from wsloop.hub.memory_broker import MemoryBroker
from wsloop.hub.namespaces import Namespace, Namespaces, dev_namespaces
from wsloop.hub.options import HubOptions
from wsloop.hub.presence import MemoryPresence, Presence
from wsloop.testing.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wsloop.hub.backend import Backend, Hooks
    from wsloop.hub.client import Client
    from wsloop.hub.fan_out import Packet
    from wsloop.hub.grants import Identity
    from wsloop.hub.history import HistoryQuery, Publication, StreamPosition, StreamView
    from wsloop.hub.rate_limits import RateLimits
    from wsloop.hub.verifier import Verifier


class CountedEntropy:
    """Different bytes at each call, the same in each run."""

    def __init__(self) -> None:
        self._calls = 0

    def __call__(self, count: int) -> bytes:
        self._calls += 1
        return bytes((self._calls * 37 + index * (self._calls % 5 + 1)) % 256 for index in range(count))


class RecordedSubscriber(Subscriber):
    """Keeps all that the hub sends; behaves as a connection does once it is closing."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.pushes: list[bytes] = []
        self.closed_with: list[tuple[int, str]] = []
        self.connected = 0
        self.pongs = 0
        self.charged = 0
        self.has_left: list[tuple[str, int]] = []

    def send(self, payload: bytes) -> None:
        if not self.closed_with:
            self.lines.append(payload)

    @property
    def address(self) -> str:
        return "192.0.2.1"

    def may_go_on(self) -> bool:
        return not self.closed_with

    def left(self, channel: str) -> None:
        self.has_left.append((channel, len(self.lines)))

    def charge(self, commands: int) -> None:
        self.charged += commands

    @property
    def receiver(self) -> RecordedSubscriber:
        return self

    def push(self, data: bytes, packets: Sequence[Packet]) -> None:
        assert data == b"".join(packet.data for packet in packets)
        if not self.closed_with:
            self.pushes.append(data)
            self.lines.append(data)

    def disconnect(self, code: int, reason: str) -> None:
        self.closed_with.append((code, reason))

    def on_connected(self) -> None:
        self.connected += 1

    def on_pong(self) -> None:
        self.pongs += 1

    def take(self) -> list[Any]:
        """Return what was sent since the last call, parsed; each must be one line of JSON."""
        lines, self.lines = self.lines, []
        assert all(b"\n" not in line for line in lines)
        return [json.loads(line) for line in lines]


class World:
    """A hub in dev mode, unless told otherwise."""

    def __init__(
        self,
        options: HubOptions | None = None,
        namespaces: dict[str, Namespace] | None = None,
        broker: Callable[[MemoryBroker], Any] = lambda broker: broker,
        presence: Presence | None = None,
        verifier: Verifier | None = None,
        backend: Backend | None = None,
        hooks: Hooks | None = None,
        rate_limits: RateLimits | None = None,
    ) -> None:
        self.clock = FakeClock()
        self.entropy = CountedEntropy()
        self.memory_broker = MemoryBroker(self.clock.now, self.entropy)
        self.broker = broker(self.memory_broker)
        self.presence = presence or MemoryPresence()
        self.hub = Hub(
            self.broker,
            self.presence,
            namespaces=Namespaces(dev_namespaces() if namespaces is None else namespaces),
            options=options or HubOptions(allow_anonymous=True),
            now=self.clock.now,
            unix_s=self.clock.unix_s,
            entropy=self.entropy,
            verifier=verifier,
            backend=backend,
            hooks=hooks,
            rate_limits=rate_limits,
        )

    def open(self, *, app_pings: bool = True, identity: Identity | None = None, host: str = "") -> Peer:
        """Open a connection, on which nothing was said yet."""
        subscriber = RecordedSubscriber()
        client = self.hub.new_client(subscriber, app_pings=app_pings, identity=identity, host=host)
        return Peer(subscriber, client)

    def connect(self, identity: Identity | None = None) -> Peer:
        """Open a connection and have it connected, as `identity` or anonymous."""
        peer = self.open(identity=identity)
        peer.say({"id": 1, "connect": {}})
        peer.take()
        return peer


class Peer:
    """The other end of a client: says commands, hears lines."""

    def __init__(self, subscriber: RecordedSubscriber, client: Client) -> None:
        self.subscriber = subscriber
        self.client = client
        self.take = subscriber.take
        self._next_id = 1

    @property
    def info(self) -> dict[str, str]:
        """What others are told about this client."""
        return {"user": self.client.user, "client": self.client.id}

    @property
    def close_code(self) -> int | None:
        """The code the hub asked to close with, if it did."""
        return self.subscriber.closed_with[0][0] if self.subscriber.closed_with else None

    def say(self, *commands: object) -> None:
        """Send commands in one message."""
        self.client.receive("\n".join(json.dumps(command) for command in commands))

    def ask(self, method: str, /, **request: object) -> Any:
        """Send a command and return its reply without the id; pushes heard meanwhile stay."""
        self._next_id += 1
        self.say({"id": self._next_id, method: request})
        for index, line in enumerate(self.subscriber.lines):
            reply = json.loads(line)
            if reply.get("id") == self._next_id:
                del self.subscriber.lines[index]
                return reply["error"]["code"] if "error" in reply else reply[method]
        return None


class LateBroker:
    """A broker behind an imaginary link: events and completions wait, in one order.

    `deliver` lets a number of them through. With `failing` set, operations complete with
    Unavailable; with `losing`, publications do not reach the hub. Satisfies Broker and BrokerEvents.
    """

    may_lose_events = True

    def __init__(self, inner: MemoryBroker) -> None:
        self._inner = inner
        self._events: BrokerEvents | None = None
        self._link: deque[Callable[[], object]] = deque()
        self.failing = self.losing = False
        inner.attach(self)

    def deliver(self, count: int | None = None) -> None:
        """Let what waits, or the first `count` of it, reach the hub."""
        while self._link and count != 0:
            self._link.popleft()()
            count = None if count is None else count - 1

    def __len__(self) -> int:
        return len(self._link)

    def attach(self, events: BrokerEvents) -> None:
        self._events = events

    def subscribe(self, channel: str) -> None:
        self._inner.subscribe(channel)

    def unsubscribe(self, channel: str) -> None:
        self._inner.unsubscribe(channel)

    def subscribe_pattern(self, pattern: str) -> None:
        self._inner.subscribe_pattern(pattern)

    def unsubscribe_pattern(self, pattern: str) -> None:
        self._inner.unsubscribe_pattern(pattern)

    def confirm(self, name: str, done: Done[None]) -> None:
        if not self._fails(done):
            self._inner.confirm(name, self._later(done))

    def publish(self, channel: str, draft: Draft, retention: Retention, done: Done[Appended]) -> None:
        if not self._fails(done):
            self._inner.publish(channel, draft, retention, self._later(done))

    def publish_join(self, channel: str, info: bytes) -> None:
        self._inner.publish_join(channel, info)

    def publish_leave(self, channel: str, info: bytes) -> None:
        self._inner.publish_leave(channel, info)

    def history(
        self, channel: str, query: HistoryQuery, retention: Retention, done: Done[StreamView]
    ) -> None:
        if not self._fails(done):
            self._inner.history(channel, query, retention, self._later(done))

    def remove_history(self, channel: str, done: Done[StreamPosition]) -> None:
        self._inner.remove_history(channel, self._later(done))

    def expire(self, now_s: float, limit: int) -> int:
        return self._inner.expire(now_s, limit)

    def statistics(self) -> BrokerStatistics:
        return self._inner.statistics()

    def on_publication(self, channel: str, publication: Publication, epoch: str) -> None:
        assert self._events is not None
        events = self._events
        if not self.losing:
            self._link.append(lambda: events.on_publication(channel, publication, epoch))

    def on_join(self, channel: str, info: bytes) -> None:
        assert self._events is not None
        events = self._events
        self._link.append(lambda: events.on_join(channel, info))

    def on_interrupted(self) -> None:
        assert self._events is not None
        self._events.on_interrupted()

    def on_leave(self, channel: str, info: bytes) -> None:
        assert self._events is not None
        events = self._events
        self._link.append(lambda: events.on_leave(channel, info))

    def _later(self, done: Done[Any]) -> Done[Any]:
        return lambda result: self._link.append(lambda: done(result))

    def _fails(self, done: Done[Any]) -> bool:
        if self.failing:
            done(Unavailable("the link is down"))
        return self.failing
