"""How long one peer can hold a turn of the loop, whatever it sends.

`python -m tools.bench.turns` runs a whole server in this process, on real sockets, and one client that
sends as much as the kernel takes of one kind of bytes: small frames, fragments, compressed
messages that inflate to much, messages of a thousand commands, messages of a mebibyte. Each turn
is timed, without its poll. Printed are milliseconds: the median of the turns that did something,
the 99th percentile and the longest; the least of some rounds counts, since noise only adds.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import sys
import time
import zlib
from typing import TYPE_CHECKING

import msgspec

from tools.bench.options import at_least
from tools.bench.stream import masked_frame
from wsloop.loop.clock import MonotonicClock
from wsloop.loop.instrument import Instrument, Phase
from wsloop.loop.poller import make_poller
from wsloop.protocol.deflate import DeflateOptions
from wsloop.server.assembly import CONNECTION_PATH, Options, Ports, assemble
from wsloop.transport.bind import SocketNetwork, TcpBind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wsloop.server.assembly import House

TEXT, BINARY, PONG = 1, 2, 10
KEY = b"\x11\xa7\x5c\xe3"
TURNS = 300
BUSY_NS = 50_000
"""Turns shorter than this did nothing worth counting."""


class Hold(msgspec.Struct, frozen=True):
    """Milliseconds that the turns of one kind of input took."""

    input: str
    turns: int
    median_ms: float
    p99_ms: float
    longest_ms: float


class Watch(Instrument):
    """Collects how long each turn was, from the end of its poll to the next."""

    def __init__(self) -> None:
        self.turns_ns: list[int] = []
        self._began_ns = time.perf_counter_ns()

    def on_phase(self, phase: Phase) -> None:
        """Stop before the poll, start behind it."""
        if phase is Phase.POLL:
            self.turns_ns.append(time.perf_counter_ns() - self._began_ns)
        elif phase is Phase.CLOCK:
            self._began_ns = time.perf_counter_ns()


def inputs() -> dict[str, tuple[str, bytes, bytes]]:
    """Return {name: (path, what is said first, what is repeated)}."""
    fragment = b"\x02" + masked_frame(BINARY, b"x", KEY)[1:]
    last = b"\x80" + masked_frame(BINARY, b"y", KEY)[1:]
    deflater = zlib.compressobj(9, zlib.DEFLATED, -12)
    inflating = deflater.compress(bytes(1 << 20)) + deflater.flush(zlib.Z_SYNC_FLUSH)
    bomb = masked_frame(BINARY, inflating[:-4], KEY)
    publish = b'{"id":%d,"publish":{"channel":"chat:a","data":{"text":"hello"}}}'
    commands = b"\n".join(publish % number for number in range(1, 900))
    return {
        "plain frames of 1 B": ("/echo", b"", masked_frame(TEXT, b"x", KEY)),
        "plain frames of 128 B": ("/echo", b"", masked_frame(TEXT, b"x" * 128, KEY)),
        "messages in two fragments": ("/echo", b"", fragment + last),
        "messages that inflate to 1 MiB": ("/echo", b"", bytes((bomb[0] | 0x40,)) + bomb[1:]),
        "messages of 1 MiB": ("/echo", b"", masked_frame(BINARY, bytes(1 << 20), KEY)),
        "frames of 899 publish commands": (
            CONNECTION_PATH,
            masked_frame(TEXT, b'{"id":1,"connect":{}}', KEY),
            masked_frame(TEXT, commands, KEY),
        ),
    }


def serve() -> tuple[House, tuple[str, int]]:
    """Return a server in development mode that listens on a free port."""
    ports = Ports(MonotonicClock(), make_poller(), SocketNetwork(), os.urandom)
    house = assemble(ports, Options(dev=True, echo_deflate=DeflateOptions()))
    bind = house.server.listen(TcpBind("127.0.0.1", 0)).bind
    if not isinstance(bind, TcpBind):
        raise TypeError("a TCP port was asked for")
    return house, (bind.host, bind.port)


def connect(house: House, address: tuple[str, int], path: str) -> socket.socket:
    """Return an open WebSocket as its socket, non-blocking."""
    sock = socket.create_connection(address)
    sock.sendall(
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n".encode()
    )
    sock.setblocking(False)
    answer = b""
    while b"\r\n\r\n" not in answer:
        house.reactor.run_once()
        try:
            answer += sock.recv(65536)
        except BlockingIOError:
            continue
    return sock


def measure(path: str, first: bytes, unit: bytes, turns: int) -> list[int]:
    """Return the nanoseconds of each busy turn while one client sends `unit` again and again."""
    house, address = serve()
    sock = connect(house, address, path)
    sock.send(first)
    pending = unit * (1 + (1 << 20) // len(unit))
    view = memoryview(pending)
    offset = 0
    house.reactor.instrument = watch = Watch()
    try:
        for _ in range(turns):
            try:
                while True:
                    offset = (offset + sock.send(view[offset:])) % len(pending)
            except BlockingIOError:
                pass
            try:
                while sock.recv(1 << 20):
                    pass
            except BlockingIOError:
                pass
            house.reactor.call_soon(lambda: None)  # so that no turn sleeps
            house.reactor.run_once()
    finally:
        sock.close()
        house.server.close()
        house.reactor.run_once()
        house.reactor.close()
    return [turn_ns for turn_ns in watch.turns_ns[1:] if turn_ns >= BUSY_NS]


def summarise(name: str, rounds: list[list[int]]) -> Hold:
    """Return the figures of the calmest round."""
    calm = min(rounds, key=lambda turns_ns: statistics.fmean(sorted(turns_ns)[-len(turns_ns) // 20 - 1 :]))
    ordered = sorted(calm)
    at_99 = ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
    return Hold(
        name,
        len(ordered),
        round(statistics.median(ordered) / 1e6, 3),
        round(at_99 / 1e6, 3),
        round(ordered[-1] / 1e6, 3),
    )


def main(arguments: Sequence[str]) -> int:
    """Print a table to stderr and JSON to stdout; return 0."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench.turns", description=__doc__)
    parser.add_argument("--turns", type=at_least(1), default=TURNS, help="per round [%(default)s]")
    parser.add_argument("--rounds", type=at_least(1), default=3, help="[%(default)s]")
    options = parser.parse_args(arguments)
    holds = []
    print(f"{'one peer sends':34} {'turns':>6} {'median':>8} {'p99':>8} {'longest':>8}  ms", file=sys.stderr)
    for name, (path, first, unit) in inputs().items():
        hold = summarise(name, [measure(path, first, unit, options.turns) for _ in range(options.rounds)])
        holds.append(hold)
        figures = f"{hold.median_ms:8.2f} {hold.p99_ms:8.2f} {hold.longest_ms:8.2f}"
        print(f"{name:34} {hold.turns:6} {figures}", file=sys.stderr)
    print(msgspec.json.encode({"benchmark": "turns", "holds": holds}).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
