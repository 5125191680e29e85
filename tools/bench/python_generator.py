"""The load generator in Python, for a machine without a C compiler.

Takes the options of `loadgen.c` and prints the same line of JSON. Every echo is checked byte for
byte here too, but one Python process can hardly load another to its limit: read its throughput as
a lower bound; the server's CPU per message holds. `Stream` is the pure part, `Run` the rest.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import os
import selectors
import socket
import struct
import sys
import time

import msgspec

from tools.bench.machine import process_cpu_s
from tools.bench.model import Errors, GeneratorResult, Latency

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
RECV_BYTES = 256 * 1024
MAX_HEAD_BYTES = 8192
CONNECT_S = 10.0
CLOSE_S = 2.0


class EchoError(Exception):
    """What came back is not what was sent; `kind` is a field of `Errors`."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


def payload(size: int, connection: int, number: int) -> bytes:
    """Return message `number` of `connection`: `size` bytes of ASCII that begin with both numbers."""
    stamp = f"{connection << 40 | number:016x}"[::-1].encode()
    return (stamp + b"the quick brown fox jumps over the lazy dog. " * (size // 45 + 1))[:size]


def masked_frame(opcode: int, data: bytes, key: bytes) -> bytes:
    """Return a client's FIN frame (RFC 6455 section 5.2)."""
    size = len(data)
    if size < 126:
        header = struct.pack("!BB", 0x80 | opcode, 0x80 | size)
    elif size < 65536:
        header = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, size)
    else:
        header = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, size)
    wide = (key * (size // 4 + 1))[:size]
    mixed = int.from_bytes(data, "big") ^ int.from_bytes(wide, "big")
    return header + key + mixed.to_bytes(size, "big")


class Stream:
    """One connection's messages: makes those to send, checks those that return. No I/O.

    `pongs` are frames that answer pings; the caller sends and clears them.
    """

    def __init__(self, connection: int, size: int, *, binary: bool, raw: bool) -> None:
        self._connection = connection
        self._size = size
        self._opcode = 2 if binary else 1
        self._raw = raw
        self._buffer = bytearray()
        self._message = bytearray()
        self._in_message = False
        self.sent = self.received = 0
        self.pongs: list[bytes] = []
        self.close_seen = False

    def next_frame(self) -> bytes:
        """Return the next message's frame."""
        frame = self._frame(self.sent)
        self.sent += 1
        return frame

    def _frame(self, number: int) -> bytes:
        key = hashlib.blake2b(b"%d %d" % (self._connection, number), digest_size=4).digest()
        return masked_frame(self._opcode, payload(self._size, self._connection, number), key)

    def receive(self, data: bytes) -> int:
        """Take bytes; return how many messages they completed. Raises EchoError."""
        before = self.received
        self._buffer += data
        while not self.close_seen and (self._take_raw() if self._raw else self._take_frame()):
            pass
        return self.received - before

    def _take_raw(self) -> bool:
        if not self._buffer:
            return False
        expected = self._frame(self.received)
        if len(self._buffer) < len(expected):
            return False
        self._complete(bytes(self._buffer[: len(expected)]), expected)
        del self._buffer[: len(expected)]
        return True

    def _complete(self, data: bytes, expected: bytes) -> None:
        if self.received == self.sent:
            raise EchoError("wrong_echoes", "a message that was never sent")
        if data != expected:
            raise EchoError("wrong_echoes", f"message {self.received} came back changed")
        self.received += 1

    def _take_frame(self) -> bool:
        buffer = self._buffer
        if len(buffer) < 2:
            return False
        code = buffer[1] & 127
        extended = {126: 2, 127: 8}.get(code, 0)
        start = 2 + extended
        if len(buffer) < start:
            return False
        size = int.from_bytes(buffer[2:start], "big") if extended else code
        self._check_header(buffer[0], buffer[1], size, extended)
        if len(buffer) < start + size:
            return False
        data, first = bytes(buffer[start : start + size]), buffer[0]
        del buffer[: start + size]
        self._take_payload(first & 15, data, fin=bool(first & 0x80))
        return True

    def _check_header(self, first: int, second: int, size: int, extended: int) -> None:
        opcode = first & 15
        if first & 0x70 or second & 0x80:
            raise EchoError("protocol", "reserved bits or a mask")
        if (extended == 2 and size < 126) or (extended == 8 and size < 65536):
            raise EchoError("protocol", f"length {size} is not in its shortest form")
        if opcode >= 8:
            if opcode > 10 or not first & 0x80 or size > 125:
                raise EchoError("protocol", "bad control frame")
        elif opcode != (0 if self._in_message else self._opcode):
            raise EchoError("wrong_echoes", f"opcode {opcode}, sent {self._opcode}")
        elif len(self._message) + size > self._size:
            raise EchoError("wrong_echoes", f"message {self.received} is longer than {self._size} bytes")

    def _take_payload(self, opcode: int, data: bytes, *, fin: bool) -> None:
        if opcode == 9:
            self.pongs.append(masked_frame(10, data, os.urandom(4)))
        elif opcode == 8:
            self.close_seen = True
        elif opcode != 10:
            self._message += data
            self._in_message = not fin
            if fin:
                self._complete(bytes(self._message), payload(self._size, self._connection, self.received))
                self._message.clear()


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
            self.run_for(options.seconds, options.messages)
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
    for name, default in (("connections", 100), ("size", 128), ("inflight", 1), ("messages", 100_000_000)):
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
