"""P8 as a check: connected, in, at the top, acknowledged."""

from __future__ import annotations

from tests.testing.simulator.checkers.by_hand import at, book, broken, scene
from wsloop.testing.simulator.checkers import p8_liveness


def test_all_is_well() -> None:
    p8_liveness.check_connected(scene(), "ben", is_connected=True)
    p8_liveness.check_member(scene(), "ben", book(), "in")
    p8_liveness.check_top(scene(), "ben", book(3), at(3))
    p8_liveness.check_top(scene(), "ben", book(3), at(0, "an epoch without publications"))
    p8_liveness.check_acknowledged(scene(), "ben", [])
    p8_liveness.check_answered(scene(), "ben", "")


def test_who_is_left_behind_is_found() -> None:
    with broken("P8", "ben is not connected"):
        p8_liveness.check_connected(scene(), "ben", is_connected=False)
    with broken("P8", "ben wants to be in room and is 'asking'"):
        p8_liveness.check_member(scene(), "ben", book(), "asking")
    with broken("P8", "ben is at offset 2 of epoch e of room, whose top is offset 3"):
        p8_liveness.check_top(scene(), "ben", book(3), at(2))
    for nothing in (at(0), at(0, "")):
        with broken("P8", "ben has seen nothing of room"):
            p8_liveness.check_top(scene(), "ben", book(3), nothing)
    with broken("P8", "ben has had no acknowledgement of message 1 to room"):
        p8_liveness.check_acknowledged(scene(), "ben", ["message 1 to room"])
    with broken("P8", "ben has had no answer to the handshake"):
        p8_liveness.check_answered(scene(), "ben", "the handshake")
