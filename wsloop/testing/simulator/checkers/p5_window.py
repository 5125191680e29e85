"""P5, what the history window holds arrives, and once: who comes back in time is recovered.

"Within the window" is judged where it is certain: all that was missed is younger than the channel keeps it
even now, when the answer has arrived, not more than it keeps, and nothing had to leave for want of memory
since.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsloop.testing.simulator.model.ledger import Place

if TYPE_CHECKING:
    from wsloop.testing.simulator.model.ledger import Book
    from wsloop.testing.simulator.model.scene import Scene


def is_held(book: Book, asked: Place, top: Place, now_s: float) -> bool:
    """Tell whether all behind `asked` up to `top` was certainly kept at any time up to now."""
    life = book.life(asked.epoch)
    if asked.epoch != top.epoch or asked.offset > top.offset:
        return False
    rules = book.rules
    if asked.offset == top.offset:
        # A cache that has nothing recovers nothing, even where nothing was missed (Centrifugo's rule).
        return top.offset > 0 or not rules.is_cache
    if life is None:
        return False
    if rules.is_cache:
        oldest_s = life.times_s[top.offset - 1]
    elif top.offset - asked.offset > min(rules.size, rules.most_recovered):
        return False
    else:
        oldest_s = life.times_s[asked.offset]
    # What came behind `top` while the answer was under way may have pushed the oldest out, but not before it.
    return oldest_s + rules.ttl_s > now_s and book.evicted_s < oldest_s


def check_refused(scene: Scene, who: str, book: Book, asked: Place, top: Place) -> None:
    """Judge a subscribe reply that says: not recovered, the stream is at `top`."""
    if is_held(book, asked, top, scene.now_s):
        scene.broken(
            "P5", f"{who} was not recovered in {book.name} from {asked} to {top}, all of which was kept"
        )


def check_read(scene: Scene, who: str, book: Book, top: Place, offsets: list[int], limit: int) -> None:
    """Judge which of a stream, at `top`, a history reply gave: all that was certainly kept, if it may (-1).

    With a `limit`, from whichever end, as many of these as it allows.
    """
    kept = 0
    while kept < top.offset and is_held(book, Place(top.epoch, top.offset - kept - 1), top, scene.now_s):
        kept += 1
        if book.rules.is_cache:
            break  # of more the newest alone is certain here
    least = kept if limit < 0 else min(kept, limit)
    if len(offsets) < least:
        scene.broken(
            "P5", f"{who} read {len(offsets)} of {book.name} at {top}, of which {kept} were certainly kept"
        )
    if limit < 0 and kept and top.offset not in offsets:
        scene.broken("P5", f"{who} read {book.name} at {top} without its newest")


def check_top(scene: Scene, who: str, book: Book, before: Place, top: Place) -> None:
    """Judge a position that a reply names: it exists, and is not behind what `who` has seen of that epoch."""
    life = book.life(top.epoch)
    reached = 0 if life is None else life.top
    if top.offset > reached:
        scene.broken("P1", f"{who} was told that {book.name} is at {top}, which has reached offset {reached}")
    if top.epoch == before.epoch and top.offset < before.offset:
        scene.broken("P5", f"{who} was sent back to {top} of {book.name}, having seen {before}")
