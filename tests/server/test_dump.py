"""The state of the loop, as an operator sees it."""

from __future__ import annotations

import functools

from wsloop.server import dump
from wsloop.server.assembly import Options
from wsloop.server.slow_peers import SlowPeer
from wsloop.testing.server import MemoryServer


def table(house: MemoryServer) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in dump.state_of(house.house).splitlines())


def test_it_tells_what_there_is() -> None:
    with MemoryServer(options=Options(dev=True, slow_turn_s=0.1)) as house:
        house.connect()
        house.join("ann")
        state = table(house)
        statistics = house.reactor.statistics()
        assert state["descriptors"].startswith(f"{statistics.descriptors} (")
        assert "Connection 2" in state["descriptors"]
        assert "Listener 1" in state["descriptors"]
        assert state["timers"].startswith(f"{statistics.timers}, the next in ")
        assert "open 2" in state["connections"]
        assert "0 faults, 0 too long" in state["turns"]
        assert state["clients, channels, subscriptions"] == "1, 0, 0"
        assert state["memory"] == "no limit, or not measured yet"
        assert "slow" not in state


def test_the_slowest_are_named_and_no_more_than_ten() -> None:
    with MemoryServer() as house:
        for number in range(12):
            client = house.connect()
            client.stop_reading()
            house.server.registry.snapshot()[-1].send_binary(b"x" * (500_000 + number))
        house.run_for(0.1)
        slow = [line for line in dump.state_of(house.house).splitlines() if line.startswith("slow: ")]
        assert len(slow) == 10
        assert slow[0].startswith("slow: connection 12: ")


def test_a_long_name_of_a_peers_is_cut() -> None:
    peer = SlowPeer(1, "c", "u" * 1000, 5, 1, 0.5, 0)
    assert "u" * dump.MAX_NAME in dump._slow(peer)
    assert "u" * (dump.MAX_NAME + 1) not in dump._slow(peer)


def test_a_handler_is_named_by_what_it_belongs_to_however_it_is_wrapped() -> None:
    class Owner:
        def handle(self) -> None: ...

    for handler, name in ((Owner().handle, "Owner"), (table, "table")):
        assert dump._kind(functools.partial(functools.partial(handler))) == name
