"""Clients in memory that speak TLS, and a server in memory for them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tests.transport.tls_kit import HOST, certificates, client_context
from wsloop.buffers.outbox import Outbox
from wsloop.errors import TransportError
from wsloop.loop.poller import READ, WRITE
from wsloop.server.assembly import Options
from wsloop.testing.client import READ_BYTES, MemoryClient, MessagingMemoryClient
from wsloop.testing.server import MemoryServer
from wsloop.transport.tls import TlsTransport
from wsloop.transport.tls_side import ClientSide
from wsloop.transport.tls_state import SHAKING

if TYPE_CHECKING:
    import random

    from wsloop.loop.reactor import Reactor
    from wsloop.testing.memory_socket import MemorySocket
    from wsloop.testing.network import NetworkFaults
    from wsloop.transport.certificates import Certificates


def tls_server(
    seed: int = 0,
    *,
    faults: NetworkFaults | None = None,
    options: Options | None = None,
    side: Certificates | None = None,
) -> MemoryServer:
    """Return a server in development mode whose port speaks TLS."""
    made = replace(options or Options(dev=True), certificates=side or certificates())
    return MemoryServer(seed, faults=faults, options=made)


class TlsMemoryClient(MemoryClient):
    """A `MemoryClient` over TLS; it closes without a close_notify, as many do."""

    def __init__(self, reactor: Reactor, sock: MemorySocket, chance: random.Random) -> None:
        self.tls = TlsTransport(sock, None, ClientSide(client_context("http/1.1"), HOST))
        self.outbox = Outbox()
        super().__init__(reactor, sock, chance)
        self._watch()

    def send_bytes(self, data: bytes) -> None:
        self.outbox.append(bytes(data))
        self._watch()

    def has_sent_all(self) -> bool:
        return not self.outbox.size and not self.tls.has_output

    def _watch(self) -> None:
        if not self.is_gone:
            can_send = self.outbox.size > 0 and self.tls.state not in SHAKING
            wanted = (READ if self.reads else 0) | (WRITE if can_send or self.tls.has_output else 0)
            self._reactor.set_interest(self.sock.fileno(), wanted)

    def _on_ready(self, events: int) -> None:
        try:
            self.tls.flush(self.outbox)
            data: bytes | None = None
            while events & READ and (data := self.tls.read(READ_BYTES)):
                self._receive(data)
        except TransportError:
            self._end()
            return
        if data == b"":
            self._end()
        self._watch()


class TlsMessagingMemoryClient(TlsMemoryClient, MessagingMemoryClient):
    """The same for the messaging protocol."""
