"""What messaging costs above the sockets: a publish, a subscription, a delivery through the hub.

`python -m tools.bench.hub` prints

- the CPU time of a publish to a channel with history, from the command's text to the reply's, with
  nobody subscribed; and the broker's part of it;
- the memory of a subscription, as Python's allocator counts it, for 10,000 of them;
- the deliveries per CPU second of a channel whose subscribers are positioned, beside those of a bare
  broadcast to as many connections of the same server. Sockets are real; another process reads
  them. Both are interleaved; the best round of each counts, since noise only takes away.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import gc
import os
import select
import signal
import socket
import sys
import time
import tracemalloc
from typing import TYPE_CHECKING

import msgspec

from tools.bench.options import at_least
from tools.bench.servers.wsloop_house import FanoutHandler, Subscribers
from tools.bench.stream import masked_frame
from wsloop.hub.broker import Draft, Retention
from wsloop.hub.channels import Subscriber
from wsloop.hub.hub import Hub
from wsloop.hub.memory_broker import MemoryBroker
from wsloop.hub.namespaces import Namespaces, dev_namespaces
from wsloop.hub.options import HubOptions
from wsloop.hub.presence import MemoryPresence
from wsloop.loop.clock import MonotonicClock
from wsloop.loop.poller import make_poller
from wsloop.server.app import Route
from wsloop.server.assembly import CONNECTION_PATH, Options, Ports, assemble
from wsloop.server.fan_out import SENDS_PER_TURN
from wsloop.server.lifecycle import Deadlines
from wsloop.transport.bind import SocketNetwork, TcpBind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wsloop.hub.client import Client
    from wsloop.hub.fan_out import Packet

TEXT = 1
KEY = b"\x11\xa7\x5c\xe3"
CHANNEL = "chat:bench"
DATA = '"' + "x" * 126 + '"'
"""128 bytes, as in the fan-out cells of `cells.py`."""

KEEP = Retention(100, 300.0, 3600.0)
SUBSCRIPTIONS = 10_000
FANOUT_PATH = "/fanout"
SHAPES = ((10_000, 1), (1000, 1000), (100, 100))
"""Clients, and channels in all, among which the subscriptions are divided."""

SETTLE_S = 0.05


class Costs(msgspec.Struct, frozen=True):
    """What was measured; times are CPU microseconds."""

    publish_us: float
    broker_us: float
    subscription_bytes: dict[str, int]
    raw_per_s: float
    hub_per_s: float

    @property
    def ratio(self) -> float:
        """Deliveries through the hub beside those of the bare broadcast."""
        return self.hub_per_s / self.raw_per_s


class Nobody(Subscriber):
    """A connection that takes everything and keeps nothing."""

    __slots__ = ()

    @property
    def receiver(self) -> Nobody:
        """See `Subscriber.receiver`."""
        return self

    @property
    def address(self) -> str:
        """See `Subscriber.address`."""
        return ""

    def may_go_on(self) -> bool:
        """See `Subscriber.may_go_on`."""
        return True

    def left(self, channel: str) -> None:
        """Nothing is ever dropped."""

    def charge(self, commands: int) -> None:
        """See `Subscriber.charge`."""

    def send(self, payload: bytes) -> None:
        """See `Subscriber.send`."""

    def push(self, data: bytes, packets: Sequence[Packet]) -> None:
        """See `Receiver.push`."""

    def disconnect(self, code: int, reason: str) -> None:
        """See `Subscriber.disconnect`."""
        raise RuntimeError(f"closed with {code} {reason}")

    def on_connected(self) -> None:
        """See `Subscriber.on_connected`."""

    def on_pong(self) -> None:
        """See `Subscriber.on_pong`."""


def new_hub() -> Hub:
    """Return a hub in development mode without a server."""
    return Hub(
        MemoryBroker(time.monotonic, os.urandom),
        MemoryPresence(),
        namespaces=Namespaces(dev_namespaces()),
        options=HubOptions(allow_anonymous=True),
        now=time.monotonic,
        unix_s=time.time,
        entropy=os.urandom,
    )


def new_client(hub: Hub) -> Client:
    """Return a client that is connected."""
    client = hub.new_client(Nobody())
    client.receive('{"id":1,"connect":{}}')
    return client


def least_us(rounds: int, count: int, action: Callable[[], object]) -> float:
    """Return the CPU time of one `action` in the best of some rounds, in microseconds."""
    best_s = float("inf")
    for _ in range(rounds):
        began_s = time.process_time()
        for _ in range(count):
            action()
        best_s = min(best_s, time.process_time() - began_s)
    return best_s / count * 1e6


def publish_us(rounds: int, count: int) -> tuple[float, float]:
    """Return what a publish costs, and the broker's part of it."""
    hub = new_hub()
    client = new_client(hub)
    command = f'{{"id":2,"publish":{{"channel":"{CHANNEL}","data":{DATA}}}}}'
    draft = Draft(DATA.encode(), client.info)
    whole = least_us(rounds, count, lambda: client.receive(command))
    broker = hub.broker
    return whole, least_us(rounds, count, lambda: broker.publish("chat:other", draft, KEEP, id))


def subscription_bytes(clients: int, channels: int) -> int:
    """Return what each of `SUBSCRIPTIONS` takes, by as many clients in as many channels in all."""
    hub = new_hub()
    everybody = [new_client(hub) for _ in range(clients)]
    gc.collect()
    tracemalloc.start()
    for number in range(SUBSCRIPTIONS):
        channel = f"chat:{(number // clients + number) % channels}"
        everybody[number % clients].receive(f'{{"id":2,"subscribe":{{"channel":"{channel}"}}}}')
    gc.collect()
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    if hub.subscription_count != SUBSCRIPTIONS:
        raise RuntimeError(f"{hub.subscription_count} subscriptions instead of {SUBSCRIPTIONS}")
    return taken // SUBSCRIPTIONS


class FanOutBench:
    """A server with `count` subscribers of a bare broadcast and as many of a channel; use it in a `with`."""

    def __init__(self, count: int) -> None:
        ports = Ports(MonotonicClock(), make_poller(), SocketNetwork(), os.urandom)
        # The readers answer no pings, so none are sent.
        deadlines = Deadlines(ping_interval_s=86_400.0)
        options = Options(dev=True, messages_per_frame=1, deadlines=deadlines)
        self._house = house = assemble(ports, options)
        self._subscribers = Subscribers(house.server.fan_out)
        handler = functools.partial(FanoutHandler, subscribers=self._subscribers)
        app = house.server.app
        routes = {**app.routes, FANOUT_PATH: Route(handler, options.echo_limits)}
        house.server.app = dataclasses.replace(app, routes=routes)
        bind = house.server.listen(TcpBind("127.0.0.1", 0)).bind
        if not isinstance(bind, TcpBind):
            raise TypeError("a TCP port was asked for")
        self._count = count
        self._reader = fork_reader(bind.port, count)
        self._publisher = new_client(house.hub)
        self._turns = count // SENDS_PER_TURN + 2
        while len(self._subscribers) < count or house.hub.subscription_count < count:
            house.reactor.run_once()
        gc.collect()
        gc.freeze()

    def raw(self) -> None:
        """Give one message to all connections, as a handler does."""
        self._subscribers.broadcast(DATA)
        self._run()

    def hub(self) -> None:
        """Publish one message to all subscribers, as a client does."""
        self._publisher.receive(f'{{"id":2,"publish":{{"channel":"{CHANNEL}","data":{DATA}}}}}')
        self._run()

    def per_s(self, action: Callable[[], object], publishes: int) -> float:
        """Return the deliveries per CPU second of some publishes, once what is in the sockets is read."""
        began_s = time.process_time()
        for _ in range(publishes):
            action()
        taken_s = time.process_time() - began_s
        time.sleep(SETTLE_S)
        self._run()
        if len(self._subscribers) < self._count or self._house.hub.subscription_count < self._count:
            raise RuntimeError("a subscriber was lost")
        return publishes * self._count / taken_s

    def _run(self) -> None:
        """Turn the loop until all has left."""
        for _ in range(self._turns):
            self._house.reactor.call_soon(_nothing)  # so that no turn sleeps
            self._house.reactor.run_once()

    def __enter__(self) -> FanOutBench:
        return self

    def __exit__(self, *_error: object) -> None:
        gc.unfreeze()
        os.kill(self._reader, signal.SIGKILL)
        os.waitpid(self._reader, 0)
        self._house.server.close()
        self._house.reactor.run_once()
        self._house.reactor.close()


def _nothing() -> None:
    """Be called."""


def fork_reader(port: int, count: int) -> int:
    """Start a process that opens all connections and reads what comes; return its id."""
    child = os.fork()
    if child:
        return child
    try:
        read_all(port, count)
    finally:
        os._exit(1)


def read_all(port: int, count: int) -> None:
    """Open `count` connections of each kind, and discard what they are sent, for ever."""
    subscribe = f'{{"id":1,"connect":{{}}}}\n{{"id":2,"subscribe":{{"channel":"{CHANNEL}"}}}}'
    first = {FANOUT_PATH: b"", CONNECTION_PATH: masked_frame(TEXT, subscribe.encode(), KEY)}
    poll = select.epoll()
    socks = {}
    for number in range(2 * count):
        path = (FANOUT_PATH, CONNECTION_PATH)[number % 2]
        sock = socket.create_connection(("127.0.0.1", port))
        sock.sendall(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
            + first[path]
        )
        poll.register(sock, select.EPOLLIN)
        socks[sock.fileno()] = sock
    while True:
        for descriptor, _ in poll.poll():
            socks[descriptor].recv(65536)


def measure(rounds: int, publishes: int, receivers: int) -> Costs:
    """Measure everything."""
    whole_us, broker_us = publish_us(rounds, publishes * 50)
    taken = {
        f"{clients:,} clients, {channels:,} channels": subscription_bytes(clients, channels)
        for clients, channels in SHAPES
    }
    raw = hub = 0.0
    with FanOutBench(receivers) as bench:
        for _ in range(rounds):
            raw = max(raw, bench.per_s(bench.raw, publishes))
            hub = max(hub, bench.per_s(bench.hub, publishes))
    return Costs(whole_us, broker_us, taken, raw, hub)


def main(arguments: Sequence[str]) -> int:
    """Print lines to stderr and JSON to stdout; return 0."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench.hub", description=__doc__)
    parser.add_argument("--rounds", type=at_least(1), default=5, help="[%(default)s]")
    parser.add_argument("--publishes", type=at_least(1), default=100, help="per round [%(default)s]")
    parser.add_argument("--receivers", type=at_least(1), default=1000, help="of each kind [%(default)s]")
    options = parser.parse_args(arguments)
    costs = measure(options.rounds, options.publishes, options.receivers)
    say = functools.partial(print, file=sys.stderr)
    say(f"publish with history     {costs.publish_us:8.1f} us, the broker's part {costs.broker_us:.1f} us")
    for shape, size_bytes in costs.subscription_bytes.items():
        say(f"a subscription           {size_bytes:8d} B  {shape}")
    say(f"bare broadcast           {costs.raw_per_s:8,.0f} deliveries per CPU second")
    say(f"through the hub          {costs.hub_per_s:8,.0f}, {costs.ratio:.2f} of it")
    figures = {**msgspec.to_builtins(costs), "ratio": costs.ratio}
    print(msgspec.json.encode({"benchmark": "hub", "costs": figures}).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
