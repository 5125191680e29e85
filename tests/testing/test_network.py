from __future__ import annotations

import errno
import os
import re
import socket
import struct
import subprocess
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from wsloop.errors import StartupError
from wsloop.testing.clock import FakeClock
from wsloop.testing.network import MemoryNetwork, NetworkFaults
from wsloop.transport.bind import AddressInUseError, FdBind, TcpBind, UnixBind

if TYPE_CHECKING:
    from collections.abc import Callable

    from wsloop.testing.memory_socket import MemorySocket

ADDRESS = TcpBind("127.0.0.1", 80)


def make(seed: int = 0, **faults: float) -> tuple[FakeClock, MemoryNetwork]:
    clock = FakeClock()
    return clock, MemoryNetwork(clock, seed, faults=NetworkFaults(**faults))  # type: ignore[arg-type]


class StreamModel(RuleBasedStateMachine):
    """One direction of a connection against a bytearray, under every fault but the reset."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        faults = NetworkFaults(0.0, 2.0, max_read_bytes=7, max_write_bytes=9, eagain_chance=0.3)
        self.network = MemoryNetwork(self.clock, 5, faults=faults, capacity_bytes=50)
        self.left, self.right = self.network.pair()
        self.sent = bytearray()
        self.received = bytearray()
        self.ended = False

    @rule(data=st.binary(min_size=1, max_size=30))
    def send(self, data: bytes) -> None:
        if self.ended:
            with pytest.raises(BrokenPipeError):
                self.left.send(data)
            return
        try:
            count = self.left.send(memoryview(data))
        except BlockingIOError:
            return
        assert 1 <= count <= min(9, len(data))
        self.sent += data[:count]

    @rule(count=st.integers(1, 40))
    def receive(self, count: int) -> None:
        try:
            data = self.right.recv(count)
        except BlockingIOError:
            return
        assert len(data) <= min(count, 7)
        if not data:
            assert self.ended
            assert self.received == self.sent
        self.received += data

    @rule(delta_s=st.floats(0, 3))
    def wait(self, delta_s: float) -> None:
        self.clock.advance(delta_s)

    @rule()
    def end(self) -> None:
        self.left.shutdown(socket.SHUT_WR)
        self.ended = True

    @invariant()
    def what_arrives_is_a_prefix_of_what_was_sent(self) -> None:
        assert self.sent.startswith(self.received)
        assert len(self.sent) - len(self.received) <= 50

    def teardown(self) -> None:
        while True:
            self.clock.advance(5.0)
            if not self.right.readable() and self.network.next_event_s() is None:
                break
            self.receive(40)
            if self.ended and self.received == self.sent:
                break
        assert self.received == self.sent
        self.left.close()
        self.right.close()
        assert self.network.open_descriptors() == {}


TestStreamModel = StreamModel.TestCase
TestStreamModel.settings = settings(max_examples=80, stateful_step_count=30, deadline=None)


def story(seed: int) -> list[str]:
    """Return all that happens in a small, faulty exchange."""
    clock = FakeClock()
    faults = NetworkFaults(0.001, 0.5, 10, 10, eagain_chance=0.2, reset_chance=0.01)
    network = MemoryNetwork(clock, seed, faults=faults)
    listener = network.listen(ADDRESS)
    clients = [network.connect(ADDRESS) for _ in range(3)]
    told = []
    ends: list[MemorySocket] = []
    for step in range(300):
        clock.advance(0.01)
        for number, sock in enumerate(clients + ends):
            calls: list[Callable[[], object]] = [partial(sock.send, b"x" * 20), partial(sock.recv, 9)]
            for call in calls:
                try:
                    told.append(f"{step} {number} {call()!r}")
                except OSError as error:
                    told.append(f"{step} {number} {error.errno}")
        with suppress(BlockingIOError):
            ends.append(listener.accept()[0])
    return told


def test_one_seed_is_one_story() -> None:
    assert story(7) == story(7)
    assert story(7) != story(8)


def test_the_story_does_not_depend_on_hash_randomisation() -> None:
    program = "from tests.testing.test_network import story; print(story(7))"
    root = Path(__file__).parents[2]
    outputs = set()
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        result = subprocess.run(
            [sys.executable, "-c", program],
            cwd=root,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        outputs.add(result.stdout)
    assert len(outputs) == 1


def test_descriptors_are_reused_lowest_first() -> None:
    _, network = make()
    listener = network.listen(ADDRESS)
    clients = [network.connect(ADDRESS) for _ in range(3)]
    assert [listener.fileno(), *(client.fileno() for client in clients)] == [3, 4, 5, 6]
    clients[1].close()
    clients[0].close()
    accepted, _ = listener.accept()
    assert accepted.fileno() == 4
    assert network.connect(ADDRESS).fileno() == 5
    assert network.connect(ADDRESS).fileno() == 7


@given(st.lists(st.integers(0, 9), max_size=40))
def test_a_new_descriptor_is_always_the_lowest_free_one(choices: list[int]) -> None:
    _, network = make()
    spares = [network.spare() for _ in range(10)]
    held: dict[int, int] = {}
    for choice in choices:
        if choice in held:
            spares[choice].release()
            del held[choice]
        else:
            spares[choice].take()
            lowest = min(set(range(3, 20)) - set(held.values()))
            held[choice] = lowest
        assert sorted(network.open_descriptors()) == sorted(held.values())


def test_a_leak_is_named() -> None:
    _, network = make()
    listener = network.listen(ADDRESS)
    spare = network.spare()
    spare.take()
    assert network.open_descriptors() == {3: "listening on 127.0.0.1:80", 4: "spare descriptor"}
    listener.close()
    spare.release()
    spare.release()
    assert network.open_descriptors() == {}


def test_emfile_is_raised_before_anybody_looks_at_the_queue() -> None:
    _, network = make()
    listener = network.listen(ADDRESS)
    network.descriptors.limit = 1
    with pytest.raises(OSError, match="Too many open files"):
        listener.accept()
    with pytest.raises(OSError, match="Too many open files"):
        network.connect(ADDRESS)
    spare = network.spare()
    assert not spare.take()


def test_bytes_sent_behind_the_connect_wait_for_the_accept() -> None:
    clock, network = make(max_delay_s=1.0)
    listener = network.listen(ADDRESS)
    client = network.connect(ADDRESS)
    client.send(b"early")
    assert not listener.readable()
    clock.advance(1.0)
    server, address = listener.accept()
    clock.advance(1.0)
    assert server.recv(10) == b"early"
    assert address == client.getsockname()
    assert client.getpeername() == server.getsockname() == ("127.0.0.1", 80)


def test_bytes_arrive_only_when_the_clock_gets_there() -> None:
    clock, network = make(min_delay_s=0.5, max_delay_s=0.5)
    left, right = network.pair()
    left.send(b"x")
    assert network.next_event_s() == clock.now() + 0.5
    with pytest.raises(BlockingIOError):
        right.recv(1)
    clock.advance(0.5)
    assert right.recv(1) == b"x"
    assert network.next_event_s() is None


def test_a_reset_is_told_once_after_what_had_arrived() -> None:
    _, network = make()
    left, right = network.pair()
    left.send(b"last")
    left.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    left.close()
    assert right.readable()
    assert right.writable()
    assert right.recv(10) == b"last"
    with pytest.raises(ConnectionResetError):
        right.recv(10)
    assert right.recv(10) == b""
    with pytest.raises(BrokenPipeError):
        right.send(b"x")
    for call in (right.getpeername, lambda: right.shutdown(socket.SHUT_WR)):
        with pytest.raises(OSError, match="not connected"):
            call()
    right.close()


def test_a_reset_loses_what_is_under_way() -> None:
    clock, network = make(min_delay_s=0.5, max_delay_s=0.5)
    left, right = network.pair()
    left.send(b"lost")
    left.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    left.close()
    clock.advance(1.0)
    with pytest.raises(ConnectionResetError):
        right.recv(10)


def test_other_options_change_nothing() -> None:
    _, network = make()
    left, right = network.pair()
    left.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    left.close()
    assert right.recv(1) == b""


def test_a_unix_stream_knows_no_reset_by_linger() -> None:
    _, network = make()
    listener = network.listen(UnixBind("/run/s"))
    client = network.connect(UnixBind("/run/s"))
    server, address = listener.accept()
    assert address == ""
    assert client.family == socket.AF_UNIX
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    assert server.recv(1) == b""


def test_the_first_write_to_a_closed_peer_succeeds_the_next_is_reset() -> None:
    _, network = make()
    left, right = network.pair()
    right.close()
    assert left.recv(1) == b""
    assert left.send(b"first") == 5
    with pytest.raises(ConnectionResetError):
        left.send(b"second")
    with pytest.raises(BrokenPipeError):
        left.send(b"third")


def test_a_router_that_cuts_resets_both_ends() -> None:
    _, network = make()
    left, right = network.pair()
    left.reset()
    for end in (left, right):
        with pytest.raises(ConnectionResetError):
            end.send(b"x")


def test_a_vanished_peer_swallows_bytes_until_the_buffer_is_full() -> None:
    clock = FakeClock()
    network = MemoryNetwork(clock, capacity_bytes=100)
    left, right = network.pair()
    right.send(b"half a fra")
    right.vanish()
    assert left.recv(100) == b"half a fra"
    assert left.send(bytes(200)) == 100
    for call in (lambda: left.send(b"x"), lambda: left.recv(1)):
        with pytest.raises(BlockingIOError):
            call()
    clock.advance(1e6)
    assert not left.readable()
    left.close()
    right.close()
    assert network.open_descriptors() == {}


def test_half_close_and_shut_reading() -> None:
    _, network = make()
    left, right = network.pair()
    left.shutdown(socket.SHUT_WR)
    left.shutdown(socket.SHUT_WR)
    right.send(b"still")
    assert left.recv(5) == b"still"
    left.shutdown(socket.SHUT_RDWR)
    assert left.recv(5) == b""
    right.shutdown(socket.SHUT_RD)
    assert right.recv(1) == b""


def test_reading_or_sending_nothing_is_nothing() -> None:
    _, network = make()
    left, _right = network.pair()
    assert left.recv(0) == b""
    assert left.send(b"") == 0


def test_recv_into_and_sendmsg() -> None:
    _, network = make()
    left, right = network.pair()
    assert left.sendmsg([b"ab", memoryview(b"cd")]) == 4
    buffer = bytearray(6)
    assert right.recv_into(memoryview(buffer)) == 4
    assert buffer == b"abcd\0\0"


def test_a_seeded_reset_hits_a_write_at_both_ends() -> None:
    _, network = make(reset_chance=1.0)
    left, right = network.pair()
    with pytest.raises(ConnectionResetError):
        left.send(b"x")
    with pytest.raises(ConnectionResetError):
        right.recv(1)


def test_faults_may_stop() -> None:
    _, network = make(reset_chance=1.0, max_write_bytes=1)
    network.faults = NetworkFaults()
    left, right = network.pair()
    assert left.send(b"all of it") == 9
    assert right.recv(100) == b"all of it"


def test_a_listener_that_closes_resets_who_waits_and_who_comes() -> None:
    clock, network = make(min_delay_s=0.5, max_delay_s=0.5)
    listener = network.listen(ADDRESS)
    waiting = network.connect(ADDRESS)
    clock.advance(0.5)
    network.settle()
    coming = network.connect(ADDRESS)
    listener.close()
    listener.close()
    clock.advance(0.5)
    for client in (waiting, coming):
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    with pytest.raises(ConnectionRefusedError):
        network.connect(ADDRESS)


def test_the_backlog_counts_who_is_on_the_way() -> None:
    clock, network = make(min_delay_s=0.5, max_delay_s=0.5)
    listener = network.listen(ADDRESS, 1)
    network.connect(ADDRESS)
    with pytest.raises(BlockingIOError):
        network.connect(ADDRESS)
    listener.listen(2)
    network.connect(ADDRESS)
    clock.advance(0.5)
    listener.accept()
    network.connect(ADDRESS)


def test_addresses() -> None:
    _, network = make()
    any4, any6 = network.listen(TcpBind("0.0.0.0", 80)), network.listen(TcpBind("::", 0))
    assert any6.family == socket.AF_INET6
    assert any4.family == socket.AF_INET
    port = any6.getsockname()[1]
    assert isinstance(port, int)
    network.connect(TcpBind("::1", port))
    network.connect(ADDRESS, "192.0.2.7")
    assert any4.accept()[1][0] == "192.0.2.7"
    for bind in (TcpBind("::1", 80), FdBind(3), UnixBind("/none")):
        with pytest.raises(ConnectionRefusedError):
            network.connect(bind)


def test_an_address_is_taken_once() -> None:
    _, network = make()
    for bind in (ADDRESS, UnixBind("/run/s")):
        network.listen(bind)
        with pytest.raises(AddressInUseError):
            network.listen(bind)
    with pytest.raises(StartupError, match="fd://3"):
        network.listen(FdBind(3))


def test_what_a_kind_of_socket_cannot_do_it_refuses_like_the_kernel() -> None:
    _, network = make()
    listener = network.listen(ADDRESS)
    left, _right = network.pair()
    not_connected: list[Callable[[], object]] = [
        lambda: listener.recv(1),
        lambda: listener.recv_into(memoryview(bytearray(1))),
        lambda: listener.send(b"x"),
        lambda: listener.sendmsg([b"x"]),
        lambda: listener.shutdown(socket.SHUT_WR),
        listener.getpeername,
    ]
    refusals = [(call, errno.ENOTCONN) for call in not_connected]
    refusals += [(left.accept, errno.EINVAL), (lambda: left.listen(1), errno.EINVAL)]
    for call, number in refusals:
        with pytest.raises(OSError, match=re.escape(os.strerror(number))):
            call()
    assert not listener.writable()
    listener.setblocking(False)
    with pytest.raises(ValueError, match="cannot block"):
        listener.setblocking(True)


def test_a_closed_socket_is_a_bad_descriptor() -> None:
    _, network = make()
    left, _right = network.pair()
    left.close()
    left.close()
    assert left.fileno() == -1
    for call in (lambda: left.recv(1), lambda: left.send(b"x"), left.getsockname):
        with pytest.raises(OSError, match="Bad file descriptor"):
            call()
