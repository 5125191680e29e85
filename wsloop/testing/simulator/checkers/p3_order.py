"""P3, one order for all: offsets count by one, everybody sees the same at each, publishers keep theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsloop.testing.simulator.model.ledger import shown

if TYPE_CHECKING:
    from wsloop.testing.simulator.model.ledger import Book, Life, Place, Text
    from wsloop.testing.simulator.model.scene import Scene


def check_next(scene: Scene, channel: str, life: Life, offset: int, payload: bytes) -> None:
    """Judge where a publication is appended: right behind the one before, whatever became of that."""
    if offset != len(life.texts) + 1:
        last = f"offset {len(life.texts)} of epoch {life.epoch}"
        scene.broken("P3", f"{shown(payload)} was appended to {channel} at offset {offset}, behind {last}")


def check_publisher(scene: Scene, book: Book, connection: str, text: Text) -> None:
    """Judge an append by who published: what one connection sends stands in the order in which it sent it."""
    before = book.last_submission.get(connection, 0)
    if text.submission <= before:
        scene.broken(
            "P3", f"{text} was appended to {book.name} behind submission {before} of the same connection"
        )
    book.last_submission[connection] = text.submission


def check_same(scene: Scene, who: str, book: Book, place: Place, seen: bytes) -> None:
    """Judge what `who` was given at a place: it is what was appended there, as for everybody else."""
    life = book.life(place.epoch)
    found = None if life is None else life.at(place.offset)
    if found is None:
        scene.broken(
            "P3", f"{who} was given {shown(seen)} at {place} of {book.name}, where nothing was appended"
        )
    if found != seen:
        scene.broken(
            "P3", f"{who} was given {shown(seen)} at {place} of {book.name}, where {shown(found)} stands"
        )


def check_turn(scene: Scene, who: str, book: Book, before: int, turn: int, *, is_whole: bool) -> None:
    """Judge an unnumbered publication by its `turn`, that of the one `before` being known (-1: none was)."""
    if turn <= before:
        scene.broken("P3", f"{who} was given publication {turn} of {book.name} behind {before}")
    if is_whole and before >= 0 and turn != before + 1:
        scene.broken("P3", f"{who} was given publication {turn} of {book.name} right behind {before}")
