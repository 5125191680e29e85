"""P7, another epoch is never recovered; and a stream begins another only if it has lost what it was."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsloop.testing.simulator.model.ledger import Book, Place
    from wsloop.testing.simulator.model.scene import Scene


def check_recovered(scene: Scene, who: str, book: Book, asked: Place, told: Place) -> None:
    """Judge a subscribe reply that says: recovered from `asked`; `told` is the position it counts from."""
    if asked.epoch not in ("", told.epoch):
        scene.broken("P7", f"{who} was recovered in {book.name} from {asked} into epoch {told.epoch}")
    if told.offset != asked.offset:
        scene.broken(
            "P4", f"{who} was recovered in {book.name} from {asked}, but the reply counts from {told}"
        )


def check_begun(scene: Scene, book: Book, epoch: str, now_s: float) -> None:
    """Judge that an append begins another life of a stream, and take note of the excuse it has used.

    It needs one: the store was lost, the history removed; or nothing was published for as long as the
    channel's position is remembered.
    """
    last = book.current
    if epoch in book.lives:
        scene.broken("P7", f"{book.name} went back to epoch {epoch}")
    if last is None:
        book.excuses = 0
        return
    rules = book.rules
    idle_s = now_s - last.times_s[-1] if last.times_s else inf
    # What had to leave for want of memory is not waited for.
    kept_s = 0.0 if last.times_s and book.evicted_s >= last.times_s[-1] else rules.ttl_s
    if not book.excuses and idle_s < max(kept_s, rules.meta_ttl_s):
        scene.broken(
            "P7", f"{book.name} left epoch {last.epoch} at offset {last.top} for {epoch} without a reason"
        )
    book.excuses = 0
