"""Requests over TLS in virtual time: delays, tiny reads and writes, bad certificates, a silent peer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.transport.tls_kit import HOST, authority, certificates
from wsloop.buffers.outbox import Outbox
from wsloop.client.http import HttpClient
from wsloop.client.urls import parse_url
from wsloop.errors import HttpError, TransportError
from wsloop.loop.poller import READ, WRITE
from wsloop.loop.reactor import Reactor
from wsloop.protocol.http_client import HttpRequest, HttpResponse
from wsloop.testing.clock import FakeClock
from wsloop.testing.network import MemoryNetwork, NetworkFaults
from wsloop.testing.poller import FakePoller
from wsloop.transport.bind import TcpBind

if TYPE_CHECKING:
    from pathlib import Path

    from wsloop.client.names import Found
    from wsloop.testing.memory_socket import MemorySocket

PLACE = TcpBind("127.0.0.1", 9443)
BODY = b"x" * 40_000
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)


class OneName:
    def resolve(self, host: str, found: Found) -> None:
        found(("127.0.0.1",))


class TlsPeer:
    """Answers every 100 KiB of what it is sent, which is a request of the tests'."""

    def __init__(self, reactor: Reactor, sock: MemorySocket, request_bytes: int) -> None:
        self._reactor = reactor
        self._transport = certificates().wrap(sock)
        self._outbox = Outbox()
        self._request_bytes = request_bytes
        self._received = 0
        self._is_closed = False
        reactor.register(sock.fileno(), READ, self.on_ready)

    def on_ready(self, _events: int) -> None:
        transport = self._transport
        if self._is_closed:
            return
        try:
            transport.flush(self._outbox)
            data = transport.read(65_536)
        except TransportError:
            data = b""
        if data == b"":
            self.close()
            return
        self._received += len(data or b"")
        while self._received >= self._request_bytes:
            self._received -= self._request_bytes
            self._outbox.append(RESPONSE)
        if transport.has_input:
            self._reactor.call_soon(lambda: self.on_ready(READ))
        wanted = READ | WRITE if transport.has_output or self._outbox.size else READ
        self._reactor.set_interest(transport.fileno(), wanted)

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._reactor.unregister(self._transport.fileno())
            self._transport.abort()


class TlsWorld:
    def __init__(
        self,
        folder: Path,
        *,
        seed: int = 0,
        faults: NetworkFaults | None = None,
        host: str = HOST,
        trusts: bool = True,
    ) -> None:
        self.clock = FakeClock()
        self.network = MemoryNetwork(self.clock, seed, faults=faults)
        self.errors: list[Exception] = []
        self.reactor = Reactor(
            self.clock,
            FakePoller(self.network, self.clock),
            on_error=lambda error, _where: self.errors.append(error),
        )
        trusted = folder / "authority.pem"
        authority().cert_pem.write_to_path(str(trusted))
        self.client = HttpClient(
            self.reactor, self.network, OneName(), ca_file=str(trusted) if trusts else ""
        )
        self.url = parse_url(f"https://{host}:{PLACE.port}/ask", "test")
        self.request = HttpRequest("POST", "/ask", host, (), b"q" * 30_000)
        self.wire_bytes = (
            len(b"POST /ask HTTP/1.1\r\nHost: %b\r\nContent-Length: 30000\r\n\r\n" % host.encode()) + 30_000
        )
        self.peers: list[TlsPeer] = []
        self.answers = True
        self.listener = self.network.listen(PLACE)
        self.reactor.register(self.listener.fileno(), READ, self.on_connection)
        self.outcomes: list[HttpResponse | HttpError] = []

    def on_connection(self, _events: int) -> None:
        sock, _ = self.listener.accept()
        if self.answers:
            self.peers.append(TlsPeer(self.reactor, sock, self.wire_bytes))

    def get(self, timeout_s: float = 100.0) -> HttpResponse | HttpError:
        self.outcomes.clear()
        self.client.call(self.url, self.request, timeout_s, self.outcomes.append)
        self.reactor.call_later(1000.0, lambda: None)
        while not self.outcomes:
            self.reactor.run_once()
        return self.outcomes[0]

    def close(self) -> None:
        self.client.close()
        for peer in self.peers:
            peer.close()
        assert not self.errors


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("trust")


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    delay_s=st.sampled_from([0.0, 0.01]),
    piece=st.sampled_from([None, 700]),
    eagain=st.sampled_from([0.0, 0.2]),
)
def test_requests_and_answers_pass_whole(
    folder: Path, seed: int, delay_s: float, piece: int | None, eagain: float
) -> None:
    faults = NetworkFaults(
        max_delay_s=delay_s, max_read_bytes=piece, max_write_bytes=piece, eagain_chance=eagain
    )
    world = TlsWorld(folder, seed=seed, faults=faults)
    for _ in range(3):
        outcome = world.get()
        assert isinstance(outcome, HttpResponse)
        assert outcome.body == BODY
    assert len(world.peers) == 1
    world.close()


def test_waiting_for_the_peers_hello_costs_no_turns(folder: Path) -> None:
    world = TlsWorld(folder)
    world.answers = False
    before = world.reactor.statistics().turns
    outcome = world.get()
    assert isinstance(outcome, HttpError)
    assert outcome.reason == "timed out while connecting"
    assert world.reactor.statistics().turns - before < 20
    world.close()


def test_a_certificate_of_another_name_is_refused(folder: Path) -> None:
    world = TlsWorld(folder, host="other.test")
    outcome = world.get()
    assert isinstance(outcome, HttpError)
    assert outcome.reason == "CERTIFICATE_VERIFY_FAILED"
    world.close()


def test_a_certificate_of_a_strange_authority_is_refused(folder: Path) -> None:
    world = TlsWorld(folder, trusts=False)
    outcome = world.get()
    assert isinstance(outcome, HttpError)
    assert outcome.reason == "CERTIFICATE_VERIFY_FAILED"
    world.close()
