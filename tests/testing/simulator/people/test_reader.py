"""A subscriber's memory: what it accepts, and each way in which it can be deceived."""

from __future__ import annotations

import pytest

from tests.testing.simulator.checkers.by_hand import CACHE, KEEP, LOSSY, at, book, broken, scene, text
from wsloop.testing.simulator.model.ledger import NOWHERE, Place, Rules
from wsloop.testing.simulator.people.reader import CountingReader, LooseReader, PlainReader


def pubs(*offsets: int) -> list[tuple[int, bytes]]:
    return [(offset, text(offset).encode()) for offset in offsets]


def counting(count: int = 5, where: Place | None = None, rules: Rules = KEEP) -> CountingReader:
    """Return a reader of a book with `count`, who stood at `where`, lost the line, and has asked again."""
    reader = CountingReader(scene(), "ben", book(count, rules=rules))
    if where is not None:
        reader.epoch, reader.offset = where
    reader.ask()
    return reader


def test_the_first_time() -> None:
    reader = counting()
    assert reader.asked is None
    reader.subscribed(at(5), [], recovered=False)
    assert (reader.place, reader.is_live, reader.gaps_told) == (at(5), True, 0)


def test_recovered_and_on() -> None:
    reader = counting(where=at(2))
    reader.subscribed(at(2), pubs(3, 4), recovered=True)
    reader.received(*pubs(5)[0])
    assert (reader.place, reader.seen) == (at(5), 3)


def test_told_that_it_was_not_recovered() -> None:
    reader = counting(where=at(1))
    reader.subscribed(at(5), [], recovered=False)
    assert (reader.place, reader.gaps_told) == (at(5), 1)


WRONG = [
    pytest.param("P4", at(2), at(2), pubs(4), True, id="a gap in what is recovered"),
    pytest.param("P5", at(2), at(2), pubs(2), True, id="what was seen"),
    pytest.param("P4", None, at(5), pubs(5), False, id="publications without recovery"),
    pytest.param("P4", None, at(5), [], True, id="recovered unasked"),
    pytest.param("P7", at(2, "old"), at(2), pubs(3), True, id="another epoch"),
    pytest.param("P4", at(2), at(4), pubs(5), True, id="the reply counts from elsewhere"),
    pytest.param("P5", at(3), at(5), [], False, id="turned away within the window"),
    pytest.param("P1", at(1), at(9), [], False, id="a top that is not there"),
    pytest.param("P5", at(1), at(4), [], False, id="a top that was passed before it asked"),
    pytest.param("P3", at(2), at(2), [(3, text(4).encode())], True, id="another's publication"),
]


@pytest.mark.parametrize(("promise", "where", "told", "publications", "recovered"), WRONG)
def test_a_wrong_reply_is_found(
    promise: str, where: Place | None, told: Place, publications: list[tuple[int, bytes]], recovered: bool
) -> None:
    with broken(promise, "ben", "room"):
        counting(where=where).subscribed(told, publications, recovered=recovered)


def test_a_wrong_push_is_found() -> None:
    reader = counting(where=at(2))
    reader.subscribed(at(2), pubs(3), recovered=True)
    with broken("P4", "offset 5"):
        reader.received(*pubs(5)[0])
    with broken("P5", "offset 3", "again"):
        reader.received(*pubs(3)[0])
    with broken("P3", "ann.9.9"):
        reader.received(4, text(9).encode())
    with broken("P4", "where it counts"):
        reader.left_out(1)
    reader.ended()
    with broken("P4", "without a subscription"):
        reader.received(*pubs(4)[0])


def test_a_cache_gives_the_newest() -> None:
    reader = counting(where=at(2), rules=CACHE)
    reader.subscribed(at(2), pubs(5), recovered=True)
    assert reader.place == at(5)
    again = counting(where=at(5), rules=CACHE)
    again.subscribed(at(5), [], recovered=True)
    other = counting(where=at(7, "old"), rules=CACHE)
    other.subscribed(at(7), pubs(5), recovered=True)
    assert other.place == at(5)


CACHED = [
    pytest.param("P4", at(2), at(2), pubs(4, 5), id="more than one"),
    pytest.param("P4", at(2), at(5), pubs(5), id="the reply counts from elsewhere"),
    pytest.param("P5", at(2), at(2), pubs(4), id="not the newest when it asked"),
    pytest.param("P5", at(2), at(5), [], id="nothing, though there is something"),
    pytest.param("P3", at(2), at(2), [(5, text(4).encode())], id="another's"),
]


@pytest.mark.parametrize(("promise", "where", "told", "publications"), CACHED)
def test_a_wrong_reply_from_a_cache_is_found(
    promise: str, where: Place, told: Place, publications: list[tuple[int, bytes]]
) -> None:
    with broken(promise, "ben", "room"):
        counting(where=where, rules=CACHE).subscribed(told, publications, recovered=True)


def loose(*, is_lossless: bool = True, is_orderly: bool = True) -> LooseReader:
    the_scene = scene(is_lossless=is_lossless, is_orderly=is_orderly)
    reader = LooseReader(the_scene, "ben", book(9, rules=LOSSY))
    reader.subscribed(NOWHERE, [], recovered=False)
    return reader


def test_a_loose_reader_is_told_what_is_left_out() -> None:
    reader = loose()
    reader.received(*pubs(2)[0])
    reader.received(*pubs(3)[0])
    reader.left_out(2)
    reader.left_out(1)
    reader.received(*pubs(7)[0])
    new = reader.book.begin("new")
    reader.book.append(new, text(20).encode(), text(20), 20.0)
    reader.left_out(2)  # of the life that is over
    reader.received(1, text(20).encode())
    assert reader.seen == 4


def test_a_loose_reader_notices_what_it_is_not_told() -> None:
    reader = loose()
    reader.received(*pubs(2)[0])
    with broken("P4", "offset 4 of room with 1 left out before it, told of 0"):
        reader.received(*pubs(4)[0])
    with broken("P3", "offset 2 of room behind 2"):
        reader.received(*pubs(2)[0])
    with broken("P3", "ann.3.3"):
        reader.received(4, text(3).encode())
    with broken("P4", "which it did not want"):
        reader.subscribed(at(5), [], recovered=False)


def test_an_epoch_that_is_over_does_not_come_back() -> None:
    reader = loose()
    new = reader.book.begin("new")
    reader.book.append(new, text(20).encode(), text(20), 20.0)
    reader.received(1, text(20).encode())
    with broken("P3", "whose epoch e was over"):
        reader.received(*pubs(2)[0])


def test_where_things_may_be_lost_or_come_twice_a_loose_reader_knows_less() -> None:
    lossy = loose(is_lossless=False)
    lossy.received(*pubs(2)[0])
    lossy.received(*pubs(5)[0])
    with broken("P3", "offset 4 of room behind 5"):
        lossy.received(*pubs(4)[0])
    unruly = loose(is_lossless=False, is_orderly=False)
    unruly.received(*pubs(5)[0])
    unruly.received(*pubs(2)[0])


def plain(*, is_lossless: bool = True, is_orderly: bool = True) -> PlainReader:
    room = book(rules=Rules())
    for number in range(1, 6):
        room.turn_of[text(number).encode()] = number - 1
    reader = PlainReader(scene(is_lossless=is_lossless, is_orderly=is_orderly), "ben", room)
    reader.subscribed(NOWHERE, [], recovered=False)
    return reader


def test_what_is_not_numbered_has_turns() -> None:
    reader = plain()
    for number in (2, 3, 4):
        reader.received(0, text(number).encode())
    for number, words in ((3, "behind"), (4, "behind")):
        with broken("P3", words):
            reader.received(0, text(number).encode())
    with broken("P3", "never published so"):
        reader.received(0, text(9).encode())
    with broken("P3", "never published so"):
        reader.received(5, text(5).encode())
    with broken("P4", "which has none"):
        reader.subscribed(at(5), [], recovered=False)


def test_a_turn_that_is_left_out_is_found_where_nothing_is_lost() -> None:
    reader = plain()
    reader.received(0, text(1).encode())
    with broken("P3", "publication 2 of room right behind 0"):
        reader.received(0, text(3).encode())
    lossy = plain(is_lossless=False)
    lossy.received(0, text(1).encode())
    lossy.received(0, text(3).encode())
    unruly = plain(is_lossless=False, is_orderly=False)
    unruly.received(0, text(3).encode())
    unruly.received(0, text(1).encode())
