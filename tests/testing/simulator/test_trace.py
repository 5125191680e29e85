from __future__ import annotations

import pytest

from wsloop.testing.simulator.trace import BATCH, KEPT, Trace


def digest(*notes: tuple[str | int | float | bytes, ...]) -> str:
    trace = Trace()
    for note in notes:
        trace.note(*note)
    return trace.digest


def test_what_was_noted_and_its_order_make_the_digest() -> None:
    assert digest(("send", 1, b"a"), ("turn", 2)) == digest(("send", 1, b"a"), ("turn", 2))
    assert digest(("send", 1, b"a"), ("turn", 2)) != digest(("turn", 2), ("send", 1, b"a"))
    assert digest(("send", 1, b"a")) != digest(("send", 1, b"b"))


def test_the_digest_is_the_same_on_every_machine() -> None:
    assert digest(("turn", 1, "server", 0.5)) == "10907812c7836c96ab35bea4d712f953"


def test_it_does_not_matter_when_the_digest_is_asked_for() -> None:
    asked, not_asked = Trace(), Trace()
    for number in range(40):
        asked.note("turn", number)
        not_asked.note("turn", number)
        assert asked.digest
    assert asked.digest == not_asked.digest


def test_the_last_notes_are_kept_as_lines() -> None:
    trace = Trace()
    for number in range(2 * BATCH + KEPT):
        trace.note("turn", number, 0.25, b"x\n", None)
    lines = trace.last_lines()
    assert len(lines) == KEPT
    assert lines[-1] == f"   1000.000000  turn      {2 * BATCH + KEPT - 1}  0.250000  b'x\\n'  None"


def test_every_line_goes_to_the_log_with_its_time() -> None:
    lines: list[str] = []
    trace = Trace(lines.append)
    trace.note("send", 3)
    trace.clock.advance(0.5)
    trace.note("fault", "reset")
    assert trace.digest
    assert lines == ["   1000.000000  send      3", "   1000.500000  fault     reset"]


def test_when_it_happened_is_part_of_the_digest() -> None:
    soon, late = Trace(), Trace()
    late.clock.advance(0.5)
    for trace in (soon, late):
        trace.note("act", "p0")
    assert soon.digest != late.digest


@pytest.mark.parametrize("before", [0, BATCH - 1, BATCH])
def test_what_is_taken_back_was_never_noted(before: int) -> None:
    trace, other = Trace(), Trace()
    for each in (trace, other):
        for number in range(before):
            each.note("turn", number)
    trace.note("act", "p0")
    trace.take_back()
    assert trace.noted == other.noted == before
    assert trace.digest == other.digest
