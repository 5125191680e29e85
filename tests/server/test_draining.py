"""A drain's pace: even, in random order, never slower than the least, over at its time."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsloop.server.draining import LEAST_PER_S, STEP_S, Drain
from wsloop.testing.server import MemoryServer
from wsloop.transport.bind import TcpBind

if TYPE_CHECKING:
    from wsloop.server.connection import Connection


class Guest:
    """Stands for a connection: notes when it was asked to go."""

    def __init__(self, house: MemoryServer, number: int) -> None:
        self._house = house
        self.number = number
        self.asked_s: list[float] = []

    def shut_down(self) -> None:
        self.asked_s.append(self._house.clock.now())


def drain(house: MemoryServer, count: int, spread_s: float, processes: int = 1) -> tuple[Drain, list[Guest]]:
    guests = [Guest(house, number) for number in range(count)]
    chance = random.Random(count)
    made = Drain(house.reactor, cast("list[Connection]", guests), spread_s, chance.random, processes)
    made.begin()
    return made, guests


@settings(max_examples=25, deadline=None)
@given(count=st.integers(0, 3000), spread_s=st.floats(0.5, 20.0), processes=st.integers(1, 8))
def test_the_pace_is_even_and_everybody_is_asked_once_in_time(
    count: int, spread_s: float, processes: int
) -> None:
    with MemoryServer() as house:
        began_s = house.clock.now()
        made, guests = drain(house, count, spread_s, processes)
        house.run_for(spread_s + 2 * STEP_S)
        assert made.left == 0
        assert made.total == count
        assert all(len(guest.asked_s) == 1 for guest in guests)
    times = sorted(guest.asked_s[0] - began_s for guest in guests)
    per_s = max(count / spread_s, LEAST_PER_S / processes)
    for index, time_s in enumerate(times):
        assert index / per_s - 2 * STEP_S <= time_s <= index / per_s + 2 * STEP_S


def test_the_order_is_not_that_of_arrival() -> None:
    with MemoryServer() as house:
        _, guests = drain(house, 4000, 10.0)
        house.run_for(5.0)
        first = [guest.number for guest in guests if guest.asked_s]
        assert 1900 < len(first) < 2100
        assert 1800 < sum(first) / len(first) < 2200  # by chance once in 10^15
        house.run_for(6.0)


def test_a_few_need_no_window() -> None:
    with MemoryServer() as house:
        made, _ = drain(house, 5, 3600.0)
        assert made.left == 0


def test_whoever_is_left_can_be_forgotten() -> None:
    with MemoryServer() as house:
        made, guests = drain(house, 1000, 10.0)
        made.forget()
        house.run_for(11.0)
        assert sum(len(guest.asked_s) for guest in guests) < 100


def test_a_server_drains_over_its_time_and_says_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsloop.server.draining.LEAST_PER_S", 1.0)
    with MemoryServer() as house:
        clients = [house.connect() for _ in range(20)]
        drained: list[float] = []
        began_s = house.clock.now()
        house.server.drain(lambda: drained.append(house.clock.now()), spread_s=10.0)
        assert (house.server.drained_from, house.server.draining) == (20, True)
        house.run_for(5.0)
        assert 8 <= house.server.clients <= 12
        assert not drained
        house.run_until(lambda: drained, within_s=6.0)
        assert 9.0 < drained[0] - began_s < 10.5
        assert {client.close_frame for client in clients} == {(1012, "shutdown")}
        house.server.drain(lambda: drained.append(0.0))  # again: no effect
        house.run_for(1.0)
        assert len(drained) == 1


def test_the_operators_software_is_served_while_clients_go() -> None:
    admin = TcpBind("127.0.0.1", 8766)
    with MemoryServer() as house:
        house.server.listen_admin(admin, house.admin)
        stubborn = house.connect()
        stubborn.stop_reading()
        over: list[bool] = []
        house.server.drain(lambda: over.append(True), spread_s=1.0)
        asked = house.dial(at=admin)
        asked.send_bytes(b"GET /healthz HTTP/1.1\r\nHost: wsloop.test\r\nConnection: close\r\n\r\n")
        house.run_until(lambda: asked.is_gone)
        assert asked.http.startswith(b"HTTP/1.1 200 ")
        assert not over
        house.run_until(lambda: over, within_s=10)
        with pytest.raises(ConnectionRefusedError):
            house.dial(at=admin)
