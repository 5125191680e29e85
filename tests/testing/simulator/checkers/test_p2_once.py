"""P2 as a check: a message is appended once within the window, and called a duplicate only then."""

from __future__ import annotations

from tests.testing.simulator.checkers.by_hand import at, book, broken, scene, text
from wsloop.testing.simulator.checkers import p2_once


def test_a_message_is_appended_once_and_again_when_the_window_is_over() -> None:
    room = book()
    p2_once.check_appended(scene(), room, at(1), text(1), 0.0, 100.0)
    p2_once.check_appended(scene(), room, at(2), text(2), 0.0, 100.0)
    p2_once.check_appended(scene(), room, at(3), text(1, "ben"), 0.0, 100.0)
    p2_once.check_appended(scene(), room, at(4), text(1, submission=9), 100.0, 100.0)


def test_a_message_that_is_appended_twice_is_found() -> None:
    room = book()
    p2_once.check_appended(scene(), room, at(1), text(1), 0.0, 100.0)
    with broken("P2", "message 1 of ann", "room", "offset 1 of epoch e", "offset 1 of epoch f"):
        p2_once.check_appended(scene(), room, at(1, "f"), text(1, submission=2), 99.9, 100.0)


def test_a_duplicate_is_one_of_the_same_message() -> None:
    room = book()
    p2_once.check_appended(scene(), room, at(1), text(1), 0.0, 100.0)
    p2_once.check_duplicate(scene(), room, at(1), text(1, submission=5))
    with broken("P2", "message 1 of ben", "never appended"):
        p2_once.check_duplicate(scene(), room, at(1), text(1, "ben"))
    with broken("P2", "at offset 2", "stands at offset 1"):
        p2_once.check_duplicate(scene(), room, at(2), text(1))


def test_whoever_is_told_of_a_duplicate_has_sent_it_before() -> None:
    room = book()
    p2_once.check_told(scene(), "ann", room, text(1), text(1), is_duplicate=False)
    p2_once.check_told(scene(), "ann", room, text(1, submission=2), text(1), is_duplicate=True)
    with broken("P2", "ann was told", "a duplicate"):
        p2_once.check_told(scene(), "ann", room, text(1), text(1), is_duplicate=True)
    with broken("P2", "ann was told", "new"):
        p2_once.check_told(scene(), "ann", room, text(1, submission=2), text(1), is_duplicate=False)
