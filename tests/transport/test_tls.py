from __future__ import annotations

import socket
import ssl
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.transport.test_tcp import tcp_pair
from tests.transport.tls_kit import memory_tls_wire, real_tls_wire
from wsloop.testing.contracts.transport import TransportContract, Wire
from wsloop.testing.network import NetworkFaults

if TYPE_CHECKING:
    from collections.abc import Iterator


class TestTlsOverSocketpair(TransportContract):
    @contextmanager
    def connected(self) -> Iterator[Wire]:
        with real_tls_wire(*socket.socketpair(), has_reset=False) as wire:
            yield wire


class TestTlsOverTcp(TransportContract):
    @contextmanager
    def connected(self) -> Iterator[Wire]:
        with real_tls_wire(*tcp_pair(), has_reset=True) as wire:
            yield wire


class TestTlsInMemory(TransportContract):
    def connected(self) -> Any:
        return memory_tls_wire()


class TestTlsInMemoryTheServerOnTheLeft(TransportContract):
    def connected(self) -> Any:
        return memory_tls_wire(2, swap=True)


class TestTls12InMemory(TransportContract):
    def connected(self) -> Any:
        return memory_tls_wire(version=ssl.TLSVersion.TLSv1_2)


class TestTlsInMemoryWithFaults(TransportContract):
    def connected(self) -> Any:
        return memory_tls_wire(
            3, NetworkFaults(max_read_bytes=5_000, max_write_bytes=9_000, eagain_chance=0.2)
        )


class TestTlsInMemoryWithDelays(TransportContract):
    def connected(self) -> Any:
        return memory_tls_wire(4, NetworkFaults(min_delay_s=0.0, max_delay_s=0.2))
