"""Deadlines as a check: what should have ended by now."""

from __future__ import annotations

import math

from tests.testing.simulator.checkers.by_hand import broken, scene
from wsloop.testing.simulator.checkers import deadlines


def test_a_frame_has_its_time_and_no_more() -> None:
    deadlines.check_frame(scene(10.0), "rogue 0", 0.0)
    with broken("deadline", "rogue 0 has been let send one frame for 10.1 s"):
        deadlines.check_frame(scene(10.1), "rogue 0", 0.0)


def test_a_right_ends_after_its_grace() -> None:
    deadlines.check_right(scene(1000.0), "ann", math.inf, 0.0)
    deadlines.check_right(scene(19.0), "ann", 10.0, 0.0)
    deadlines.check_right(scene(34.0), "ann", 10.0, 30.0)
    with broken("deadline", "ann is still there 9.1 s after their right ended"):
        deadlines.check_right(scene(19.1), "ann", 10.0, 0.0)
