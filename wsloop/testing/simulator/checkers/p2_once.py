"""P2, a publish with a key is appended once: within the window, whatever is sent again and from wherever.

Judged by the message's own name, not by the server's idea of its key: a server that mixes up the keys of two
users is found out because one user's message never gets its place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsloop.testing.simulator.model.ledger import Place

if TYPE_CHECKING:
    from wsloop.testing.simulator.model.ledger import Book, Text
    from wsloop.testing.simulator.model.scene import Scene


def check_appended(scene: Scene, book: Book, place: Place, text: Text, now_s: float, window_s: float) -> None:
    """Judge an append of a message that was sent with a key, and remember it."""
    name = text[:2]
    before = book.first.get(name)
    if before is not None and now_s < before[0] + window_s:
        then = Place(before[1], before[2])
        scene.broken(
            "P2", f"message {text.number} of {text.user} was appended to {book.name} at {then} and at {place}"
        )
    book.first[name] = (now_s, place.epoch, place.offset)


def check_duplicate(scene: Scene, book: Book, place: Place, text: Text) -> None:
    """Judge a completion that says that a message was appended before, at `place`."""
    before = book.first.get(text[:2])
    if before is None:
        scene.broken("P2", f"{text} is called a duplicate in {book.name}, where it was never appended")
    then = Place(before[1], before[2])
    if then != place:
        scene.broken("P2", f"{text} is called a duplicate at {place} of {book.name}, but stands at {then}")


def check_told(scene: Scene, who: str, book: Book, sent: Text, found: Text, *, is_duplicate: bool) -> None:
    """Judge what `who` was told: a duplicate, if and only if what stands there is another submission."""
    if is_duplicate is (found.submission == sent.submission):
        called = "a duplicate" if is_duplicate else "new"
        scene.broken("P2", f"{who} was told that {sent} is {called} in {book.name}, where {found} stands")
