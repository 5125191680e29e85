"""P6 as a check: on a quiet channel a loss is found within ten seconds, and what brings it needs two."""

from __future__ import annotations

from tests.testing.simulator.checkers.by_hand import at, book, broken, scene
from wsloop.testing.simulator.checkers import p6_detection


def test_who_is_at_the_top_has_lost_nothing() -> None:
    p6_detection.check_place(scene(1000.0), "ben", book(3), at(3), 0.0)
    p6_detection.check_place(scene(1000.0), "ben", book(), at(0), 0.0)


def test_there_is_time_to_find_a_loss() -> None:
    room = book(3)  # the last at 2 s
    p6_detection.check_place(scene(14.0), "ben", room, at(2), 0.0)
    p6_detection.check_place(scene(22.0), "ben", room, at(2), 10.0)


def test_a_loss_that_nobody_finds_is_found() -> None:
    with broken("P6", "ben is at offset 2 of epoch e of room", "offset 3", "not told"):
        p6_detection.check_place(scene(14.1), "ben", book(3), at(2), 0.0)


def test_another_epoch_is_another_promise() -> None:
    p6_detection.check_place(scene(1000.0), "ben", book(3), at(9, "old"), 0.0)
