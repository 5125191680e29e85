"""The ledger: texts that tell themselves apart, and what is known of each channel."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.testing.simulator.checkers.by_hand import at, book, ledger, text
from wsloop.testing.simulator.model.ledger import NOWHERE, Text, shown

NAMES = st.text("abcxyz019 ", max_size=8)
NUMBERS = st.integers(0, 10**9)


@given(NAMES, NUMBERS, NUMBERS, st.integers(0, 300))
def test_texts_are_read_as_they_were_written(user: str, number: int, submission: int, padding: int) -> None:
    made = Text(user, number, submission)
    payload = made.encode(padding)
    assert Text.decode(payload) == made
    assert payload.count(b'"') == 2
    assert len(made.encode(padding)) == len(made.encode()) + padding


def test_a_book_knows_every_place() -> None:
    room = book(3)
    life = room.life("e")
    assert life is not None
    assert room.top == at(3)
    assert [life.at(offset) for offset in (0, 1, 3, 4)] == [None, text(1).encode(), text(3).encode(), None]
    assert book().top == NOWHERE
    assert room.life("other") is None


def test_what_stands_between_two_places_of_one_life_or_of_several() -> None:
    room = book(3)
    for epoch, count in (("f", 2), ("g", 4)):
        life = room.begin(epoch)
        for number in range(count):
            room.append(life, text(number).encode(), text(number), 0.0)
    assert room.between(at(1), at(3)) == 1
    assert room.between(at(1), at(1, "f")) == 2
    assert room.between(at(3), at(3, "g")) == 2 + 2
    assert room.between(at(2, "f"), at(1, "g")) == 0


def test_a_store_that_is_lost_is_an_excuse_for_all() -> None:
    books = ledger()
    one, two = books.book("one"), books.book("two")
    assert books.book("one") is one
    one.excuses = two.excuses = 0
    one.first["ann", 1] = (0.0, "e", 1)
    books.excuse_all()
    assert (one.excuses, two.excuses, one.first) == (1, 1, {})


def test_long_payloads_are_shown_in_part() -> None:
    assert shown(text(1).encode()) == '"ann.1.1."'
    assert shown(text(1).encode(500)).endswith("xxx...")
