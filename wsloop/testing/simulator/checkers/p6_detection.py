"""P6, a loss on a quiet channel is found within 10 s: by then whoever missed something has been told.

Judged in the calm only, where nothing keeps the server from finding it: once a channel has been quiet, its
subscriber's process linked, and the subscriber told that it is in, for so long, its place must be the top.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsloop.testing.simulator.model.ledger import Book, Place
    from wsloop.testing.simulator.model.scene import Scene

WITHIN_S = 10.0

UNDER_WAY_S = 2.0
"""For what is found to reach the subscriber."""


def check_place(
    scene: Scene, who: str, book: Book, place: Place, healthy_since_s: float, late_s: float = 0.0
) -> None:
    """Judge where `who` stands in a channel.

    `healthy_since_s`: since when nothing stood in the way. `late_s`: how much longer finding may take.
    """
    life = book.current
    if life is None:
        return
    quiet_since_s = max(healthy_since_s, life.times_s[-1] if life.times_s else 0.0)
    top, due_s = book.top, quiet_since_s + WITHIN_S + UNDER_WAY_S + late_s
    if place != top and place.epoch == top.epoch and scene.now_s > due_s:
        quiet_s = scene.now_s - quiet_since_s
        scene.broken(
            "P6", f"{who} is at {place} of {book.name}, quiet for {quiet_s:.1f} s at {top}, and not told"
        )
