from __future__ import annotations

import math

from wsloop.testing.simulator.agenda import Agenda


def test_what_is_due_happens_in_order_and_what_is_not_waits() -> None:
    agenda, done = Agenda(), list[str]()
    for due_s, name in ((2.0, "c"), (1.0, "a"), (1.0, "b"), (5.0, "d")):
        agenda.at(due_s, done.append, (name,))
    assert agenda.next_s() == 1.0
    agenda.run(2.0)
    assert done == ["a", "b", "c"]
    assert len(agenda) == 1


def test_what_is_entered_for_now_happens_now() -> None:
    agenda, done = Agenda(), list[str]()
    agenda.at(1.0, lambda: agenda.at(1.0, done.append, ("later",)))
    agenda.run(1.0)
    assert done == ["later"]
    assert agenda.next_s() == math.inf
