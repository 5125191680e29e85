"""What one message costs in the protocol core, without a socket: ours beside wsproto alone.

`python -m tools.bench.protocol` prints nanoseconds per message for: bytes of a masked text frame in,
text out of it, the same text in, bytes of a frame out. Both sides get the same bytes, and both are
checked once to return the same. Interleaved; the least of the rounds counts, since noise only adds.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING

import msgspec
from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import TextMessage

from tools.bench.options import at_least
from tools.bench.stream import masked_frame, payload
from wsloop.protocol.events import TextMessage as ReceivedText
from wsloop.protocol.fast_path import FastSession
from wsloop.protocol.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Echo = Callable[[bytes], bytes]
    """Takes the bytes of whole frames, returns those of their echoes."""

TEXT_OPCODE = 1
CELLS = ((32, 1), (128, 1), (128, 32), (1024, 1), (16 * 1024, 1))
"""Bytes of a payload, frames in one call."""

KEY = b"\x11\xa7\x5c\xe3"


class Cost(msgspec.Struct, frozen=True):
    """Nanoseconds per message at one size, `batch` frames in one call."""

    size_bytes: int
    batch: int
    session_ns: float
    wsproto_ns: float

    @property
    def ratio(self) -> float:
        """How many times dearer wsproto alone is."""
        return self.wsproto_ns / self.session_ns


def session_echo() -> Echo:
    """Return an echo through a new `Session`."""
    session = FastSession(Limits())

    def echo(data: bytes) -> bytes:
        session.receive(data)
        for event in session.take_events():
            if isinstance(event, ReceivedText):
                session.send_text(event.data)
        return b"".join(session.take_output())

    return echo


def wsproto_echo() -> Echo:
    """Return an echo through a new bare wsproto `Connection`."""
    connection = Connection(ConnectionType.SERVER)

    def echo(data: bytes) -> bytes:
        connection.receive_data(data)
        return b"".join(
            [
                connection.send(TextMessage(data=event.data))
                for event in connection.events()
                if isinstance(event, TextMessage)
            ]
        )

    return echo


def frames(size_bytes: int, batch: int) -> bytes:
    """Return `batch` masked text frames with different payloads."""
    return b"".join(masked_frame(TEXT_OPCODE, payload(size_bytes, 0, number), KEY) for number in range(batch))


def time_ns(echo: Echo, data: bytes, calls: int) -> float:
    """Return the nanoseconds that one call takes, over `calls` calls."""
    began_ns = time.perf_counter_ns()
    for _ in range(calls):
        echo(data)
    return (time.perf_counter_ns() - began_ns) / calls


def measure(size_bytes: int, batch: int, calls: int, rounds: int) -> Cost:
    """Return the least cost of both over `rounds`, taken in turns. Raises ValueError if they disagree."""
    ours, theirs = session_echo(), wsproto_echo()
    data = frames(size_bytes, batch)
    if ours(data) != theirs(data):
        raise ValueError(f"session and wsproto echo {size_bytes} bytes differently")
    pairs = [(time_ns(ours, data, calls), time_ns(theirs, data, calls)) for _ in range(rounds)]
    return Cost(
        size_bytes,
        batch,
        round(min(ours_ns for ours_ns, _ in pairs) / batch, 1),
        round(min(theirs_ns for _, theirs_ns in pairs) / batch, 1),
    )


def main(arguments: Sequence[str]) -> int:
    """Print a table to stderr and JSON to stdout; return 0."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench.protocol", description=__doc__)
    parser.add_argument("--calls", type=at_least(1), default=2000, help="per round [%(default)s]")
    parser.add_argument("--rounds", type=at_least(1), default=9, help="[%(default)s]")
    options = parser.parse_args(arguments)
    costs = []
    print("  bytes  batch  session ns  wsproto ns  wsproto/session", file=sys.stderr)
    for size_bytes, batch in CELLS:
        cost = measure(size_bytes, batch, max(1, options.calls // batch), options.rounds)
        costs.append(cost)
        figures = f"{cost.session_ns:11,.0f} {cost.wsproto_ns:11,.0f} {cost.ratio:15.2f}x"
        print(f"{size_bytes:7} {batch:6} {figures}", file=sys.stderr)
    print(msgspec.json.encode({"benchmark": "protocol", "costs": costs}).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
