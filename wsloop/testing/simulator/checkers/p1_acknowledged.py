"""P1, an acknowledgement means appended: judged at the broker, and again where the client hears of it.

At the broker: when a publish is completed, and so before anybody can be told, the stream must hold the
payload at the very place that the completion names. At the client: the place that its reply names must hold
that message, in whichever of its submissions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsloop.testing.simulator.model.ledger import Text

if TYPE_CHECKING:
    from wsloop.testing.simulator.model.ledger import Book, Place
    from wsloop.testing.simulator.model.scene import Scene


def check_completed(
    scene: Scene, channel: str, payload: bytes, told: Place, top: Place, last: bytes | None
) -> None:
    """Judge the completion of a publish that is no duplicate.

    `told` is the place it names; `top` the stream's position now, `last` the newest payload it holds.
    """
    if told != top:
        scene.broken("P1", f"{payload!r} in {channel} was completed at {told} while the stream ends at {top}")
    if last is not None and last != payload:
        scene.broken("P1", f"{payload!r} in {channel} was completed at {told}, where {last!r} stands")


def check_acknowledged(scene: Scene, who: str, book: Book, told: Place, sent: Text) -> bytes:
    """Judge the reply that `who` got to a publish; return the payload that stands where it says."""
    life = book.life(told.epoch)
    found = None if life is None else life.at(told.offset)
    if found is None:
        scene.broken(
            "P1", f"{who} was told that {sent} is at {told} of {book.name}, where nothing was appended"
        )
    if Text.decode(found)[:2] != sent[:2]:
        scene.broken("P1", f"{who} was told that {sent} is at {told} of {book.name}, where {found!r} stands")
    return found
