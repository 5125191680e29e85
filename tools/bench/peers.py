"""The servers that can be measured: how each is started, and what was done to be fair to it.

A new peer is one more entry here and, where it needs one, one more file in `servers/`.
"""

from __future__ import annotations

import importlib.metadata
import sys
from dataclasses import dataclass

REFERENCE = "wsloop"
"""Ratios are taken against this one."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One server. `command` is a command line in which {python} and {port} are filled in.

    `distributions` are the Python packages it needs, whose versions are reported; `raw` means
    that it returns bytes as they come, without a handshake; `setup` is a line for the reader.
    """

    name: str
    command: tuple[str, ...]
    distributions: tuple[str, ...]
    setup: str
    path: str = "/echo"
    raw: bool = False

    def command_line(self, port: int) -> list[str]:
        """Return the command that serves on `port`."""
        return [part.format(python=sys.executable, port=port) for part in self.command]

    def versions(self) -> dict[str, str]:
        """Return {package: version}; raises PackageNotFoundError if one is not installed."""
        return {name: importlib.metadata.version(name) for name in self.distributions}


def _server(module: str) -> tuple[str, ...]:
    return ("{python}", "-m", f"tools.bench.servers.{module}", "--port", "{port}")


PEERS = (
    Peer(
        "bare-selectors",
        _server("bare_selectors"),
        (),
        "a Python selectors loop that returns bytes unparsed: the limit, not a WebSocket server",
        raw=True,
    ),
    Peer(
        REFERENCE,
        ("{python}", "-m", "wsloop", "serve", "--dev", "--port", "{port}"),
        ("wsloop", "wsproto", "h11"),
        "defaults of serve --dev; no compression",
    ),
    Peer(
        "websockets",
        _server("websockets_echo"),
        ("websockets",),
        "asyncio server, its C extension if installed, compression=None, other defaults",
    ),
    Peer(
        "uvicorn-wsproto",
        _server("uvicorn_wsproto"),
        ("uvicorn", "wsproto", "h11"),
        "--ws wsproto --loop asyncio, bare ASGI function, no access log, no compression, other defaults",
    ),
)


def missing_packages(peer: Peer) -> list[str]:
    """Return the packages that `peer` needs and this interpreter does not have."""
    missing = []
    for name in peer.distributions:
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    return missing
