"""`make show-drain`: SIGTERM for a daemon with 5,000 clients and traffic, while a second one takes them over.

Most are messaging clients, some are plain WebSockets on `/echo`. Publications go on until the end, and
clients that were told to go connect to the second daemon after an SDK's wait.

Kept promises: each messaging client is closed with 3001, each other with 1012; what was acknowledged is
delivered before a subscriber's close; the daemon ends with 0 inside its window and told how far it was; no
tenth of the time brings the second daemon more than twice the mean of reconnects.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from tools.shows.audience import Audience, Publisher
from tools.shows.house import RECOVERABLE, house
from wsloop.client.names import OnlyAddresses
from wsloop.client.urls import parse_ws_url
from wsloop.client.websocket import Dialer
from wsloop.transport.bind import SocketNetwork

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tools.shows.house import House
    from wsloop.client.websocket import Ending, WebSocket

PUBLISHERS = 4
MESSAGING_CODE = 3001
OTHERS_CODE = 1012
PARTS = 10
"""Into which the time of the reconnects is cut."""

MOST_TIMES_MEAN = 2.0
BUSY_S = 2.0
"""How long an acknowledgement may be on its way to this program behind a close frame: what was acknowledged
so long before a client's close has to have been delivered to it."""

START_S = 120.0


class Echo:
    """A plain WebSocket; satisfies `WsOwner`. `code` is what it was closed with, 0 while it is open."""

    def __init__(self) -> None:
        self.is_open = False
        self.code = 0

    def on_open(self, ws: WebSocket) -> None:
        """See `WsOwner`."""
        self.is_open = True

    def on_message(self, ws: WebSocket, message: str | bytes | bytearray) -> None:
        """See `WsOwner`."""

    def on_closed(self, ws: WebSocket, ending: Ending) -> None:
        """See `WsOwner`."""
        self.code = ending.code


class Drained:
    """What happened between SIGTERM and the daemon's end."""

    def __init__(self, place: House) -> None:
        self.exit_code: int | None = None
        self.began_s = time.monotonic()
        self.ended_s = 0.0
        self._daemon = place.daemon
        self._thread = threading.Thread(target=self._wait)
        place.daemon.send_signal(signal.SIGTERM)
        self._thread.start()

    def _wait(self) -> None:
        self.exit_code = self._daemon.wait()
        self.ended_s = time.monotonic()

    def is_over(self) -> bool:
        """Return whether the daemon has ended."""
        return not self._thread.is_alive()


def echoes(audience: Audience, port: int, count: int) -> list[Echo]:
    """Return plain WebSockets that are connecting."""
    dialer = Dialer(audience.reactor, SocketNetwork(), OnlyAddresses(), os.urandom)
    url = parse_ws_url(f"ws://127.0.0.1:{port}/echo", "/echo")
    made = [Echo() for _ in range(count)]
    for owner in made:
        dialer.dial(url, owner)
    return made


def parts(times_s: Sequence[float]) -> list[int]:
    """Return how many moments lie in each of PARTS equal parts of the time from the first to the last."""
    first, span = min(times_s, default=0.0), max(times_s, default=0.0) - min(times_s, default=0.0)
    counts = [0] * PARTS
    for moment in times_s:
        counts[min(PARTS - 1, int((moment - first) / span * PARTS)) if span else 0] += 1
    return counts


def peak(times_s: Sequence[float]) -> float:
    """Return how many times the mean the busiest part of the time has; 0 without any moment."""
    return max(parts(times_s)) * PARTS / len(times_s) if times_s else 0.0


def undelivered(audience: Audience) -> int:
    """Return how many acknowledged publications clients were closed without."""
    acked_s = audience.streams.acked_s
    return sum(
        offset > witness.first_offset and moment_s < witness.lost_s[0] - BUSY_S
        for witness in audience.clients.values()
        if witness.lost_s
        for offset, moment_s in acked_s.get(witness.first, {}).items()
    )


def show(options: argparse.Namespace) -> dict[str, object]:
    """Run it; the result's "faults" lists the promises that were not kept."""
    channels = [f"room{number}" for number in range(options.channels)]
    with (
        house(options.workers, window_s=options.window, channels=RECOVERABLE, dev=True) as first,
        house(1, channels=RECOVERABLE, dev=True) as second,
    ):
        audience = Audience(may_move=True)
        try:
            others = echoes(audience, first.port, options.others)
            for number in range(options.connections - options.others):
                audience.add(first.port, channels[number % len(channels)])
            if not audience.run_until(
                lambda: audience.are_subscribed() and all(echo.is_open for echo in others), START_S
            ):
                return {"faults": ["not all clients could subscribe", *audience.faults.first]}
            publisher = Publisher(audience, list(audience.clients)[:PUBLISHERS], channels)
            publisher.start(options.rate)
            audience.run(1.0)
            audience.redirect(second.port)
            drained = Drained(first)
            audience.run_until(drained.is_over, options.window + START_S)
            publisher.stop()
            audience.run_until(
                lambda: publisher.is_done and all(one.is_connected for one in audience.clients), START_S
            )
            return told(options, audience, others, drained, first.daemon.stderr())
        finally:
            audience.close()


def told(
    options: argparse.Namespace, audience: Audience, others: list[Echo], drained: Drained, log: str
) -> dict[str, object]:
    """Return the result."""
    witnesses = list(audience.clients.values())
    codes = Counter(str(witness.endings[0]) for witness in witnesses if witness.endings)
    other_codes = Counter(str(echo.code) for echo in others)
    arrivals_s = [witness.connected_s[1] for witness in witnesses if len(witness.connected_s) > 1]
    took_s = drained.ended_s - drained.began_s
    lost = undelivered(audience)
    faults = list(audience.faults.first)
    for promise, is_kept in (
        (
            f"messaging clients are closed with {MESSAGING_CODE}",
            codes == {str(MESSAGING_CODE): len(witnesses)},
        ),
        (f"others are closed with {OTHERS_CODE}", other_codes == {str(OTHERS_CODE): len(others)}),
        ("exit code 0", drained.exit_code == 0),
        ("ended inside the window", took_s <= options.window),
        ("progress is told", "draining " in log),
        ("no acknowledged publication is lost", lost == 0),
        ("everybody came to the second daemon", len(arrivals_s) == len(witnesses)),
        (f"at most {options.peak:g} times the mean rate", peak(arrivals_s) <= options.peak),
    ):
        if not is_kept:
            faults.append(f"not kept: {promise}")
    return {
        "connections": options.connections,
        "workers": options.workers,
        "window_seconds": options.window,
        "exit_code": drained.exit_code,
        "seconds": round(took_s, 2),
        "codes": codes,
        "codes_of_others": other_codes,
        "acknowledged": sum(map(len, audience.streams.acked.values())),
        "acknowledged_but_not_delivered": lost,
        "reconnects": len(arrivals_s),
        "reconnect_seconds": round(max(arrivals_s, default=0) - min(arrivals_s, default=0), 2),
        "reconnect_parts": parts(arrivals_s),
        "close_parts": parts([witness.lost_s[0] for witness in witnesses if witness.lost_s]),
        "reconnect_peak_times_mean": round(peak(arrivals_s), 3),
        "faults": faults,
    }


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options; wrong ones end the process with code 2."""
    parser = argparse.ArgumentParser(prog="python -m tools.shows.drain", description=__doc__)
    parser.add_argument("--connections", type=int, default=5000)
    parser.add_argument("--others", type=int, default=250, help="of them on /echo")
    parser.add_argument("--channels", type=int, default=50)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--window", type=float, default=30.0, help="seconds")
    parser.add_argument("--rate", type=float, default=20.0, help="publications a second")
    parser.add_argument("--peak", type=float, default=MOST_TIMES_MEAN, help="of reconnects, times their mean")
    options = parser.parse_args(arguments)
    if options.connections - options.others < PUBLISHERS or options.channels < 1 or options.rate <= 0:
        parser.error(f"at least {PUBLISHERS} messaging clients, one channel, and a rate above 0")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Show, print, judge."""
    result = show(parse(arguments))
    print(msgspec.json.format(msgspec.json.encode(result), indent=2).decode())
    return 1 if result["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
