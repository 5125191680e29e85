"""What TLS costs beside plain TCP and beside OpenSSL alone: CPU per echo, memory per connection; prints JSON.

    python -m tools.bench.tls [--echoes 5000] [--rounds 5] [--connections 1000]

The echo: one read and one flush of a transport whose socket does nothing, so that the kernel's
part is left out. `engine` is the same between two `ssl.MemoryBIO` with no transport around it.
The contestants take turns within each round; the median of the rounds is reported.

The memory: growth of the process per connection, when it is open and idle, and when it is idle
after a mebibyte has gone each way. Linux only.
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import os
import platform
import re
import socket
import ssl
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, cast

from wsloop.buffers.outbox import Outbox
from wsloop.transport.certificates import Certificates
from wsloop.transport.tcp import TcpTransport
from wsloop.transport.tls_engine import RECORD_BYTES, TlsEngine
from wsloop.transport.tls_side import ClientSide
from wsloop.transport.tls_state import TlsState

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.transport.base import SocketLike, Transport
    from wsloop.transport.tls import TlsTransport

HOST = "bench.test"
SIZES = (128, RECORD_BYTES)
MEBIBYTE = 1024 * 1024


class NoSocket:
    """Has always received `arriving`, and takes everything."""

    family = socket.AF_UNIX

    def __init__(self) -> None:
        self.arriving = b""
        self.sent = b""

    def recv(self, _max_bytes: int) -> bytes:
        """Return what is arriving."""
        return self.arriving

    def send(self, data: bytes) -> int:
        """Take it all."""
        self.sent = data
        return len(data)


def make_sides() -> tuple[Certificates, ssl.SSLContext]:
    """Return a server's side with a new certificate, and a client's context that trusts it."""
    import trustme

    authority = trustme.CA()
    issued = authority.issue_cert(HOST)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pair.pem"
        path.write_bytes(issued.private_key_and_cert_chain_pem.bytes())
        return Certificates(str(path)), context


class Pair:
    """A transport of the server's, open, and its client's engine."""

    def __init__(self, side: Certificates, context: ssl.SSLContext) -> None:
        self.sock = NoSocket()
        self.transport: TlsTransport = side.wrap(cast("SocketLike", self.sock))
        self.client = TlsEngine(ClientSide(context, HOST).engine)
        while not self.client.shake() or self.transport.state is not TlsState.OPEN:
            self.sock.arriving, self.sock.sent = self.client.take_output(), b""
            self.transport.read(1)
            self.hear()

    def hear(self) -> None:
        """Give the client what was sent."""
        rest = self.sock.sent
        while rest:
            rest = rest[self.client.feed(rest, 1)[0] :]
            self.client.shake()
            self.client.open_record()

    def seal(self, payload: bytes) -> bytes:
        """Return a payload as the client's record."""
        return self.client.seal(payload) or b""

    def exchange(self, total_bytes: int) -> None:
        """Echo as many bytes, a record at a time."""
        outbox = Outbox()
        for _ in range(total_bytes // RECORD_BYTES):
            self.sock.arriving = self.seal(bytes(RECORD_BYTES))
            outbox.append(self.transport.read(RECORD_BYTES) or b"")
            self.transport.flush(outbox)
            self.hear()


def echo_by_transport(transport: Transport, sock: NoSocket, messages: list[bytes]) -> None:
    """Read each message and send it back."""
    outbox = Outbox()
    for message in messages:
        sock.arriving = message
        outbox.append(transport.read(65_536) or b"")
        transport.flush(outbox)


def echo_by_engine(engine: TlsEngine, messages: list[bytes]) -> None:
    """Decrypt each message and encrypt it again."""
    for message in messages:
        engine._incoming.write(message)
        engine._ssl.write(engine._ssl.read(65_536))
        engine._outgoing.read()


def measure_echo(side: Certificates, context: ssl.SSLContext, echoes: int, rounds: int) -> dict[str, object]:
    """Return microseconds of CPU per echo, for each size and contestant."""
    pair, bare, plain = Pair(side, context), Pair(side, context), NoSocket()
    transport = TcpTransport(cast("SocketLike", plain))
    engine = bare.transport._engine
    assert engine is not None
    report: dict[str, object] = {}
    for size in SIZES:
        payload = bytes(size)
        contestants: dict[str, tuple[Callable[[bytes], bytes], Callable[[list[bytes]], None]]] = {
            "plain": (bytes, lambda data: echo_by_transport(transport, plain, data)),
            "engine": (bare.seal, lambda data: echo_by_engine(engine, data)),
            "tls": (pair.seal, lambda data: echo_by_transport(pair.transport, pair.sock, data)),
        }
        samples: dict[str, list[float]] = {name: [] for name in contestants}
        for _ in range(rounds):
            for name, (seal, echo) in contestants.items():
                messages = [seal(payload) for _ in range(echoes)]
                began = time.process_time()
                echo(messages)
                samples[name].append((time.process_time() - began) / echoes * 1e6)
        report[f"{size} B"] = {name: round(statistics.median(values), 2) for name, values in samples.items()}
    return report


def private_bytes() -> int:
    """Return the memory that this process shares with nobody."""
    text = Path(f"/proc/{os.getpid()}/smaps_rollup").read_text(encoding="ascii")
    return 1024 * sum(int(size) for size in re.findall(r"^Private_\w+: +(\d+)", text, re.MULTILINE))


def grown_bytes(connections: int, exchanged_bytes: int) -> int:
    """Return the bytes that a connection holds; to be called in a process of its own.

    The clients' engines are let go, and what they leave is used again.
    """
    side, context = make_sides()
    kept = []
    before_bytes = 0
    for number in range(connections + 100):
        if number == 100:  # the allocator has what it takes for itself by now
            gc.collect()
            before_bytes = private_bytes()
        pair = Pair(side, context)
        pair.exchange(exchanged_bytes)
        pair.sock.arriving = pair.sock.sent = b""
        kept.append(pair.transport)
    gc.collect()
    return (private_bytes() - before_bytes) // connections


def measure_memory(connections: int) -> dict[str, int]:
    """Return the bytes that a connection holds, idle from the beginning, and idle after some work."""
    report = {}
    for name, exchanged_bytes in (("idle", 0), ("idle after 1 MiB each way", MEBIBYTE)):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            report[name] = pool.apply(grown_bytes, (connections, exchanged_bytes))
    return report


def main() -> None:
    """Parse the arguments, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--echoes", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=1_000)
    arguments = parser.parse_args()
    side, context = make_sides()
    result = {
        "python": platform.python_version(),
        "openssl": ssl.OPENSSL_VERSION,
        "echo, us of CPU": measure_echo(side, context, arguments.echoes, arguments.rounds),
        "connection, bytes": measure_memory(arguments.connections),
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
