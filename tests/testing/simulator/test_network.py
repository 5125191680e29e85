from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.testing.simulator.kit import DOOR, Kit
from wsloop.errors import StartupError
from wsloop.testing.contracts.transport import TransportContract, Wire
from wsloop.testing.simulator.faults import FaultPlan
from wsloop.testing.simulator.sockets import SimulatedSocket
from wsloop.transport.bind import AddressInUseError, FdBind, TcpBind
from wsloop.transport.tcp import TcpTransport

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wsloop.transport.base import Transport


@contextmanager
def wire(kit: Kit) -> Iterator[Wire]:
    kit.far = kit.near
    left, right = map(TcpTransport, kit.pair())

    def wait(transport: Transport, interest: int) -> None:
        poller = kit.poller(kit.near)
        poller.register(transport.fileno(), interest)
        assert poller.poll(5.0)
        poller.close()

    yield Wire(left, right, wait)
    left.close()
    right.close()
    assert len(kit.near.descriptors) == 0


class TestSimulated(TransportContract):
    @contextmanager
    def connected(self) -> Iterator[Wire]:
        with wire(Kit()) as found:
            yield found


class TestSimulatedWithFaults(TransportContract):
    @contextmanager
    def connected(self) -> Iterator[Wire]:
        kit = Kit(FaultPlan())
        for name in ("write-reset", "spike", "reuse"):
            kit.force(name, float("inf"))
        for name in ("short-read", "short-write", "read-eagain", "write-eagain"):
            kit.force(name, 3.0)
        with wire(kit) as found:
            yield found


def test_bytes_take_their_time_and_never_overtake_each_other() -> None:
    kit = Kit(FaultPlan())
    left, right = kit.pair()
    right.delay_s, right.jitter_s = 0.5, 2.0
    for number in range(10):
        left.send(b"%d" % number)
    assert right.events(3) & 1 == 0
    kit.settle()
    assert right.recv(99) == b"0123456789"
    assert kit.clock.now() > 1000.5


def test_a_narrow_line_takes_a_second_for_what_it_carries_in_one() -> None:
    kit = Kit()
    left, right = kit.pair()
    right.bytes_per_s = 1000.0
    left.send(bytes(1000))
    left.send(bytes(1000))
    kit.settle()
    assert kit.clock.now() == pytest.approx(1002.0)


def test_what_is_held_arrives_when_it_is_let_go_in_order() -> None:
    kit = Kit()
    left, right = kit.pair()
    kit.cable.hold(right)
    left.send(b"a")
    left.send(b"b")
    left.close()
    kit.settle()
    assert right.events(3) & 1 == 0
    kit.cable.let_go(right)
    kit.settle()
    assert (right.recv(9), right.recv(9)) == (b"ab", b"")


def test_a_partition_counts_once_and_only_if_it_held_something() -> None:
    kit = Kit()
    left, right = kit.pair()
    for said, fired in ((b"", 0), (b"a", 1), (b"b", 2)):
        kit.far.part([right])
        left.send(said)
        left.send(said)
        kit.far.reunite()
        kit.far.reunite()
        assert kit.marks.fired["link-partition"] == fired


def test_descriptors_go_up_unless_the_number_freed_last_comes_at_once() -> None:
    kit = Kit(FaultPlan())
    kit.force("reuse", float("inf"))
    left, _ = kit.pair()
    number = left.fileno()
    left.close()
    assert kit.pair()[0].fileno() == number + 1
    kit.force("reuse", 1e-9)
    left, _ = kit.pair()
    number = left.fileno()
    left.close()
    assert kit.pair()[0].fileno() == number


@pytest.mark.parametrize(
    ("name", "number"), [("accept-aborted", errno.ECONNABORTED), ("accept-nobufs", errno.ENOBUFS)]
)
def test_accept_fails(name: str, number: int) -> None:
    kit = Kit(FaultPlan())
    listener = kit.far.listen(DOOR)
    client = kit.near.connect(DOOR)
    kit.settle()
    kit.force(name, 1e-9)
    with pytest.raises(OSError, match=r"^\[Errno") as caught:
        listener.accept()
    assert caught.value.errno == number
    assert client.events(1) == (1 if name == "accept-aborted" else 0)


def test_a_process_without_descriptors() -> None:
    kit = Kit()
    listener = kit.far.listen(DOOR)
    kit.near.connect(DOOR)
    kit.settle()
    kit.far.descriptors.limit = len(kit.far.descriptors)
    with pytest.raises(OSError, match=r"^\[Errno") as caught:
        listener.accept()
    assert caught.value.errno == errno.EMFILE
    kit.near.descriptors.limit = 0
    with pytest.raises(OSError, match=r"^\[Errno") as caught:
        kit.near.connect(DOOR)
    assert caught.value.errno == errno.EMFILE


def test_addresses() -> None:
    kit = Kit()
    with pytest.raises(ConnectionRefusedError):
        kit.near.connect(DOOR)
    assert kit.cable.dial(DOOR, "10.0.0.1", lambda _: None, lambda _: None) is None
    listener = kit.far.listen(DOOR, 1)
    with pytest.raises(AddressInUseError):
        kit.near.listen(DOOR)
    with pytest.raises(StartupError):
        kit.near.listen(FdBind(3))
    kit.near.connect(DOOR)
    with pytest.raises(BlockingIOError):
        kit.near.connect(DOOR)
    listener.close()
    assert kit.far.listen(TcpBind("127.0.0.1", 9000)).fileno() > 0


def test_a_process_that_dies_hangs_up_on_everybody() -> None:
    kit = Kit()
    left, right = kit.pair()
    listener = kit.far.listen(DOOR)
    waiting = kit.near.connect(DOOR)
    kit.settle()
    assert kit.far.sockets() == [right]
    kit.far.die()
    kit.settle()
    assert len(kit.far.descriptors) == 0
    assert listener.fileno() == -1
    assert left.recv(9) == b""
    with pytest.raises(ConnectionResetError):
        waiting.recv(9)


def test_a_write_may_find_the_connection_reset() -> None:
    kit = Kit(FaultPlan())
    left, right = kit.pair()
    kit.force("write-eagain", float("inf"))
    kit.force("write-reset", 1e-9)
    with pytest.raises(ConnectionResetError):
        left.send(b"x")
    with pytest.raises(ConnectionResetError):
        right.recv(9)
    assert isinstance(left, SimulatedSocket)
