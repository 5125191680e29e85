"""Health: the reasons of all checks, in their order, asked anew each time."""

from __future__ import annotations

from wsloop.server.health import Health
from wsloop.testing.server import MemoryServer


def test_what_is_well_says_nothing() -> None:
    health = Health()
    assert health.reasons() == []
    trouble = ["", "too full"]
    health.add(lambda: trouble[0])
    health.add(lambda: trouble[1])
    assert health.reasons() == ["too full"]
    trouble[0] = "on fire"
    assert health.reasons() == ["on fire", "too full"]


def test_a_server_that_drains_is_not_ready() -> None:
    with MemoryServer() as made:
        assert made.house.health.reasons() == []
        made.server.drain(lambda: None)
        assert made.house.health.reasons() == ["draining"]


def test_what_others_are_is_told_but_is_not_ones_own() -> None:
    health = Health()
    health.add(lambda: "mine")
    health.add_of_others(lambda: "theirs")
    health.add_of_others(lambda: "")
    assert health.reasons() == ["mine", "theirs"]
    assert health.own_reasons() == ["mine"]


def test_load_bars_those_who_are_new_and_is_no_reason_not_to_have_started() -> None:
    health = Health()
    assert health.is_up()
    health.add(lambda: "overloaded: memory at 99 % of 12 MiB")
    health.add_of_others(lambda: "theirs")
    assert health.is_up()
    health.add(lambda: "no link to the broker")
    assert not health.is_up()
