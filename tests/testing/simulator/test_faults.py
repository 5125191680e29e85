from __future__ import annotations

import math

import pytest

from tests.testing.simulator.kit import Kit
from wsloop.testing.simulator.faults import KIND, KINDS, NO_FAULTS, FaultPlan, Per, missing, swarm_of
from wsloop.testing.simulator.world import World


def test_each_kind_has_a_name_of_its_own() -> None:
    assert len(KIND) == len(KINDS)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_kind_says_what_it_does_and_how_often(kind: object) -> None:
    assert isinstance(kind, type(KINDS[0]))
    assert kind.does
    assert kind.every >= 1
    assert set(kind.shapes) <= {"one", "cluster"}


def test_without_faults_nothing_strikes() -> None:
    kit = Kit(NO_FAULTS)
    assert not any(chance.strikes() for chance in kit.storm.chances.values() for _ in range(1000))
    assert all(chance.next_s(0.0) == math.inf for chance in kit.storm.chances.values())


def struck(plan: FaultPlan, name: str, seed: int) -> list[int]:
    storm = Kit(plan, seed).storm
    return [call for call in range(5000) if storm[name].strikes()]


def test_a_kind_strikes_about_as_often_as_the_table_says() -> None:
    counts = [len(struck(FaultPlan(), "short-read", seed)) for seed in range(20)]
    assert 0 in counts, "it is off in a part of the histories"
    average = 5000 / KIND["short-read"].every
    assert any(average / 2 < count < average * 2 for count in counts)


def test_what_one_kind_draws_does_not_move_another() -> None:
    alone = FaultPlan(kinds=frozenset({"short-read"}))
    for seed in range(10):
        assert struck(alone, "short-read", seed) == struck(FaultPlan(), "short-read", seed)


def test_single_faults_can_be_left_away_and_the_others_stay() -> None:
    seed = next(seed for seed in range(99) if len(struck(FaultPlan(), "spike", seed)) > 3)
    every = struck(FaultPlan(), "spike", seed)
    some = FaultPlan(only=frozenset({("spike", 1), ("spike", 3)}))
    assert struck(some, "spike", seed) == [every[0], every[2]]


def done(plan: FaultPlan, name: str) -> dict[float, float]:
    """When each fault of a kind by time came, and what it drew for what it does."""
    chance = next(chance for seed in range(99) if (chance := Kit(plan, seed).storm[name]).is_on)
    now_s, found = 0.0, {}
    for _ in range(6):
        now_s = chance.next_s(now_s)
        if chance.strike():
            found[now_s] = chance.random.random()
    return found


@pytest.mark.parametrize("name", ["stall", "short-read"])
def test_what_a_fault_does_that_is_left_away_moves_no_other_of_its_kind(name: str) -> None:
    every = done(FaultPlan(), name)
    some = done(FaultPlan(only=frozenset({(name, 2), (name, 5)})), name)
    assert list(some.items()) == [list(every.items())[1], list(every.items())[4]]


def test_marks_count_what_fired_and_name_what_did_not() -> None:
    kit = Kit(FaultPlan())
    kit.force("reset", 1e-9)
    assert kit.storm["reset"].strikes()
    assert kit.marks.fired["reset"] == 1
    assert kit.marks.single == [("reset", 1)]
    found = missing(kit.marks.fired, ["one"], FaultPlan())
    assert "reset" not in found
    assert "vanish" in found
    assert "link-down" not in found, "it cannot happen there"
    few = FaultPlan(kinds=frozenset({"reset", "vanish"}))
    assert missing(kit.marks.fired, ["one"], few) == ["vanish"]
    single = FaultPlan(only=frozenset({("vanish", 1)}))
    assert missing(kit.marks.fired, ["one"], single) == []


def test_in_eight_histories_each_kind_is_on_in_four_and_the_broker_is_unruly_in_four() -> None:
    seen = set()
    for seed in range(5):
        swarms = [swarm_of(seed, number) for number in range(8, 16)]
        for kind in KINDS:
            assert sum(kind.name in each.kinds for each in swarms) == 4
            for shape in (0, 1):  # of a mixed run
                ours = [each for each in swarms[shape::2] if kind.name in each.kinds]
                assert [each.has_unruly_broker for each in ours].count(True) == 1
        seen.add(swarms[0])
    assert len(seen) == 5
    assert swarm_of(1, 8) == swarm_of(1, 8) != swarm_of(1, 0)


def test_a_fault_that_lasts_fires_when_it_is_met() -> None:
    kit = Kit(FaultPlan())
    kit.force("emfile", 1e-9)
    assert kit.storm["emfile"].strike()
    assert kit.marks.fired["emfile"] == 0
    kit.near.descriptors.limit = 0
    assert kit.near.descriptors.is_full()
    assert kit.marks.fired["emfile"] == 1


def test_the_calm_has_no_faults() -> None:
    kit = Kit(FaultPlan())
    kit.force("reset", 1e-9)
    kit.storm.is_over = True
    assert not kit.storm["reset"].strikes()


def test_kinds_by_time_are_drawn_in_seconds() -> None:
    assert {kind.per for kind in KINDS} == set(Per)


def test_an_aftershock_loses_what_is_said_in_the_calm_and_nothing_else() -> None:
    for seed in range(8):
        world = World(f"after {seed}", "one", FaultPlan(frozenset({"broker-lost", "reset"})))
        storm = world.storm
        storm.is_over = True
        assert world.weather.aftershock() is storm.has_unruly_broker
        allowed = [each for each in ("broker-lost", "reset") if storm.lets(each, 1)]
        assert allowed == (["broker-lost"] if storm.has_unruly_broker else [])
        world.weather.end_aftershock()
        assert not any(storm["broker-lost"].strikes() for _ in range(20))


def test_an_aftershock_cuts_a_link_or_does_nothing() -> None:
    world = World("after", "cluster", FaultPlan(frozenset({"link-down"})))
    world.run_for(1.0)
    world.storm.is_over = True
    before = world.marks.fired["link-down"]
    assert world.weather.aftershock()
    assert world.marks.fired["link-down"] == before + 1
    assert not World("after", "cluster", NO_FAULTS).weather.aftershock()
