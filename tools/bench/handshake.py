"""What a whole short life costs the server: accept, upgrade, one echo, close; prints JSON.

    python -m tools.bench.handshake [--connections 64] [--rounds 30]

Clients and server live in this process and meet over loopback TCP. Only the server's turns are
timed, in CPU time of the thread: what its system calls cost is in it, the clients' share is not.
A round leads a batch of clients through the four stages side by side, as a storm of reconnects
would; the contestants take turns, and the least of the rounds is reported, in nanoseconds for
one connection:

- `wsloop`: the house as the daemon runs it, with `/echo`;
- `wsloop, h11 only`: the same with `protocol/plain_request.py` left out;
- `bare`: a loop on `select.epoll` that accepts, sends a ready-made 101, and returns what it
  reads. It parses nothing: no server can be cheaper.

`refused` is what `wsloop` pays for a connection that is over a limit, from accept to close.
"""

from __future__ import annotations

import argparse
import functools
import gc
import json
import platform
import select
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol
from unittest import mock

from tools.bench.stream import masked_frame
from wsloop.daemon import compose
from wsloop.daemon.settings import ServerSettings, Settings
from wsloop.loop.wakeup import SocketpairWakeup
from wsloop.protocol.handshake import Handshake
from wsloop.server.assembly import assemble
from wsloop.transport.bind import TcpBind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STAGES = ("accept", "upgrade", "echo", "close")

REQUEST = (
    b"GET /echo HTTP/1.1\r\nHost: 127.0.0.1:8765\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0)\r\n"
    b"Accept: */*\r\nAccept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n"
    b"Sec-WebSocket-Version: 13\r\nOrigin: http://127.0.0.1:8765\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Connection: keep-alive, Upgrade\r\nPragma: no-cache\r\nCache-Control: no-cache\r\n"
    b"Upgrade: websocket\r\n\r\n"
)
"""What a browser sends. `--request short` sends what a library does."""

SHORT_REQUEST = (
    b"GET /echo HTTP/1.1\r\nHost: 127.0.0.1:8765\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
REQUESTS = {"browser": REQUEST, "short": SHORT_REQUEST}

KEY = b"\x01\x80\xfe\x3c"
ECHO = masked_frame(1, b"x" * 128, KEY)
CLOSE = masked_frame(8, b"\x03\xe8", KEY)

ANSWER = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)


class Contestant(Protocol):
    """A server in this process."""

    address: tuple[str, int]

    def turn(self) -> None:
        """Do what can be done without waiting."""
        ...

    def close(self) -> None:
        """Give everything back."""
        ...


class House:
    """The house on this machine's ports; `is_plain` False leaves every request to h11.

    Connections beyond `room` are refused.
    """

    def __init__(self, *, is_plain: bool = True, room: int = 1024) -> None:
        self._handshake = functools.partial(Handshake, is_plain=is_plain)
        settings = Settings(dev=True, server=ServerSettings(limit_concurrency=room))
        made = assemble(compose.real_ports(settings, SocketpairWakeup()), compose.options(settings))
        self._reactor, self._server = made.reactor, made.server
        bind = self._server.listen(TcpBind("127.0.0.1", 0)).bind
        assert isinstance(bind, TcpBind)
        self.address = (bind.host, bind.port)
        self._reactor.stop()
        self._reactor.run()  # turns made by hand do not sleep after this

    def turn(self) -> None:
        """Make one turn of the loop, and the flush that begins the next."""
        self._reactor.run_once()

    def use(self) -> mock._patch[Callable[..., Handshake]]:
        """Return a context in which new connections judge requests as this contestant does."""
        return mock.patch("wsloop.server.http_phase.Handshake", self._handshake)

    def close(self) -> None:
        """Give everything back."""
        self._server.close()
        self._reactor.run_once()
        self._reactor.close()


class Bare:
    """The floor: system calls, and next to nothing between them."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._listener.setblocking(False)
        self.address = self._listener.getsockname()
        self._epoll = select.epoll()
        self._epoll.register(self._listener, select.EPOLLIN)
        self._peers: dict[int, socket.socket] = {}

    def turn(self) -> None:
        """Serve whoever is ready."""
        for fd, _mask in self._epoll.poll(0):
            peer = self._peers.get(fd)
            if peer is None:
                self._accept()
            else:
                self._serve(fd, peer)

    def _accept(self) -> None:
        with suppress(BlockingIOError):
            while True:
                peer, _address = self._listener.accept()
                peer.setblocking(False)
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                fd = peer.fileno()
                self._peers[fd] = peer
                self._epoll.register(fd, select.EPOLLIN)

    def _serve(self, fd: int, peer: socket.socket) -> None:
        data = peer.recv(65536)
        if data[:1] == b"G":
            peer.send(ANSWER)
        elif data[:1] == b"\x88":
            peer.send(data)
            self._epoll.unregister(fd)
            del self._peers[fd]
            peer.close()
        else:
            peer.send(data)

    def close(self) -> None:
        """Give everything back."""
        self._epoll.close()
        self._listener.close()


def lives(contestant: Contestant, connections: int, request: bytes) -> Iterator[int]:
    """Yield, for each of STAGES, the nanoseconds that the server had for all connections together."""
    clients = [socket.create_connection(contestant.address) for _ in range(connections)]
    yield _timed(contestant.turn)
    for sent, received in ((request, b"HTTP/1.1 101 "), (ECHO, b"\x81"), (CLOSE, b"\x88")):
        for client in clients:
            client.sendall(sent)
        # The first turn reads, the second one flushes; after a close it frees what was closed.
        yield _timed(contestant.turn) + _timed(contestant.turn)
        for client in clients:
            if not client.recv(4096).startswith(received):
                raise RuntimeError(f"the answer does not begin with {received!r}")
    for client in clients:
        if client.recv(1):
            raise RuntimeError("the server did not close")
        client.close()


def refusals(full: House, connections: int) -> int:
    """Return the nanoseconds that a full server had for all refused connections together."""
    clients = [socket.create_connection(full.address) for _ in range(connections)]
    for client in clients:
        client.sendall(SHORT_REQUEST)
    spent_ns = _timed(full.turn)
    for client in clients:
        if not client.recv(4096).startswith(b"HTTP/1.1 503 "):
            raise RuntimeError("a client was not refused")
        client.close()
    return spent_ns


def _timed(turn: Callable[[], None]) -> int:
    began = time.thread_time_ns()
    turn()
    return time.thread_time_ns() - began


def measure_refusals(connections: int, rounds: int) -> int:
    """Return the least nanoseconds per refused connection; who lingers is ended in the next round."""
    full = House(room=1)
    with socket.create_connection(full.address):
        full.turn()
        best = min(refusals(full, connections) for _ in range(rounds))
    full.close()
    return best // connections


def measure(connections: int, rounds: int, request: bytes) -> dict[str, dict[str, int]]:
    """Return the least nanoseconds per connection for each contestant and stage, and their sum."""
    houses = {"wsloop": House(), "wsloop, h11 only": House(is_plain=False)}
    contestants: dict[str, Contestant] = {**houses, "bare": Bare()}
    samples: dict[str, list[list[int]]] = {name: [] for name in contestants}
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 50, 100)
    for _ in range(rounds):
        for name, contestant in contestants.items():
            with houses["wsloop" if name == "bare" else name].use():
                samples[name].append([*lives(contestant, connections, request)])
    for contestant in contestants.values():
        contestant.close()
    report = {}
    for name, runs in samples.items():
        best = [min(run[stage] for run in runs) // connections for stage in range(len(STAGES))]
        report[name] = {**dict(zip(STAGES, best, strict=True)), "all": sum(best)}
    return report


def main() -> None:
    """Parse the arguments, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--connections", type=int, default=64, help="at once; at most 64, one accept's budget"
    )
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--request", choices=REQUESTS, default="browser")
    arguments = parser.parse_args()
    connections = min(arguments.connections, 64)
    result = measure(connections, arguments.rounds, REQUESTS[arguments.request])
    refused_ns = measure_refusals(connections, arguments.rounds)
    meta = {"python": platform.python_version(), "request": arguments.request, "rounds": arguments.rounds}
    print(json.dumps({**meta, "cpu_ns": result, "refused_cpu_ns": refused_ns}, indent=2))


if __name__ == "__main__":
    main()
