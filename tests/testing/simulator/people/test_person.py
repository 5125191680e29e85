from __future__ import annotations

from wsloop.testing.simulator.faults import NO_FAULTS
from wsloop.testing.simulator.people.person import PATIENCE_S, Person
from wsloop.testing.simulator.world import World


def test_nobody_hangs_up_on_what_was_asked_a_moment_ago() -> None:
    here = World(1, "one", NO_FAULTS)
    person = next(each for each in here.actors if isinstance(each, Person))
    here.run_for(2 * PATIENCE_S)
    while person.phone is None or not person.client or person.phone.under_way:
        here.turn()
    now_s = here.clock.now()
    person.phone.number("anything but a publish")
    assert not person._is_out_of_patience(now_s + PATIENCE_S / 2)
    assert person._is_out_of_patience(now_s + PATIENCE_S + 1.0)
