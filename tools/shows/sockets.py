"""Which process holds a client's connection, and connects that knock at a daemon's door (Linux)."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

ESTABLISHED = "01"

REQUEST = (
    b"GET /connection/websocket HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def holders(port: int, pids: Iterable[int], table: str | None = None) -> dict[int, int]:
    """Return {client's port: pid} of the accepted connections to 127.0.0.1:`port` that `pids` hold.

    `table` is the text of /proc/net/tcp; None reads it. A process that ends meanwhile holds nothing.
    """
    text = Path("/proc/net/tcp").read_text("ascii") if table is None else table
    ends_with = f":{port:04X}"
    ports: dict[str, int] = {}
    for line in text.splitlines()[1:]:
        _, local, remote, state, _, _, _, _, _, inode, *_ = line.split()
        if state == ESTABLISHED and local.endswith(ends_with):
            ports[f"socket:[{inode}]"] = int(remote.rpartition(":")[2], 16)
    return {ports[link]: pid for pid in pids for link in _descriptors(pid) if link in ports}


def _descriptors(pid: int) -> list[str]:
    """Return what the descriptors of a process are links to."""
    folder = f"/proc/{pid}/fd"
    links = []
    try:
        for name in os.listdir(folder):
            links.append(os.readlink(f"{folder}/{name}"))
    except (FileNotFoundError, ProcessLookupError):
        pass  # it has ended, or closed one
    return links


class Knocks:
    """Upgrade requests, each to be answered with 101 some time: `answered` of `asked` were."""

    def __init__(self, port: int) -> None:
        self.asked = self.answered = 0
        self.faults: list[str] = []
        self._port = port
        self._waiting: list[socket.socket] = []

    def knock(self, count: int) -> None:
        """Connect and ask, without waiting for an answer."""
        for _ in range(count):
            sock = socket.create_connection(("127.0.0.1", self._port), 10.0)
            sock.sendall(REQUEST)
            sock.setblocking(False)
            self._waiting.append(sock)
            self.asked += 1

    def look(self) -> bool:
        """Take the answers that are there, and hang up; return whether none is missing."""
        still = []
        for sock in self._waiting:
            try:
                answer = sock.recv(4096)
            except BlockingIOError:
                still.append(sock)
                continue
            except ConnectionResetError:
                answer = b""
            if answer.startswith(b"HTTP/1.1 101 "):
                self.answered += 1
            else:
                self.faults.append(f"a connect got {answer[:40]!r}")
            sock.close()
        self._waiting = still
        return not still

    def close(self) -> None:
        """Hang up."""
        for sock in self._waiting:
            sock.close()
        self._waiting = []
