"""P1, an acknowledgement means appended: judged at the broker, and again where the client hears of it.

At the broker: when a publish is completed, and so before anybody can be told, the stream must hold the
payload at the very place that the completion names. At the client: the place that its reply names must hold
that message, in whichever of its submissions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wsloop.testing.simulator.model.ledger import shown

if TYPE_CHECKING:
    from wsloop.testing.simulator.model.ledger import Book, Place, Text
    from wsloop.testing.simulator.model.scene import Scene


def check_completed(
    scene: Scene, channel: str, payload: bytes, told: Place, top: Place, last: bytes | None
) -> None:
    """Judge the completion of a publish that is no duplicate.

    `told` is the place it names; `top` the stream's position now, `last` the newest payload it holds.
    """
    if told != top:
        scene.broken(
            "P1", f"{shown(payload)} in {channel} was completed at {told} while the stream ends at {top}"
        )
    if last is not None and last != payload:
        scene.broken(
            "P1", f"{shown(payload)} in {channel} was completed at {told}, where {shown(last)} stands"
        )


def check_acknowledged(scene: Scene, who: str, book: Book, told: Place, sent: Text) -> Text:
    """Judge the reply that `who` got to a publish; return what stands where it says."""
    life = book.life(told.epoch)
    if life is None or not 0 < told.offset <= len(life.said):
        scene.broken(
            "P1", f"{who} was told that {sent} is at {told} of {book.name}, where nothing was appended"
        )
    found = life.said[told.offset - 1]
    if found.number != sent.number or found.user != sent.user:
        scene.broken("P1", f"{who} was told that {sent} is at {told} of {book.name}, where {found} stands")
    return found
