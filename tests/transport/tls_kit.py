"""Certificates of a test's own authority, and pairs of TLS transports over any sockets."""

from __future__ import annotations

import functools
import socket
import ssl
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import trustme

from tests.transport.test_tcp import wait_really
from wsloop.buffers.outbox import Outbox
from wsloop.testing.clock import FakeClock
from wsloop.testing.contracts.transport import Wire
from wsloop.testing.network import MemoryNetwork, NetworkFaults
from wsloop.testing.poller import FakePoller
from wsloop.transport.certificates import Certificates
from wsloop.transport.tls import TlsTransport
from wsloop.transport.tls_side import ClientSide
from wsloop.transport.tls_state import SHAKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wsloop.transport.base import SocketLike, Transport

HOST = "wsloop.test"
QUIET_ROUNDS = 20
"""Reads in which tickets may still come: a network with faults says EAGAIN now and then."""


@functools.cache
def authority() -> trustme.CA:
    """Return the authority; made once, for keys take time."""
    return trustme.CA()


@functools.cache
def certificates() -> Certificates:
    """Return the server's side, shared by tests that count nothing."""
    with tempfile.TemporaryDirectory() as folder:
        return Certificates(*write_pair(Path(folder)))


def write_pair(folder: Path, name: str = "server") -> tuple[str, str]:
    """Write a new certificate and its key; return their paths."""
    issued = authority().issue_cert(HOST, "localhost", "127.0.0.1")
    certfile, keyfile = folder / f"{name}.pem", folder / f"{name}.key"
    certfile.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    keyfile.write_bytes(issued.private_key_pem.bytes())
    return str(certfile), str(keyfile)


def client_context(
    *protocols: str, lowest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2, highest: ssl.TLSVersion | None = None
) -> ssl.SSLContext:
    """Return a client's context that trusts the authority and offers `protocols`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority().configure_trust(context)
    context.minimum_version = lowest
    if highest is not None:
        context.maximum_version = highest
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


def tls_pair(
    client: SocketLike,
    server: SocketLike,
    *,
    context: ssl.SSLContext | None = None,
    side: Certificates | None = None,
) -> tuple[TlsTransport, TlsTransport]:
    """Return (client's, server's) transports, the handshake not begun."""
    return (
        TlsTransport(client, None, ClientSide(context or client_context("http/1.1"), HOST)),
        (side or certificates()).wrap(server),
    )


def shake(client: TlsTransport, server: TlsTransport, pass_time: Callable[[], object] = lambda: None) -> None:
    """Do the whole handshake, tickets included, on sockets that lose nothing."""
    quiet_rounds = 0
    for _ in range(100_000):
        is_busy = any(one.state in SHAKING or one.has_output for one in (client, server))
        quiet_rounds = 0 if is_busy else quiet_rounds + 1
        for one in (client, server):
            one.flush(Outbox())
            assert not one.read(1)
        pass_time()
        if quiet_rounds == QUIET_ROUNDS:
            return
    raise AssertionError("the handshake does not end")


@contextmanager
def real_tls_wire(left: socket.socket, right: socket.socket, *, has_reset: bool) -> Iterator[Wire]:
    """Connect two real sockets; the client is on the left."""
    for sock in (left, right):
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
    client, server = tls_pair(left, right)
    shake(client, server)
    try:
        yield Wire(client, server, wait_really, has_reset)
    finally:
        client.close()
        server.close()


@contextmanager
def memory_tls_wire(
    seed: int = 1,
    faults: NetworkFaults | None = None,
    *,
    version: ssl.TLSVersion | None = None,
    swap: bool = False,
) -> Iterator[Wire]:
    """Connect two sockets in memory; the client is on the left, or with `swap` on the right."""
    clock = FakeClock()
    network = MemoryNetwork(clock, seed, faults=faults)
    client, server = tls_pair(*network.pair(), context=client_context("http/1.1", highest=version))
    shake(client, server, lambda: clock.advance(1.0))

    def wait(transport: Transport, interest: int) -> None:
        poller = FakePoller(network, clock)
        poller.register(transport.fileno(), interest)
        assert poller.poll(5.0)

    yield Wire(server, client, wait) if swap else Wire(client, server, wait)
    client.close()
    server.close()
    assert network.open_descriptors() == {}
