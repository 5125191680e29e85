"""The load generator in Python, for a machine without a C compiler.

Takes the options of `load/echo.c` and prints the same line of JSON. Every echo is checked byte for
byte here too, but one Python process can hardly load another to its limit: read its throughput as
a lower bound; the server's CPU per message holds. `stream.py` is the pure part: what is sent, and how
it is checked.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import os
import selectors
import socket
import sys
import time

import msgspec

from tools.bench.machine import process_cpu_s
from tools.bench.model import Errors, GeneratorResult, Latency
from tools.bench.stream import EchoError, Stream, masked_frame

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
RECV_BYTES = 256 * 1024
MAX_HEAD_BYTES = 8192
CONNECT_S = 10.0
CLOSE_S = 2.0


def handshake(sock: socket.socket, host: str, port: int, path: str) -> bytes:
    """Upgrade a connected socket; return the bytes behind the answer. Raises EchoError("lost")."""
    key = base64.b64encode(os.urandom(16))
    sock.sendall(
        f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key.decode()}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    head = b""
    while b"\r\n\r\n" not in head and len(head) < MAX_HEAD_BYTES:
        data = sock.recv(MAX_HEAD_BYTES)
        if not data:
            raise EchoError("lost", "no answer to the handshake")
        head += data
    head, _, rest = head.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    if not status.startswith("HTTP/1.1 101"):
        raise EchoError("lost", f"handshake refused: {status}")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    accept = base64.b64encode(hashlib.sha1(key + GUID).digest()).decode()
    if headers.get("sec-websocket-accept") != accept or headers.get("upgrade", "").lower() != "websocket":
        raise EchoError("lost", "handshake answered with a wrong Upgrade or Sec-WebSocket-Accept")
    if "sec-websocket-extensions" in headers or "sec-websocket-protocol" in headers:
        raise EchoError("lost", "an extension or a subprotocol that was not asked for")
    return rest


class Connection:
    """A stream and its socket, what is still to be sent, and when each message left."""

    __slots__ = ("backlog", "sent_s", "sock", "stream")

    def __init__(self, sock: socket.socket, stream: Stream) -> None:
        self.sock = sock
        self.stream = stream
        self.backlog = b""
        self.sent_s: list[float] = []

    def send(self, data: bytes) -> None:
        """Send, and keep what the kernel does not take."""
        data = self.backlog + data
        try:
            self.backlog = data[self.sock.send(data) :]
        except BlockingIOError:
            self.backlog = data


class Run:
    """One invocation: connections, counters, and the clock's two marks."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.selector = selectors.DefaultSelector()
        self.open: list[Connection] = []
        self.received = 0
        self.measuring = self.stopping = self.closing = False
        self.latencies_s: list[float] = []
        self.errors = dict.fromkeys(Errors.__struct_fields__, 0)
        self.unclean_closes = 0
        self.first_error = ""

    def connect_all(self) -> bool:
        """Open all connections; False if one fails."""
        options = self.options
        for number in range(options.connections):
            stream = Stream(number, options.size, binary=options.binary, raw=options.raw)
            try:
                sock = socket.create_connection((options.host, options.port), CONNECT_S)
            except OSError as error:  # refused, timed out, no descriptors: all end the run
                self._note("lost", str(error))
                return False
            connection = Connection(sock, stream)
            self.open.append(connection)
            try:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if not options.raw:
                    stream.receive(handshake(sock, options.host, options.port, options.path))
            except (EchoError, OSError) as error:
                self._note("lost", str(error))
                return False
            sock.setblocking(False)
            self.selector.register(sock, selectors.EVENT_READ, connection)
        return True

    def _note(self, kind: str, text: str) -> None:
        self.errors[kind] += 1
        self.first_error = self.first_error or text

    def load(self, connection: Connection, count: int) -> None:
        """Send `count` messages in one call."""
        if not self.stopping:
            now_s = time.monotonic()
            connection.sent_s.extend([now_s] * count)
            connection.send(b"".join([connection.stream.next_frame() for _ in range(count)]))

    def turn(self, timeout_s: float) -> None:
        """Serve what is ready."""
        for key, events in self.selector.select(timeout_s):
            connection: Connection = key.data
            try:
                if events & selectors.EVENT_WRITE:
                    connection.send(b"")
                if events & selectors.EVENT_READ:
                    self._receive(connection)
            except EchoError as error:
                self._drop(connection, error.kind, str(error))
            except OSError as error:  # reset or broken pipe
                self._drop(connection, "lost", str(error))
            else:
                self._watch(connection)

    def _receive(self, connection: Connection) -> None:
        data = connection.sock.recv(RECV_BYTES)
        stream = connection.stream
        if not data and self.closing:
            self.unclean_closes += 1
            self._drop(connection, "", "")
            return
        if not data:
            raise EchoError("lost", "end of stream")
        done = stream.receive(data)
        if done:
            now_s = time.monotonic()
            if self.measuring:
                self.latencies_s.extend([now_s - sent_s for sent_s in connection.sent_s[:done]])
            del connection.sent_s[:done]
            self.received += done
            self.load(connection, done)
        if stream.pongs:
            connection.send(b"".join(stream.pongs))
            stream.pongs.clear()
        if stream.close_seen:
            if not self.closing and (not self.stopping or stream.received != stream.sent):
                raise EchoError("lost", "closed by the server")
            self._drop(connection, "", "")

    def _watch(self, connection: Connection) -> None:
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if connection.backlog else 0)
        if connection.sock.fileno() >= 0 and self.selector.get_key(connection.sock).events != wanted:
            self.selector.modify(connection.sock, wanted, connection)

    def _drop(self, connection: Connection, kind: str, text: str) -> None:
        if kind:
            self._note(kind, text)
        self.selector.unregister(connection.sock)
        connection.sock.close()
        self.open.remove(connection)

    def run_for(self, seconds: float, messages: int) -> None:
        """Turn until the time is over, or so many messages more have come."""
        end_s, end_count = time.monotonic() + seconds, self.received + messages
        while self.open and self.received < end_count and (left_s := end_s - time.monotonic()) > 0:
            self.turn(min(left_s, 0.1))

    def finish(self) -> None:
        """Wait for the echoes under way, then close, both within bounds."""
        self.stopping = True
        end_s = time.monotonic() + self.options.drain
        while (under_way := self._under_way()) and time.monotonic() < end_s:
            self.turn(0.02)
        self.errors["unanswered"] += under_way
        if under_way:
            self.first_error = self.first_error or f"{under_way} messages without an echo"
        self.closing = True
        for connection in self.open:
            if not self.options.raw:
                connection.send(masked_frame(8, (1000).to_bytes(2, "big"), os.urandom(4)))
        end_s = time.monotonic() + CLOSE_S
        while self.open and not self.options.raw and time.monotonic() < end_s:
            self.turn(0.02)
        self.unclean_closes += 0 if self.options.raw else len(self.open)

    def _under_way(self) -> int:
        return sum(connection.stream.sent - connection.stream.received for connection in self.open)

    def close(self) -> None:
        """Let go of every descriptor."""
        self.selector.close()
        for connection in self.open:
            connection.sock.close()

    def measure(self) -> GeneratorResult:
        """Do it all; return the result."""
        options = self.options
        ready = self.connect_all()
        if ready:
            for connection in self.open:
                self.load(connection, options.inflight)
                self._watch(connection)
            self.run_for(options.warmup, sys.maxsize)
        self.measuring, count = True, self.received
        before = (time.monotonic(), time.process_time(), sum(map(process_cpu_s, options.pid)))
        if ready:
            self.run_for(options.seconds, options.operations)
        after = (time.monotonic(), time.process_time(), sum(map(process_cpu_s, options.pid)))
        self.measuring, count = False, self.received - count
        if ready:
            self.finish()
        seconds, own_s, server_s = (late - early for early, late in zip(before, after, strict=True))
        errors = Errors(**self.errors)
        latency = latency_of(self.latencies_s)
        return GeneratorResult(
            "python", count, seconds, own_s, server_s, latency, errors, self.unclean_closes, self.first_error
        )


def latency_of(latencies_s: list[float]) -> Latency:
    """Return the percentiles in microseconds; zeros if there is none."""
    ordered = sorted(latencies_s) or [0.0]
    at = [
        ordered[min(int(len(ordered) * part), len(ordered) - 1)] * 1e6 for part in (0.5, 0.9, 0.99, 0.999, 1)
    ]
    return Latency(*(round(value, 1) for value in at))


def main() -> int:
    """Run; print the line of JSON; return 1 if anything went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", default="/echo")
    for name, default in (("connections", 100), ("size", 128), ("inflight", 1), ("operations", 100_000_000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--warmup", type=float, default=0.5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--drain", type=float, default=5.0)
    parser.add_argument("--pid", type=int, action="append", default=[])
    parser.add_argument("--raw", action="store_true")
    parser.add_argument("--binary", action="store_true")
    run = Run(parser.parse_args())
    try:
        result = run.measure()
    finally:
        run.close()
    print(msgspec.json.encode(result).decode())
    return 1 if result.errors.total else 0


if __name__ == "__main__":
    sys.exit(main())
