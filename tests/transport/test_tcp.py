from __future__ import annotations

import errno
import os
import select
import socket
import tracemalloc
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsloop.buffers.outbox import Outbox, Piece
from wsloop.buffers.ring import Ring
from wsloop.errors import TransportError
from wsloop.testing.clock import FakeClock
from wsloop.testing.contracts.transport import TransportContract, Wire
from wsloop.testing.network import MemoryNetwork, NetworkFaults
from wsloop.testing.poller import FakePoller
from wsloop.transport.base import GONE_ERRNOS, SocketLike, Transport
from wsloop.transport.tcp import TcpTransport, describe_peer, host_of_peer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path


def wait_really(transport: Transport, interest: int) -> None:
    poll = select.poll()
    poll.register(transport.fileno(), select.POLLIN if interest == 1 else select.POLLOUT)
    assert poll.poll(5_000), "not ready within 5 s"


@contextmanager
def real_wire(left: socket.socket, right: socket.socket, *, has_reset: bool) -> Iterator[Wire]:
    for sock in (left, right):
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
    wire = Wire(TcpTransport(left), TcpTransport(right), wait_really, has_reset)
    try:
        yield wire
    finally:
        wire.left.close()
        wire.right.close()


def tcp_pair(host: str = "127.0.0.1") -> tuple[socket.socket, socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as server:
        client = socket.create_connection(server.getsockname()[:2])
        accepted, _ = server.accept()
    return client, accepted


@contextmanager
def memory_wire(seed: int = 1, faults: NetworkFaults | None = None) -> Iterator[Wire]:
    clock = FakeClock()
    network = MemoryNetwork(clock, seed, faults=faults)
    left, right = map(TcpTransport, network.pair())

    def wait(transport: Transport, interest: int) -> None:
        poller = FakePoller(network, clock)
        poller.register(transport.fileno(), interest)
        assert poller.poll(5.0)

    yield Wire(left, right, wait)
    left.close()
    right.close()
    assert network.open_descriptors() == {}


class TestSocketpair(TransportContract):
    @contextmanager
    def connected(self) -> Iterator[Wire]:
        with real_wire(*socket.socketpair(), has_reset=False) as wire:
            yield wire


class TestTcpLoopback(TransportContract):
    @contextmanager
    def connected(self) -> Iterator[Wire]:
        with real_wire(*tcp_pair(), has_reset=True) as wire:
            yield wire


class TestTcpLoopback6(TransportContract):
    @contextmanager
    def connected(self) -> Iterator[Wire]:
        with real_wire(*tcp_pair("::1"), has_reset=True) as wire:
            yield wire


class TestUnixPath(TransportContract):
    @pytest.fixture(autouse=True)
    def _path(self, tmp_path: Path) -> None:
        self.path = str(tmp_path / "s")

    @contextmanager
    def connected(self) -> Iterator[Wire]:
        if os.path.exists(self.path):
            os.unlink(self.path)
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(self.path)
            server.listen()
            client = socket.socket(socket.AF_UNIX)
            client.connect(self.path)
            accepted, _ = server.accept()
        with real_wire(client, accepted, has_reset=False) as wire:
            yield wire


class TestMemory(TransportContract):
    def connected(self) -> Any:
        return memory_wire()


class TestMemoryWithFaults(TransportContract):
    def connected(self) -> Any:
        faults = NetworkFaults(max_read_bytes=5_000, max_write_bytes=9_000, eagain_chance=0.2)
        return memory_wire(3, faults)


class TestMemoryWithDelays(TransportContract):
    def connected(self) -> Any:
        return memory_wire(4, NetworkFaults(min_delay_s=0.0, max_delay_s=0.2))


class FlakySocket:
    """Takes as many bytes of each send as the script says; 0 is EAGAIN."""

    family = socket.AF_UNIX

    def __init__(self, script: list[int]) -> None:
        self.script = script
        self.taken = bytearray()
        self.calls: list[str] = []
        self.error: OSError | None = None

    def send(self, data: Piece) -> int:
        self.calls.append("send")
        return self._take(bytes(data))

    def sendmsg(self, views: Sequence[Piece]) -> int:
        self.calls.append("sendmsg")
        return self._take(b"".join(views))

    def fail(self, *_: object) -> int:
        assert self.error is not None
        raise self.error

    def _take(self, data: bytes) -> int:
        count = min(self.script.pop(0), len(data)) if self.script else len(data)
        if count == 0:
            raise BlockingIOError(errno.EAGAIN, "again")
        self.taken += data[:count]
        return count


def flaky(script: list[int]) -> tuple[TcpTransport, FlakySocket]:
    sock = FlakySocket(script)
    return TcpTransport(cast("SocketLike", sock)), sock


@given(
    pieces=st.lists(st.integers(0, 40_000).map(lambda n: bytes([n % 251]) * n), max_size=20),
    script=st.lists(st.integers(0, 30_000), max_size=30),
    budget=st.integers(1, 100_000),
)
@settings(max_examples=60, deadline=None)
def test_any_partial_sends_and_eagain_give_exactly_the_bytes_in_order(
    pieces: list[bytes], script: list[int], budget: int
) -> None:
    transport, sock = flaky(script)
    outbox = Outbox()
    for piece in pieces:
        outbox.append(piece)
    while not transport.flush(outbox, budget):
        assert outbox
    assert sock.taken == b"".join(pieces)
    assert not outbox


@pytest.mark.parametrize(
    ("pieces", "calls"),
    [
        ([100], ["send"]),
        ([100] * 20, ["send"]),
        ([10, 16_384], ["sendmsg"]),
        ([8_000, 8_000, 8_000], ["sendmsg"]),
        ([128] * 200, ["send"]),
        ([128] * 200 + [16_384], ["sendmsg"]),
        ([100] * 300, ["send", "send"]),
        ([100] * 257, ["send", "send"]),
        ([100_000], ["send"]),
    ],
)
def test_one_send_for_one_piece_a_join_for_small_ones_sendmsg_from_16_kib(
    pieces: list[int], calls: list[str]
) -> None:
    transport, sock = flaky([])
    outbox = Outbox()
    for size in pieces:
        outbox.append(bytes(size))
    assert transport.flush(outbox)
    assert sock.calls == calls


def test_after_a_short_write_the_kernel_is_not_asked_again() -> None:
    transport, sock = flaky([10])
    outbox = Outbox()
    outbox.append(bytes(100))
    assert not transport.flush(outbox)
    assert sock.calls == ["send"]
    assert outbox.size == 90


def flush_one(transport: TcpTransport) -> bool:
    outbox = Outbox()
    outbox.append(b"x")
    return transport.flush(outbox)


METHODS: list[tuple[str, Callable[[TcpTransport], object]]] = [
    ("recv", lambda transport: transport.read(1)),
    ("recv_into", lambda transport: transport.read_into(memoryview(bytearray(1)))),
    ("send", lambda transport: transport.write(b"x")),
    ("sendmsg", lambda transport: transport.write_many([b"x"])),
    ("send", flush_one),
]


@pytest.mark.parametrize(("name", "call"), METHODS, ids=["recv", "recv_into", "send", "sendmsg", "flush"])
@pytest.mark.parametrize("number", sorted(GONE_ERRNOS), ids=errno.errorcode.get)
def test_what_may_happen_to_a_stream_is_a_transport_error_by_name(
    name: str, call: Callable[[TcpTransport], object], number: int
) -> None:
    transport, sock = flaky([])
    sock.error = OSError(number, "broken")
    setattr(sock, name, sock.fail)
    with pytest.raises(TransportError) as caught:
        call(transport)
    assert caught.value.errno_name == errno.errorcode[number]


def test_what_routers_and_firewalls_do_to_a_stream_is_no_bug() -> None:
    names = {"ECONNREFUSED", "EPROTO", "ENOPROTOOPT", "ENONET", "EACCES", "EPERM"}
    numbers = {number for number, name in errno.errorcode.items() if name in names}
    assert numbers <= GONE_ERRNOS


@pytest.mark.parametrize(("name", "call"), METHODS, ids=["recv", "recv_into", "send", "sendmsg", "flush"])
def test_any_other_errno_is_our_bug_and_stays_an_os_error(
    name: str, call: Callable[[TcpTransport], object]
) -> None:
    transport, sock = flaky([])
    sock.error = OSError(errno.EBADF, "bad")
    setattr(sock, name, sock.fail)
    with pytest.raises(OSError, match="bad"):
        call(transport)


class FailingAtTheEnd:
    """A socket whose last calls fail with the given errno."""

    family = socket.AF_UNIX

    def __init__(self, number: int) -> None:
        self.number = number
        self.closed = False

    def fileno(self) -> int:
        return 7

    def shutdown(self, _how: int) -> None:
        raise OSError(self.number, "gone")

    def setsockopt(self, *_: object) -> None:
        raise OSError(self.number, "gone")

    def close(self) -> None:
        self.closed = True


def test_shutdown_towards_a_peer_that_is_gone_is_no_error() -> None:
    TcpTransport(cast("SocketLike", FailingAtTheEnd(errno.ENOTCONN))).shutdown_write()
    with pytest.raises(OSError, match="gone"):
        TcpTransport(cast("SocketLike", FailingAtTheEnd(errno.EBADF))).shutdown_write()


def test_abort_of_a_socket_that_was_reset_already_closes_it() -> None:
    sock = FailingAtTheEnd(errno.EINVAL)
    TcpTransport(cast("SocketLike", sock)).abort()
    assert sock.closed
    with pytest.raises(OSError, match="gone"):
        TcpTransport(cast("SocketLike", FailingAtTheEnd(errno.EBADF))).abort()


def test_nagle_is_off_on_tcp() -> None:
    left, right = tcp_pair()
    with left, right:
        TcpTransport(left)
        assert left.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize(("number", "is_raised"), [(errno.EINVAL, False), (errno.EBADF, True)])
def test_nagle_cannot_be_switched_on_a_dead_socket_of_macos(number: int, is_raised: bool) -> None:
    sock = FlakySocket([])
    sock.family = socket.AF_INET
    sock.error = OSError(number, "no option")
    sock.setsockopt = sock.fail  # type: ignore[attr-defined]
    if is_raised:
        with pytest.raises(OSError, match="no option"):
            TcpTransport(cast("SocketLike", sock), ("127.0.0.1", 1))
    else:
        assert TcpTransport(cast("SocketLike", sock), ("127.0.0.1", 1)).peer == "127.0.0.1:1"


@pytest.mark.parametrize(
    ("address", "peer", "host"),
    [
        (("192.0.2.1", 80), "192.0.2.1:80", "192.0.2.1"),
        (("2001:db8::1", 80, 0, 0), "[2001:db8::1]:80", "2001:db8::1"),
        (("::ffff:192.0.2.1", 80, 0, 0), "192.0.2.1:80", "192.0.2.1"),
    ],
)
def test_peers_are_named(address: Any, peer: str, host: str) -> None:
    sock = FlakySocket([])
    sock.family = socket.AF_INET6
    assert describe_peer(cast("SocketLike", sock), address) == peer
    assert host_of_peer(cast("SocketLike", sock), address) == host


def test_a_peer_that_was_reset_before_it_was_asked_is_a_question_mark() -> None:
    network = MemoryNetwork(FakeClock())
    left, _right = network.pair()
    left.reset()
    assert TcpTransport(left).peer == TcpTransport(left).peer_host == "?"
    left.close()
    with pytest.raises(OSError, match="Bad file"):
        TcpTransport(left)


def test_a_peer_is_named_after_its_socket_was_closed() -> None:
    network = MemoryNetwork(FakeClock())
    left, right = network.pair()
    transport = TcpTransport(left)
    transport.close()
    assert transport.peer == str(right.bound)


def test_bytes_go_from_a_socket_into_a_ring_and_from_an_outbox_to_a_socket() -> None:
    ring, outbox = Ring(1_000), Outbox()
    payload = bytes(range(250)) * 40
    outbox.append(payload)
    received = bytearray()
    with real_wire(*tcp_pair(), has_reset=True) as wire:
        while len(received) < len(payload):
            wire.left.flush(outbox)
            if len(received) + len(ring) < len(payload):
                wire.wait(wire.right, 1)
                ring.commit(wire.right.read_into(ring.writable()) or 0)
            part = bytes(ring.readable()[:333])
            received += part
            ring.consume(len(part))
            ring.straighten()
    assert received == payload


def send_all_peak_bytes(pieces: list[bytes]) -> int:
    """Send over a real socketpair in partial writes; return the peak of additional memory."""
    outbox = Outbox()
    left, right = socket.socketpair()
    sink = bytearray(1 << 20)
    with real_wire(left, right, has_reset=False) as wire:
        view = memoryview(sink)
        tracemalloc.start()
        try:
            for piece in pieces:
                outbox.append(piece)
            while not wire.left.flush(outbox):
                wire.right.read_into(view)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()


def test_a_long_payload_is_sent_without_a_copy() -> None:
    assert send_all_peak_bytes([b"header", bytes(4 << 20)]) < 16_384


def test_small_pieces_are_copied_once_to_be_joined() -> None:
    peak_bytes = send_all_peak_bytes([bytes(100)] * 100)
    assert 10_000 <= peak_bytes < 30_000


def test_a_reset_of_tcp_is_named_econnreset() -> None:
    with real_wire(*tcp_pair(), has_reset=True) as wire:
        wire.left.abort()
        wire.wait(wire.right, 1)
        with pytest.raises(TransportError, match="ECONNRESET"):
            wire.right.read(1)


def test_closing_with_unread_bytes_resets_the_peer_in_memory_as_on_loopback() -> None:
    def play(wire: Wire) -> str:
        wire.send(wire.left, b"never read")
        wire.wait(wire.right, 1)
        wire.right.close()
        wire.wait(wire.left, 1)
        with pytest.raises(TransportError) as caught:
            wire.left.read(1)
        return caught.value.errno_name

    with real_wire(*tcp_pair(), has_reset=True) as real, memory_wire() as memory:
        assert play(real) == play(memory) == "ECONNRESET"
