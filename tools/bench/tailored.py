"""What tailored pushes cost: differences by size and kind of change, and a hub's publish; prints JSON.

    python -m tools.bench.tailored [--rounds 7] [--subscribers 100]

The hub has stand-ins for connections, so that its own work is all that is measured. Ratios are to
the plain publish of the same run; the best of the rounds is reported.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import time
from typing import TYPE_CHECKING, Any

from wsloop.hub.broker import Draft
from wsloop.hub.channels import Subscriber
from wsloop.hub.delta import delta
from wsloop.hub.hub import Hub
from wsloop.hub.memory_broker import MemoryBroker
from wsloop.hub.namespaces import Namespace, Namespaces
from wsloop.hub.options import HubOptions
from wsloop.hub.presence import MemoryPresence

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wsloop.hub.fan_out import Packet

SIZES = (1_000, 8_000, 64_000)
"""Bytes of a payload."""

PUBLICATIONS = 200
"""Of one round."""

ALL = Namespace(
    history_size=10,
    history_ttl_s=60.0,
    allow_positioning=True,
    allowed_delta_types=("fossil",),
    delta_publish=True,
    allow_tags_filter=True,
    allow_wildcard=True,
    allow_channel_compaction=True,
    allow_subscribe_for_client=True,
    allow_subscribe_for_anonymous=True,
)

KINDS: dict[str, Callable[[int], dict[str, Any]]] = {
    "plain": lambda _number: {},
    "number": lambda _number: {"flag": 1},
    "one filter": lambda _number: {"tf": {"key": "n", "cmp": "gte", "val": "0"}},
    "each its own filter": lambda number: {"tf": {"key": "n", "cmp": "neq", "val": f"x{number}"}},
    "delta": lambda _number: {"delta": "fossil"},
}
"""How the subscribers of one run wish their pushes, by their number."""


class Silence(Subscriber):
    """A connection that takes everything and keeps nothing."""

    @property
    def receiver(self) -> Silence:
        """See `Subscriber.receiver`."""
        return self

    def push(self, data: bytes, packets: Sequence[Packet]) -> None:
        """See `Receiver.push`."""

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

    def disconnect(self, code: int, reason: str) -> None:
        """See `Subscriber.disconnect`."""

    def on_connected(self) -> None:
        """See `Subscriber.on_connected`."""

    def on_pong(self) -> None:
        """See `Subscriber.on_pong`."""


def rows(size: int, seed: int) -> list[dict[str, Any]]:
    """Return rows that make about `size` bytes of JSON."""
    chance = random.Random(seed)
    return [
        {"id": number, "name": f"user {chance.randrange(10**6)}", "price": chance.random()}
        for number in range(size // 60)
    ]


def texts(size: int) -> dict[str, tuple[bytes, bytes]]:
    """Return (base, target) for each kind of change."""
    old = rows(size, 1)
    edited = [dict(row) for row in old]
    for place in (len(old) // 3, len(old) // 2):
        edited[place]["name"] = "Ada"
    shuffled = list(old)
    random.Random(2).shuffle(shuffled)
    base = json.dumps(old).encode()
    targets = {"two edits": edited, "shuffled": shuffled, "unrelated": rows(size, 3)}
    return {kind: (base, json.dumps(target).encode()) for kind, target in targets.items()}


def best_s(work: Callable[[], object], rounds: int) -> float:
    """Return the least CPU time of `rounds` calls."""
    least = float("inf")
    for _ in range(rounds):
        began = time.process_time()
        work()
        least = min(least, time.process_time() - began)
    return least


def differences(rounds: int) -> dict[str, dict[str, float]]:
    """Return the milliseconds of one difference, and its length in percent of the target."""
    report = {}
    for size in SIZES:
        for kind, (base, target) in texts(size).items():
            found = delta(base, target)
            least = best_s(lambda base=base, target=target: delta(base, target), rounds)  # type: ignore[misc]
            share = 100.0 * len(found) / len(target) if found is not None else 100.0
            report[f"{size} bytes, {kind}"] = {"ms": round(least * 1e3, 3), "percent": round(share, 1)}
    return report


def make_hub() -> Hub:
    """Return a hub on a clock that stands still."""
    chance = random.Random(1)
    broker = MemoryBroker(lambda: 0.0, chance.randbytes)
    return Hub(
        broker,
        MemoryPresence(),
        namespaces=Namespaces({"": ALL}),
        options=HubOptions(allow_anonymous=True, channel_limit=100_000),
        now=lambda: 0.0,
        unix_s=lambda: 0.0,
        entropy=chance.randbytes,
    )


def publishing(
    subscribers: int, request: Callable[[int], dict[str, Any]], rounds: int, patterns: int = 0
) -> float:
    """Return the microseconds of one publish to `subscribers`, beside foreign `patterns`."""
    hub = make_hub()
    for number in range(subscribers):
        client = hub.new_client(Silence())
        ask = {"id": 2, "subscribe": {"channel": "a.b", "positioned": True, **request(number)}}
        client.receive('{"id":1,"connect":{}}')
        client.receive(json.dumps(ask))
        if number == 0:
            for other in range(patterns):
                client.receive(json.dumps({"id": 3 + other, "subscribe": {"channel": f"x{other}.*"}}))
    payloads = [
        json.dumps({"number": number, "rows": rows(600, 1)}).encode() for number in range(PUBLICATIONS)
    ]
    retention = ALL.retention

    def work() -> None:
        for payload in payloads:
            hub.broker.publish("a.b", Draft(payload, tags=b'{"n":"1"}'), retention, lambda _: None)

    return best_s(work, rounds) / PUBLICATIONS * 1e6


def hubs(subscribers: int, rounds: int) -> dict[str, dict[str, float]]:
    """Return the cost of a publish for each kind of wish, beside the plain one."""
    costs = {kind: publishing(subscribers, request, rounds) for kind, request in KINDS.items()}
    costs["plain, 10,000 other patterns"] = publishing(subscribers, KINDS["plain"], rounds, patterns=10_000)
    return {
        kind: {"us": round(cost, 1), "of plain": round(cost / costs["plain"], 2)}
        for kind, cost in costs.items()
    }


def main() -> None:
    """Parse the arguments, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--subscribers", type=int, default=100)
    arguments = parser.parse_args()
    result = {
        "python": platform.python_version(),
        "differences": differences(arguments.rounds),
        f"publish to {arguments.subscribers}": hubs(arguments.subscribers, arguments.rounds),
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
