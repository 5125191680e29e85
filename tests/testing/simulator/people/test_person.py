from __future__ import annotations

import pytest

from wsloop.testing.simulator.faults import NO_FAULTS
from wsloop.testing.simulator.people.member import ASKING, IN, OUT
from wsloop.testing.simulator.people.person import PATIENCE_S, Person
from wsloop.testing.simulator.violation import Violation
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


@pytest.mark.parametrize(
    ("state", "is_live", "code", "is_known"),
    [
        (IN, True, 2000, True),
        (IN, True, 2500, True),
        (IN, True, 2502, False),
        (ASKING, False, 2000, True),
        (ASKING, False, 2500, False),
        (OUT, False, 2000, False),
    ],
)
def test_a_subscription_is_ended_that_there_is_or_that_is_asked_for(
    *, state: str, is_live: bool, code: int, is_known: bool
) -> None:
    here = World(1, "one", NO_FAULTS)
    person = next(each for each in here.actors if isinstance(each, Person))
    membership = next(each for each in person.memberships.values() if not each.is_server_side)
    membership.state, membership.reader.is_live = state, is_live
    push = {"unsubscribe": {"code": code, "reason": "server unsubscribe"}}
    if is_known:
        person.on_push(membership.channel, push)
        assert not membership.reader.is_live
        assert membership.state == (OUT if state == IN else state)
    else:
        with pytest.raises(Violation, match="was unsubscribed from"):
            person.on_push(membership.channel, push)
