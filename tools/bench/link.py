"""What a publication costs through the link between worker and hub process, beside a broker in the process.

`python -m tools.bench.link` prints the CPU time of one publish, from the worker's call to its completion
and the delivery to every worker that has an interest: the worker's part, the hub process's part, and what one
more worker costs each of them. All ends run in this process, each on a reactor of its own, over real Unix
sockets, so that the parts can be told apart; system calls are counted in. `--batch` publishes are said in one
turn, as under load; with `--batch 1` each makes the round trip alone.
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Self

import msgspec

from tools.bench.options import at_least
from wsloop.cluster.remote import RemoteBroker
from wsloop.cluster.service import Service
from wsloop.cluster.uplink import Uplink
from wsloop.hub.broker import BrokerEvents, Draft, Retention
from wsloop.hub.memory_broker import MemoryBroker
from wsloop.loop.clock import MonotonicClock
from wsloop.loop.poller import make_poller
from wsloop.loop.reactor import Reactor
from wsloop.transport.bind import SocketNetwork, UnixBind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wsloop.hub.history import Publication

CHANNEL = "chat:bench"
DRAFT = Draft(b'"' + b"x" * 126 + b'"', b'{"user":"ann","client":"0b5e7c3c-5b3e-4b52-9d2c-3a1e5a0a4f10"}')
"""128 bytes, as in the fan-out cells of `cells.py`, and who published it."""

KEEP = Retention(100, 300.0, 3600.0)


class Costs(msgspec.Struct, frozen=True):
    """CPU microseconds for one publish; `more_` is what each worker beyond the first adds to either end."""

    in_process_us: float
    worker_us: float
    hub_us: float
    more_worker_us: float
    more_hub_us: float

    @property
    def ratio(self) -> float:
        """What a publish costs through the link, on both ends, beside one in the process."""
        return (self.worker_us + self.hub_us) / self.in_process_us


class Counter(BrokerEvents):
    """A hub that counts what it is given."""

    def __init__(self) -> None:
        self.publications = 0
        self.completions = 0

    def on_publication(self, channel: str, publication: Publication, epoch: str) -> None:
        """See `BrokerEvents.on_publication`."""
        self.publications += 1

    def on_join(self, channel: str, info: bytes) -> None:
        """See `BrokerEvents.on_join`."""

    def on_leave(self, channel: str, info: bytes) -> None:
        """See `BrokerEvents.on_leave`."""

    def on_interrupted(self) -> None:
        """See `BrokerEvents.on_interrupted`."""
        raise RuntimeError("the link broke")

    def done(self, result: object) -> None:
        """Count a completion."""
        self.completions += 1


class LinkBench:
    """A service and some workers on real sockets, turned by hand; use it in a `with`."""

    def __init__(self, workers: int) -> None:
        self._directory = tempfile.TemporaryDirectory()
        address = UnixBind(os.path.join(self._directory.name, "link.sock"))
        network = SocketNetwork()
        self._reactors = [Reactor(MonotonicClock(), make_poller()) for _ in range(workers + 1)]
        self._spent_s = [0.0] * (workers + 1)
        self._service = Service(self._reactors[0], os.urandom)
        self._service.listen(network.listen(address))
        self._uplinks = [
            Uplink(reactor, network, address, slot=slot, entropy=os.urandom)
            for slot, reactor in enumerate(self._reactors[1:])
        ]
        self._counters = [Counter() for _ in self._uplinks]
        self._brokers = [RemoteBroker(uplink) for uplink in self._uplinks]
        for uplink, broker, counter in zip(self._uplinks, self._brokers, self._counters, strict=True):
            broker.attach(counter)
            broker.subscribe(CHANNEL)
            uplink.start()
        while not all(uplink.is_up for uplink in self._uplinks):
            self._turn()

    def publish_us(self, batches: int, batch: int) -> list[float]:
        """Return what a publish by the first worker costs: the hub process's CPU time, then each worker's."""
        self._spent_s = [0.0] * len(self._reactors)
        first = self._counters[0]
        for _ in range(batches):
            began_s = time.process_time()
            for _ in range(batch):
                self._brokers[0].publish(CHANNEL, DRAFT, KEEP, first.done)
            self._spent_s[1] += time.process_time() - began_s
            wanted = first.completions + batch
            # Whoever is behind would do the rest of its work in the next batch.
            heard = [counter.publications + batch for counter in self._counters]
            while first.completions < wanted or [each.publications for each in self._counters] < heard:
                self._turn()
        return [spent_s / (batches * batch) * 1e6 for spent_s in self._spent_s]

    def _turn(self) -> None:
        for index, reactor in enumerate(self._reactors):
            reactor.call_soon(_nothing)  # so that it does not sleep
            began_s = time.process_time()
            reactor.run_once()
            self._spent_s[index] += time.process_time() - began_s

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        for uplink in self._uplinks:
            uplink.close()
        self._service.close()
        for reactor in self._reactors:
            reactor.close()
        self._directory.cleanup()


def _nothing() -> None:
    """Be called."""


def in_process_us(publishes: int) -> float:
    """Return the CPU time of a publish to a broker in the process that hands it to its hub."""
    broker, counter = MemoryBroker(time.monotonic, os.urandom), Counter()
    broker.attach(counter)
    broker.subscribe(CHANNEL)
    began_s = time.process_time()
    for _ in range(publishes):
        broker.publish(CHANNEL, DRAFT, KEEP, counter.done)
    return (time.process_time() - began_s) / publishes * 1e6


def measure(rounds: int, batches: int, batch: int, workers: int) -> Costs:
    """Measure everything; the best round of each counts, since noise only adds."""
    alone = min(in_process_us(batches * batch) for _ in range(rounds))
    with LinkBench(1) as bench:
        hub_us, worker_us = _best(bench, rounds, batches, batch)
    with LinkBench(workers) as bench:
        all_hub_us, _, *others_us = _best(bench, rounds, batches, batch)
    more = len(others_us)
    return Costs(alone, worker_us, hub_us, sum(others_us) / more, max(0.0, all_hub_us - hub_us) / more)


def _best(bench: LinkBench, rounds: int, batches: int, batch: int) -> list[float]:
    return [
        min(each) for each in zip(*(bench.publish_us(batches, batch) for _ in range(rounds)), strict=True)
    ]


def main(arguments: Sequence[str]) -> int:
    """Print lines to stderr and JSON to stdout; return 0."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench.link", description=__doc__)
    parser.add_argument("--rounds", type=at_least(1), default=5, help="[%(default)s]")
    parser.add_argument("--batches", type=at_least(1), default=200, help="per round [%(default)s]")
    parser.add_argument("--batch", type=at_least(1), default=100, help="publishes in a turn [%(default)s]")
    parser.add_argument("--workers", type=at_least(2), default=4, help="[%(default)s]")
    options = parser.parse_args(arguments)
    costs = measure(options.rounds, options.batches, options.batch, options.workers)
    say = functools.partial(print, file=sys.stderr)
    worker_us, hub_us = costs.worker_us, costs.hub_us
    more_us, more_hub_us = costs.more_worker_us, costs.more_hub_us
    say(f"publish in the process   {costs.in_process_us:8.1f} us")
    say(f"through the link         {worker_us:8.1f} us of the worker, {hub_us:.1f} of the hub process")
    say(f"each other worker        {more_us:8.1f} us of its own, {more_hub_us:.1f} of the hub process")
    say(f"beside in the process    {costs.ratio:8.1f} times, on two processors")
    figures = {**msgspec.to_builtins(costs), "ratio": costs.ratio}
    print(msgspec.json.encode({"benchmark": "link", "batch": options.batch, "costs": figures}).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
