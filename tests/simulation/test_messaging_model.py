"""The model itself: each promise can be broken, and then it says so."""

from __future__ import annotations

import pytest

from tests.simulation.messaging_model import History, Message, Position, Reader, Writer

A1, A2, B1 = Message("a", 1), Message("a", 2), Message("b", 1)


def at(offset: int, epoch: str = "e") -> Position:
    return Position(epoch, offset)


def reader(position: Position | None = None) -> Reader:
    return Reader(History(), position)


def test_messages_are_read_as_they_were_written() -> None:
    assert Message.parse(str(A2)) == A2


def test_what_is_right_passes() -> None:
    history = History()
    ann, writer = Reader(history), Writer("a", history)
    ann.subscribed(at(0), [], asked=None, recovered=False, server_life=0)
    ann.received(at(1), writer.next(), 0)
    writer.confirmed(at(1), A1, 0)
    ann.subscribed(at(1), [(2, writer.next()), (3, B1)], asked=at(1), recovered=True, server_life=0)
    ann.subscribed(at(9, "new"), [], asked=at(3), recovered=False, server_life=1)
    assert (ann.position, ann.gaps_told, len(ann.seen)) == (at(9, "new"), 1, 3)


def test_p1_and_p3_one_message_at_a_position() -> None:
    history = History()
    Writer("a", history).confirmed(at(1), A1, 0)
    with pytest.raises(AssertionError, match="P3"):
        Reader(history, at(0)).received(at(1), B1, 0)


@pytest.mark.parametrize("second", [at(2), at(1, "other")])
def test_p2_once_in_a_life_of_the_server(second: Position) -> None:
    history = History()
    history.note(at(1), A1, 0)
    with pytest.raises(AssertionError, match="P2"):
        history.note(second, A1, 0)


def test_p2_a_server_that_has_forgotten_may_repeat() -> None:
    history = History()
    history.note(at(1), A1, 0)
    history.note(at(1, "other"), A1, 1)


def test_p3_a_publishers_own_order() -> None:
    history = History()
    history.note(at(1), A2, 0)
    with pytest.raises(AssertionError, match="P3"):
        history.note(at(2), A1, 0)


@pytest.mark.parametrize("position", [at(3), at(1), at(2, "other")])
def test_p4_no_gap_no_repetition_no_other_epoch(position: Position) -> None:
    with pytest.raises(AssertionError, match="P4"):
        reader(at(1)).received(position, A1, 0)


def test_p4_what_is_recovered_has_no_gap_either() -> None:
    with pytest.raises(AssertionError, match="P4"):
        reader(at(1)).subscribed(at(1), [(3, A1)], asked=at(1), recovered=True, server_life=0)


def test_p5_once() -> None:
    ann = reader(at(0))
    ann.received(at(1), A1, 0)
    ann.subscribed(at(0), [], asked=None, recovered=False, server_life=0)
    with pytest.raises(AssertionError, match="P5"):
        ann.received(at(1), A1, 0)


def test_p7_another_epoch() -> None:
    with pytest.raises(AssertionError, match="P7"):
        reader(at(1)).subscribed(at(1, "new"), [], asked=at(1), recovered=True, server_life=0)
