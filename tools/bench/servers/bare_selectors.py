"""The limit in Python: a `selectors` loop that sends back the bytes it received, unparsed.

No handshake, no frames, no timers, no errors but a lost peer: what any Python loop pays the
kernel and the interpreter per message, and nothing else. In a fan-out it cuts what it reads into
frames of the length it was told and sends each to all connections, one call for each.
"""

from __future__ import annotations

import selectors
import signal
import socket
from typing import TYPE_CHECKING, NoReturn

from tools.bench.servers.options import parse_options, ready

if TYPE_CHECKING:
    from tools.bench.servers.options import Options

RECV_BYTES = 64 * 1024


class Peer:
    """One connection: its socket, and what the kernel did not take yet."""

    __slots__ = ("_queued", "_selector", "_sock")

    def __init__(self, selector: selectors.BaseSelector, sock: socket.socket) -> None:
        self._selector = selector
        self._sock = sock
        self._queued = b""

    def on_ready(self, _events: int) -> None:
        """Echo what came; or, while something is queued, send that first and read nothing."""
        try:
            data = self._queued or self._sock.recv(RECV_BYTES)
            sent = self._sock.send(data)
        except BlockingIOError:
            return
        except (ConnectionResetError, BrokenPipeError, TimeoutError):
            data = b""
        if not data:
            self._selector.unregister(self._sock)
            self._sock.close()
        elif sent != len(data) or self._queued:
            self._queue(data[sent:])

    def _queue(self, rest: bytes) -> None:
        self._queued = rest
        interest = selectors.EVENT_WRITE if rest else selectors.EVENT_READ
        self._selector.modify(self._sock, interest, self.on_ready)


class Subscribers:
    """All connections of a fan-out; a peer that is lost ends the process, since the measurement is void."""

    def __init__(self, frame_bytes: int) -> None:
        self._frame_bytes = frame_bytes
        self._sockets: list[socket.socket] = []

    def on_ready(self, sock: socket.socket) -> None:
        """Send each frame that came to all. Publishers are few and their frames come whole."""
        data = sock.recv(RECV_BYTES)
        if not data:
            raise SystemExit(0)
        sockets = self._sockets
        for at in range(0, len(data), self._frame_bytes):
            frame = data[at : at + self._frame_bytes]
            for each in sockets:
                each.send(frame)

    def join(self, selector: selectors.BaseSelector, sock: socket.socket) -> None:
        """Add a connection."""
        self._sockets.append(sock)
        selector.register(sock, selectors.EVENT_READ, lambda _events: self.on_ready(sock))


def serve(options: Options) -> NoReturn:
    """Listen and echo, or fan out, until the process is ended."""
    selector = selectors.DefaultSelector()
    listener = socket.create_server((options.host, options.port), backlog=4096)
    subscribers = Subscribers(options.frame_bytes)
    ready(listener.getsockname()[1])

    def accept(_events: int) -> None:
        sock = listener.accept()[0]
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if options.role == "fanout":
            subscribers.join(selector, sock)
        else:
            selector.register(sock, selectors.EVENT_READ, Peer(selector, sock).on_ready)

    selector.register(listener, selectors.EVENT_READ, accept)
    while True:
        for key, events in selector.select():
            key.data(events)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    serve(parse_options(__doc__))
