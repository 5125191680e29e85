from __future__ import annotations

import errno
import logging
import os
import resource
import select
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.transport.stub_loop import StubLoop, poll_really
from wsloop.loop.reactor import Reactor
from wsloop.testing.clock import FakeClock
from wsloop.testing.memory_socket import MemorySocket
from wsloop.testing.network import MemoryNetwork, NetworkFaults
from wsloop.testing.poller import FakePoller
from wsloop.transport import listener as listener_module
from wsloop.transport.bind import TcpBind
from wsloop.transport.listener import DescriptorSpare, Listener, SocketNetwork
from wsloop.transport.spare import EXHAUSTED_ERRNOS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wsloop.testing.memory_socket import MemoryListeningSocket
    from wsloop.transport.base import SocketLike, Transport

ADDRESS = TcpBind("127.0.0.1", 8765)


class House:
    """A listener on the in-memory network, with the transports it accepted."""

    def __init__(self, accept_budget: int = 64, backlog: int = 1000) -> None:
        self.clock = FakeClock()
        self.network = MemoryNetwork(self.clock)
        self.loop = StubLoop(self.clock, self.readable)
        self.sock = self.network.listen(ADDRESS, backlog)
        self.transports: list[Transport] = []
        self.clients: list[MemorySocket] = []
        self.listener = Listener(
            self.loop, self.sock, self.transports.append, accept_budget, spare=self.network.spare()
        )

    def readable(self, interests: dict[int, int]) -> list[int]:
        return [fd for fd, interest in interests.items() if interest and self.sock.readable()]

    def dial(self, count: int = 1) -> list[MemorySocket]:
        clients = [self.network.connect(ADDRESS) for _ in range(count)]
        self.clients += clients
        return clients

    def when_accepted(self, call: Callable[[], None]) -> None:
        def on_accept(transport: Transport) -> None:
            self.transports.append(transport)
            call()

        self.listener._on_accept = on_accept

    def exhaust(self, free: int = 0) -> None:
        self.network.descriptors.limit = len(self.network.open_descriptors()) + free

    def close(self) -> None:
        self.listener.close()
        for transport in self.transports:
            transport.close()
        for client in self.clients:
            client.close()
        assert self.network.open_descriptors() == {}
        assert self.loop.handlers == {}
        assert self.loop.timers == []


@pytest.fixture
def house() -> Iterator[House]:
    house = House()
    yield house
    house.close()


def is_reset(sock: MemorySocket | socket.socket) -> bool:
    try:
        sock.recv(1)
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True
    return False


def test_a_connection_becomes_a_transport_that_talks(house: House) -> None:
    (client,) = house.dial()
    assert house.loop.turn() == 1
    client.send(b"hello")
    assert house.transports[0].read(10) == b"hello"
    assert house.transports[0].peer_host == "127.0.0.1"
    assert house.listener.statistics().accepted == 1
    assert house.listener.bind == ADDRESS


@given(budget=st.integers(1, 9), clients=st.integers(0, 40))
@settings(max_examples=40, deadline=None)
def test_no_readiness_accepts_more_than_the_budget_and_all_are_served_in_order(
    budget: int, clients: int
) -> None:
    house = House(budget)
    house.dial(clients)
    served = 0
    while served < clients:
        before = house.sock.accept_calls
        house.loop.turn()
        assert len(house.transports) - served == min(budget, clients - served)
        assert house.sock.accept_calls - before <= budget
        served = len(house.transports)
    assert [t.peer for t in house.transports] == [str(client.bound) for client in house.clients]
    house.close()


def test_a_paused_listener_leaves_clients_in_the_backlog(house: House) -> None:
    house.listener.pause()
    house.listener.pause()
    house.dial(3)
    assert house.loop.turn() == 0
    assert house.listener.statistics().paused
    house.listener.resume()
    house.listener.resume()
    house.loop.turn()
    assert len(house.transports) == 3
    assert not house.listener.statistics().paused


def test_on_accept_may_pause_the_listener_in_the_middle_of_a_batch() -> None:
    house = House()
    house.when_accepted(house.listener.pause)
    house.dial(3)
    house.loop.turn()
    assert len(house.transports) == 1
    house.close()


def test_on_accept_may_close_the_listener_in_the_middle_of_a_batch() -> None:
    house = House()
    house.when_accepted(house.listener.close)
    house.dial(3)
    house.loop.turn()
    assert len(house.transports) == 1
    assert [is_reset(client) for client in house.clients] == [False, True, True]
    house.close()


def test_on_accept_that_raises_loses_its_connection_only(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    failures = [ZeroDivisionError("a bug above")]

    def fail_once() -> None:
        if failures:
            raise failures.pop()

    house.when_accepted(fail_once)
    first, second = house.dial(2)
    house.loop.turn()
    assert is_reset(first)
    assert not is_reset(second)
    assert house.listener.statistics().accepted == 2
    assert "ZeroDivisionError" in caplog.text


def test_closing_twice_and_pausing_afterwards_is_harmless(house: House) -> None:
    house.listener.close()
    house.listener.close()
    house.listener.pause()
    house.listener.resume()
    assert house.listener.statistics().paused


def test_emfile_resets_who_waits_and_does_not_spin(house: House, caplog: pytest.LogCaptureFixture) -> None:
    clients = house.dial(10)
    house.exhaust()
    house.loop.turn()
    assert all(map(is_reset, clients))
    assert house.listener.statistics().shed == 10
    assert house.listener.statistics().paused
    calls = house.sock.accept_calls
    house.network.descriptors.limit += 1
    house.dial()
    house.exhaust()
    assert house.loop.turn() == 0
    assert house.sock.accept_calls == calls
    assert "EMFILE" in caplog.text


def test_shedding_keeps_to_the_budget_too() -> None:
    house = House(accept_budget=2)
    clients = house.dial(5)
    house.exhaust()
    house.loop.turn()
    assert [is_reset(client) for client in clients] == [True, True, False, False, False]
    house.network.descriptors.limit = 1000
    house.loop.run_for(0.1)
    assert len(house.transports) == 3
    house.close()


def test_emfile_pauses_10_ms_doubling_to_1_s() -> None:
    house = House()
    pauses_s = []
    for _ in range(9):
        house.network.descriptors.limit = 1000
        house.dial()
        house.exhaust()
        house.loop.turn()
        (timer,) = house.loop.timers
        pauses_s.append(timer.deadline_s - house.clock.now())
        house.clock.advance(timer.deadline_s - house.clock.now())
        house.loop.turn()
        assert not house.loop.timers
    assert pauses_s == pytest.approx([0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.0, 1.0])
    house.close()


def test_a_minute_without_descriptors_costs_few_accepts_and_one_line_in_10_s(
    caplog: pytest.LogCaptureFixture,
) -> None:
    house = House()
    # No spare either: nobody can be told, so the queue stays full and the socket readable.
    house.listener._spare.release()
    house.listener._spare = NoSpare()
    house.dial(5)
    house.exhaust()
    assert house.loop.run_for(60.0) <= 140
    assert house.sock.accept_calls <= 140
    assert 6 <= len(caplog.records) <= 7
    house.network.descriptors.limit = 1000
    house.loop.run_for(1.1)
    assert len(house.transports) == 5
    assert not house.listener.statistics().paused
    house.close()


class NoSpare:
    def release(self) -> None:
        pass

    def take(self) -> bool:
        return False


def test_a_spare_that_was_lost_is_taken_again_after_the_pause() -> None:
    house = House()
    house.dial()
    house.exhaust()
    house.network.descriptors.limit -= 1  # somebody else takes the spare as soon as it is free
    house.loop.turn()
    assert "spare descriptor" not in house.network.open_descriptors().values()
    house.network.descriptors.limit += 1
    house.loop.run_for(0.011)
    assert "spare descriptor" in house.network.open_descriptors().values()
    house.close()


def test_the_pause_starts_again_at_10_ms_after_a_recovery(house: House) -> None:
    for _ in range(3):
        house.network.descriptors.limit = 1000
        house.dial()
        house.exhaust()
        house.loop.turn()
        house.clock.advance(1.0)
        house.loop.turn()
    house.network.descriptors.limit = 1000
    house.dial()
    house.loop.turn()
    house.dial()
    house.exhaust()
    house.loop.turn()
    assert house.loop.timers[0].deadline_s - house.clock.now() == pytest.approx(0.01)


def test_emfile_with_nobody_waiting_pauses_nothing(house: House) -> None:
    house.dial()
    house.exhaust(free=1)
    house.loop.turn()
    assert len(house.transports) == 1
    assert house.listener.statistics().back_offs == 0
    assert house.loop.interests[house.sock.fileno()] == 1


def test_a_back_off_that_ends_while_paused_stays_paused(house: House) -> None:
    house.dial()
    house.exhaust()
    house.loop.turn()
    house.listener.pause()
    house.loop.run_for(2.0)
    house.network.descriptors.limit = 1000
    house.dial()
    assert house.loop.run_for(5.0) == 0
    assert house.transports == []
    house.listener.resume()
    house.loop.turn()
    assert len(house.transports) == 1


class ScriptedSocket:
    """Raises what the script says, else accepts on the wrapped socket."""

    def __init__(self, sock: MemoryListeningSocket, script: list[int]) -> None:
        self._sock = sock
        self._script = script

    def accept(self) -> Any:
        if self._script:
            number = self._script.pop(0)
            raise OSError(number, os.strerror(number))
        return self._sock.accept()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


@pytest.mark.parametrize("number", sorted(listener_module.ABORTED_ERRNOS), ids=errno.errorcode.get)
def test_a_connection_that_died_in_the_queue_is_skipped(house: House, number: int) -> None:
    house.listener._sock = cast("SocketLike", ScriptedSocket(house.sock, [number, number]))
    house.dial()
    house.loop.turn()
    assert len(house.transports) == 1
    assert house.listener.statistics().aborted == 2


class FailingSocket(ScriptedSocket):
    """Raises `number` from accept until it is set to 0."""

    def __init__(self, sock: MemoryListeningSocket, number: int) -> None:
        super().__init__(sock, [])
        self.number = number
        self.calls = 0

    def accept(self) -> Any:
        self.calls += 1
        if self.number:
            raise OSError(self.number, os.strerror(self.number))
        return super().accept()


LASTING = [
    *EXHAUSTED_ERRNOS - {errno.EMFILE}, errno.EPERM, errno.EBADF, errno.EACCES, errno.EINVAL, errno.EIO, 9999
]  # fmt: skip


@pytest.mark.parametrize("number", sorted(LASTING))
def test_whatever_accept_answers_it_neither_spins_nor_is_the_listener_lost(
    house: House, caplog: pytest.LogCaptureFixture, number: int
) -> None:
    sock = FailingSocket(house.sock, number)
    house.listener._sock = cast("SocketLike", sock)
    house.dial()
    house.loop.run_for(60.0)
    assert house.listener.statistics().back_offs <= 70
    assert sock.calls <= 64 * 70
    assert 6 <= len(caplog.records) <= 7
    sock.number = 0
    house.loop.run_for(1.1)
    assert len(house.transports) == 1
    assert not house.listener.statistics().paused


def test_only_a_whole_budget_of_dead_connections_pauses() -> None:
    for dead, back_offs in ((3, 0), (4, 1)):
        house = House(accept_budget=4)
        house.listener._sock = cast("SocketLike", ScriptedSocket(house.sock, [errno.ECONNABORTED] * dead))
        house.dial(5)
        house.loop.turn()
        assert house.listener.statistics().back_offs == back_offs
        house.loop.run_for(0.1)
        assert len(house.transports) == 5
        house.close()


@pytest.mark.parametrize("second", [errno.EMFILE, errno.ECONNABORTED, errno.EBADF])
def test_a_shortage_pauses_unless_the_spare_finds_nobody_waiting(house: House, second: int) -> None:
    house.listener._sock = cast("SocketLike", ScriptedSocket(house.sock, [errno.EMFILE, second]))
    house.dial()
    house.loop.turn()
    assert house.listener.statistics().back_offs == 1
    house.loop.run_for(0.1)
    assert len(house.transports) == 1


@pytest.mark.parametrize("what", ["setblocking", "transport"])
def test_a_connection_that_cannot_be_set_up_is_dropped_and_the_next_is_served(
    house: House, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    def fail(*_arguments: object) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    (first,) = house.dial()
    with monkeypatch.context() as patch:
        if what == "transport":
            patch.setattr(house.listener, "_make_transport", fail)
        else:
            patch.setattr(MemorySocket, "setblocking", fail)
        house.loop.turn()
    assert first.recv(1) == b""
    assert "was dropped" in caplog.text
    house.dial()
    house.loop.turn()
    assert len(house.transports) == 1


def test_a_listener_the_reactor_has_forgotten_can_be_closed(house: House) -> None:
    house.loop.unregister(house.sock.fileno())
    house.listener.close()
    assert house.network.open_descriptors() == {}


@pytest.mark.parametrize("number", sorted(EXHAUSTED_ERRNOS), ids=errno.errorcode.get)
def test_every_shortage_backs_off(house: House, number: int) -> None:
    house.listener._sock = cast("SocketLike", ScriptedSocket(house.sock, [number]))
    (client,) = house.dial()
    house.loop.turn()
    assert is_reset(client)
    assert house.listener.statistics().back_offs == 1


def test_the_backlog_is_bounded() -> None:
    house = House(backlog=3)
    house.dial(3)
    with pytest.raises(BlockingIOError):
        house.network.connect(ADDRESS)
    house.loop.turn()
    house.dial(3)
    house.close()
    with pytest.raises(ConnectionRefusedError):
        house.network.connect(ADDRESS)


@pytest.mark.parametrize("seed", range(3))
def test_on_the_real_reactor_a_shortage_costs_few_turns_and_ends(seed: int) -> None:
    clock = FakeClock()
    network = MemoryNetwork(clock, seed, faults=NetworkFaults(max_delay_s=0.2))
    poller = FakePoller(network, clock, shuffle_seed=seed)
    reactor = Reactor(clock, poller)
    accepted: list[Transport] = []
    listener = Listener(reactor, network.listen(ADDRESS), accepted.append, spare=network.spare())
    clients = [network.connect(ADDRESS) for _ in range(20)]
    network.descriptors.limit = len(network.open_descriptors()) + 7
    end_s = clock.now() + 60.0
    reactor.call_at(end_s, lambda: None)
    while clock.now() < end_s:
        reactor.run_once()
    assert len(accepted) == 7
    assert listener.statistics().shed == 13
    assert poller.polls < 60
    network.descriptors.limit = 1000
    clients.append(network.connect(ADDRESS))
    while len(accepted) < 8:
        reactor.run_once()
    listener.close()
    for transport in accepted:
        transport.close()
    for client in clients:
        client.close()
    assert network.open_descriptors() == {}
    assert len(poller) == 0
    reactor.close()


# Real sockets from here on.


@contextmanager
def descriptor_limit(free: int) -> Iterator[None]:
    """Let only `free` more descriptors be opened in this process."""
    probes = [os.open(os.devnull, os.O_RDONLY) for _ in range(free + 1)]
    limit = max(probes)
    for fd in probes:
        os.close(fd)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class RealHouse:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.loop = StubLoop(self.clock, poll_really)
        self.sock = SocketNetwork().listen(TcpBind("127.0.0.1", 0), 128)
        self.transports: list[Transport] = []
        self.listener = Listener(self.loop, self.sock, self.transports.append)
        self.clients: list[socket.socket] = []

    def dial(self) -> socket.socket:
        bind = self.listener.bind
        assert isinstance(bind, TcpBind)
        client = socket.create_connection((bind.host, bind.port))
        client.settimeout(5)
        self.clients.append(client)
        return client

    def wait(self) -> None:
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        assert poll.poll(5_000)


@pytest.fixture
def real_house() -> Iterator[RealHouse]:
    house = RealHouse()
    yield house
    house.listener.close()
    for transport in house.transports:
        transport.close()
    for client in house.clients:
        client.close()


def test_accepted_sockets_are_non_blocking_and_close_on_exec(real_house: RealHouse) -> None:
    real_house.dial()
    real_house.wait()
    real_house.loop.turn()
    (transport,) = real_house.transports
    assert not os.get_blocking(transport.fileno())
    assert not os.get_inheritable(transport.fileno())
    assert transport.read(1) is None


def test_real_emfile_resets_all_who_wait_does_not_spin_and_recovers(
    real_house: RealHouse, caplog: pytest.LogCaptureFixture
) -> None:
    clients = [real_house.dial() for _ in range(5)]
    real_house.wait()
    with descriptor_limit(0), caplog.at_level(logging.WARNING):
        assert real_house.loop.run_for(60.0) <= 70
        assert real_house.transports == []
    for client in clients:
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    assert real_house.listener.statistics().shed == 5
    assert len(caplog.records) == 1
    real_house.dial()
    real_house.wait()
    real_house.loop.run_for(1.1)
    assert len(real_house.transports) == 1


def test_real_emfile_comes_with_nobody_waiting_and_pauses_nothing(real_house: RealHouse) -> None:
    real_house.dial()
    real_house.wait()
    with descriptor_limit(1):
        real_house.loop.turn()
    assert len(real_house.transports) == 1
    assert real_house.listener.statistics().back_offs == 0


def test_without_a_pause_emfile_would_spin(real_house: RealHouse) -> None:
    """The fact itself: the socket stays readable and every accept fails."""
    real_house.dial()
    real_house.wait()
    with descriptor_limit(0):
        for _ in range(100):
            assert poll_really(real_house.loop.interests) == [real_house.sock.fileno()]
            with pytest.raises(OSError, match="Too many open files"):
                real_house.sock.accept()


def test_the_real_spare_descriptor_survives_a_full_table() -> None:
    spare = DescriptorSpare()
    assert spare.take()
    assert spare.take()
    with descriptor_limit(0):
        spare.release()
        spare.release()
        taken = os.open(os.devnull, os.O_RDONLY)
        assert not spare.take()
        os.close(taken)
        assert spare.take()
    spare.release()


def test_a_spare_that_cannot_be_opened_for_another_reason_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "devnull", "/nonexistent/null")
    with pytest.raises(FileNotFoundError):
        DescriptorSpare().take()
