"""Company as a check: who was told of whom in a channel that tells of comings and goings."""

from __future__ import annotations

from tests.testing.simulator.checkers.by_hand import broken, scene
from wsloop.testing.simulator.checkers.company import check_company


def test_who_came_first_knows_who_came_later() -> None:
    check_company(scene(), "n:a", {})
    check_company(scene(), "n:a", {"ann": {"ann", "ben", "eve"}, "ben": {"eve"}, "eve": set()})


def test_somebody_of_whom_nobody_was_told_is_found() -> None:
    with broken("company", "of ben and eve in n:a neither was told"):
        check_company(scene(), "n:a", {"ann": {"ben", "eve"}, "ben": set(), "eve": set()})


def test_somebody_who_has_gone_and_is_still_known_is_found() -> None:
    with broken("company", "ann in n:a was not told that eve left"):
        check_company(scene(), "n:a", {"ann": {"ben", "eve"}, "ben": set()})
