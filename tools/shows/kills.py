"""`make show-kills`: kill -9 of a random worker every two seconds, under subscribers that must miss nothing.

1,000 clients in ten channels on four workers, a steady stream of publications through clients that are
killed like all others. Before every other kill the victim is stopped, and connects are made, of which some
wait in its queue when it dies.

Kept promises: only the victim's clients notice; they recover every publication, each of them once, in
order; every publication is acknowledged, and delivered where the acknowledgement says; every connect in a
queue is answered by the successor.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import msgspec

from tools.shows.audience import Audience, Publisher
from tools.shows.house import RECOVERABLE, house
from tools.shows.sockets import Knocks, holders

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tools.shows.house import House

PUBLISHERS = 4
KNOCKS = 16
"""Connects at a kill: with four workers some four of them wait in the victim's queue."""

START_S = 60.0
RECOVERY_S = 90.0
"""What all may take to come back after the last kill: two waits of a client's (20 s each), and then some."""


@dataclass(frozen=True, slots=True)
class Kill:
    """One death.

    The connections that the worker held, how many of the connected clients noticed until the next kill,
    and the codes that ended those of them that were not its own.
    """

    victims: int
    noticed: int
    strangers: list[int]


class Killer:
    """Kills workers of a daemon under an audience."""

    def __init__(self, place: House, audience: Audience, seed: int) -> None:
        self.kills: list[Kill] = []
        self.knocks = Knocks(place.port)
        self._place = place
        self._audience = audience
        self._random = random.Random(seed)

    def kill(self, every_s: float) -> None:
        """Kill a worker, then let the clients live for `every_s`; see who notices."""
        held = holders(self._place.port, self._place.pids()[1:])
        pid = self._random.choice(sorted(set(held.values())))
        if len(self.kills) % 2:
            os.kill(pid, signal.SIGSTOP)
            self.knocks.knock(KNOCKS)
            held = holders(self._place.port, [pid])
        victims = {port for port, holder in held.items() if holder == pid}
        ports = {
            witness: witness.network.port
            for client, witness in self._audience.clients.items()
            if client.is_connected
        }
        killed_s = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        self._audience.run(every_s)
        noticed = [witness for witness in ports if witness.lost_s and witness.lost_s[-1] >= killed_s]
        strangers = [witness.endings[-1] for witness in noticed if ports[witness] not in victims]
        self.kills.append(Kill(len(victims), len(noticed), strangers))
        self.knocks.look()


def show(options: argparse.Namespace) -> dict[str, object]:
    """Run it; the result's "faults" lists the promises that were not kept."""
    channels = [f"room{number}" for number in range(options.channels)]
    with house(options.workers, channels=RECOVERABLE) as place:
        audience = Audience()
        try:
            for number in range(options.connections):
                audience.add(place.port, channels[number % len(channels)])
            if not audience.run_until(audience.are_subscribed, START_S):
                return {"faults": ["not all clients could subscribe", *audience.faults.first]}
            clients = list(audience.clients)
            publisher = Publisher(audience, clients[:PUBLISHERS], channels)
            publisher.start(options.rate)
            killer = Killer(place, audience, options.seed)
            for _ in range(options.kills):
                killer.kill(options.every)
            publisher.stop()
            all_came = audience.run_until(
                lambda: publisher.is_done and audience.are_at_the_top() and killer.knocks.look(), RECOVERY_S
            )
            killer.knocks.close()
            audience.streams.judge()
            return told(options, audience, publisher, killer, all_came=all_came)
        finally:
            audience.close()


def told(
    options: argparse.Namespace, audience: Audience, publisher: Publisher, killer: Killer, *, all_came: bool
) -> dict[str, object]:
    """Return the result."""
    witnesses = audience.clients.values()
    strangers = sum(len(kill.strangers) for kill in killer.kills)
    faults = [*audience.faults.first, *killer.knocks.faults]
    if not all_came:
        late = sum(witness.offset < audience.streams.top(witness.stream) for witness in witnesses)
        faults.append(
            f"{RECOVERY_S:g} s later {late} clients miss publications, {publisher.asked - publisher.acked} "
            f"are not acknowledged, {killer.knocks.asked - killer.knocks.answered} connects are unanswered"
        )
    if strangers:
        faults.append(f"{strangers} times a client of a worker that lived noticed a death")
    return {
        "connections": options.connections,
        "workers": options.workers,
        "kills": [asdict(kill) for kill in killer.kills],
        "published": publisher.asked,
        "acknowledged": publisher.acked,
        "asked_again": publisher.repeated,
        "delivered": sum(len(seen) for seen in audience.streams.seen.values()),
        "recovered": sum(witness.recovered for witness in witnesses),
        "reconnects": sum(len(witness.connected_s) - 1 for witness in witnesses),
        "knocks": killer.knocks.asked,
        "knocks_answered": killer.knocks.answered,
        "faults": faults,
    }


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options; wrong ones end the process with code 2."""
    parser = argparse.ArgumentParser(prog="python -m tools.shows.kills", description=__doc__)
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--channels", type=int, default=10)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--every", type=float, default=2.0, help="seconds from kill to kill")
    parser.add_argument("--rate", type=float, default=20.0, help="publications a second")
    parser.add_argument("--seed", type=int, default=1, help="of who is killed when")
    options = parser.parse_args(arguments)
    if options.workers < 2 or options.connections < PUBLISHERS or options.channels < 1 or options.rate <= 0:
        parser.error(f"at least 2 workers, {PUBLISHERS} connections, one channel, and a rate above 0")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Show, print, judge."""
    result = show(parse(arguments))
    print(msgspec.json.format(msgspec.json.encode(result), indent=2).decode())
    return 1 if result["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
