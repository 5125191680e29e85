"""P8: when faults stop, everybody is subscribed and at the top, and all is acknowledged, within 30 s."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsloop.testing.simulator.model.ledger import Book, Place
    from wsloop.testing.simulator.model.scene import Scene


def check_connected(scene: Scene, who: str, *, is_connected: bool) -> None:
    """Judge that `who` got in."""
    if not is_connected:
        scene.broken("P8", f"{who} is not connected")


def check_member(scene: Scene, who: str, book: Book, state: str) -> None:
    """Judge that `who` is in a channel they want to be in."""
    if state != "in":
        scene.broken("P8", f"{who} wants to be in {book.name} and is {state!r}")


def check_top(scene: Scene, who: str, book: Book, place: Place) -> None:
    """Judge where `who` stands. An epoch in which nothing was appended is known to the server only."""
    top = book.top
    if place != top and place.offset:
        scene.broken("P8", f"{who} is at {place} of {book.name}, whose top is {top}")
    if not place.offset and place.epoch in ("", top.epoch) and top.offset:
        scene.broken("P8", f"{who} has seen nothing of {book.name}, whose top is {top}")


def check_acknowledged(scene: Scene, who: str, waiting: list[str]) -> None:
    """Judge that all of `who`'s messages were acknowledged."""
    if waiting:
        scene.broken("P8", f"{who} has had no acknowledgement of {', '.join(waiting)}")


def check_answered(scene: Scene, who: str, owed: str) -> None:
    """Judge that `who`, on a sound line, has been answered; `owed`: what has not been, "" for nothing."""
    if owed:
        scene.broken("P8", f"{who} has had no answer to {owed}")
