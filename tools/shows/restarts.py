"""`make restarts`: one restart after the other under a steady stream of connects, of which none may be lost.

Each connect is a new TCP connection, an upgrade to /echo and a message. It is lost if it is refused or
reset, if the upgrade is answered with anything but 101, or if it gets neither its message back nor a close
frame: whoever is told to go somewhere else was served.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.system.family import Family

if TYPE_CHECKING:
    from collections.abc import Sequence

PATIENCE_S = 30.0
"""What one connect may take in all on a busy machine."""

UPGRADE = (
    b"GET /echo HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
HELLO = b"\x81\x85\x00\x00\x00\x00hello"
"""A text frame, masked with zeros."""

ECHO = b"\x81\x05hello"
CLOSE = 0x88


@dataclass
class Stream:
    """Connects without a pause in `threads` threads, from entering the context to leaving it."""

    port: int
    threads: int = 2
    outcomes: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0

    def __enter__(self) -> Stream:
        self._stop = threading.Event()
        self._running = [threading.Thread(target=self._connect_on) for _ in range(self.threads)]
        for thread in self._running:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._running:
            thread.join()

    @property
    def lost(self) -> dict[str, int]:
        """What was lost, by how."""
        return {how: count for how, count in self.outcomes.items() if how not in ("echo", "close")}

    def _connect_on(self) -> None:
        while not self._stop.is_set():
            began_s = time.monotonic()
            self.outcomes[self._connect()] += 1
            self.slowest_s = max(self.slowest_s, time.monotonic() - began_s)
            self._stop.wait(0.002)

    def _connect(self) -> str:
        """Make one connect; return "echo", "close", or what went wrong."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), PATIENCE_S) as sock:
                sock.sendall(UPGRADE + HELLO)
                return _outcome(sock)
        except OSError as error:
            return type(error).__name__


def _outcome(sock: socket.socket) -> str:
    data = b""
    while True:
        head, _, frames = data.partition(b"\r\n\r\n")
        if data and not data.startswith(b"HTTP/1.1 101"[: len(data)]):
            return head.split(b"\r\n")[0].decode("ascii", "replace")
        if frames.startswith(ECHO):
            return "echo"
        if frames and frames[0] == CLOSE:
            return "close"
        piece = sock.recv(4096)
        if not piece:
            return "end"
        data += piece


@dataclass(frozen=True)
class Report:
    """What came of it. `lost` by how they were lost; `restart_s` from the order to the new daemon's ready."""

    workers: int
    restarts: int
    connects: int
    told_to_go: int
    lost: dict[str, int]
    slowest_connect_s: float
    restart_s: list[float]


def run(workers: int, restarts: int) -> Report:
    """Restart a daemon so many times under connects."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        family = stack.enter_context(Family(folder, workers))
        with Stream(family.port) as stream:
            took_s = []
            for _ in range(restarts):
                began_s = time.monotonic()
                family.restart()
                took_s.append(round(time.monotonic() - began_s, 3))
        return Report(
            workers,
            restarts,
            stream.outcomes.total(),
            stream.outcomes["close"],
            stream.lost,
            round(stream.slowest_s, 3),
            took_s,
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it for one worker and for several; print the reports as JSON; 1 if a connect was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--restarts", type=int, default=100)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    given = parser.parse_args(arguments)
    reports = [run(workers, given.restarts) for workers in given.workers]
    sys.stdout.write(json.dumps([asdict(report) for report in reports], indent=1) + "\n")
    return 1 if any(report.lost for report in reports) else 0


if __name__ == "__main__":
    sys.exit(main())
