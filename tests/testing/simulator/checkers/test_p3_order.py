"""P3 as a check: one order, the same for all, and each connection's own within it."""

from __future__ import annotations

import pytest

from tests.testing.simulator.checkers.by_hand import at, book, broken, scene, text
from wsloop.testing.simulator.checkers import p3_order


def test_offsets_count_by_one() -> None:
    room = book(3)
    assert room.current is not None
    p3_order.check_next(scene(), "room", room.current, 4, text(4).encode())
    for offset in (3, 5, 0):
        with broken("P3", "ann.4.4", "room", f"at offset {offset},", "behind offset 3 of epoch e"):
            p3_order.check_next(scene(), "room", room.current, offset, text(4).encode())


def test_one_connection_s_publications_stand_as_they_were_sent() -> None:
    room = book()
    for connection, submission in (("a", 1), ("a", 3), ("b", 2), ("a", 4)):
        p3_order.check_publisher(scene(), room, connection, text(submission))
    with broken("P3", "message 3 of ann", "room", "behind submission 4"):
        p3_order.check_publisher(scene(), room, "a", text(3))


def test_everybody_sees_the_same() -> None:
    room = book(3)
    p3_order.check_same(scene(), "ben", room, at(2), text(2).encode())
    with broken("P3", "ben was given", "ann.3.3", "offset 2 of epoch e", "ann.2.2"):
        p3_order.check_same(scene(), "ben", room, at(2), text(3).encode())
    for nowhere in (at(4), at(2, "other")):
        with broken("P3", "ben was given", "nothing was appended"):
            p3_order.check_same(scene(), "ben", room, nowhere, text(2).encode())


@pytest.mark.parametrize(("before", "turn", "is_whole"), [(-1, 5, True), (4, 5, True), (4, 9, False)])
def test_turns_go_up(before: int, turn: int, is_whole: bool) -> None:
    p3_order.check_turn(scene(), "ben", book(), before, turn, is_whole=is_whole)


@pytest.mark.parametrize(("before", "turn", "is_whole"), [(4, 4, False), (4, 3, True), (4, 6, True)])
def test_turns_that_go_back_or_leave_one_out_are_found(before: int, turn: int, is_whole: bool) -> None:
    with broken("P3", "ben was given publication", "room"):
        p3_order.check_turn(scene(), "ben", book(), before, turn, is_whole=is_whole)
