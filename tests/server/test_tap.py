"""A tapped transport is a transport like any other, and tells what went through."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from wsloop.buffers.outbox import Outbox
from wsloop.server.tap import Tap
from wsloop.testing.clock import FakeClock
from wsloop.testing.contracts.transport import TransportContract, Wire
from wsloop.testing.network import MemoryNetwork, NetworkFaults
from wsloop.testing.poller import FakePoller
from wsloop.transport.tcp import TcpTransport

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wsloop.transport.base import Transport


class TestTapped(TransportContract):
    """Both ends are tapped; what one end was told it sent begins with what the other was told it read."""

    @contextmanager
    def connected(self) -> Iterator[Wire]:
        clock = FakeClock()
        faults = NetworkFaults(max_read_bytes=5_000, max_write_bytes=9_000, eagain_chance=0.2)
        network = MemoryNetwork(clock, 5, faults=faults)
        heard: dict[tuple[int, bool], bytearray] = {
            (n, b): bytearray() for n in (0, 1) for b in (False, True)
        }
        ends: list[int] = []

        def tapped(number: int, transport: Transport) -> Tap:
            return Tap(
                transport,
                lambda is_answer, data: heard[number, is_answer].extend(data),
                lambda: ends.append(number),
            )

        def wait(transport: Transport, interest: int) -> None:
            poller = FakePoller(network, clock)
            poller.register(transport.fileno(), interest)
            assert poller.poll(5.0)

        left, right = (tapped(n, TcpTransport(sock)) for n, sock in enumerate(network.pair()))
        yield Wire(left, right, wait)
        left.close()
        right.close()
        assert set(ends) == {0, 1}
        for number in (0, 1):
            assert heard[number, True].startswith(heard[1 - number, False])
        assert network.open_descriptors() == {}


def test_it_is_what_it_is_around() -> None:
    network = MemoryNetwork(FakeClock())
    inner = TcpTransport(network.pair()[0])
    tap = Tap(inner, lambda *_: None, lambda: None)
    assert (tap.peer, tap.peer_host, tap.fileno()) == (inner.peer, inner.peer_host, inner.fileno())
    assert not (tap.is_secure or tap.has_input or tap.has_output)
    assert tap.flush(Outbox(2, 1))
    tap.abort()
    assert inner.fileno() < 0
