"""P4, no silent gap: a subscriber sees k, k + 1, k + 2 of one epoch, or is told first of the gap."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsloop.testing.simulator.model.ledger import Book, Place
    from wsloop.testing.simulator.model.scene import Scene


def check_next(scene: Scene, who: str, book: Book, before: Place, offset: int) -> None:
    """Judge the offset of a publication that was given to `who`, who stands at `before`."""
    if offset > before.offset + 1:
        scene.broken("P4", f"{who} was given offset {offset} of {book.name}, standing at {before}")
    if offset <= before.offset:
        scene.broken("P5", f"{who} was given offset {offset} of {book.name} again, standing at {before}")


def check_subscribed(scene: Scene, who: str, book: Book, *, is_live: bool) -> None:
    """Judge that a publication of the channel was given to `who` at all: it has said to be subscribed."""
    if not is_live:
        scene.broken("P4", f"{who} was given a publication of {book.name} without a subscription")


def check_told(scene: Scene, who: str, book: Book, offset: int, missed: int, dropped: int) -> None:
    """Judge a publication of a channel that may leave some out: `missed` before it, told of `dropped`."""
    if missed != dropped:
        told = f"with {missed} left out before it, told of {dropped}"
        scene.broken("P4", f"{who} was given offset {offset} of {book.name} {told}")
