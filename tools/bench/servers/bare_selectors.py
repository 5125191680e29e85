"""The limit: a `selectors` loop that sends back the bytes it received, unparsed.

No handshake, no frames, no timers, no errors but a lost peer: what any Python loop pays the
kernel and the interpreter per message, and nothing else.
"""

from __future__ import annotations

import selectors
import signal
import socket
from typing import NoReturn

from tools.bench.servers.options import parse_port

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


def serve(port: int) -> NoReturn:
    """Listen on 127.0.0.1 and echo until the process is ended."""
    selector = selectors.DefaultSelector()
    listener = socket.create_server(("127.0.0.1", port), backlog=1024)
    print(f"listening on {listener.getsockname()[1]}", flush=True)

    def accept(_events: int) -> None:
        sock = listener.accept()[0]
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(sock, selectors.EVENT_READ, Peer(selector, sock).on_ready)

    selector.register(listener, selectors.EVENT_READ, accept)
    while True:
        for key, events in selector.select():
            key.data(events)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    serve(parse_port(__doc__))
