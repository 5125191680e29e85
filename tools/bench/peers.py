"""The servers that can be measured: how each is started, and what was done to be fair to it.

A new peer is one more entry here and one more file in `servers/`.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tools.bench import build
from tools.bench.needs import INSTALL, DebianPackage, NodePackage, Program, PythonPackage
from tools.bench.servers.options import ROLES

if TYPE_CHECKING:
    from collections.abc import Callable

    from tools.bench.model import Cell
    from tools.bench.needs import Need

REFERENCE = "wsloop"
"""Ratios are taken against this one."""

HOST = "127.0.0.1"
SERVERS = build.HERE / "servers"
WEBSOCKET_ROLES = frozenset(ROLES)
BARE_ROLES = frozenset({"echo", "fanout", "connect", "idle"})
"""A bare loop knows no compression, and what it would do in a flood says nothing."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One server.

    `command` is its command line without the options of `servers/options.py`, which are added;
    {python} is filled in. `needs` is what must be there. `setup` is a line for the reader. `raw` means
    that it returns bytes as they come, without a handshake. `roles` are the kinds of cells it can
    serve, `cells` narrows that to some (empty: all of these kinds). `prepare` builds it. `pauses`
    is the path of a page that tells of the loop's pauses.
    """

    name: str
    command: tuple[str, ...]
    needs: tuple[Need, ...]
    setup: str
    raw: bool = False
    roles: frozenset[str] = WEBSOCKET_ROLES
    cells: frozenset[str] = frozenset()
    prepare: Callable[[], object] | None = None
    pauses: str = ""

    def command_line(self, port: int, cell: Cell) -> list[str]:
        """Return the command that serves `cell` on `port`."""
        return [
            *(part.format(python=sys.executable) for part in self.command),
            *("--host", HOST, "--port", str(port), "--role", cell.kind.name),
            *("--frame-bytes", str(cell.frame_bytes)),
        ]

    def serves(self, cell: Cell) -> bool:
        """Tell whether the cell concerns this server."""
        return cell.kind.name in self.roles and (not self.cells or cell.name in self.cells)

    def missing(self) -> list[str]:
        """Return the names of what is needed and not there."""
        return [need.name for need in self.needs if need.version() is None]

    def versions(self) -> dict[str, str]:
        """Return {what it needs: which version is there}."""
        return {need.name: version for need in self.needs if (version := need.version()) is not None}


def _python(module: str, *options: str) -> tuple[str, ...]:
    return ("{python}", "-m", f"tools.bench.servers.{module}", *options)


def _packages(*names: str) -> tuple[PythonPackage, ...]:
    return tuple(PythonPackage(name) for name in names)


def _bare_epoll() -> None:
    build.build_c(SERVERS / "bare_epoll.c", build.BUILD / "bare-epoll")


def _gorilla() -> None:
    build.build_go(SERVERS / "gorilla.go", build.BUILD / "gorilla")


PEERS = (
    Peer(
        "bare-epoll",
        (str(build.BUILD / "bare-epoll"),),
        (Program("cc"),),
        "an epoll loop in C that returns bytes unparsed: the kernel's limit, not a WebSocket server",
        raw=True,
        roles=BARE_ROLES,
        prepare=_bare_epoll,
    ),
    Peer(
        "bare-selectors",
        _python("bare_selectors"),
        (),
        "the same with Python's selectors: the interpreter's limit",
        raw=True,
        roles=BARE_ROLES,
    ),
    Peer(
        REFERENCE,
        _python("wsloop_bench", "--pure"),
        _packages("wsloop", "wsproto", "h11"),
        "pure Python (numpy and isal kept out), the house of `wsloop serve --dev` with a fan-out route",
        pauses="/pauses",
    ),
    Peer(
        "wsloop+numpy",
        _python("wsloop_bench"),
        _packages("wsloop", "numpy"),
        "the same with numpy there",
        cells=frozenset({"echo-16k", "echo-1m"}),
    ),
    Peer(
        "wsloop+isal",
        _python("wsloop_bench"),
        _packages("wsloop", "isal"),
        "the same with isal there",
        cells=frozenset({"deflate"}),
    ),
    Peer(
        "wsloop-unlimited",
        _python("wsloop_bench", "--pure", "--unlimited-pings"),
        _packages("wsloop", "wsproto", "h11"),
        "the same without its limit on control frames: only the budgets of a turn protect it",
        cells=frozenset({"flood"}),
        pauses="/pauses",
    ),
    Peer(
        "websockets",
        _python("websockets_server"),
        _packages("websockets"),
        "asyncio server with its C extension, broadcast(); compression=None but in the deflate cell",
    ),
    Peer(
        "uvicorn-wsproto",
        _python("uvicorn_wsproto"),
        _packages("uvicorn", "wsproto", "h11"),
        "--ws wsproto --loop asyncio --http h11, bare ASGI function, no access log",
    ),
    Peer(
        "uvicorn-websockets",
        _python("uvicorn_websockets"),
        _packages("uvicorn", "websockets", "h11"),
        "--ws websockets-sansio --loop asyncio --http h11, bare ASGI function, no access log",
    ),
    Peer(
        "aiohttp",
        _python("aiohttp_server"),
        _packages("aiohttp"),
        "web.Application, no access log; frames of a fan-out by the prepared writer",
    ),
    Peer(
        "aiohttp-uvloop",
        _python("aiohttp_server", "--loop", "uvloop"),
        _packages("aiohttp", "uvloop"),
        "the same on uvloop",
    ),
    Peer(
        "picows",
        _python("picows_server"),
        _packages("picows"),
        "a listener with callbacks on asyncio; it has no compression",
        roles=WEBSOCKET_ROLES - {"deflate"},
    ),
    Peer(
        "picows-uvloop",
        _python("picows_server", "--loop", "uvloop"),
        _packages("picows", "uvloop"),
        "the same on uvloop",
        roles=WEBSOCKET_ROLES - {"deflate"},
    ),
    Peer(
        "ws",
        ("node", str(SERVERS / "ws_server.js")),
        (Program("node"), NodePackage("ws"), NodePackage("bufferutil")),
        "npm ws with bufferutil; a fan-out frames once and writes that to each socket",
    ),
    Peer(
        "gorilla",
        ("env", "GOMAXPROCS=1", str(build.BUILD / "gorilla")),
        (Program("go", ("version",)), DebianPackage("golang-github-gorilla-websocket-dev")),
        "gorilla/websocket on net/http, GOMAXPROCS=1, PreparedMessage",
        prepare=_gorilla,
    ),
    Peer(
        "socketify",
        _python("socketify_server"),
        _packages("socketify"),
        "uWebSockets through socketify; publish() to a topic",
    ),
)


def why_missing(peer: Peer) -> str:
    """Return in words what `peer` lacks and how to get it, or "" if it lacks nothing."""
    missing = peer.missing()
    return f"{peer.name} left out: not installed: {', '.join(missing)} ({INSTALL})" if missing else ""
