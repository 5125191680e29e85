"""P5 as a check: whoever comes back within the window is recovered; what the window is, exactly."""

from __future__ import annotations

import pytest

from tests.testing.simulator.checkers.by_hand import CACHE, at, book, broken, scene
from wsloop.testing.simulator.checkers import p5_window
from wsloop.testing.simulator.model.ledger import Place, Rules

WINDOW = [
    pytest.param(at(5), at(5), 5.0, True, id="nothing was missed"),
    pytest.param(at(2), at(5), 5.0, True, id="as many as are kept"),
    pytest.param(at(1), at(5), 5.0, False, id="one more"),
    pytest.param(at(4), at(5), 13.9, True, id="just young enough"),
    pytest.param(at(4), at(5), 14.0, False, id="too old"),
    pytest.param(at(4, "old"), at(5), 5.0, False, id="another epoch"),
    pytest.param(at(6), at(5), 5.0, False, id="ahead of the stream"),
    pytest.param(at(0, "new"), at(2, "new"), 5.0, False, id="an epoch nobody knows"),
]


@pytest.mark.parametrize(("asked", "top", "now_s", "held"), WINDOW)
def test_what_is_certainly_kept(asked: Place, top: Place, now_s: float, held: bool) -> None:
    assert p5_window.is_held(book(5), asked, top, now_s) is held


def test_what_had_to_leave_for_want_of_memory_is_not_waited_for() -> None:
    room = book(5)
    room.evicted_s = 4.0
    assert not p5_window.is_held(room, at(4), at(5), 5.0)
    room.evicted_s = 3.9
    assert p5_window.is_held(room, at(4), at(5), 5.0)


def test_a_reply_has_an_end() -> None:
    room = book(400, rules=Rules(1000, 1000.0, 1000.0))
    assert p5_window.is_held(room, at(100), at(400), 5.0)
    assert not p5_window.is_held(room, at(99), at(400), 5.0)


def test_a_cache_needs_its_newest_only() -> None:
    room = book(5, rules=CACHE)
    assert p5_window.is_held(room, at(1), at(5), 5.0)
    assert not p5_window.is_held(room, at(1), at(5), 14.0)
    assert not p5_window.is_held(book(rules=CACHE), at(0), at(0), 5.0)


def test_who_is_turned_away_within_the_window_is_found() -> None:
    p5_window.check_refused(scene(), "ben", book(5), at(1), at(5))
    with broken("P5", "ben was not recovered in room", "from offset 3 of epoch e to offset 5", "was kept"):
        p5_window.check_refused(scene(), "ben", book(5), at(3), at(5))


def test_a_position_that_is_not_there_is_found() -> None:
    p5_window.check_top(scene(), "ben", book(5), at(3), at(5))
    p5_window.check_top(scene(), "ben", book(5), at(9, "old"), at(0, "new"))
    with broken("P1", "ben was told that room is at offset 6", "has reached offset 5"):
        p5_window.check_top(scene(), "ben", book(5), at(3), at(6))
    with broken("P5", "ben was sent back to offset 2", "having seen offset 3"):
        p5_window.check_top(scene(), "ben", book(5), at(3), at(2))


def test_a_history_has_all_that_was_certainly_kept() -> None:
    five = book(5)  # of which it keeps three
    for offsets, limit in (([3, 4, 5], -1), ([5, 4, 3], -1), ([3], 1), ([5], 1), ([], 0)):
        p5_window.check_read(scene(5.0), "bea", five, at(5), offsets, limit)
    p5_window.check_read(scene(99.0), "bea", five, at(5), [], -1)
    p5_window.check_read(scene(5.0), "bea", five, at(5, "other"), [], -1)
    p5_window.check_read(scene(5.0), "bea", book(), at(0), [], -1)
    for offsets, limit in (([], -1), ([4, 5], -1), ([], 1), ([5], 2)):
        with broken("P5", "of which 3 were certainly kept"):
            p5_window.check_read(scene(5.0), "bea", five, at(5), offsets, limit)
    with broken("P5", "without its newest"):
        p5_window.check_read(scene(5.0), "bea", five, at(5), [2, 3, 4], -1)
    with broken("P5", "of which 1 were certainly kept"):
        p5_window.check_read(scene(5.0), "bea", book(5, rules=CACHE), at(5), [], -1)
