"""P1 as a check: what is completed or acknowledged stands where it is said to."""

from __future__ import annotations

from tests.testing.simulator.checkers.by_hand import at, book, broken, scene, text
from wsloop.testing.simulator.checkers import p1_acknowledged


def test_what_stands_at_the_top_was_appended() -> None:
    payload = text(4).encode()
    p1_acknowledged.check_completed(scene(), "room", payload, at(4), at(4), payload)
    p1_acknowledged.check_completed(scene(), "room", payload, at(4), at(4), None)  # evicted at once


def test_a_completion_before_the_append_is_found() -> None:
    with broken("P1", "ann.4.4", "room", "offset 4 of epoch e", "offset 3 of epoch e"):
        p1_acknowledged.check_completed(scene(), "room", text(4).encode(), at(4), at(3), text(3).encode())


def test_a_completion_over_another_payload_is_found() -> None:
    with broken("P1", "ann.4.4", "ann.9.9"):
        p1_acknowledged.check_completed(scene(), "room", text(4).encode(), at(4), at(4), text(9).encode())


def test_an_acknowledgement_names_where_the_message_stands() -> None:
    found = p1_acknowledged.check_acknowledged(scene(), "ann", book(3), at(2), text(2, submission=9))
    assert found == text(2)


def test_an_acknowledgement_of_nothing_is_found() -> None:
    for nowhere in (at(4), at(0), at(1, "other")):
        with broken("P1", "ann was told", "message 2 of ann", str(nowhere), "nothing was appended"):
            p1_acknowledged.check_acknowledged(scene(), "ann", book(3), nowhere, text(2))


def test_an_acknowledgement_of_anothers_message_is_found() -> None:
    for other in (text(3), text(2, "ben")):
        with broken("P1", "ann was told", "message 2 of ann"):
            p1_acknowledged.check_acknowledged(scene(), "ann", book(3), at(2), other)
