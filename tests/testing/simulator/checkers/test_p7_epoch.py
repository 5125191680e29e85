"""P7 as a check: nobody is recovered into another epoch, and no epoch ends without a reason."""

from __future__ import annotations

from tests.testing.simulator.checkers.by_hand import at, book, broken, scene
from wsloop.testing.simulator.checkers import p7_epoch


def test_recovery_stays_in_its_epoch() -> None:
    p7_epoch.check_recovered(scene(), "ben", book(5), at(3), at(3))
    p7_epoch.check_recovered(scene(), "ben", book(5), at(3, ""), at(3))
    with broken("P7", "ben was recovered in room from offset 3 of epoch old into epoch e"):
        p7_epoch.check_recovered(scene(), "ben", book(5), at(3, "old"), at(3))
    with broken("P4", "ben was recovered", "the reply counts from offset 5"):
        p7_epoch.check_recovered(scene(), "ben", book(5), at(3), at(5))


def test_a_stream_may_begin_anew_with_an_excuse() -> None:
    first = book()
    p7_epoch.check_begun(scene(), first, "e", 0.0)
    removed = book(3)
    removed.excuses = 1
    p7_epoch.check_begun(scene(), removed, "f", 2.1)
    assert removed.excuses == 0


def test_or_after_the_time_for_which_a_position_is_remembered() -> None:
    p7_epoch.check_begun(scene(), book(3), "f", 32.0)  # 30 s behind the last
    with broken("P7", "room left epoch e at offset 3 for f", "without a reason"):
        p7_epoch.check_begun(scene(), book(3), "f", 31.9)


def test_an_epoch_does_not_come_back() -> None:
    room = book(3)
    room.begin("f")
    with broken("P7", "room went back to epoch e"):
        p7_epoch.check_begun(scene(), room, "e", 1000.0)
