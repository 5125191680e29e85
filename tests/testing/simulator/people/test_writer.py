"""A publisher's memory: what is sent again, and what its acknowledgements may say."""

from __future__ import annotations

from tests.testing.simulator.checkers.by_hand import at, broken, ledger
from wsloop.testing.simulator.model.ledger import NOWHERE, Ledger, Rules, Text
from wsloop.testing.simulator.people.writer import Writer


def appended(books: Ledger, text: Text) -> None:
    book = books.book("room")
    book.append(book.current or book.begin("e"), text.encode(), text, 0.0)


def test_a_message_is_submitted_until_it_is_acknowledged() -> None:
    books = ledger()
    writer = Writer(books, "ann", "ann")
    message = writer.compose("room", "idem", 0)
    first = writer.submit(message)
    writer.disconnected()
    assert not message.is_under_way
    second = writer.submit(message)
    assert (first, second) == (Text("ann", 1, 1), Text("ann", 1, 2))
    appended(books, first)
    writer.confirmed(message, second, at(1), is_duplicate=True)
    assert not writer.waiting
    assert writer.acknowledged == 1


def test_what_has_no_key_is_sent_once() -> None:
    writer = Writer(ledger(), "ann", "ann")
    writer.submit(writer.compose("room", "", 0))
    writer.disconnected()
    assert not writer.waiting


def test_what_is_old_is_given_up() -> None:
    writer = Writer(ledger(), "ann", "ann")
    message = writer.compose("room", "seq", 0)  # at 5 s
    writer.give_up(5.0)
    assert writer.waiting
    writer.submit(message)
    writer.give_up(6.0)
    assert writer.waiting
    writer.failed(message)
    writer.give_up(6.0)
    assert not writer.waiting


def test_wrong_acknowledgements_are_found() -> None:
    books = ledger()
    writer = Writer(books, "ann", "ann")
    message = writer.compose("room", "idem", 0)
    text = writer.submit(message)
    with broken("P1", "nothing was appended"):
        writer.confirmed(message, text, at(1), is_duplicate=False)
    with broken("P1", "offset 0 of epoch none"):
        writer.confirmed(message, text, NOWHERE, is_duplicate=False)
    appended(books, text)
    with broken("P2", "a duplicate"):
        writer.confirmed(message, text, at(1), is_duplicate=True)


def test_a_channel_without_history_names_no_place() -> None:
    writer = Writer(ledger(Rules()), "ann", "ann")
    message = writer.compose("room", "idem", 0)
    text = writer.submit(message)
    with broken("P1", "offset 1 of epoch e"):
        writer.confirmed(message, text, at(1), is_duplicate=False)
    writer.confirmed(message, text, NOWHERE, is_duplicate=False)
    assert not writer.waiting
