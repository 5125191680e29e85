"""P4 as a check: the next offset, and only to who is subscribed."""

from __future__ import annotations

from tests.testing.simulator.checkers.by_hand import at, book, broken, scene
from wsloop.testing.simulator.checkers import p4_gap


def test_the_next_offset_is_the_next() -> None:
    p4_gap.check_next(scene(), "ben", book(5), at(3), 4)


def test_a_gap_and_a_repetition_are_found() -> None:
    with broken("P4", "ben was given offset 5 of room", "standing at offset 3 of epoch e"):
        p4_gap.check_next(scene(), "ben", book(5), at(3), 5)
    for offset in (3, 2):
        with broken("P5", f"ben was given offset {offset} of room again"):
            p4_gap.check_next(scene(), "ben", book(5), at(3), offset)


def test_nobody_is_given_what_they_are_not_subscribed_to() -> None:
    p4_gap.check_subscribed(scene(), "ben", book(), is_live=True)
    with broken("P4", "ben", "room", "without a subscription"):
        p4_gap.check_subscribed(scene(), "ben", book(), is_live=False)


def test_what_is_left_out_is_told() -> None:
    p4_gap.check_told(scene(), "ben", book(), 4, 0, 0)
    p4_gap.check_told(scene(), "ben", book(), 7, 3, 3)
    for missed, dropped in ((1, 0), (0, 1), (3, 2)):
        with broken("P4", f"offset 7 of room with {missed} left out", f"told of {dropped}"):
            p4_gap.check_told(scene(), "ben", book(), 7, missed, dropped)
